"""Selection: which covariance model, and how many components."""

from fastgmm.selection.choose import select as select
from fastgmm.selection.result import Selection as Selection

__all__ = ["Selection", "select"]
