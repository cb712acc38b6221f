"""Counts by kind: the same as those of the journeys themselves, whatever the funnel and however they came in parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from funnel_lib.conversion.journeys import Journeys, journeys, read
from funnel_lib.conversion.keeping.tallies import Tally, counted, tallied
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError

START = datetime(2026, 5, 1, tzinfo=UTC)
ABC: dict[str, Any] = {"steps": [Step(name, event=name) for name in "ABC"], "window": "7d"}
FUNNELS = {
    "plain": Funnel(**ABC),
    "no window": Funnel(steps=ABC["steps"]),
    "optional": Funnel(steps=[Step(name, event=name, optional=name == "B") for name in "ABC"], window="7d"),
    "open": Funnel(**ABC, open=True),
    "entries": Funnel(**ABC, counting="entries"),
}  # fmt: skip


def log(rows: int = 3000) -> pd.DataFrame:
    """Random events of 300 users in May, with a channel (sometimes missing), a device and a number."""
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "user_id": rng.integers(0, 300, rows),
            "event": rng.choice(list("ABC"), rows),
            "ts": START + pd.to_timedelta(rng.integers(0, 30 * 86400, rows), unit="s"),
            "channel": pd.Series(rng.choice(["ads", "mail", None], rows), dtype="str"),
            "device": rng.choice(["phone", "desk"], rows),
            "size": pd.array(np.where(rng.random(rows) < 0.1, None, rng.integers(1, 4, rows)), dtype="Int64"),
        }
    )


def parts(found: Journeys, pieces: int) -> list[pa.Table]:
    table = pa.Table.from_pandas(found.frame, preserve_index=False)
    bounds = np.linspace(0, table.num_rows, pieces + 1).astype(int)
    return [table.slice(low, high - low) for low, high in pairwise(bounds)]


@pytest.mark.parametrize("funnel", FUNNELS.values(), ids=FUNNELS)
@pytest.mark.parametrize("by", [None, "channel", ["channel", "device"], ["device", "size"]], ids=str)
def test_a_tally_counts_what_journeys_count(funnel: Funnel, by: Any):
    found = journeys(log(), funnel, by=["channel", "device", "size"])
    tally = tallied(parts(found, 40), funnel, ["channel", "device", "size"], window_closed=found.window_closed)
    assert tally.window_closed == found.window_closed
    assert tally.table["units"].to_numpy().sum() == len(found.frame)
    for top in (None, 2):
        for mature in (False, True):
            wanted = found.passages(by, mature, top=top)
            pd.testing.assert_frame_equal(tally.passages(by, mature, top=top), wanted)
            pd.testing.assert_frame_equal(tally.counts(by, mature, top=top), found.counts(by, mature, top=top))


def test_a_small_tally_by_hand():
    # u goes A B C, v stops at B, w (no channel) at A.
    rows = [("u", "A", 1, "ads"), ("u", "B", 2, "x"), ("u", "C", 3, "x"), ("v", "A", 1, "ads"), ("v", "B", 2, "x"),
            ("w", "A", 1, None)]  # fmt: skip
    events = pd.DataFrame(
        [(unit, event, START + timedelta(days=day), channel) for unit, event, day, channel in rows],
        columns=["user_id", "event", "ts", "channel"],
    )
    found = journeys(events, FUNNELS["plain"], by=["channel"])
    tally = tallied(parts(found, 3), found.funnel, ["channel"], window_closed=True)
    counted = tally.counts("channel")
    assert list(zip(counted["group"], counted["name"], counted["units"], strict=True)) == [
        ("ads", "A", 2), ("ads", "B", 2), ("ads", "C", 1), ("unknown", "A", 1), ("unknown", "B", 0), ("unknown", "C", 0)
    ]  # fmt: skip
    assert tally.counts()["units"].tolist() == [3, 2, 1]
    assert tally.passages()["came"].tolist() == [0, 3, 2]
    assert tally.counts(mature_only=True)["units"].tolist() == [0, 0, 0]  # as of the third day no window is over


def test_parts_in_any_sequence_give_equal_tables():
    found = journeys(log(), FUNNELS["plain"], by=["channel", "size"])
    pieces = parts(found, 7)
    first = tallied(pieces, found.funnel, ["channel", "size"], window_closed=True)
    assert tallied(pieces[::-1], found.funnel, ["channel", "size"], window_closed=True).table == first.table


def test_a_column_that_was_not_brought_along():
    found = journeys(log(), FUNNELS["plain"], by=["channel"])
    tally = tallied(parts(found, 1), found.funnel, ["channel"], window_closed=True)
    with pytest.raises(ConfigError, match="no column 'chanel'") as error:
        tally.counts("chanel")
    assert "did you mean channel?" in str(error.value)


def test_no_journeys_at_all():
    found = journeys(log(), FUNNELS["plain"], by=["channel"])
    nobody = found.select(np.zeros(len(found.frame), dtype=bool))
    tally: Tally = tallied(parts(nobody, 1), found.funnel, ["channel"], window_closed=True)
    assert tally.counts()["units"].tolist() == [0, 0, 0]
    assert tally.counts("channel").empty


@pytest.mark.parametrize("funnel", FUNNELS.values(), ids=FUNNELS)
@pytest.mark.parametrize("touch", ["entry", "first", 2])
def test_what_is_counted_without_making_journeys_is_what_they_count(funnel: Funnel, touch: Any):
    found = journeys(log(), funnel, by=["channel"], touch=touch)
    tally = counted(read(log(), funnel, by=["channel"], touch=touch))
    for mature in (False, True):
        pd.testing.assert_frame_equal(tally.passages("channel", mature), found.passages("channel", mature))
