"""fastgmm: Gaussian mixtures by EM, for large data.

Two verbs and two nouns::

     rows ──expectation──▶ SufficientStatistics ──maximise──▶ Parameters ─┐
      ▲     (kernels)            ( + merges )       (covariance models)   │
      └──────────────────────────── em (the loop) ◀───────────────────────┘

`GaussianMixture` is the loop with scikit-learn's face; `Mixture` is a fitted density. Everything is loaded when first
asked for: ``import fastgmm`` imports neither Numba nor any optional library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "BayesianGaussianMixture": "fastgmm.bayesian_estimator",
    "GaussianMixture": "fastgmm.estimator",
    "Mixture": "fastgmm.mixture",
    "Parameters": "fastgmm.parameters",
    "SufficientStatistics": "fastgmm.statistics",
    "expectation": "fastgmm.backend",
    "gradient": "fastgmm.gradients",
    "maximise": "fastgmm.models",
    "load": "fastgmm.storage",
    "save": "fastgmm.storage",
    "select": "fastgmm.selection",
}
_MODULES = ("datasets", "errors", "plotting", "rows")

__all__ = ["__version__", *sorted((*_HOMES, *_MODULES))]

if TYPE_CHECKING:
    from fastgmm import datasets as datasets
    from fastgmm import errors as errors
    from fastgmm import plotting as plotting
    from fastgmm import rows as rows
    from fastgmm.backend import expectation as expectation
    from fastgmm.bayesian_estimator import BayesianGaussianMixture as BayesianGaussianMixture
    from fastgmm.estimator import GaussianMixture as GaussianMixture
    from fastgmm.gradients import gradient as gradient
    from fastgmm.mixture import Mixture as Mixture
    from fastgmm.models import maximise as maximise
    from fastgmm.parameters import Parameters as Parameters
    from fastgmm.selection import select as select
    from fastgmm.statistics import SufficientStatistics as SufficientStatistics
    from fastgmm.storage import load as load
    from fastgmm.storage import save as save


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"fastgmm.{name}")
    else:
        raise AttributeError(f"module 'fastgmm' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
