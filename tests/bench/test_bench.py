"""The harness at toy size: that it runs, agrees with itself and reports. Never how fast anything is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import report, summary
from bench.__main__ import main
from bench.cases import CASES
from bench.likelihood import mean_log_likelihood
from bench.measure import measure
from bench.peers import load
from bench.plan import Plan
from bench.worker import PeerError, Worker, environment

FIELDS = """
kind case n_samples n_features n_components threads scale iterations rounds peer label version
seconds_per_iteration seconds_min seconds_max seconds_rounds first_call_seconds import_seconds
log_likelihood own_log_likelihood rss_before_mib peak_rss_mib error
"""
TOY = "--cases d2k8 --scale 0.002 --rounds 1 --iterations 1,3 --threads 1 --timeout 100"


def _row(peer: str, seconds: float | None, **fields: object) -> dict[str, object]:
    filled: dict[str, object] = dict.fromkeys(FIELDS.split(), 1.0)
    filled |= {"kind": "row", "case": "d2k8", "peer": peer, "label": peer, "version": "1"}
    error = "not installed" if seconds is None else None
    return filled | {"iterations": [2, 7], "seconds_per_iteration": seconds, "error": error} | fields


def test_rows_of_fastgmm_and_peers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peers = ["fastgmm"]
    peers += [name for name in ("scikit-learn", "onedal") if load(name).available()]
    assert main([*TOY.split(), "--peers", ",".join(peers), "--json", str(tmp_path / "out.jsonl")]) == 0

    machine, *rows = report.read(tmp_path / "out.jsonl")
    assert {row.pop("run") for row in rows} == {machine["run"]}
    assert machine["kind"] == "machine"
    assert [row["peer"] for row in rows] == peers
    for row in rows:
        assert row["error"] is None
        assert set(row) == set(FIELDS.split())
        assert (row["n_samples"], row["n_features"], row["n_components"]) == (2000, 2, 8)
        assert row["peak_rss_mib"] >= row["rss_before_mib"] > 0
        assert row["log_likelihood"] == pytest.approx(rows[0]["log_likelihood"], abs=1e-9)
        assert row["own_log_likelihood"] == pytest.approx(rows[0]["own_log_likelihood"], abs=1e-9)
    assert "d2k8: 2000 × 2, K = 8" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["d3k64", "d16k32", "d128k16", "china-rgb", "china-patches"])
def test_cases_are_the_same_bits_twice(name: str) -> None:
    if name.startswith("china"):
        pytest.importorskip("sklearn")
        pytest.importorskip("PIL")
    case = CASES[name]
    X, again = case.rows(1e-4), case.rows(1e-4)
    assert X.dtype == np.float64
    assert X.flags.c_contiguous
    assert X.shape[1] == case.n_features
    np.testing.assert_array_equal(X, again)
    start, same = case.start(X), case.start(again)
    for field in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(start, field), getattr(same, field))
    assert start.means.shape == (case.n_components, case.n_features)
    assert np.linalg.eigvalsh(start.covariances[0])[0] > 0


@pytest.mark.parametrize("name", ["china-rgb", "china-patches"])
def test_china_has_the_size_that_it_says(name: str) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("PIL")
    assert CASES[name].rows().shape == (CASES[name].n_samples, CASES[name].n_features)


def test_likelihood_of_one_standard_normal() -> None:
    X = np.array([[0.0, 0.0], [1.0, 2.0]])
    expected = -np.log(2 * np.pi) - 5.0 / 4.0
    assert mean_log_likelihood(X, np.ones(1), np.zeros((1, 2)), np.eye(2)[None]) == pytest.approx(expected)


def test_failing_peer_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.write", lambda *_: (1, 2))  # no files: the runner cannot load its rows
    (row,) = measure(CASES["d2k8"], ["fastgmm"], Plan(rounds=1))
    assert "rows.npy" in row["error"]
    assert row["seconds_per_iteration"] is None
    assert summary.cells(row, [row])[1].startswith("(FileNotFoundError")


def test_slow_peer_is_given_up(tmp_path: Path) -> None:
    with (
        Worker("fastgmm", tmp_path / "rows.npy", tmp_path / "start.npz", threads=1, timeout=0.0) as worker,
        pytest.raises(PeerError, match="more than 0 s"),
    ):
        worker.hello()


def test_environment_of_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    variables = environment("fastgmm", 3)
    assert "OPENBLAS_CORETYPE" not in variables
    assert {variables[f"{library}_NUM_THREADS"] for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")} == {"3"}


def test_geometric_means_skip_failures() -> None:
    rows = [_row("fastgmm", 1.0), _row("other", 2.0), _row("fastgmm", 1.0, case="b"), _row("other", 8.0, case="b")]
    rows += [_row("fastgmm", 1.0, case="c"), _row("other", None, case="c")]
    means = summary.geometric_means(rows)
    assert means["other"] == (pytest.approx(4.0), 2)
    assert means["fastgmm"] == (pytest.approx(1.0), 3)


def test_report_replaces_what_is_between_markers(tmp_path: Path) -> None:
    machine = dict.fromkeys(("kind", "cpu", "cores", "system", "python", "date"), "machine") | {"versions": {}}
    results, document = tmp_path / "r.jsonl", tmp_path / "benchmarks.md"
    lines = [machine, _row("fastgmm", 2.0), _row("other", 1.0), _row("third", None)]
    results.write_text("\n".join(map(json.dumps, lines)))
    document.write_text(f"# Above\n{report.BEGIN}\nold\n{report.END}\nbelow\n")

    for _ in range(2):  # writing again changes nothing more
        assert report.main([str(results), "--write", str(document)]) == 0
        text = document.read_text()
        assert text.startswith(f"# Above\n{report.BEGIN}\n")
        assert text.endswith(f"{report.END}\nbelow\n")
        assert "old" not in text
        assert text.count("### d2k8") == 1
    loss = next(line for line in text.splitlines() if line.startswith("| other 1"))
    assert " 0.50 |" in loss
    assert "- slower: times other's speed, d2k8: 0.5\n" in text
    assert "Not installed: third." in text


def test_report_needs_markers() -> None:
    with pytest.raises(ValueError, match="Add both lines"):
        report.between_markers("nothing here", "text")


@pytest.mark.parametrize(
    "wrong",
    [["--cases", "d9"], ["--iterations", "7,2"], ["--rounds", "0"], ["roof"], ["cold", "--cases", "d2k8"]],
)
def test_wrong_arguments_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(wrong)
    assert "error: argument" in capsys.readouterr().err
