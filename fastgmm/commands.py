"""What the terminal's commands do, each a function of its parsed options."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import tempfile
import warnings
from argparse import Namespace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from fastgmm.em.run import Interrupted
from fastgmm.errors import NOT_CONVERGED, DataError
from fastgmm.estimator import GaussianMixture
from fastgmm.files import write_atomically
from fastgmm.mixture import Mixture
from fastgmm.models import FAMILIES, MODELS
from fastgmm.parameters import Parameters
from fastgmm.progress import Bar
from fastgmm.rows.tables import Table, read_table
from fastgmm.storage import Model, load, save

SHOWN_FEATURES = 6


def fit(options: Namespace) -> None:
    """Fit DATA, print what was found, write MODEL."""
    check_writable(options.output, inputs=(options.data,))
    table = read_table(options.data)
    bar = Bar(options.max_iter, options.n_init) if sys.stderr.isatty() else None
    began = perf_counter()
    try:
        estimator = fitted(table, options, bar)
    finally:
        if bar is not None:
            bar.close()
    facts = facts_of(estimator, table, perf_counter() - began)
    if options.output:
        save(estimator.mixture_.parameters, options.output, facts)
        facts["model"] = options.output
    print(
        as_json(facts, estimator.mixture_.parameters) if options.json else as_text(facts, estimator.mixture_.parameters)
    )
    if options.output:
        print(f"model written to {options.output}", file=sys.stderr)


def fitted(table: Table, options: Namespace, bar: Bar | None) -> GaussianMixture:
    """Fit a table; after Ctrl-C save the last complete iteration, if a model file was asked for."""
    estimator = GaussianMixture(
        options.components,
        covariance_type=options.covariance_type,
        tol=options.tol,
        max_iter=options.max_iter,
        n_init=options.n_init,
        init_params=options.init,
        random_state=options.seed,
        reg_covar=options.reg_covar,
        n_threads=options.threads,
        callback=bar,
    )
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(table.values)
    except Interrupted:
        if options.output:
            facts = {
                "covariance_type": estimator.covariance_type,
                "n_iter": estimator.n_iter_,
                "converged": False,
                "interrupted": True,
            }
            save(estimator.mixture_.parameters, options.output, facts)
        raise
    for warning in caught:
        if str(warning.message) != NOT_CONVERGED:
            print(f"fastgmm: warning: {warning.message}", file=sys.stderr)
    if not estimator.converged_:
        print(
            f"fastgmm: warning: not converged after {estimator.n_iter_} iterations; increase --max-iter or --tol",
            file=sys.stderr,
        )
    return estimator


def facts_of(estimator: GaussianMixture, table: Table, seconds: float) -> dict[str, Any]:
    """Return what is worth knowing of a fit."""
    n, d = table.values.shape
    return {
        "data": table.name,
        "columns": list(table.columns) if table.columns else None,
        "n_rows": n,
        "n_features": d,
        "n_components": estimator.mixture_.n_components,
        "covariance_type": estimator.covariance_type,
        **criteria(estimator.mixture_, table),
        "n_parameters": estimator.mixture_.n_parameters,
        "converged": estimator.converged_,
        "n_iter": estimator.n_iter_,
        "seconds": seconds,
    }


def criteria(mixture: Mixture, table: Table) -> dict[str, float]:
    """Return the log-likelihood of a table, in all and a row, and BIC and AIC, from one pass."""
    n, p = table.values.shape[0], mixture.n_parameters
    mean = mixture.score(table.values)
    return {
        "log_likelihood": mean * n,
        "mean_log_likelihood": mean,
        "bic": -2 * mean * n + p * math.log(n),
        "aic": -2 * mean * n + 2 * p,
    }


def as_json(facts: dict[str, Any], parameters: Parameters) -> str:
    """Facts and parameters as one JSON object."""
    arrays = {name: getattr(parameters, name).tolist() for name in ("weights", "means", "covariances")}
    return json.dumps({**facts, **arrays})


def as_text(facts: dict[str, Any], parameters: Parameters) -> str:
    """Facts and components for people to read."""
    lines = [f"data            {facts['data']}: {facts['n_rows']} rows × {facts['n_features']} features"]
    state = "converged after" if facts["converged"] else "stopped, not converged, after"
    lines += [
        f"model           {parameters.n_components} components, covariances {facts.get('covariance_type', 'full')}",
        f"log-likelihood  {facts['log_likelihood']:.3f}  ({facts['mean_log_likelihood']:.6f} a row)",
        f"BIC             {facts['bic']:.3f}  (AIC {facts['aic']:.3f}, {facts['n_parameters']} parameters)",
        f"EM              {state} {facts['n_iter']} iterations, {facts['seconds']:.3g} s",
    ]
    return "\n".join([*lines, "", components_table(parameters, facts.get("columns"))])


def facts_are_complete(facts: dict[str, Any]) -> bool:
    """Whether a model file's facts are those of a fit, each of its kind."""
    numbers = ("n_rows", "n_features", "log_likelihood", "mean_log_likelihood", "bic", "aic", "n_parameters", "n_iter")
    return isinstance(facts.get("data"), str) and all(
        isinstance(facts.get(name), int | float) for name in (*numbers, "converged", "seconds")
    )


def components_table(parameters: Parameters, columns: list[str] | None) -> str:
    """Weights, means and standard deviations, one component a line."""
    shown = min(parameters.n_features, SHOWN_FEATURES)
    names = [(columns[d] if columns else f"x{d}")[:20] for d in range(shown)]
    heading = "component  weight" + "".join(f"  {name + ' (sd)':>24}" for name in names)
    more = "" if shown == parameters.n_features else f"  … {parameters.n_features - shown} more features"
    lines = [heading + more]
    deviations = np.sqrt(parameters.variances)
    for k, weight in enumerate(parameters.weights):
        cells = [f"{parameters.means[k, d]:.5g} ({deviations[k, d]:.4g})" for d in range(shown)]
        lines.append(f"{k:>9}  {weight:.4f}" + "".join(f"  {cell:>24}" for cell in cells))
    return "\n".join(lines)


def predict(options: Namespace) -> None:
    """Write labels or probabilities of the rows of DATA."""
    check_writable(options.output, (".npy", ".csv"), (options.data, options.model))
    mixture, table = _model(options), read_table(options.data)
    if options.proba:
        names = [f"component{k}" for k in range(mixture.n_components)]
        write_table(mixture.responsibilities(table.values), names, options.output, "%.17g")
    else:
        write_table(mixture.predict(table.values)[:, None], ["component"], options.output, "%d")


def score(options: Namespace) -> None:
    """Print how likely DATA are under MODEL."""
    mixture, table = _model(options), read_table(options.data)
    facts = {"n_rows": table.values.shape[0], **criteria(mixture, table)}
    if options.json:
        print(json.dumps(facts))
    else:
        print("\n".join(f"{name:<20} {value:.12g}" for name, value in facts.items()))


def sample(options: Namespace) -> None:
    """Draw rows from MODEL."""
    check_writable(options.output, (".npy", ".csv"), (options.model,))
    model = load(options.model)
    X, _ = Mixture(model.parameters).sample(options.rows, np.random.RandomState(options.seed))
    np.random.RandomState(options.seed).shuffle(X)
    write_table(X, _columns(model), options.output, "%.17g")


def info(options: Namespace) -> None:
    """Print what MODEL holds."""
    model = load(options.model)
    if options.json:
        print(as_json(model.facts, model.parameters))
        return
    if facts_are_complete(model.facts):
        print(as_text(model.facts, model.parameters))
    else:
        print(components_table(model.parameters, model.facts.get("columns")))


def demo(options: Namespace) -> None:
    """Fit Old Faithful's eruptions with two components and draw them."""
    from fastgmm import datasets, plotting

    check_writable(options.output, (".png",))
    X = datasets.load_faithful()
    table = Table(X, datasets.FAITHFUL_COLUMNS, "Old Faithful")
    seconds = []
    for _ in range(2):  # the first compiles the kernels, or loads them
        began = perf_counter()
        estimator = GaussianMixture(2, tol=1e-9, max_iter=500, random_state=0).fit(X)
        seconds.append(perf_counter() - began)
    print(as_text(facts_of(estimator, table, seconds[1]), estimator.mixture_.parameters))
    print(f"\nthe first fit took {seconds[0]:.2f} s with loading its kernels, the second {seconds[1] * 1e3:.1f} ms")
    labels = estimator.predict(X)
    plotting.save_demo(X, labels, estimator.mixture_.parameters, datasets.FAITHFUL_COLUMNS, options.output)
    print(f"picture written to {options.output}")


def _model(options: Namespace) -> Mixture:
    model = load(options.model)
    name = model.facts.get("covariance_type")
    name = FAMILIES.get(name, name) if isinstance(name, str) else None
    # A file by another hand may say anything: the form then tells the model.
    known = name in MODELS and MODELS[name].form == model.parameters.form
    return Mixture(model.parameters, options.threads, name if known else None)


def _columns(model: Model) -> list[str]:
    columns = model.facts.get("columns")
    return [str(name) for name in columns] if columns else [f"x{d}" for d in range(model.parameters.n_features)]


def check_writable(path: str | None, suffixes: tuple[str, ...] = (), inputs: tuple[str, ...] = ()) -> None:
    """Refuse an output that cannot be written or would replace an input, before any work is done."""
    if path is None:
        return
    if suffixes and Path(path).suffix not in suffixes:
        raise DataError(f"output {path} must end in {' or '.join(suffixes)}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise DataError(f"output {path} is a folder or a device; name a file")
    if any(os.path.exists(path) and os.path.exists(source) and os.path.samefile(path, source) for source in inputs):
        raise DataError(f"output {path} is also an input and would be replaced; name another file")
    try:
        with tempfile.TemporaryFile(dir=Path(path).parent):
            pass
    except OSError as error:
        raise DataError(f"output {path} cannot be written: {error.strerror}; choose another place") from None


def write_table(values: Any, names: list[str], path: str | None, style: str) -> None:
    """Write rows to a .npy or .csv file, whole or not at all, or print them as CSV."""
    content = io.BytesIO()
    if path is not None and path.endswith(".npy"):
        np.save(content, values[:, 0] if values.shape[1] == 1 and style == "%d" else values)
    else:
        header = ",".join(f'"{name}"' if "," in name else name for name in names)
        np.savetxt(content, values, fmt=style, delimiter=",", header=header, comments="")
    if path is None:
        sys.stdout.write(content.getvalue().decode())
    else:
        write_atomically(path, content.getvalue())
