"""The terminal: ``fastgmm fit | predict | score | sample | info | demo``.

Results go to stdout, messages to stderr. Exit codes: 0 done, 2 usage, 3 bad data or files, 130 interrupted.
Nothing heavy is imported before the arguments are understood.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

OK, BAD_DATA, INTERRUPTED = 0, 3, 130

COVARIANCE_TYPES = (
    *("full", "tied", "diag", "spherical"),
    *("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"),
)
"""Said here again, so that nothing heavy is loaded for a message about usage; a test compares them with the models."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        from fastgmm import commands

        getattr(commands, options.command)(options)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        return _say(f"interrupted{_kept(stop, options)}", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not fail again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (ValueError, TypeError, OSError, ImportError, NotImplementedError, MemoryError) as error:
        return _say(f"error: {_one_line(error)}", BAD_DATA)
    return OK


def _kept(stop: KeyboardInterrupt, options: argparse.Namespace) -> str:
    """Say what Ctrl-C left behind: `em.run.Interrupted` has a result."""
    result = getattr(stop, "result", None)
    if result is None:
        return ""
    where = f", saved in {options.output}" if options.output else ""
    return f" after {result.n_iter} complete iterations{where}"


def _say(message: str, code: int) -> int:
    print(f"fastgmm: {message}", file=sys.stderr)
    return code


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}"
    if isinstance(error, MemoryError):
        return f"out of memory: {error}" if str(error) else "out of memory; use fewer components or float32 rows"
    return " ".join(str(error).split())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastgmm", description="Gaussian mixtures by EM, for large data.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _fit_parser(commands)
    for name, about in (
        ("predict", "write the component of each row, or all their probabilities"),
        ("score", "print the log-likelihood, BIC and AIC of data under a model"),
    ):
        command = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        command.add_argument("model", metavar="MODEL", help="file written by fastgmm fit")
        _add_data(command)
        command.add_argument("--threads", type=_positive, metavar="N", help="threads (default: all processors)")
        if name == "predict":
            command.add_argument("--proba", action="store_true", help="probabilities of all components, not labels")
            command.add_argument("-o", "--output", metavar="FILE", help=".npy or .csv (default: print)")
        else:
            command.add_argument("--json", action="store_true", help="print JSON")
    _sample_parser(commands)
    info = commands.add_parser("info", help="print what a model file holds", description="Print a model file.")
    info.add_argument("model", metavar="MODEL")
    info.add_argument("--json", action="store_true", help="print JSON")
    demo = commands.add_parser(
        "demo", help="fit Old Faithful's eruptions and draw them", description="Fit the bundled data and draw the fit."
    )
    demo.add_argument("-o", "--output", metavar="PNG", default="faithful.png", help="picture (default: %(default)s)")
    return parser


def _fit_parser(commands: Any) -> None:
    fit = commands.add_parser("fit", help="fit a mixture to data", description="Fit a Gaussian mixture by EM.")
    _add_data(fit)
    fit.add_argument("-k", "--components", type=_positive, required=True, metavar="K", help="number of components")
    fit.add_argument("-o", "--output", metavar="MODEL", help="model file to write")
    fit.add_argument(
        "--covariance-type", choices=COVARIANCE_TYPES, default="full", metavar="TYPE",
        help="full, tied, diag, spherical, or one of the models EII … VVV (%(default)s)",
    )  # fmt: skip
    fit.add_argument("--max-iter", type=_positive, default=100, metavar="N", help="most iterations (%(default)s)")
    fit.add_argument(
        "--tol", type=_not_negative, default=1e-3, metavar="T",
        help="stop when the mean log-likelihood changes by less (%(default)s)",
    )  # fmt: skip
    fit.add_argument("--n-init", type=_positive, default=1, metavar="N", help="starts, the best is kept (%(default)s)")
    fit.add_argument(
        "--init", choices=("kmeans", "k-means++", "random", "random_from_data"), default="kmeans",
        help="how to start (%(default)s)",
    )  # fmt: skip
    fit.add_argument("--seed", type=_seed, default=0, metavar="S", help="of the random numbers (%(default)s)")
    fit.add_argument(
        "--reg-covar", type=_not_negative, default=1e-6, metavar="R", help="added to the variances (%(default)s)"
    )
    fit.add_argument("--threads", type=_positive, metavar="N", help="threads (default: all processors)")
    fit.add_argument("--json", action="store_true", help="print JSON")


def _sample_parser(commands: Any) -> None:
    sample = commands.add_parser("sample", help="draw rows from a model", description="Draw rows from a model.")
    sample.add_argument("model", metavar="MODEL")
    sample.add_argument("-n", "--rows", type=_positive, default=1, metavar="N", help="how many (%(default)s)")
    sample.add_argument("--seed", type=_seed, default=0, metavar="S", help="of the random numbers (%(default)s)")
    sample.add_argument("-o", "--output", metavar="FILE", help=".npy or .csv (default: print)")


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", metavar="DATA", help=".npy, .parquet, .csv or .csv.gz file, or the name faithful")


def _positive(text: str) -> int:
    value = int(text) if text.removeprefix("-").isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, but is {text!r}")
    return value


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f"must be an integer from 0 to 4294967295, but is {text!r}")
    return int(text)


def _not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number that is not negative, but is {text!r}")
    return value


def _version() -> str:
    from fastgmm import __version__

    return f"fastgmm {__version__}"


if __name__ == "__main__":
    sys.exit(main())
