"""Turns: contenders measured round by round. Machines drift, and what drifts must not favour whoever comes first."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from bench.plan import Plan

Name = TypeVar("Name", bound=Hashable)
Result = TypeVar("Result")


def turns(contenders: Mapping[Name, Callable[[], Result]], plan: Plan) -> dict[Name, list[Result]]:
    """Call each contender once a round and return what each call gave.

    One that has worked longer than `plan.patience` seconds sits out; all are called once.
    """
    results: dict[Name, list[Result]] = {name: [] for name in contenders}
    spent = dict.fromkeys(contenders, 0.0)
    for _ in range(plan.rounds):
        for name, call in contenders.items():
            if spent[name] <= plan.patience:
                began = time.perf_counter()
                results[name].append(call())
                spent[name] += time.perf_counter() - began
    return results
