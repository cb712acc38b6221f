"""Exclusions beside optional steps, grace and each other: what the definitions say, worked out by hand."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from funnel_lib.conversion.journeys import journeys
from funnel_lib.definition import Exclusion, Funnel, Step

ZERO = pd.Timestamp("2026-05-01", tz="UTC")
A, B, C = (Step(name, event=name) for name in "ABC")
MAYBE = Step("B", event="B", optional=True)


def reached(log: str, **funnel: Any) -> list[float | None] | None:
    """The times of the steps (None: not taken) of one unit whose rows are written as `A1 X2.5 B3`; None: it left."""
    rows = [re.fullmatch(r"([A-Z])([\d.]+)", row) for row in log.split()]
    events = pd.DataFrame({
        "user_id": 1, "event": [row[1] for row in rows if row],
        "ts": [ZERO + pd.Timedelta(seconds=float(row[2])) for row in rows if row],
    })  # fmt: skip
    made = journeys(events, Funnel(window="10s", **funnel)).frame
    if made.empty:
        return None
    times = [made[f"t_{step}"].iloc[0] for step in range(1, len(funnel["steps"]) + 1)]
    return [None if pd.isna(time) else (time - ZERO).total_seconds() for time in times]


@pytest.mark.filterwarnings("ignore:The step")
@pytest.mark.parametrize(
    ("log", "wanted"),
    [
        ("A1 X2 C3", None),  # B was skipped: what lies before the step that was taken instead counts
        ("A1 C2 X3", [1, None, 2]),  # and what lies after it does not
        ("A1 B2 X3 C4", [1, 2, 4]),  # only what lies between A and B is excluded
        ("A1 X2 B3 C4", None),
        ("A1 X12", [1, None, None]),  # not reached: up to the entry and the window, which ends at 11
        ("A1 X11", None),
    ],
)
def test_an_exclusion_before_a_step_that_was_skipped(log, wanted):
    assert reached(log, steps=[A, MAYBE, C], exclusions=[Exclusion("X", after=0, before=1)]) == wanted


@pytest.mark.filterwarnings("ignore:The step")
@pytest.mark.parametrize(
    ("log", "wanted"),
    [
        ("A2 B1", [2, 1]),  # B may precede A by two seconds
        ("B1 A4", [4, None]),  # but not by three
        ("A2 X1.5 B1", [2, 1]),  # nothing lies strictly between a step and one that came before it
        ("B1 A2 X3", [2, 1]),
        ("A2 X3 B4", None),
        ("A2 B2 X2", [2, 2]),  # at the very instant of a step
    ],
)
def test_an_exclusion_with_grace(log, wanted):
    rules = {"matching": {"grace": "2s"}, "exclusions": [Exclusion("X", after=0, before=1)]}
    assert reached(log, steps=[A, B], **rules) == wanted


@pytest.mark.parametrize(
    ("log", "wanted"),
    [
        ("A2 B2 C2", [2, 2, 2]),
        ("C1 B2 A3", [3, 2, 1]),
        ("A3 B1 C1", [3, 1, 1]),
        ("A2 C1 B3", [2, 3, 1]),
    ],
)
def test_grace_between_each_step_and_the_one_before(log, wanted):
    assert reached(log, steps=[A, B, C], matching={"grace": "2s"}) == wanted


@pytest.mark.filterwarnings("ignore:The step")
@pytest.mark.parametrize(
    ("log", "wanted"),
    [
        ("A1 B2 C3", [1, 2, 3]),
        ("A1 Y2 B3 C5", [1, None, None]),  # cut: the unit stays, up to the step before
        ("A1 B3 X4 C5", None),
        ("A1 Y2 B3 X4 C5", None),  # what drops the unit wins over what only cuts, also where it comes later
    ],
)
def test_an_exclusion_that_drops_the_unit_beside_one_that_cuts(log, wanted):
    both = [Exclusion("Y", after=0, before=1, policy="drop_off"), Exclusion("X", after=1, before=2)]
    assert reached(log, steps=[A, B, C], exclusions=both) == wanted
