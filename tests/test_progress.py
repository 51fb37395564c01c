"""What a fit shows while it runs."""

import io

import numpy as np
import pytest

from fastgmm import Parameters, progress
from fastgmm.em.callbacks import Iteration
from fastgmm.progress import Bar, VerboseLines, together

START = Parameters([1.0], np.zeros((1, 1)), np.ones((1, 1, 1)))


def iteration(number=1, restart=0, change=0.25):
    return Iteration(restart, number, -1.5, change, 0.1 * number, START)


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(progress, "WAIT", 0.0)


def last_line(stream):
    return stream.getvalue().split("\r\x1b[2K")[-1]


def test_short_fits_show_no_bar():
    stream = io.StringIO()
    bar = Bar(100, 1, stream)
    bar(iteration())
    bar.close()
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("at_once")
def test_bar_shows_share_likelihood_and_time():
    stream = io.StringIO()
    bar = Bar(100, 1, stream)
    bar(iteration(1, change=float("inf")))
    assert "inf" not in last_line(stream)
    bar(iteration(50))
    line = last_line(stream)
    for word in ("iteration 50/100", "log-likelihood -1.5 a row", "change +2.5e-01", "5.0 s", "=" * 12 + " " * 12):
        assert word in line
    assert "start" not in line
    bar(iteration(100))
    assert f"[{'=' * progress.WIDTH}]" in last_line(stream)
    assert "\n" not in stream.getvalue()


@pytest.mark.usefixtures("at_once")
def test_bar_names_the_start_if_there_are_several():
    stream = io.StringIO()
    Bar(100, 3, stream)(iteration(restart=1))
    assert "start 2/3" in last_line(stream)


@pytest.mark.usefixtures("at_once")
def test_closing_clears_the_line():
    stream = io.StringIO()
    bar = Bar(10, 1, stream)
    bar(iteration())
    bar.close()
    assert last_line(stream) == ""


@pytest.mark.parametrize("verbose", [1, 2])
def test_verbose_lines_come_at_the_interval(verbose, capsys):
    lines = VerboseLines(verbose, 2)
    for number in range(1, 6):
        lines.iteration(iteration(number))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Initialization 0"
    assert [line.split()[1] for line in printed[1:]] == ["2", "4"]
    assert ("ll change 0.25000" in printed[1]) == (verbose == 2)


def test_together_calls_all_and_stops_for_any():
    seen = []
    both = together(seen.append, None, lambda done: done.number == 2, seen.append)
    assert both(iteration(1)) is False
    assert both(iteration(2)) is True
    assert len(seen) == 4
    assert together(None, None) is None


def test_only_true_stops():
    assert together(lambda done: 1, lambda done: "yes")(iteration()) is False


def test_line_fits_the_terminal(monkeypatch):
    monkeypatch.setattr(progress, "WAIT", 0.0)
    monkeypatch.setenv("COLUMNS", "40")
    stream = io.StringIO()
    Bar(100, 1, stream)(iteration())
    assert len(last_line(stream)) == 39
