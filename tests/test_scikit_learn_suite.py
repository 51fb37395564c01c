"""scikit-learn's own tests of its mixtures, run on fastgmm's classes in the place of its own.

Its test modules are executed anew with the classes swapped, and their tests collected here, but for those in LEFT_OUT.
Both dtypes of its ``global_dtype`` are run (scikit-learn itself runs float32 on demand only). docs/scikit-learn.md
lists what is left out.
"""

import importlib.util
import inspect
import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import sklearn.mixture

import fastgmm

HELPERS = "tests scikit-learn's private helper functions, no estimator"
LEFT_OUT = {
    "test_suffstat_sk_full": HELPERS,
    "test_suffstat_sk_tied": HELPERS,
    "test_suffstat_sk_diag": HELPERS,
    "test_gaussian_suffstat_sk_spherical": HELPERS,
    "test_compute_log_det_cholesky": HELPERS,
    "test_gaussian_mixture_log_probabilities": HELPERS,
    "test_bayesian_log_dirichlet_norm": HELPERS,
    "test_bayesian_log_wishart_norm": HELPERS,
    "test_bayesian_compare_covar_type": "calls the private methods _check_parameters and _initialize_parameters",
    "test_gaussian_mixture_precisions_init": "calls the private methods _initialize and _set_parameters",
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": "counts calls of a private helper function",
    "test_gaussian_mixture_array_api_compliance": "arrays of other libraries (array API) are not supported",
    "test_gaussian_mixture_raises_where_array_api_not_implemented": "arrays of other libraries are not supported",
}
if not hasattr(sklearn.mixture.GaussianMixture(max_iter=0).fit([[0.0], [1.0]]), "lower_bounds_"):
    LEFT_OUT["test_regularisation"] = "expects the words of an older scikit-learn"

LEFT_OUT_IN_FLOAT32 = {
    "test_score": "expects the rounding of a mean that is formed in float32; `score` is formed in float64",
}

pytestmark = pytest.mark.filterwarnings("default")  # scikit-learn's own runs do not make warnings errors


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def global_dtype(request):
    if request.param is np.float32 and request.function.__name__ in LEFT_OUT_IN_FLOAT32:
        pytest.skip(LEFT_OUT_IN_FLOAT32[request.function.__name__])
    return request.param


@pytest.fixture
def global_random_seed():
    return 42


CLASSES = {name: getattr(fastgmm, name) for name in ("GaussianMixture", "BayesianGaussianMixture")}


def swapped(name):
    """Execute one of scikit-learn's test modules with our classes in the place of its own."""
    spec = importlib.util.find_spec(f"sklearn.mixture.tests.{name}")
    module = importlib.util.module_from_spec(spec)
    with mock.patch.multiple(sklearn.mixture, **CLASSES):
        spec.loader.exec_module(module)
    return module


MODULES = {"": swapped("test_gaussian_mixture"), "mixture_": swapped("test_mixture")}
MODULES["bayesian_"] = swapped("test_bayesian_mixture")
"""By what makes the names of their tests differ."""

THEIRS = {
    name if prefix in name else name.replace("test_", f"test_{prefix}"): function
    for prefix, module in MODULES.items()
    for name, function in vars(module).items()
    if name.startswith("test_") and inspect.isfunction(function)
}
globals().update({name: function for name, function in THEIRS.items() if name not in LEFT_OUT})


def test_the_classes_are_swapped():
    for module in MODULES.values():
        for name, kind in CLASSES.items():
            assert getattr(module, name, kind) is kind
    assert len(THEIRS.keys() - LEFT_OUT.keys()) >= 39


def test_the_page_lists_what_is_left_out():
    page = Path(fastgmm.__file__).parents[1] / "docs" / "scikit-learn.md"
    if page.exists():
        listed = set(re.findall(r"^\| `(test_\w+)`", page.read_text(), re.MULTILINE))
        assert listed == set(LEFT_OUT) - {"test_regularisation"}
