"""What people did instead is said with its share, and counted as anybody would count it."""

from pathlib import Path

import pandas as pd

import funnel_lib as fl
from funnel_lib.reporting.sections import drops


def scope(demo: Path, period: str = "2026-05", **options: str) -> fl.Scope:
    return fl.Scope.open(demo / "params" / "education.yml", period=period, **options)


def by_hand(may: fl.Scope, people: fl.Journeys, step: int) -> pd.Series:
    """Return the first event after the last step, up to the end of the window, of each who stopped at `step`."""
    stopped = people.frame[(people.frame["depth"] == step) & people.frame["matured"]]
    log = pd.read_parquet(may.events).sort_values(["ts", "event"])
    first = {}
    for unit, entry, last in zip(stopped["unit"], stopped["t_1"], stopped[f"t_{step}"], strict=True):
        own = log[(log["user_id"] == unit) & (log["ts"] > last) & (log["ts"] <= entry + may.funnel.window)]
        first[unit] = own["event"].iloc[0] if len(own) else "nothing"
    return pd.Series(first).value_counts()


def test_the_section_counts_what_a_reader_would_count(demo: Path):
    may = scope(demo)
    people = fl.cohort(may)
    shown = drops.instead(may, people, fl.rates(people, rules=may.workbook.rules))
    counted = by_hand(may, people, 4)
    n = int(counted.sum())
    assert f"n = {n}" in shown.html
    assert shown.html.count("Nothing more") >= 1
    metrics = {round(float(value), 9) for value in shown.metrics.values() if isinstance(value, float)}
    assert round(counted["nothing"] / n, 9) in metrics
    assert round(counted["page_view"] / n, 9) in metrics


def test_a_segment_without_enough_people_says_so(demo: Path):
    few = scope(demo)
    people = fl.cohort(few).select([True] * 20 + [False] * (len(fl.cohort(few).frame) - 20))
    shown = drops.instead(few, people, fl.rates(people, rules=few.workbook.rules))
    assert "Too few people to say what they did next" in shown.html
