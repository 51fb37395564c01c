"""What scikit-learn asks of any estimator, without inheriting from it: parameters, tags, routing, representations."""

from __future__ import annotations

import inspect
import sys
from html import escape
from typing import Any, Self

from fastgmm.estimator import routing
from fastgmm.estimator.routing import UNCHANGED, Request


class AbstractEstimator:
    """Parameters by name, tags, metadata requests and representations of an estimator."""

    _fitted_by: str = "mixture_"
    """The attribute that a fit sets."""

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """Return the constructor's parameters in alphabetical order, with their defaults."""
        parameters = inspect.signature(cls.__init__).parameters
        return {name: parameters[name].default for name in sorted(parameters) if name != "self"}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters by name."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; ValueError for a name that the constructor does not have."""
        names = list(self._defaults())
        for name in params:
            if name not in names:
                raise ValueError(f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {names!r}.")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(estimator_type="density_estimator", target_tags=TargetTags(required=False), input_tags=InputTags())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, self._fitted_by)

    # --- metadata routing ------------------------------------------------------------------------------------------

    def get_metadata_routing(self) -> Any:
        """Return which metadata the methods want from a meta-estimator (scikit-learn's MetadataRequest)."""
        return routing.requests_of(self)

    def set_fit_request(self, *, sample_weight: Request = UNCHANGED) -> Self:
        """Say whether meta-estimators pass `sample_weight` to `fit`: True, False, None (refuse) or an alias."""
        routing.request(self, "fit", sample_weight)
        return self

    def set_score_request(self, *, sample_weight: Request = UNCHANGED) -> Self:
        """Say whether meta-estimators pass `sample_weight` to `score`: True, False, None (refuse) or an alias."""
        routing.request(self, "score", sample_weight)
        return self

    # --- representations -------------------------------------------------------------------------------------------

    def _changed(self) -> dict[str, Any]:
        """Return the parameters that are not the defaults."""
        defaults = self._defaults()
        values = {name: getattr(self, name, None) for name in defaults}
        return {name: value for name, value in values.items() if not _same(value, defaults[name])}

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={value!r}" for name, value in self._changed().items())
        return f"{type(self).__name__}({changed})"

    def _repr_html_(self) -> str:
        """Return scikit-learn's diagram where scikit-learn is loaded, else the text."""
        if "sklearn" in sys.modules:
            from sklearn.utils import estimator_html_repr

            return str(estimator_html_repr(self))
        return f"<pre>{escape(repr(self))}</pre>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return what notebooks show: text, and HTML unless scikit-learn's configuration says text only."""
        bundle = {"text/plain": repr(self)}
        sklearn = sys.modules.get("sklearn")
        if sklearn is None or sklearn.get_config()["display"] == "diagram":
            bundle["text/html"] = self._repr_html_()
        return bundle


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))
