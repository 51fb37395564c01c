"""Sections on made-up lines: arithmetic, tables, findings; and the sizes of what they would measure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bench import report
from bench.cases import ALL, APART, FEWEST_ROWS_PER_MEAN
from bench.likelihood import mean_log_likelihood, whole_log_likelihood
from bench.plan import Plan
from bench.rows import mixture
from bench.sections import SECTIONS, acceleration, failed, families, iterations, slopes
from bench.tables import grid
from bench.targets import TARGETS
from bench.turns import turns


def _lines() -> list[dict[str, Any]]:
    """Return lines that answer every target."""
    size = {"n_samples": 1000, "n_features": 2, "n_components": 8, "threads": 2, "scale": 1.0, "error": None}
    rates = {"seconds": 0.1, "gigaflops": 60.0, "peak_gigaflops": 100.0, "share": 0.6, "dtype": "float64"}
    lines = [size | {"kind": "roofline", "case": case} | rates for case in ("d8k16", "d16k32", "d32k32", "d64k32")]
    lines.append(lines[0] | {"case": "d128k16"})
    lines.append({"kind": "roofline", "case": "machine", "what": "peak", "dtype": "float64", "threads": 1})
    lines[-1] |= {"billions_per_second": 100.0, "lanes": 8, "error": None}
    fields = ("seconds_min", "seconds_max", "log_likelihood", "peak_rss_mib", "rss_before_mib", "first_call_seconds")
    row: dict[str, Any] = dict.fromkeys(fields, 1.0)
    row |= size | {"kind": "row", "version": "1", "iterations": [2, 7], "rounds": 3}
    for case in iterations.EIGHT:
        for peer, pace in (("fastgmm", 1.0), ("oneDAL", 4.0), ("scikit-learn", 0.5)):
            lines.append(row | {"case": case, "peer": peer, "label": peer, "seconds_per_iteration": pace})
    bounds = {"seconds_per_iteration": 1.0, "times_dense": 1.2, "evaluated": 0.1, "evaluated_all": 0.2}
    bounds |= size | {"kind": "bounded", "log_likelihood_difference": 1e-14, "same_labels": 1.0}
    lines += [
        bounds | {"case": c, "algorithm": a} for c in (*APART, "china-patches") for a in ("dense", "auto", "bounded")
    ]
    lines += [bounds | {"case": c, "algorithm": "bounded 1e-9"} for c in ("apart-d16k128", "china-patches")]
    family = size | {"kind": "family", "seconds_per_iteration": 1.0, "log_likelihood": -1.0}
    for case in families.CASES:
        for label, pace in (("fastgmm", 1.0), ("scikit-learn", 50.0), ("oneDAL", 4.0)):
            lines.append(family | {"case": case, "label": label, "times_ours": pace})
    single = {"seconds_per_iteration_float64": 2.0, "seconds_per_iteration_float32": 1.0, "times_float64": 2.0}
    lines.append(size | {"kind": "float32", "case": "d8k16", "log_likelihood_change": 1e-8} | single)
    pair = {"seconds_per_iteration_one": 2.0, "seconds_per_iteration": 1.0, "times_one": 2.0, "same_bits": False}
    lines.append(size | {"kind": "threads", "case": "d8k16"} | pair)
    for name in slopes.LADDERS:
        for n, d, k in slopes.sizes(name, 1.0):
            point = {"n_samples": n, "n_features": d, "n_components": k, "seconds_per_iteration": 1e-9 * n * k * d * d}
            lines.append(size | {"kind": "slope", "case": name} | point)
    lines.append(size | {"kind": "memory", "case": "d2k8-4M", "rows_mib": 1.0, "before_mib": 1.0, "extra_mib": 65.0})
    cold = {"empty_seconds": 9.0, "warm_seconds": 1.0, "again_seconds": 0.5}
    lines.append(size | {"kind": "cold", "case": "faithful"} | cold)
    lines.append({"kind": "cold", "case": "import", "numpy_seconds": 0.1, "fastgmm_seconds": 0.001, "error": None})
    walk = size | {"kind": "acceleration", "separation": 1.0, "seconds": 1.0, "all_passes": 9, "refused": 1}
    walk |= {"log_likelihood": -1.0, "least_step": 0.0, "gain": 0.0}
    for case in acceleration.CASES:
        for means, passes in (("EM", 20), ("SQUAREM", 8), ("Anderson", 30)):
            lines.append(walk | {"case": case, "by": means, "passes": passes, "times_em": passes / 20})
    fit = size | {"kind": "fit", "log_likelihood": -1.0, "log_likelihood_iterations": 10}
    for case in ("d2k8", "d8k16-300k", "d16k32-100k", "iris"):
        for peer, seconds in (("fastgmm", 1.0), ("scikit-learn", 20.0)):
            lines.append(fit | {"case": case, "peer": peer, "label": peer, "seconds": seconds})
    for where in ("memory", ".npy", "Parquet", "Parquet, cache"):
        speeds = {"seconds": 1.0, "times_memory": 0.9, "seconds_per_iteration": 0.1, "times_memory_iteration": 0.8}
        lines.append(size | {"kind": "files", "case": "d4k4-float64", "from": where} | speeds)
    stream = {"seed": 0, "batch_rows": 4096, "seconds": 1.0, "batch_seconds": 1.0, "batch_iterations": 9}
    bounds = {"log_likelihood": -1.0, "batch_log_likelihood": -0.999, "below": 0.001}
    lines.append(size | {"kind": "online", "case": "d2k8"} | stream | bounds)
    return lines


def test_no_target_is_without_a_section_that_measures_it() -> None:
    assert {target.quantity for target in TARGETS} <= {finding.quantity for finding in report.found(_lines())}


def test_report_shows_every_section_and_every_loss() -> None:
    broken = failed(SECTIONS["cold"], "d8k16-200k", ValueError("two\nlines"))
    text = report.markdown([*_lines(), broken])
    for section in SECTIONS.values():
        assert f"\n## {section.TITLE}\n" in text
    assert "not measured" not in text
    losses = text.split("## Where fastgmm loses")[1].split("\n## ")[0].strip().splitlines()
    assert "- slower: times scikit-learn's speed, d2k8: 0.5" in losses
    assert "- missed: times scikit-learn's speed, geometric mean, eight synthetic: 0.5, asked ≥ 25" in losses
    assert "- missed: MiB beyond the rows, d2k8-4M: 65, asked ≤ 64" in losses
    assert "- missed: whole fit, times scikit-learn's speed, d2k8: 20, asked ≥ 30" in losses
    assert "- missed: all threads, the same bits as one, d8k16: 0, asked ≥ 1" in losses
    assert "- failed: cold, d8k16-200k: ValueError: two lines" in losses
    assert not any("slope" in line or "share" in line or "iris" in line for line in losses)


def test_only_the_last_run_of_a_case_counts() -> None:
    old = [{"kind": "row", "case": "a", "run": "1", "peer": peer} for peer in ("fastgmm", "other")]
    other, new = {"kind": "row", "case": "b", "run": "1"}, {"kind": "row", "case": "a", "run": "2", "peer": "fastgmm"}
    assert report.latest([*old, other, new]) == [other, new]
    assert report.latest(old) == old


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_slope_of_a_power_law(power: float) -> None:
    assert slopes.slope([(x, 3.0 * x**power) for x in (1.0, 2.0, 8.0)]) == pytest.approx(power)
    assert math.isnan(slopes.slope([(1.0, 1.0)]))


@pytest.mark.parametrize("scale", [1.0, 1e-3])
@pytest.mark.parametrize("name", list(slopes.LADDERS))
def test_ladders_leave_rows_for_every_covariance(name: str, scale: float) -> None:
    sizes = slopes.sizes(name, scale)
    assert len(sizes) == len(set(sizes)) >= 2
    assert all(n >= FEWEST_ROWS_PER_MEAN * k * d for n, d, k in sizes)
    assert len(sizes) == len(slopes.LADDERS[name]) or scale < 1.0


def test_separation_moves_means_apart() -> None:
    near, far = (mixture(2000, 4, 3, seed=0, separation=s).std() for s in (1.0, 50.0))
    assert far > 5 * near
    np.testing.assert_array_equal(mixture(50, 4, 3, 0), mixture(50, 4, 3, 0, separation=3.0))
    assert APART["apart-d32k32"].rows(1e-4).std() > 1.2 * ALL["d32k32"].rows(1e-4).std()


def test_whole_likelihood_is_that_of_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.RandomState(0).standard_normal((50, 2))
    mixture_ = np.array([0.25, 0.75]), np.zeros((2, 2)), np.stack([np.eye(2), 2 * np.eye(2)])
    expected = mean_log_likelihood(X, *mixture_)
    monkeypatch.setattr("bench.likelihood.SUBSAMPLE", 20)
    assert whole_log_likelihood(X, *mixture_) == pytest.approx(expected, rel=1e-14)


def test_turns_are_taken_and_the_slow_sit_out() -> None:
    order: list[str] = []
    contenders = {name: (lambda name=name: order.append(name)) for name in "ab"}
    turns(contenders, Plan(rounds=2))
    assert order == ["a", "b", "a", "b"]
    order.clear()
    assert [len(of) for of in turns(contenders, Plan(rounds=5, patience=0.0)).values()] == [1, 1]


def test_tables_are_padded_and_escaped() -> None:
    assert grid(["a", "b"], [["x|y", "10.00"]]).splitlines() == [
        "| a    |     b |",
        "| ---- | ----: |",
        "| x\\|y | 10.00 |",
    ]
