"""Problem: what one micro-benchmark works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm import Parameters


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows (N, D) and a mixture to evaluate on them."""

    X: NDArray[np.float64]
    parameters: Parameters
