"""Targets: what the evidence must show (issues 3, 4), and whether it does. Sections give findings; here are bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EVERY = "every"


@dataclass(frozen=True)
class Finding:
    """One number that a run established."""

    quantity: str
    case: str
    value: float
    is_ratio: bool = False
    """Whether it is a speed in units of another's, so that fastgmm lost below 1."""


@dataclass(frozen=True)
class Target:
    """Bounds of a quantity on a case, or on every case that was measured."""

    quantity: str
    case: str
    least: float = -math.inf
    most: float = math.inf

    def met(self, value: float) -> bool:
        """Say whether a value lies within; NaN does not."""
        return self.least <= value <= self.most

    @property
    def bounds(self) -> str:
        """Return the bounds in words."""
        parts = [f"≥ {self.least:g}"] * (self.least > -math.inf) + [f"≤ {self.most:g}"] * (self.most < math.inf)
        return ", ".join(parts)


@dataclass(frozen=True)
class Verdict:
    """A target and the finding that it is about, or None where nothing was measured."""

    target: Target
    finding: Finding | None

    @property
    def met(self) -> bool:
        """Say whether it was measured and met."""
        return self.finding is not None and self.target.met(self.finding.value)


TARGETS = (
    Target("share of the FMA peak", "d8k16", least=0.25),
    Target("share of the FMA peak", "d16k32", least=0.40),
    Target("share of the FMA peak", "d32k32", least=0.50),
    Target("share of the FMA peak", "d64k32", least=0.60),
    Target("share of the FMA peak", "d128k16", least=0.60),
    Target("times oneDAL's speed, geometric mean", "eight synthetic", least=3.5),
    Target("times oneDAL's speed", EVERY, least=2.0),
    Target("times scikit-learn's speed, geometric mean", "eight synthetic", least=25.0),
    Target("times scikit-learn's speed", EVERY, least=3.0),
    Target("bounded, times dense's speed", "apart-d64k32", least=6.0),
    Target("bounded, times dense's speed", "apart-d32k32", least=3.0),
    Target("bounded, times dense's speed", "apart-d16k128", least=1.4),
    Target("bounded, times dense's speed", "china-patches", least=1.4),
    Target("bounded 1e-9, times dense's speed", "apart-d16k128", least=2.5),
    Target("bounded 1e-9, times dense's speed", "china-patches", least=2.5),
    Target("auto, times dense's speed", EVERY, least=0.95),
    Target("bounded, log-likelihood's relative difference from dense", EVERY, most=1e-12),
    Target("auto, log-likelihood's relative difference from dense", EVERY, most=1e-12),
    Target("bounded, share of labels equal to dense's", EVERY, least=1.0),
    Target("auto, share of labels equal to dense's", EVERY, least=1.0),
    Target("family, times scikit-learn's speed", "tied-d16k32", least=40.0),
    Target("family, times scikit-learn's speed", "diag-d16k32", least=20.0),
    Target("family, times scikit-learn's speed", "spherical-d16k32", least=10.0),
    Target("family, times oneDAL's speed", "diag-d16k32", least=3.0),
    Target("family, log-likelihood's relative difference from scikit-learn's", EVERY, most=1e-9),
    Target("float32, times float64's speed", EVERY, least=1.7),
    Target("all threads, the same bits as one", EVERY, least=1.0),
    Target("whole fit, times scikit-learn's speed", "d2k8", least=30.0),
    Target("whole fit, times scikit-learn's speed", "d8k16-300k", least=30.0),
    Target("whole fit, times scikit-learn's speed", "d16k32-100k", least=30.0),
    Target("whole fit, times scikit-learn's speed", "iris", least=10.0),
    # "No lower": a fit stops when an iteration gains less than 1e-3, so less than that says nothing.
    Target("whole fit, log-likelihood above scikit-learn's", EVERY, least=-1e-3),
    Target("stepwise EM, two passes: nats per row below batch EM from the same start", EVERY, most=0.01),
    Target(".npy, whole fit, times the speed in memory", EVERY, least=0.85),
    Target("Parquet, cache, whole fit, times the speed in memory", EVERY, least=0.85),
    Target("milliseconds of `import fastgmm` beyond NumPy's", "import", most=20.0),
    Target("seconds of the first fit, warm cache", EVERY, most=1.2),
    Target("seconds of the first fit, empty cache", EVERY, most=10.0),
    Target("MiB beyond the rows", EVERY, most=64.0),
    Target("SQUAREM's passes, times EM's, median", "overlapping", most=0.45),
    Target("SQUAREM's passes, times EM's", EVERY, most=1.1),
    Target("SQUAREM, least relative step of the log-likelihood", "overlapping", least=-1e-13),
    Target("Anderson, least relative step of the log-likelihood", "overlapping", least=-1e-13),
    Target("slope of seconds in N", "along-N", least=0.9, most=1.1),
    Target("slope of seconds per row in K", "along-K", least=0.9, most=1.1),
    Target("slope of seconds per row in D, from 16 on", "along-D", least=1.8, most=2.2),
)


def verdicts(findings: Iterable[Finding], targets: Sequence[Target] = TARGETS) -> list[Verdict]:
    """Return what became of each target, in the table's order; one for every case that it covers."""
    known = list(findings)
    result = []
    for target in targets:
        about = [f for f in known if f.quantity == target.quantity and target.case in (EVERY, f.case)]
        result += [Verdict(target, finding) for finding in about] or [Verdict(target, None)]
    return result


def losses(findings: Iterable[Finding]) -> list[Finding]:
    """Return the ratios in which fastgmm is the slower one."""
    return [finding for finding in findings if finding.is_ratio and not finding.value >= 1.0]
