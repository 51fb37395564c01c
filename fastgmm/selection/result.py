"""Selection: what was found of every candidate, as a table, and the best of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.estimator import GaussianMixture
from fastgmm.mixture import Mixture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

CRITERIA = ("bic", "icl", "aic")


@dataclass(frozen=True, eq=False)
class Selection:
    """Candidates by model and number of components, with their criteria: the smaller, the better.

    Examples
    --------
    >>> import fastgmm
    >>> X = fastgmm.datasets.load_faithful()
    >>> found = fastgmm.select(X, range(1, 4), models=["EEE", "VVV"], random_state=0)
    >>> print(found)
       K  EEE      VVV
       1  2607.62  2607.62
       2  2325.22  2322.19
       3  2314.30* 2324.18
    bic, smaller is better; best: EEE with 3 components
    >>> found.best.n_components
    3
    """

    criterion: str
    models: tuple[str, ...]
    n_components: tuple[int, ...]
    criteria: Floats
    """(models, numbers of components); NaN where there is no fit."""
    log_likelihoods: Floats
    """Sums over the rows, of the same shape."""
    n_parameters: NDArray[np.int64]
    """Of the same shape."""
    n_rows: float
    """Rows that the criteria count: the sum of weights, if there are any."""
    reasons: dict[tuple[str, int], str]
    """Why there is no fit, by model and number."""
    mixtures: dict[tuple[str, int], Mixture]
    """The fitted densities, by model and number."""
    best: GaussianMixture
    """Estimator, fitted."""

    @property
    def best_model(self) -> str:
        """Model of the smallest criterion."""
        return self._best[0]

    @property
    def best_n_components(self) -> int:
        """Number of components of the smallest criterion."""
        return self._best[1]

    @property
    def _best(self) -> tuple[str, int]:
        return ranked(self.criteria, self.models, self.n_components, self.n_parameters)[0]

    @property
    def bic(self) -> Floats:
        """−2 log L + p log n of every candidate, whatever the criterion."""
        return -2 * self.log_likelihoods + self.n_parameters * math.log(self.n_rows)

    @property
    def aic(self) -> Floats:
        """−2 log L + 2 p of every candidate, whatever the criterion."""
        return -2 * self.log_likelihoods + 2.0 * self.n_parameters

    def top(self, count: int = 5) -> list[tuple[str, int, float]]:
        """Return the best candidates: model, number of components, criterion."""
        order = ranked(self.criteria, self.models, self.n_components, self.n_parameters)[:count]
        return [(model, k, float(self.criteria[self._place(model, k)])) for model, k in order]

    def _place(self, model: str, k: int) -> tuple[int, int]:
        return self.models.index(model), self.n_components.index(k)

    def _cells(self) -> list[list[str]]:
        """Return the criteria as text, a row for each number of components."""
        best = self._place(*self._best)
        rows = []
        for j, k in enumerate(self.n_components):
            cells = [str(k)]
            for i in range(len(self.models)):
                value = self.criteria[i, j]
                cells.append("" if math.isnan(value) else f"{value:.2f}{'*' if (i, j) == best else ''}")
            rows.append(cells)
        return rows

    def _caption(self) -> str:
        missing = f"; {len(self.reasons)} without a fit, see reasons" if self.reasons else ""
        best = f"{self.best_model} with {self.best_n_components} components"
        return f"{self.criterion}, smaller is better; best: {best}{missing}"

    def __str__(self) -> str:
        rows = [["K", *self.models], *self._cells()]
        widths = [max(len(row[c].rstrip("*")) for row in rows) + 1 for c in range(len(rows[0]))]
        lines = []
        for row in rows:
            cells = [f"{cell:<{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append(f"{row[0]:>4}  {' '.join(cells).rstrip()}")
        return "\n".join([*lines, self._caption()])

    def __repr__(self) -> str:
        return f"<Selection: {self._caption()}>"

    def _repr_html_(self) -> str:
        """Show a table in a notebook."""
        head = "".join(f"<th>{escape(name)}</th>" for name in ("K", *self.models))
        body = []
        for cells, k in zip(self._cells(), self.n_components, strict=True):
            made = [f"<th>{k}</th>"]
            for model, cell in zip(self.models, cells[1:], strict=True):
                if cell.endswith("*"):
                    made.append(f"<td><b>{cell[:-1]}</b></td>")
                else:
                    made.append(
                        f'<td title="{escape(self.reasons.get((model, k), ""), quote=True)}">{cell or "–"}</td>'
                    )
            body.append(f"<tr>{''.join(made)}</tr>")
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table><p>{self._caption()}</p>"

    def to_pandas(self) -> Any:
        """Return a DataFrame: a row for each candidate, the best first.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("pandas is needed for this and is not installed; run: pip install pandas") from None
        records = []
        for i, model in enumerate(self.models):
            for j, k in enumerate(self.n_components):
                records.append(
                    {
                        "model": model,
                        "n_components": k,
                        "n_parameters": int(self.n_parameters[i, j]),
                        "log_likelihood": self.log_likelihoods[i, j],
                        "bic": self.bic[i, j],
                        "aic": self.aic[i, j],
                        self.criterion: self.criteria[i, j],
                        "reason": self.reasons.get((model, k), ""),
                    }
                )
        return pandas.DataFrame(records).sort_values(self.criterion, kind="stable", ignore_index=True)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the criterion against the number of components, a line for each model. Needs matplotlib."""
        from fastgmm.selection.picture import plot_criteria

        return plot_criteria(self, ax)


def ranked(
    criteria: Floats, models: tuple[str, ...], numbers: tuple[int, ...], n_parameters: NDArray[np.int64]
) -> list[tuple[str, int]]:
    """Return the candidates that have a fit, the best first; of equals the one with fewer parameters."""
    cells = [(model, k) for model in models for k in numbers]
    values, sizes = criteria.ravel(), n_parameters.ravel()
    order = sorted(
        (place for place in range(len(cells)) if not math.isnan(values[place])),
        key=lambda place: (round(float(values[place]), 6), sizes[place]),
    )
    return [cells[place] for place in order]
