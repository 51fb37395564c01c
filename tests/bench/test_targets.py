"""Bookkeeping of targets: which finding answers which, and what is called a loss."""

from __future__ import annotations

import math

import pytest

from bench.targets import EVERY, TARGETS, Finding, Target, losses, verdicts


@pytest.mark.parametrize(("value", "met"), [(0.9, True), (1.1, True), (1.2, False), (0.8, False), (math.nan, False)])
def test_bounds_on_both_sides(value: float, met: bool) -> None:
    target = Target("slope", "along-N", least=0.9, most=1.1)
    assert target.met(value) is met
    assert target.bounds == "≥ 0.9, ≤ 1.1"


def test_a_target_on_every_case_gives_a_verdict_for_each() -> None:
    found = [Finding("speed", "a", 3.0), Finding("speed", "b", 1.0), Finding("other", "a", 0.0)]
    every, one, missing = Target("speed", EVERY, least=2.0), Target("speed", "b", most=1.0), Target("none", "a")
    outcome = [(v.finding and v.finding.case, v.met) for v in verdicts(found, [every, one, missing])]
    assert outcome == [("a", True), ("b", False), ("b", True), (None, False)]


def test_losses_are_ratios_below_one() -> None:
    kept = [Finding("speed", "a", 0.9, is_ratio=True), Finding("speed", "b", math.nan, is_ratio=True)]
    assert losses([*kept, Finding("speed", "c", 1.0, is_ratio=True), Finding("share", "a", 0.1)]) == kept


def test_every_target_has_a_bound() -> None:
    assert all(target.bounds for target in TARGETS)
