"""Small data sets for examples and tests, shipped as CSV files in this folder. Nothing here downloads anything."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray

FAITHFUL_COLUMNS = ("eruptions", "waiting")


def load_faithful() -> NDArray[np.float64]:
    """Load the eruptions of the Old Faithful geyser, the two-cluster data that most texts on mixtures begin with.

    The numbers are those of ``faithful`` in R's package ``datasets``: 272 eruptions, Yellowstone Park, Wyoming.

    Returns
    -------
    array of shape (272, 2)
        Minutes that the eruption lasted, minutes of waiting until the next one; named by `FAITHFUL_COLUMNS`.

    References
    ----------
    Azzalini, A. and Bowman, A. W. (1990). A look at some data on the Old Faithful geyser. Applied Statistics 39,
    357-365.

    Härdle, W. (1991). Smoothing Techniques with Implementation in S. New York: Springer.

    Examples
    --------
    >>> import fastgmm.datasets
    >>> X = fastgmm.datasets.load_faithful()
    >>> X.shape, X[0].tolist()
    ((272, 2), [3.6, 79.0])
    >>> X.mean(axis=0).round(3).tolist()
    [3.488, 70.897]
    """
    text = resources.files(__name__).joinpath("faithful.csv").read_text(encoding="utf-8")
    return np.loadtxt(text.splitlines(), delimiter=",", skiprows=1, dtype=np.float64)
