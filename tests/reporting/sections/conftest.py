"""The demo's May and June with their journeys, as the sections of the conversion report take them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import funnel_lib as fl
from funnel_lib.conversion.movement.comparable import comparable, history


@pytest.fixture(scope="session")
def month(demo: Path) -> Callable[..., SimpleNamespace]:
    """Return a function that opens a month: `scope, people, before, past, steps`; each is made once."""
    made: dict[tuple[str, str], SimpleNamespace] = {}

    def opened(period: str = "2026-05", segment: str = "all") -> SimpleNamespace:
        if (period, segment) not in made:
            scope = fl.Scope.open(demo / "params" / "education.yml", period=period, segment=segment)
            people = fl.cohort(scope)
            steps = fl.rates(people, rules=scope.workbook.rules)
            made[period, segment] = SimpleNamespace(
                scope=scope, people=people, before=comparable(scope), past=history(scope), steps=steps
            )
        return made[period, segment]

    return opened


@pytest.fixture(scope="session")
def few(month: Callable[..., SimpleNamespace]) -> SimpleNamespace:
    """Return May with its first twenty people only: too few for anything."""
    may = month()
    people = may.people.select([place < 20 for place in range(len(may.people.frame))])
    steps = fl.rates(people, rules=may.scope.workbook.rules)
    return SimpleNamespace(scope=may.scope, people=people, before=people, past=people, steps=steps)
