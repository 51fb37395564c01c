"""Pictures of mixtures in two dimensions and in one. Needs matplotlib, and leaves pyplot and its state alone."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm.errors import DataError, missing_extra
from fastgmm.files import write_atomically
from fastgmm.parameters import Parameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patheffects import AbstractPathEffect

Floats = NDArray[np.float64]

# Okabe and Ito's palette for all kinds of colour vision, darkest first, without black and without the yellow that
# vanishes on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MORE_COLOURS = "viridis"  # for mixtures with more components than the palette has colours
INK = "#222222"
PAPER = "#D9D9D9"

MAX_POINTS = 20_000  # more are drawn as a random sample: nobody can tell, and the file stays small
MAX_LEGEND = 10  # components; with more, numbers stand at the means instead
REACH = 4.0  # standard deviations to which densities are drawn: all but 6e-5 of the area
VANISHED = 9.0  # standard deviations beyond which a density is 0 even beside one a million times wider
MAX_BINS = 100


def plot_mixture(
    parameters: Parameters,
    X: ArrayLike | None = None,
    *,
    features: tuple[int, int] = (0, 1),
    labels: ArrayLike | None = None,
    levels: Sequence[float] = (0.5, 0.95),
    ax: Axes | None = None,
) -> Axes:
    """Draw two features of a mixture: rows coloured by component, and ellipses that hold given shares of each.

    Parameters
    ----------
    parameters
    X : array of shape (N, D), optional
        Rows to draw; a random sample of them if there are more than 20 000.
    features
        Numbers of the two features, for the horizontal and the vertical axis.
    labels : array of shape (N,), optional
        Component of each row; by default the most probable one.
    levels
        Shares of a component's probability, between 0 and 1, that its ellipses enclose.
    ax
        Where to draw; by default the axes of a new figure, found as ``ax.figure``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm.parameters import Parameters
    >>> from fastgmm.plotting import plot_mixture
    >>> ax = plot_mixture(Parameters(np.ones(1), np.zeros((1, 2)), np.eye(2)[None]))
    >>> [round(float(ellipse.width / 2), 3) for ellipse in ax.patches]
    [1.177, 2.448]
    """
    chosen = _features(parameters, features)
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise ValueError(f"features must be two different columns of X, but got {features}; pass for instance (0, 1).")
    if not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels must be shares between 0 and 1, but got {tuple(levels)}; pass for instance 0.95.")
    rows = None if X is None else _rows(parameters, X)
    ax = _axes(ax)
    colours = component_colours(parameters.n_components)
    if rows is not None:
        _draw_rows(ax, parameters, rows, chosen, labels, colours)
    for k, colour in enumerate(colours):
        _draw_ellipses(ax, parameters, k, chosen, levels, colour)
    ax.autoscale_view()
    ax.set(xlabel=f"feature {chosen[0]}", ylabel=f"feature {chosen[1]}")
    _legend(ax)
    return ax


def plot_densities(
    parameters: Parameters, X: ArrayLike | None = None, *, feature: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw one feature of a mixture: its histogram, the components' weighted densities, and their sum.

    Component k of the marginal is π_k N(x | μ_k, σ_k²); the curves' sum has area 1, as the histogram has.

    Parameters
    ----------
    parameters
    X : array of shape (N, D), optional
        Rows for the histogram.
    feature
        Number of the feature.
    ax
        Where to draw; by default the axes of a new figure, found as ``ax.figure``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm.parameters import Parameters
    >>> from fastgmm.plotting import plot_densities
    >>> ax = plot_densities(Parameters(np.array([0.5, 0.5]), np.array([[0.0], [5.0]]), np.ones((2, 1, 1))))
    >>> [line.get_label() for line in ax.lines]
    ['mixture', 'component 0', 'component 1']
    """
    (chosen,) = _features(parameters, (feature,))
    values = None if X is None else _rows(parameters, X)[:, chosen].astype(np.float64)
    ax = _axes(ax)
    if values is not None:
        # Rice's rule has 2, but clusters are narrower than the data. Rules by quartiles may ask for a million bins.
        bins = min(MAX_BINS, math.ceil(3 * len(values) ** (1 / 3)))
        ax.hist(values, bins=bins, density=True, color=PAPER, edgecolor="white", linewidth=0.6, label="rows")
    x, densities = _weighted_densities(parameters, chosen)
    # The sum lies beneath, and wider: where it coincides with one component, both are seen.
    ax.plot(x, densities.sum(axis=0), color=INK, linewidth=3.2, label="mixture")
    for k, colour in enumerate(component_colours(parameters.n_components)):
        ax.fill_between(x, densities[k], color=colour, alpha=0.15, linewidth=0)
        ax.plot(x, densities[k], color=colour, linewidth=1.6, label=_label(parameters, k))
    ax.set(xlabel=f"feature {chosen}", ylabel="density")
    ax.set_ylim(bottom=0)
    _legend(ax)
    return ax


def save_demo(
    X: ArrayLike,
    labels: ArrayLike | None,
    parameters: Parameters,
    columns: Sequence[str] | None,
    path: str | os.PathLike[str],
) -> None:
    """Write a PNG with the first two features of a mixture on the left and the density of the first on the right.

    The file appears whole or not at all. A mixture of one feature has the right picture only.

    Parameters
    ----------
    X : array of shape (N, D)
    labels : array of shape (N,), optional
        Component of each row; by default the most probable one.
    parameters
    columns
        Names of the D features, for the axes.
    path
        Where to write; an existing file is replaced.

    Raises
    ------
    OSError
        If the file cannot be written there.
    """
    rows = _rows(parameters, X)
    names = [f"feature {d}" for d in range(parameters.n_features)] if columns is None else list(columns)
    if len(names) != parameters.n_features:
        raise ValueError(f"columns must name {parameters.n_features} features, but got {len(names)}: {names}.")
    names = [name.replace("$", r"\$") for name in names]  # matplotlib would read formulas between dollars
    panels = min(2, parameters.n_features)
    figure = _figure(width=5.4 * panels, height=4.8)
    right = figure.add_subplot(1, panels, panels)
    plot_densities(parameters, rows, ax=right)
    right.set_xlabel(names[0])
    _dress(right, f"{names[0]}: the mixture and its components")
    if panels == 2:
        left = figure.add_subplot(1, panels, 1)
        plot_mixture(parameters, rows, labels=labels, ax=left)
        left.set(xlabel=names[0], ylabel=names[1])
        count = f"{len(rows):,}".replace(",", "\u202f")
        _dress(left, f"{count} rows; ellipses hold 50 % and 95 % of a component")
    _shared_legend(figure)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=160)
    _write_whole(Path(path), image.getvalue())


def component_colours(n_components: int) -> list[Any]:
    """Return one colour per component, the same in every picture."""
    if n_components <= len(PALETTE):
        return list(PALETTE[:n_components])
    _require_matplotlib()
    from matplotlib import colormaps

    return list(colormaps[MORE_COLOURS](np.linspace(0, 0.9, n_components)))


# --- what is drawn ---


def _draw_rows(
    ax: Axes,
    parameters: Parameters,
    rows: NDArray[Any],
    features: tuple[int, ...],
    labels: ArrayLike | None,
    colours: list[Any],
) -> None:
    """Scatter the rows in one go, in random or in their own order, so that no component lies on top of the others."""
    given = None if labels is None else _labels(parameters, len(rows), labels)
    if len(rows) > MAX_POINTS:
        sample = np.sort(np.random.default_rng(0).choice(len(rows), MAX_POINTS, replace=False))
        rows = rows[sample]
        given = None if given is None else given[sample]
    shown = _most_probable(parameters, rows) if given is None else given
    from matplotlib.colors import to_rgba_array

    size = float(np.clip(4000 / max(len(rows), 1), 3, 16))
    points = rows[:, list(features)]
    ax.scatter(points[:, 0], points[:, 1], s=size, c=to_rgba_array(colours)[shown], alpha=0.6, linewidths=0, zorder=1)


def _draw_ellipses(
    ax: Axes, parameters: Parameters, k: int, features: tuple[int, ...], levels: Sequence[float], colour: Any
) -> None:
    from matplotlib.patches import Ellipse
    from matplotlib.patheffects import withStroke

    halo: list[AbstractPathEffect] = [
        withStroke(linewidth=2.8, foreground="white")
    ]  # else an outline drowns in rows of its own colour
    across, up = (float(parameters.means[k, d]) for d in features)
    variances, directions = np.linalg.eigh(parameters.matrices[k][np.ix_(features, features)])
    minor, major = np.sqrt(np.maximum(variances, 0))
    angle = math.degrees(math.atan2(directions[1, 1], directions[0, 1]))
    for level in sorted(levels):
        radius = math.sqrt(
            -2 * math.log1p(-level)
        )  # chi-square with 2 degrees of freedom has this quantile in closed form
        outline = Ellipse((across, up), 2 * radius * major, 2 * radius * minor, angle=angle, fill=False)
        outline.set(edgecolor=colour, linewidth=1.8, zorder=2, path_effects=halo)
        ax.add_patch(outline)
    style: dict[str, Any] = {
        "marker": "o",
        "markersize": 7,
        "markeredgecolor": "white",
        "linestyle": "none",
        "zorder": 3,
    }
    ax.plot(across, up, color=colour, label=_label(parameters, k, weight=True), **style)
    if parameters.n_components > MAX_LEGEND:
        number = ax.annotate(str(k), (across, up), xytext=(5, 4), textcoords="offset points", color=INK, zorder=4)
        number.set_path_effects(halo)


def _weighted_densities(parameters: Parameters, feature: int) -> tuple[Floats, Floats]:
    """Tabulate π_k N(x | μ_k, σ_k²), shape (K, points), on a grid that is fine wherever some component is narrow."""
    means = parameters.means[:, feature]
    deviations = np.sqrt(parameters.variances[:, feature])
    low, high = (means - REACH * deviations).min(), (means + REACH * deviations).max()
    steps = np.linspace(-VANISHED, VANISHED, max(19, min(181, MAX_POINTS // len(means))))
    own = np.clip(means[:, None] + deviations[:, None] * steps, low, high)
    x = np.unique(np.concatenate([own.ravel(), np.linspace(low, high, 401)]))
    scaled = (x - means[:, None]) / deviations[:, None]
    heights = parameters.weights / (deviations * math.sqrt(2 * math.pi))
    return x, heights[:, None] * np.exp(-0.5 * scaled**2)


def _most_probable(parameters: Parameters, rows: NDArray[Any]) -> NDArray[np.intp]:
    """Return each row's component of largest log-joint density, by one component at a time: no N×K array."""
    best = np.full(len(rows), -np.inf)
    labels = np.zeros(len(rows), dtype=np.intp)
    for k in range(parameters.n_components):
        whitened = (rows - parameters.means[k]) @ parameters.whiteners[k].T
        log_joint = parameters.log_constants[k] - 0.5 * np.einsum("nd,nd->n", whitened, whitened)
        better = log_joint > best
        labels[better] = k
        best[better] = log_joint[better]
    return labels


# --- where it is drawn ---


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise missing_extra("matplotlib", "plot") from None


def _figure(width: float, height: float) -> Figure:
    """Return a figure of its own: pyplot would keep it alive and may want a display."""
    _require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _axes(ax: Axes | None) -> Axes:
    return _figure(6.0, 4.5).add_subplot() if ax is None else ax


def _label(parameters: Parameters, k: int, weight: bool = False) -> str | None:
    """Return a component's line in the legend, or None if the legend would be too long."""
    if parameters.n_components > MAX_LEGEND:
        return None
    return f"component {k} (weight {parameters.weights[k]:.2f})" if weight else f"component {k}"


def _legend(ax: Axes) -> None:
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="small", facecolor="white", edgecolor="none", framealpha=0.85)


def _shared_legend(figure: Figure) -> None:
    """Gather the panels' legends below them, where they hide nothing; a component stands there once."""
    entries: dict[str, tuple[Any, str]] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries[label.partition(" (")[0]] = handle, label
        legend = ax.get_legend()
        if legend is not None:
            legend.remove()
    handles, labels = zip(*entries.values(), strict=True)
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(1 + 2 * len(figure.axes), len(labels)),
        frameon=False,
        fontsize=9,
    )


def _dress(ax: Axes, title: str) -> None:
    ax.set_title(title, loc="left", fontsize=11, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(colors=INK)


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside the target and rename, so that a reader never sees half a file."""
    try:
        write_atomically(path, content)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error.strerror
        raise OSError(f"{path}: cannot be written ({reason}); choose a folder that exists and is writable.") from None


# --- what came in ---


def _rows(parameters: Parameters, X: ArrayLike) -> NDArray[Any]:
    rows = np.asarray(X)
    expected = parameters.n_features
    if rows.ndim != 2 or rows.shape[1] != expected or not len(rows):
        raise DataError(
            f"X must have shape (N, {expected}) as the mixture has, but got {rows.shape}; pass its columns."
        )
    return rows


def _labels(parameters: Parameters, n_samples: int, labels: ArrayLike) -> NDArray[np.intp]:
    given = np.asarray(labels)
    last = parameters.n_components - 1
    if given.shape != (n_samples,) or given.dtype.kind not in "iu" or given.min() < 0 or given.max() > last:
        raise ValueError(
            f"labels must be {n_samples} integers from 0 to {last}, one per row of X, but got an array of shape "
            f"{given.shape} and type {given.dtype}; pass what predict(X) returns."
        )
    return cast("NDArray[np.intp]", given)


def _features(parameters: Parameters, features: Sequence[int]) -> tuple[int, ...]:
    outside = [d for d in features if not 0 <= d < parameters.n_features]
    if outside:
        last = parameters.n_features - 1
        raise ValueError(f"the mixture has features 0 to {last}, but got {outside[0]}; choose among those.")
    return tuple(features)
