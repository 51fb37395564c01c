"""The scikit-learn face: its names, shapes, defaults and errors; no mathematics, and no import of scikit-learn."""

from fastgmm.estimator.gaussian_mixture import GaussianMixture as GaussianMixture

__all__ = ["GaussianMixture"]
