"""Metadata requests: which methods want `sample_weight` from a pipeline or a search, as scikit-learn keeps it."""

from __future__ import annotations

import copy
from typing import Any

UNCHANGED = "$UNCHANGED$"
"""scikit-learn's default of ``set_fit_request``: leave the request as it is."""

Request = bool | str | None
"""True or False: pass it, or do not; None: refuse it; a string: pass what has that name."""

METHODS = ("fit", "partial_fit", "score")


def requests_of(estimator: Any) -> Any:
    """Return a copy of an estimator's requests, None for each weight where nothing was asked for."""
    made = getattr(estimator, "_metadata_request", None)
    if made is not None:
        return copy.deepcopy(made)
    from sklearn.utils.metadata_routing import MetadataRequest

    requests = MetadataRequest(owner=type(estimator).__name__)
    for method in (name for name in METHODS if hasattr(estimator, name)):
        getattr(requests, method).add_request(param="sample_weight", alias=None)
    return requests


def request(estimator: Any, method: str, alias: Request) -> None:
    """Change what a method asks for.

    Raises
    ------
    RuntimeError
        Where scikit-learn's routing is off, in its words.
    """
    from sklearn import get_config

    if not get_config()["enable_metadata_routing"]:
        raise RuntimeError(
            "This method is only available when metadata routing is enabled. You can enable it using "
            "sklearn.set_config(enable_metadata_routing=True)."
        )
    if alias == UNCHANGED:
        return
    requests = requests_of(estimator)
    getattr(requests, method).add_request(param="sample_weight", alias=alias)
    estimator._metadata_request = requests
