"""Checks of a mixture estimator's parameters, before any work starts, in scikit-learn's words."""

from __future__ import annotations

from typing import Any

from fastgmm.em.acceleration import ACCELERATIONS
from fastgmm.em.convergence import CONVERGENCE
from fastgmm.em.degeneracy import POLICIES
from fastgmm.em.passes import ALGORITHMS, ASSIGNMENTS
from fastgmm.em.search import STRATEGIES, parsed
from fastgmm.errors import ParameterError
from fastgmm.initialise import METHODS
from fastgmm.models import FAMILIES, MODELS
from fastgmm.models.prior import Prior
from fastgmm.parameter_checks import check_boolean, check_choice, check_number, check_random_state, check_verbose
from fastgmm.threads import team
from fastgmm.validation import WEIGHT_TYPES

ONLINE = "online"
"""The start of a `GaussianMixture` by stepwise EM."""


def check_shared(estimator: Any, starts: tuple[str, ...] = METHODS) -> None:
    """Refuse what no mixture estimator takes: the parameters that all of them share. `starts` are its `init_params`."""
    owner = type(estimator).__name__
    check_number(estimator.n_components, "n_components", owner, int, 1)
    check_number(estimator.tol, "tol", owner, float, 0)
    check_number(estimator.reg_covar, "reg_covar", owner, float, 0)
    check_number(estimator.max_iter, "max_iter", owner, int, 0)
    check_number(estimator.n_init, "n_init", owner, int, 1)
    check_number(estimator.verbose_interval, "verbose_interval", owner, int, 1)
    check_verbose(estimator.verbose, "verbose", owner)
    check_boolean(estimator.warm_start, "warm_start", owner)
    check_random_state(estimator.random_state, owner)
    check_choice(estimator.init_params, "init_params", owner, starts)
    team(estimator.n_threads)


def check_passes(estimator: Any) -> None:
    """Refuse what `algorithm` and `skip_below` do not take."""
    owner = type(estimator).__name__
    check_choice(estimator.algorithm, "algorithm", owner, ALGORITHMS)
    check_number(estimator.skip_below, "skip_below", owner, float, 0)
    if estimator.skip_below >= 1:
        raise ValueError(
            f"The 'skip_below' parameter of {owner} must be a float in the range [0, 1). Got "
            f"{estimator.skip_below!r} instead. It is the share of a row that may be left out: 1e-9 is large already."
        )


def check_parameters(estimator: Any) -> None:
    """Refuse what a `GaussianMixture` does not take."""
    owner = type(estimator).__name__
    check_shared(estimator, (*METHODS, ONLINE))
    check_passes(estimator)
    check_choice(estimator.covariance_type, "covariance_type", owner, (*FAMILIES, *MODELS))
    check_boolean(estimator.equal_weights, "equal_weights", owner)
    check_choice(estimator.weight_type, "weight_type", owner, WEIGHT_TYPES)
    check_choice(estimator.on_degenerate, "on_degenerate", owner, POLICIES)
    check_number(estimator.reg_covar_relative, "reg_covar_relative", owner, float, 0)
    if estimator.forgetting is not None:
        check_number(estimator.forgetting, "forgetting", owner, float, 0)
        if not 0 < estimator.forgetting <= 1:
            raise ParameterError(
                f"The 'forgetting' parameter of {owner} must be None or a float in the range (0, 1]. Got "
                f"{estimator.forgetting!r} instead."
            )
    if estimator.search is not None:
        check_choice(estimator.search, "search", owner, tuple(STRATEGIES))
        if estimator.assignment != "soft":
            raise ParameterError(
                f"search={estimator.search!r} compares likelihoods, and needs assignment='soft'. Got "
                f"{estimator.assignment!r} instead."
            )
    parsed(estimator.search_budget)
    prior = estimator.prior
    if not (prior is None or isinstance(prior, Prior) or (isinstance(prior, str) and prior == "mclust")):
        raise ParameterError(
            f"The 'prior' parameter of {owner} must be None, 'mclust' or an instance of 'fastgmm.models.Prior'. "
            f"Got {prior!r} instead."
        )
    check_steps(estimator)
    if estimator.equal_weights and estimator.weights_init is not None:
        raise ParameterError("weights_init has no effect where equal_weights=True; give one of them.")


def check_steps(estimator: Any) -> None:
    """Refuse what `acceleration`, `assignment` and `convergence` do not take, alone and together."""
    owner = type(estimator).__name__
    if estimator.acceleration is not None:
        check_choice(estimator.acceleration, "acceleration", owner, ACCELERATIONS)
    check_choice(estimator.assignment, "assignment", owner, ASSIGNMENTS)
    check_choice(estimator.convergence, "convergence", owner, tuple(CONVERGENCE))
    if estimator.assignment == "soft":
        return
    if estimator.acceleration is not None:
        raise ParameterError(
            f"acceleration={estimator.acceleration!r} extrapolates smooth steps, but those of "
            f"assignment={estimator.assignment!r} jump with the labels. Use acceleration=None or assignment='soft'."
        )
    if estimator.algorithm == "bounded":
        raise ParameterError(
            f"algorithm='bounded' rules out small responsibilities, but assignment={estimator.assignment!r} has none. "
            "Use algorithm='auto'."
        )
