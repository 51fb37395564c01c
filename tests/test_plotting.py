import builtins
import os
import sys

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
from matplotlib.colors import to_hex  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from fastgmm import plotting  # noqa: E402
from fastgmm.errors import DataError  # noqa: E402
from fastgmm.parameters import Parameters  # noqa: E402
from fastgmm.plotting import PALETTE, component_colours, plot_densities, plot_mixture, save_demo  # noqa: E402

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def _pyplot_untouched():
    """Whatever is drawn, pyplot is neither imported nor given a figure, and no setting changes."""
    before = dict(matplotlib.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    yield
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded
    if loaded:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


@pytest.fixture
def mixture():
    angle = np.deg2rad(30)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    covariances = np.zeros((2, 3, 3))
    covariances[0] = np.diag([1.0, 0.25, 7.0])
    covariances[1][:2, :2] = turn @ np.diag([9.0, 1.0]) @ turn.T
    covariances[1][2, 2] = 0.01
    return Parameters(np.array([0.3, 0.7]), np.array([[-4.0, 0.0, 1.0], [5.0, 2.0, 0.0]]), covariances)


def sample(parameters, n_samples, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(parameters.n_components, n_samples, p=parameters.weights)
    noise = rng.normal(size=(n_samples, parameters.n_features))
    return parameters.means[labels] + np.einsum("nde,ne->nd", parameters.choleskys[labels], noise), labels


def area(y, x):
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2)


def many(n_components):
    weights = np.full(n_components, 1 / n_components)
    return Parameters(weights, np.arange(2.0 * n_components).reshape(-1, 2), np.stack([np.eye(2)] * n_components))


# --- two features ---


def test_ellipses_have_the_axes_of_the_covariance(mixture):
    ax = plot_mixture(mixture)
    half, most, turned_half, turned_most = ax.patches
    assert half.center == (-4, 0)
    assert turned_half.center == (5, 2)
    for ellipse, level, axes in ((half, 0.5, (1, 0.5)), (most, 0.95, (1, 0.5)), (turned_most, 0.95, (3, 1))):
        radius = np.sqrt(-2 * np.log(1 - level))
        assert (ellipse.width / 2, ellipse.height / 2) == pytest.approx((radius * axes[0], radius * axes[1]))
    assert half.angle % 180 == pytest.approx(0, abs=1e-9)
    assert turned_most.angle % 180 == pytest.approx(30)


def test_ellipses_hold_their_share_of_rows(mixture):
    X, labels = sample(mixture, 40_000)
    for ellipse, level in zip(plot_mixture(mixture, levels=(0.95, 0.2)).patches[2:], (0.2, 0.95), strict=True):
        inside = ellipse.get_patch_transform().inverted().transform(X[labels == 1, :2])
        assert (np.square(inside).sum(axis=1) < 1).mean() == pytest.approx(level, abs=0.01)


def test_features_are_chosen(mixture):
    ax = plot_mixture(mixture, features=(2, 0), levels=(0.5,))
    assert ax.patches[0].center == (1, -4)
    assert sorted((ax.patches[0].width, ax.patches[0].height)) == pytest.approx(
        [2 * np.sqrt(2 * np.log(2)), 2 * np.sqrt(2 * np.log(2) * 7)]
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 2", "feature 0")


def test_ellipses_lie_within_the_view(mixture):
    ax = plot_mixture(mixture)
    for ellipse in ax.patches:
        corners = ellipse.get_patch_transform().transform([[-1, 0], [1, 0], [0, -1], [0, 1]])
        assert (corners[:, 0] > ax.get_xlim()[0]).all()
        assert (corners[:, 0] < ax.get_xlim()[1]).all()
        assert (corners[:, 1] > ax.get_ylim()[0]).all()
        assert (corners[:, 1] < ax.get_ylim()[1]).all()


def test_rows_are_coloured_by_label(mixture):
    X, _ = sample(mixture, 50)
    labels = np.arange(50) % 2
    (points,) = plot_mixture(mixture, X, labels=labels).collections
    assert np.array_equal(points.get_offsets(), X[:, :2])
    assert [to_hex(colour).upper() for colour in points.get_facecolors()] == [PALETTE[k] for k in labels]


def test_rows_are_coloured_by_the_most_probable_component(mixture):
    X, _ = sample(mixture, 300)
    log_joint = np.empty((300, 2))
    for k in range(2):
        difference = X - mixture.means[k]
        quadratic = np.sum(difference * np.linalg.solve(mixture.covariances[k], difference.T).T, axis=1)
        log_joint[:, k] = np.log(mixture.weights[k]) - 0.5 * (quadratic + np.linalg.slogdet(mixture.covariances[k])[1])
    (points,) = plot_mixture(mixture, X).collections
    expected = [PALETTE[k] for k in log_joint.argmax(axis=1)]
    assert [to_hex(colour).upper() for colour in points.get_facecolors()] == expected


def test_many_rows_are_sampled_with_their_labels(mixture, monkeypatch):
    monkeypatch.setattr(plotting, "MAX_POINTS", 100)
    X = np.column_stack([np.arange(1000.0)] * 3)
    (points,) = plot_mixture(mixture, X, labels=np.arange(1000) % 2).collections
    shown = points.get_offsets()[:, 0].astype(int)
    assert len(np.unique(shown)) == 100
    assert [to_hex(colour).upper() for colour in points.get_facecolors()] == [PALETTE[i % 2] for i in shown]


def test_numbers_replace_a_long_legend():
    ax = plot_mixture(many(12))
    assert ax.get_legend() is None
    assert [text.get_text() for text in ax.texts] == [str(k) for k in range(12)]
    ax = plot_mixture(many(3))
    assert [text.get_text() for text in ax.get_legend().get_texts()][2] == "component 2 (weight 0.33)"
    assert not ax.texts


# --- one feature ---


@pytest.mark.parametrize("feature", [0, 1, 2])
def test_curves_are_weighted_densities(mixture, feature):
    total, *components = plot_densities(mixture, feature=feature).lines
    x = total.get_xdata()
    assert area(total.get_ydata(), x) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(total.get_ydata(), sum(line.get_ydata() for line in components), rtol=1e-14)
    for k, line in enumerate(components):
        mean, variance = mixture.means[k, feature], mixture.covariances[k, feature, feature]
        density = np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
        np.testing.assert_allclose(line.get_ydata(), mixture.weights[k] * density, rtol=1e-12, atol=1e-300)
        assert area(line.get_ydata(), x) == pytest.approx(mixture.weights[k], abs=1e-3)


def test_narrow_components_are_resolved():
    parameters = Parameters(np.array([0.5, 0.5]), np.array([[0.0], [1.0]]), np.array([[[1e-10]], [[1e6]]]))
    total = plot_densities(parameters).lines[0]
    assert area(total.get_ydata(), total.get_xdata()) == pytest.approx(1, abs=1e-3)


def test_histogram_has_area_one(mixture):
    X, _ = sample(mixture, 500)
    bars = plot_densities(mixture, X, feature=1).patches
    assert sum(bar.get_width() * bar.get_height() for bar in bars) == pytest.approx(1)
    assert bars[0].get_x() == pytest.approx(X[:, 1].min())


@pytest.mark.parametrize("X", [[[1.0, 2.0, 3.0]], [[1, 2, 3]] * 5, np.ones((4, 3), dtype=np.float32)])
def test_few_and_equal_rows(mixture, X):
    bars = plot_densities(mixture, X).patches
    assert sum(bar.get_width() * bar.get_height() for bar in bars) == pytest.approx(1)


# --- both ---


def test_given_axes_are_used(mixture):
    for draw in (plot_mixture, plot_densities):
        ax = Figure().add_subplot()
        assert draw(mixture, ax=ax) is ax


@pytest.mark.parametrize("n_components", [1, 6, 7, 12, 100])
def test_colours_differ(n_components):
    assert len({to_hex(colour) for colour in component_colours(n_components)}) == n_components


@pytest.mark.parametrize("n_components", [2, 9])
def test_colours_agree_between_the_pictures(n_components):
    parameters = many(n_components)
    left = [to_hex(line.get_color()) for line in plot_mixture(parameters).lines]
    right = [to_hex(line.get_color()) for line in plot_densities(parameters).lines[1:]]
    assert left == right == [to_hex(ellipse.get_edgecolor()) for ellipse in plot_mixture(parameters).patches[::2]]


@pytest.mark.parametrize("form", ["full", "tied", "diag", "spherical"])
def test_every_form_is_drawn(form):
    stored = {"full": (2, 2, 2), "tied": (2, 2), "diag": (2, 2), "spherical": (2,)}[form]
    covariances = (
        np.broadcast_to(np.eye(2) * 4.0, stored) if len(stored) > 1 and form != "diag" else np.full(stored, 4.0)
    )
    parameters = Parameters([0.5, 0.5], np.array([[0.0, 0.0], [9.0, 9.0]]), covariances, form)
    ax = plot_mixture(parameters, np.zeros((3, 2)))
    np.testing.assert_allclose([ellipse.width for ellipse in ax.patches[::2]], 4 * 1.1774100, rtol=1e-6)
    curves = plot_densities(parameters).lines
    assert curves[1].get_ydata().max() == pytest.approx(0.5 / (2 * np.sqrt(2 * np.pi)), rel=1e-3)


def test_wrong_arguments(mixture):
    X, labels = sample(mixture, 10)
    for features in ((0, 0), (0,), (0, 1, 2)):
        with pytest.raises(ValueError, match="features must be two different columns"):
            plot_mixture(mixture, features=features)
    with pytest.raises(ValueError, match="the mixture has features 0 to 2, but got 3"):
        plot_mixture(mixture, features=(0, 3))
    with pytest.raises(ValueError, match="the mixture has features 0 to 2, but got -1"):
        plot_densities(mixture, feature=-1)
    with pytest.raises(ValueError, match=r"levels must be shares between 0 and 1, but got \(95,\)"):
        plot_mixture(mixture, levels=[95])
    for wrong in (labels[:-1], labels + 1, labels - 1, labels * 1.0):
        with pytest.raises(ValueError, match="labels must be 10 integers from 0 to 1"):
            plot_mixture(mixture, X, labels=wrong)
    for rows in (X[:, :2], X[0], X[:0]):
        with pytest.raises(DataError, match=r"X must have shape \(N, 3\)"):
            plot_densities(mixture, rows)


@pytest.mark.parametrize("draw", [plot_mixture, plot_densities])
def test_without_matplotlib(mixture, monkeypatch, draw):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'fastgmm\[plot\]'"):
        draw(mixture)


# --- the file ---


@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_save_demo(mixture, tmp_path, n_features):
    d = slice(n_features)
    parameters = Parameters(mixture.weights, mixture.means[:, d], mixture.covariances[:, d, d])
    X, labels = sample(parameters, 200)
    path = tmp_path / "demo.png"
    path.write_text("an older file")
    save_demo(X, labels, parameters, ["cost in $", "$\\no formula$", "c"][d], path)
    assert path.read_bytes().startswith(PNG)
    assert os.listdir(tmp_path) == ["demo.png"]
    save_demo(X, None, parameters, None, str(path))
    assert path.read_bytes().startswith(PNG)


def test_both_panels_share_a_legend(mixture, tmp_path, monkeypatch):
    figures = []
    real = plotting._figure
    monkeypatch.setattr(plotting, "_figure", lambda **size: figures.append(real(**size)) or figures[-1])
    X, labels = sample(mixture, 200)
    save_demo(X, labels, mixture, ["a", "b", "c"], tmp_path / "demo.png")
    (figure,) = figures
    (legend,) = figure.legends
    entries = [text.get_text() for text in legend.get_texts()]
    assert entries == ["rows", "mixture", "component 0 (weight 0.30)", "component 1 (weight 0.70)"]
    assert all(ax.get_legend() is None for ax in figure.axes)
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes] == [("a", "density"), ("a", "b")]


def test_nothing_is_left_after_a_failure(mixture, tmp_path, monkeypatch):
    X, labels = sample(mixture, 20)
    missing = tmp_path / "no such folder" / "demo.png"
    with pytest.raises(OSError, match=r"demo\.png: cannot be written \(No such file or directory\); choose a folder"):
        save_demo(X, labels, mixture, None, missing)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OSError, match=r"folder\.png: cannot be written \(.+\); choose"):
        save_demo(X, labels, mixture, None, tmp_path / "folder.png")

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "demo.png"
    path.write_text("an older file")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match=r"demo\.png: cannot be written \(Permission denied\); choose"):
        save_demo(X, labels, mixture, None, path)
    assert path.read_text() == "an older file"
    assert sorted(os.listdir(tmp_path)) == ["demo.png", "folder.png"]


def test_wrong_columns(mixture, tmp_path):
    X, labels = sample(mixture, 20)
    with pytest.raises(ValueError, match="columns must name 3 features, but got 2"):
        save_demo(X, labels, mixture, ["a", "b"], tmp_path / "demo.png")
    assert os.listdir(tmp_path) == []
