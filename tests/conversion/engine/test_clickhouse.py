"""The engine against ClickHouse's `windowFunnel`, which nobody here wrote, on random logs.

With the default mode and with `strict_once` the semantics are the same everywhere: ties, window edges, steps that
share events, steps that repeat. The other modes meet ours on a part of all logs only; each test says on which, and why
not elsewhere, and shows a log on which they part. ClickHouse runs inside this process: `chdb`, of the extra `engines`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel_lib.conversion.journeys import journeys
from funnel_lib.definition import Funnel, Matching, Step

pytestmark = pytest.mark.slow
START = datetime(2026, 5, 1, tzinfo=UTC)
LOGS = 600
WINDOWS = (1, 2, 3, 10)
# Each letter is an event; a step accepts any of its letters. X matches no step.
STEPS = (
    ("A", "B"), ("A", "B", "C"), ("A", "AB", "C"), ("A", "B", "A"), ("A", "A", "A"), ("AB", "BC", "CA"),
    ("A", "BC", "C"), ("A", "B", "C", "A", "B"),
)  # fmt: skip
Domain = Callable[[pd.DataFrame, Sequence[str]], pd.Series]


def random_logs() -> pd.DataFrame:
    """Rows `user_id, at, event` in random sequence: few distinct times, hence many ties and window edges."""
    rng = np.random.default_rng(20260501)
    rows = np.concatenate([rng.integers(1, longest + 1, LOGS // 3) for longest in (8, 6, 12)])
    span = np.repeat(np.repeat([6, 30, 12], LOGS // 3), rows)
    log = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(LOGS), rows),
            "at": rng.integers(0, span),
            "event": rng.choice(list("ABCX"), rows.sum()),
        }
    )
    return log.iloc[rng.permutation(len(log))]


def theirs(log: pd.DataFrame, steps: Sequence[str], window: int, mode: str, folder: Path) -> pd.Series:
    """The level that windowFunnel gives each unit; times are microseconds."""
    import chdb

    began = int(START.timestamp()) * 1_000_000
    log.assign(ts=(log["at"] + began).astype("uint64")).to_parquet(folder / "log.parquet")
    conditions = ", ".join(f"event IN ({', '.join(map(repr, step))})" for step in steps)
    chosen = f"{window}, '{mode}'" if mode else str(window)
    found = chdb.query(
        f"SELECT user_id, windowFunnel({chosen})(ts, {conditions}) AS level "
        f"FROM file('{folder / 'log.parquet'}', Parquet) GROUP BY user_id",
        "DataFrame",
    )
    return found.set_index("user_id")["level"].sort_index().astype("int64")


def ours(log: pd.DataFrame, steps: Sequence[str], window: int, **options: Any) -> pd.Series:
    """The depth that journeys() gives each unit; 0 for those that never entered."""
    named = [Step(f"{place}", event=list(step)) for place, step in enumerate(steps, start=1)]
    funnel = Funnel(steps=named, window=timedelta(microseconds=window), **options)
    events = log.assign(ts=START + pd.to_timedelta(log["at"], unit="us"))
    found = journeys(events, funnel).frame.set_index("unit")["depth"]
    return found.reindex(sorted(log["user_id"].unique()), fill_value=0).astype("int64")


def compared(
    mode: str, steps: Sequence[str], folder: Path, domain: Domain | None = None, **options: Any
) -> pd.DataFrame:
    """Both results for several windows, unit by unit; `inside` says which units belong to the domain."""
    log = random_logs()
    inside = True if domain is None else domain(log, steps)
    return pd.concat(
        pd.DataFrame(
            {
                "theirs": theirs(log, steps, window, mode, folder),
                "ours": ours(log, steps, window, **options),
                "inside": inside,
            }
        )
        for window in WINDOWS
    )


def matches(log: pd.DataFrame, step: str) -> pd.Series:
    return log["event"].isin(list(step))


@pytest.mark.parametrize("steps", STEPS, ids="-".join)
def test_the_default_mode_is_the_preset_clickhouse(steps: Sequence[str], tmp_path: Path):
    both = compared("", steps, tmp_path, preset="clickhouse")
    assert len(both) == len(WINDOWS) * LOGS
    assert both["theirs"].agg(["min", "max"]).tolist() == [0, len(steps)]
    assert both["ours"].tolist() == both["theirs"].tolist()


@pytest.mark.parametrize("steps", STEPS, ids="-".join)
def test_strict_once_is_the_reference(steps: Sequence[str], tmp_path: Path):
    both = compared("strict_once", steps, tmp_path)
    assert both["theirs"].agg(["min", "max"]).tolist() == [0, len(steps)]
    assert both["ours"].tolist() == both["theirs"].tolist()


def no_step_is_overwritten(log: pd.DataFrame, steps: Sequence[str]) -> pd.Series:
    """Where no instant holds rows of two neighbouring steps, the first of which also had an earlier row."""
    parted = set()
    for before, after in pairwise(steps):
        of_before = log[matches(log, before)]
        earliest = of_before.groupby("user_id")["at"].min().rename("earliest").reset_index()
        both = of_before.merge(log[matches(log, after)], on=["user_id", "at"]).merge(earliest, on="user_id")
        parted |= set(both.loc[both["at"] > both["earliest"], "user_id"])
    return pd.Series({unit: unit not in parted for unit in log["user_id"].unique()})


@pytest.mark.parametrize("steps", STEPS, ids="-".join)
def test_strict_increase_where_it_overwrites_nothing(steps: Sequence[str], tmp_path: Path):
    """ClickHouse keeps one time per level, the newest: a row of step k at the instant of a row of step k + 1
    overwrites an earlier one from which the later step could be taken. Elsewhere it goes less deep, never deeper."""
    both = compared("strict_increase", steps, tmp_path, no_step_is_overwritten, matching=Matching(ties="increasing"))
    inside = both[both["inside"]]
    assert len(inside) > 500
    assert inside["ours"].tolist() == inside["theirs"].tolist()
    assert (both["theirs"] <= both["ours"]).all()


def test_strict_increase_overwrites_an_earlier_step(tmp_path: Path):
    # A at 0, A and B at 1: B is later than the first A. ClickHouse has forgotten that one.
    log = pd.DataFrame({"user_id": 1, "at": [0, 1, 1], "event": list("AAB")})
    assert theirs(log, "AB", 9, "strict_increase", tmp_path).tolist() == [1]
    assert ours(log, "AB", 9, matching=Matching(ties="increasing")).tolist() == [2]


def later_steps_do_not_repeat(log: pd.DataFrame, steps: Sequence[str]) -> pd.Series:
    """Where at most one row matches each step but the first."""
    inside = pd.Series(True, index=log["user_id"].unique())
    for step in steps[1:]:
        inside &= matches(log, step).groupby(log["user_id"]).sum() <= 1
    return inside


@pytest.mark.parametrize("steps", STEPS, ids="-".join)
def test_strict_deduplication_where_no_later_step_repeats(steps: Sequence[str], tmp_path: Path):
    """A repeat of a step that was reached ends ClickHouse's search, and the level is that of the row before. We know
    no such rule; where nothing repeats there is nothing to end, and it is the default mode."""
    both = compared("strict_deduplication", steps, tmp_path, later_steps_do_not_repeat, preset="clickhouse")
    inside = both[both["inside"]]
    assert len(inside) > 500
    assert inside["ours"].tolist() == inside["theirs"].tolist()


def test_strict_deduplication_ends_at_a_repeat(tmp_path: Path):
    # A B B C: the second B ends the search.
    log = pd.DataFrame({"user_id": 1, "at": [0, 1, 2, 3], "event": list("ABBC")})
    assert theirs(log, "ABC", 9, "strict_deduplication", tmp_path).tolist() == [2]
    assert ours(log, "ABC", 9, preset="clickhouse").tolist() == [3]


def once_each() -> pd.DataFrame:
    """Logs without ties in which each of A, B and C occurs at most once, and X up to three times."""
    rng = np.random.default_rng(7)
    rows = []
    for unit in range(2 * LOGS):
        events = rng.permutation([*"ABC"[: rng.integers(1, 4)], *"X" * max(0, rng.integers(-3, 4))])
        times = np.sort(rng.choice(12, len(events), replace=False))
        rows += [(unit, at, event) for at, event in zip(times, events, strict=True)]
    return pd.DataFrame(rows, columns=["user_id", "at", "event"]).iloc[rng.permutation(len(rows))]


@pytest.mark.parametrize("steps", [("A", "B"), ("A", "B", "C"), ("B", "A", "C")], ids="-".join)
def test_strict_order_where_every_step_comes_once(steps: Sequence[str], tmp_path: Path):
    """ClickHouse ends at the first break after an entry, lets steps repeat, and sorts rows of one instant by step,
    rows that match nothing first. We try every entry, a repeat breaks a chain, and rows of one instant may stand in
    any sequence. So both agree where no two rows share a time and no step has more than one row."""
    log = once_each()
    for window in (*WINDOWS, 11):
        level = theirs(log, steps, window, "strict_order", tmp_path)
        assert ours(log, steps, window, order="strict").tolist() == level.tolist()
    assert level.agg(["min", "max"]).tolist() == [1 if steps[0] == "A" else 0, len(steps)]  # all have an A


@pytest.mark.parametrize(
    ("events", "their_level", "our_depth"),
    [
        ("ABBC", 3, 2),  # a repeat breaks our chain, not theirs
        ("AXABC", 1, 3),  # they end at X; our second A starts anew
        ("ACABC", 1, 3),  # they end at C, which is out of order
    ],
)
def test_strict_order_elsewhere(events: str, their_level: int, our_depth: int, tmp_path: Path):
    log = pd.DataFrame({"user_id": 1, "at": range(len(events)), "event": list(events)})
    assert theirs(log, "ABC", 9, "strict_order", tmp_path).tolist() == [their_level]
    assert ours(log, "ABC", 9, order="strict").tolist() == [our_depth]


def test_the_window_includes_its_last_microsecond(tmp_path: Path):
    log = pd.DataFrame({"user_id": [1, 1, 2, 2], "at": [0, 7, 0, 8], "event": list("ABAB")})
    assert theirs(log, "AB", 7, "", tmp_path).tolist() == [2, 1]
    assert ours(log, "AB", 7, preset="clickhouse").tolist() == [2, 1]
