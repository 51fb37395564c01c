"""The picture of a selection: criteria against numbers of components. Needs matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastgmm.plotting import INK, component_colours
from fastgmm.plotting import _axes as own_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastgmm.selection.result import Selection

MARKERS = "osD^v<>"


def plot_criteria(selection: Selection, ax: Axes | None = None) -> Axes:
    """Draw a line for each model, and a ring around the best candidate.

    Colours repeat with another marker, so that fourteen models can be told from each other.
    """
    ax = own_axes(ax)
    colours = component_colours(min(len(selection.models), 6))
    for number, model in enumerate(selection.models):
        turn, colour = divmod(number, len(colours))
        ax.plot(
            selection.n_components, selection.criteria[number], color=colours[colour],
            marker=MARKERS[turn % len(MARKERS)], markersize=4, linewidth=1.2, label=model,
        )  # fmt: skip
    (_, k, value), *_ = selection.top(1)
    ax.plot([k], [value], marker="o", markersize=13, markerfacecolor="none", markeredgecolor=INK, linestyle="none")
    ax.set(xlabel="number of components", ylabel=f"{selection.criterion} (smaller is better)")
    ax.set_xticks(selection.n_components)
    ax.set_title(f"best: {selection.best_model}, {selection.best_n_components}", loc="left", fontsize=11, color=INK)
    ax.legend(fontsize="small", ncols=2, facecolor="white", edgecolor="none", framealpha=0.85)
    return ax
