"""What a reading holds of a period: events as far as known, rows of other tables, people of a segment."""

from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd

from funnel_lib.conversion.kpis.reading import Reading
from funnel_lib.scorecard import Match
from tests.conversion.kpis.test_measures import data

__all__ = ["data"]


def test_events_of_the_period_as_far_as_they_are_known(data: Reading):
    buys = Match(event="buy")
    assert len(data.events(buys)) == 4  # one of five is in June
    early = Reading(replace(data.scope, as_of=datetime(2026, 5, 7, 10, tzinfo=UTC)))
    assert len(early.events(buys)) == 2  # at that very moment the second is known
    assert len(data.ever(buys)) == 5
    assert data.events(buys) is data.events(Match(event=["buy"]))  # read once
    some = Reading(data.scope, pd.Series(["a", "nobody"], dtype="str"))
    assert (len(some.events(buys)), some.events(Match()).people) == (2, 1)


def test_what_the_data_knows(data: Reading):
    assert data.knows(Match(event=["never", "buy"]))
    assert data.knows(Match())
    assert not data.knows(Match(event="never"))
    assert (data.has("amount"), data.has("method"), data.holds("method")) == (True, False, True)
    assert data.tells(Match(event="order"), "method")
    assert not data.tells(Match(event="order"), "amount")
    assert not data.tells(Match(event="order"), "unheard of")


def test_without_events_or_whose_they_are_there_is_no_log(data: Reading):
    events = pd.read_parquet(data.scope.events)
    events.rename(columns={"user_id": "visitor"}).to_parquet(data.scope.events)
    assert Reading(data.scope).log is None
    data.scope.events.unlink()
    assert Reading(data.scope).log is None
    assert not Reading(data.scope).knows(Match())


def test_other_tables_are_read_by_column_and_once(data: Reading):
    first = data.table("deals", "created", ["status"])
    assert first is not None
    assert (list(first), len(first)) == (["created", "status"], 3)  # the fourth was created in June
    data.scope.store.path("deals").write_bytes(b"")  # what was read is kept, and known of other periods
    assert data.of(data.scope, None)._tables is data._tables
    assert data.table("spend", "date", ["cost", "unheard of"]) is not None
    data.scope.store.path("spend").unlink()
    assert data.whole("spend", ["cost"]) is None


def test_rows_of_a_segment(data: Reading):
    rows = pd.DataFrame({"user_id": ["a", None, "b", "a"], "n": [1, 2, 3, 4]})
    some = Reading(data.scope, pd.Series(["a", "z"], dtype="str"))
    assert some.mine(rows)["n"].tolist() == [1, 4]
    assert some.mine(rows[["n"]]).empty
    assert data.mine(rows) is rows
    assert (some.named, data.named) == (["user_id"], [])
