"""Each section at toy size, through the command line: that it runs and reports. Never how fast anything is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench import child, report, roofline
from bench.__main__ import main
from bench.plan import Plan
from bench.sections import SECTIONS

RUNS = {
    "roofline": "d8k16",
    "bounded": "apart-d16k32",
    "families": "diag-d16k32",
    "float32": "d8k16",
    "threads": "d8k16",
    "slopes": "along-N",
    "memory": "d8k16-3M",
    "cold": "import",
    "fits": "iris",
    "files": "d2k2-float64",
}


@pytest.mark.parametrize("name", RUNS)
def test_section(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "fits":
        pytest.importorskip("sklearn")
    if name == "memory" and not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("the peak of resident memory cannot be reset here")
    file = tmp_path / "out.jsonl"
    options = ["--scale", "0.001", "--rounds", "1", "--threads", "1", "--timeout", "100", "--json", str(file)]
    assert main([name, "--cases", RUNS[name], *options]) == 0

    section = SECTIONS[name]
    machine, *lines = report.read(file)
    assert machine["kind"] == "machine"
    assert lines
    for line in lines:
        assert (line["kind"], line["case"]) == (section.KIND, RUNS[name])
        assert line["error"] is None or "keyword" in line["error"]
    assert list(section.findings(lines))
    printed = capsys.readouterr().out
    assert section.tables(lines) in printed
    assert "## Targets" in printed


def test_what_fails_is_a_line_and_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, plan: Plan) -> list[dict[str, object]]:
        raise child.ChildError(f"no {name}")

    monkeypatch.setattr("bench.sections.cold.measure", fail)
    assert main(["cold", "--cases", "import,faithful", "--json", str(tmp_path / "out.jsonl")]) == 0
    lines = report.read(tmp_path / "out.jsonl")[1:]
    assert [line["error"] for line in lines] == ["ChildError: no import", "ChildError: no faithful"]
    assert "- failed: cold, import: ChildError: no import" in report.markdown(lines)


def test_child_returns_or_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert child.call(os.getenv, "OMP_NUM_THREADS", plan=Plan(threads=3)) == "3"
    assert child.call(os.getenv, "FASTGMM_TOY", plan=Plan(), extra={"FASTGMM_TOY": "x"}) == "x"
    with pytest.raises(child.ChildError, match="ValueError"):
        child.call(int, "no number", plan=Plan())
    with pytest.raises(child.ChildError, match="more than 0 s"):
        child.call(os.getpid, plan=Plan(timeout=0.0))


def test_spin_counts_its_own_lanes() -> None:
    width = roofline.lanes(np.float64)
    assert width in (2, 4, 8)
    assert roofline.peak(1, steps=1000) > 0
    assert roofline.bandwidth(1, size=1 << 16) > 0
    _, read, size = roofline.kernels()
    out = np.zeros(size * roofline.WIDEST)
    read(np.ones(3 * width * size), np.ones((size + 2) * roofline.WIDEST), out, width)
    assert out.sum() == width * size * 4  # three ones and the one that a sum begins with
