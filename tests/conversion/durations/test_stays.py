"""Retention of a log is that of its rows in a frame, and of a plain count, also by compiled code."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.durations import stays
from funnel_lib.conversion.durations.returning import retention
from funnel_lib.conversion.keeping.eventlog import EventLog

START, DAY = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)  # a Monday
RULES = Rules(min_units=1, min_events=1)


@pytest.fixture(scope="module")
def rows():
    """Acts of sixty people within nine weeks, at full hours, some at one instant; some lack a user or time."""
    rng = np.random.default_rng(5)
    users = [*(f"u{number}" for number in range(60)), None]
    hours = rng.integers(0, 63 * 24, 800)
    ts = pd.Series(pd.Timestamp(START) + pd.to_timedelta(hours, unit="h") + pd.Timedelta(minutes=7)).dt.as_unit("us")
    ts[::50] = pd.NaT
    return pd.DataFrame({"user_id": [users[place] for place in rng.integers(0, 61, 800)], "event": "act", "ts": ts})


@pytest.fixture(scope="module")
def log(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("stays") / "events.parquet"
    rows.to_parquet(path)
    return EventLog.made(path, "user_id")


@pytest.mark.parametrize("kind", ["in", "from"])
@pytest.mark.parametrize(("known", "since"), [(63, None), (40, None), (50, 12)])
def test_a_log_gives_what_its_rows_give(rows, log, kind, known, since, monkeypatch):
    asked = {"kind": kind, "as_of": START + known * DAY, "rules": RULES, "zone": ZoneInfo("Asia/Shanghai"),
             "since": None if since is None else START + since * DAY}  # fmt: skip
    expected = retention(rows, **asked)
    assert expected["active"].sum() > 0
    pd.testing.assert_frame_equal(retention(log, **asked), expected)
    monkeypatch.setattr(stays, "worth_compiling", lambda rows: True)
    pd.testing.assert_frame_equal(retention(log, **asked), expected)


def test_it_is_what_a_plain_count_finds(rows, log):
    found = retention(log, as_of=START + 45 * DAY, rules=RULES).set_index(["cohort", "age"])
    known = rows.dropna()
    known = known[known["ts"] <= pd.Timestamp(START + 45 * DAY)]
    lives = {user: sorted(own["ts"]) for user, own in known.groupby("user_id")}
    for (cohort, age), cell in found.iterrows():
        week = pd.Timestamp(cohort, tz="UTC")
        own = [days for days in lives.values() if week <= days[0] < week + timedelta(days=7)]
        old = [days for days in own if days[0] + (age + 1) * timedelta(days=7) <= pd.Timestamp(START + 45 * DAY)]
        active = [days for days in old if any((day - days[0]) // timedelta(days=7) == age for day in days)]
        assert (cell["entered"], cell["observed"], cell["active"]) == (len(own), len(old), len(active))
    assert set(found["set_aside"]) == {len(rows) - len(known)}


def test_dates_are_known_as_such(rows, tmp_path):
    dated = rows.assign(ts=rows["ts"].dt.normalize())
    dated.to_parquet(tmp_path / "events.parquet")
    log = EventLog.made(tmp_path / "events.parquet", "user_id")
    asked = {"as_of": START + 45.5 * DAY, "rules": RULES}
    pd.testing.assert_frame_equal(retention(log, **asked), retention(dated, **asked))


def test_a_log_of_nobody(tmp_path):
    nobody = pd.DataFrame({"user_id": pd.Series([None], dtype="str"), "event": ["act"], "ts": [pd.Timestamp(START)]})
    nobody.to_parquet(tmp_path / "events.parquet")
    found = retention(EventLog.made(tmp_path / "events.parquet", "user_id"), as_of=START, rules=RULES)
    assert (found["reason"].tolist(), found["set_aside"].tolist()) == (["no_times"], [1])
