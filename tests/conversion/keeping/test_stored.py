"""Stored journeys: nothing is lost or invented on the way, another definition is refused, a cache never fails."""

from __future__ import annotations

import dataclasses
import errno
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funnel_lib import periods
from funnel_lib.conversion.journeys import Journeys, UnmatchedStep, journeys, read
from funnel_lib.conversion.keeping import stored, storing
from funnel_lib.conversion.keeping.stored import Stored, key_of, remembered, store
from funnel_lib.conversion.rates import rates
from funnel_lib.conversion.snapshots import snapshot_journeys
from funnel_lib.definition import Exclusion, Funnel, Matching, Step
from funnel_lib.errors import ConfigError, DataError
from funnel_lib.presets import PRESETS
from funnel_lib.settings import Rules

START = datetime(2026, 5, 1, tzinfo=UTC)
MAY = periods.period("2026-05", ZoneInfo("Asia/Shanghai"))
STEPS = [Step(name, event=name) for name in "ABC"]
PLAIN = Funnel(steps=STEPS, window="7d")
BY = ["channel", "size"]


def log(rows: int = 2000, *, text: bool = False) -> pd.DataFrame:
    """Random events of 200 users in May, with a channel that is sometimes missing and a number."""
    rng = np.random.default_rng(11)
    users = rng.integers(0, 200, rows)
    return pd.DataFrame(
        {
            "user_id": [f"u{user:03d}" for user in users] if text else users,
            "event": rng.choice(list("ABCX"), rows),
            "ts": START + pd.to_timedelta(rng.integers(0, 30 * 86400, rows), unit="s"),
            "channel": pd.Series(rng.choice(["ads", "mail", "组织", None], rows), dtype="str"),
            "size": rng.integers(1, 4, rows),
        }
    )


FUNNELS = {
    "plain": PLAIN,
    "no window": Funnel(steps=STEPS),
    "open": Funnel(steps=STEPS, window="7d", open=True),
    "optional": Funnel(steps=[STEPS[0], Step("B", event="B", optional=True), STEPS[2]], window="7d"),
    "entries": Funnel(steps=STEPS, window="7d", counting="entries"),
    "sessions": Funnel(steps=STEPS, counting="sessions", session_gap="1d"),
}


@pytest.mark.parametrize("name", FUNNELS)
@pytest.mark.parametrize("text", [False, True])
def test_what_comes_back_is_what_was_stored(name: str, text: bool, tmp_path: Path):
    found = journeys(log(text=text), FUNNELS[name], by=BY, period=MAY)
    again = store(found, tmp_path / "kept")
    assert len(again) == len(found.frame)
    back = again.journeys()
    pd.testing.assert_frame_equal(back.frame, found.frame)
    for part in ("funnel", "period", "as_of", "window_closed", "set_aside", "absent", "implied"):
        assert getattr(back, part) == getattr(found, part), part
    assert back.period is not None
    assert str(back.period.start.tzinfo) == "Asia/Shanghai"
    for by in (None, "channel", BY):
        for mature in (False, True):
            pd.testing.assert_frame_equal(again.counts(by, mature), found.counts(by, mature))
            pd.testing.assert_frame_equal(again.passages(by, mature, top=2), found.passages(by, mature, top=2))


def test_rates_are_made_of_stored_journeys(tmp_path: Path):
    found = journeys(log(), PLAIN, by=BY)
    again: Any = store(found, tmp_path / "kept")
    pd.testing.assert_frame_equal(rates(again, "channel", rules=Rules()), rates(found, "channel", rules=Rules()))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_definition_comes_back(preset: Any, tmp_path: Path):
    funnel = Funnel(steps=STEPS, preset=preset)
    again = store(journeys(log(), funnel), tmp_path / "kept")
    assert Stored.open(tmp_path / "kept", funnel).funnel == again.funnel == funnel


def test_the_journeys_of_a_snapshot_come_back(tmp_path: Path):
    funnel = Funnel(steps=[Step("lead"), Step("won", column="won_at")], snapshot="users", entered="first_seen")
    rows = pd.DataFrame(
        {"user_id": ["a", "b"], "first_seen": [START, START], "won_at": [START + timedelta(days=1), None]}
    )
    found = snapshot_journeys(rows, funnel)
    back = store(found, tmp_path / "kept").journeys()
    pd.testing.assert_frame_equal(back.frame, found.frame)
    assert back.funnel == funnel


def test_a_definition_with_everything_comes_back(tmp_path: Path):
    steps = [
        Step("A", event=["a", "b"], where={"amount": {"ge": 1.5, "lt": 3}, "vip": True}, title={"en": "Á", "zh": "甲"}),
        Step("B", optional=True, within=timedelta(days=1, microseconds=1)),
        Step("C", event="c", where={"device": ["x", "y"]}),
    ]
    funnel = Funnel(
        steps=steps, window="36h", unit="account", exclusions=[Exclusion(event="refund", policy="drop_off")],
        hold_constant=["cart"], matching=Matching(resolution="1s", distinct=False),
    )  # fmt: skip
    store(Journeys(funnel, journeys(log(), FUNNELS["optional"]).frame, None, None), tmp_path / "kept")
    back = Stored.open(tmp_path / "kept", funnel).funnel
    assert back == funnel
    assert back.fingerprint == funnel.fingerprint


def test_another_definition_is_refused_and_both_are_named(tmp_path: Path):
    store(journeys(log(), PLAIN), tmp_path / "kept")
    other = Funnel(steps=STEPS, window="8d")
    with pytest.raises(ConfigError, match="another definition") as error:
        Stored.open(tmp_path / "kept", other)
    assert PLAIN.fingerprint in str(error.value.found)
    assert other.fingerprint in str(error.value.allowed)
    titled = Funnel(steps=[dataclasses.replace(step, title={"en": step.name * 2}) for step in STEPS], window="7d")
    assert Stored.open(tmp_path / "kept", titled).counts()["units"].sum()  # titles do not count


def test_equal_journeys_give_equal_bytes(tmp_path: Path):
    for name in ("one", "two"):
        store(journeys(log(), PLAIN, by=BY, period=MAY), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["about.json", "counts.parquet", "journeys.parquet"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


class Parts:
    """A source that gives journeys in several parts, and remembers how many of them are alive at a time."""

    def __init__(self, source: Any, pieces: int) -> None:
        self.source, self.pieces = source, pieces
        self.newest, self.names = source.newest, source.names

    @property
    def facts(self) -> Any:
        return self.source.facts

    def journeys(self, plan: Any, since: Any, until: Any) -> Iterator[pa.Table]:
        whole = pa.concat_tables(self.source.journeys(plan, since, until))
        order = np.argsort(np.arange(whole.num_rows) % self.pieces, kind="stable")  # units dealt out like cards
        bounds = np.linspace(0, whole.num_rows, self.pieces + 1).astype(int)
        shuffled = whole.take(pa.array(order))
        yield from (shuffled.slice(low, high - low) for low, high in pairwise(bounds))


@pytest.mark.parametrize("group", [7, 64, 10_000])
def test_a_reading_is_written_part_by_part(group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(storing, "ROW_GROUP", group)
    reading = read(log(), PLAIN, by=BY, period=MAY)
    again = store(dataclasses.replace(reading, source=Parts(reading.source, 5)), tmp_path / "kept")
    found = journeys(log(), PLAIN, by=BY, period=MAY)
    pd.testing.assert_frame_equal(again.journeys().frame, found.frame)
    pd.testing.assert_frame_equal(again.counts(BY), found.counts(BY))
    assert again.journeys().set_aside == found.set_aside
    sizes = pq.ParquetFile(tmp_path / "kept" / "journeys.parquet").metadata
    rows = [sizes.row_group(place).num_rows for place in range(sizes.num_row_groups)]
    assert set(rows[:-1]) <= {group}
    assert sum(rows) == len(found.frame)


def test_steps_without_events_are_remembered(tmp_path: Path):
    funnel = Funnel(steps=[*STEPS, Step("D", event="CC")], window="7d")
    again = store(read(log(), funnel), tmp_path / "kept")
    with pytest.warns(UnmatchedStep):
        found = journeys(log(), funnel)
    assert again.journeys().absent == found.absent
    assert list(found.absent) == ["D"]


def test_only_the_columns_that_are_asked_for(tmp_path: Path):
    found = journeys(log(), FUNNELS["open"], by=BY)
    again = store(found, tmp_path / "kept")
    some = again.journeys(["channel", "t_1"])
    masks = ["reached", "mature_reached", "passed", "mature_passed"]
    assert sorted(some.frame) == sorted(["channel", "t_1", "depth", "mature_depth", *masks])
    pd.testing.assert_frame_equal(some.counts("channel"), found.counts("channel"))
    with pytest.raises(ConfigError, match="no column 'chanel'") as error:
        again.journeys(["chanel"])
    assert "did you mean channel?" in str(error.value)
    with pytest.raises(ConfigError, match="no column 'device'"):
        again.counts("device")
    assert again.by == BY


def test_too_many_kinds_are_counted_from_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(storing, "MOST_KINDS", 5)
    found = journeys(log(), PLAIN, by=BY)
    again = store(found, tmp_path / "kept")
    assert not (tmp_path / "kept" / "counts.parquet").exists()
    for by in (None, "channel", BY):
        pd.testing.assert_frame_equal(again.passages(by), found.passages(by))


def test_storing_replaces_what_is_there(tmp_path: Path):
    store(journeys(log(), PLAIN), tmp_path / "kept")
    second = store(journeys(log(), FUNNELS["open"]), tmp_path / "kept")
    assert second.funnel.open
    assert sorted(path.name for path in tmp_path.iterdir()) == [".kept.lock", "kept"]


@pytest.mark.parametrize("what", ["nothing", "no rows", "no json", "old format", "cut rows", "cut counts"])
def test_what_cannot_be_read_is_said(what: str, tmp_path: Path):
    folder = tmp_path / "kept"
    if what != "nothing":
        store(journeys(log(), PLAIN, by=BY), folder)
    about = folder / "about.json"
    if what == "no rows":
        (folder / "journeys.parquet").unlink()
    elif what == "no json":
        about.write_text("{")
    elif what == "old format":
        about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 0}))
    elif what.startswith("cut"):
        file = folder / ("journeys.parquet" if what == "cut rows" else "counts.parquet")
        file.write_bytes(file.read_bytes()[:100])

    def look() -> None:
        again = Stored.open(folder)
        again.counts("channel")
        again.journeys()

    with pytest.raises(DataError) as error:
        look()
    assert "store" in str(error.value.do).lower()
    assert error.value.where == folder


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = journeys(log(), PLAIN)
    store(found, tmp_path / "kept")

    def full(*_args: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(DataError, match="cannot be stored") as error:
        store(journeys(log(), FUNNELS["open"]), tmp_path / "kept")
    assert "No space left" in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".kept.lock", "kept"]
    pd.testing.assert_frame_equal(Stored.open(tmp_path / "kept", PLAIN).journeys().frame, found.frame)


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be stored"):
        store(journeys(log(), PLAIN), tmp_path / "file" / "kept")


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path):
    (tmp_path / ".kept-making-x" / "new").mkdir(parents=True)
    store(journeys(log(), PLAIN), tmp_path / "kept")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".kept.lock", "kept"]


def test_remembered_journeys_are_made_once(tmp_path: Path):
    made = []

    def make() -> Journeys:
        made.append(1)
        return journeys(log(), PLAIN, by=BY, period=MAY)

    first = remembered(tmp_path, "key", make)
    second = remembered(tmp_path, "key", make)
    assert made == [1]
    pd.testing.assert_frame_equal(first.frame, second.frame)
    (tmp_path / "key" / "about.json").write_text("damaged")
    pd.testing.assert_frame_equal(remembered(tmp_path, "key", make).frame, first.frame)
    assert made == [1, 1]
    assert Stored.open(tmp_path / "key").counts()["units"].tolist() == first.counts()["units"].tolist()


def test_of_remembered_journeys_the_columns_asked_for_are_the_same_when_made_and_when_read(tmp_path: Path):
    def asked() -> pd.DataFrame:
        return remembered(
            tmp_path, "key", lambda: journeys(log(), PLAIN, by=BY), columns=["t_1", "channel", "entry"]
        ).frame

    first, second = asked(), asked()
    assert sorted(first) == ["channel", "depth", "mature_depth", "t_1"]  # PLAIN counts units: there is no entry
    pd.testing.assert_frame_equal(first, second)


def test_a_cache_that_cannot_be_written_fails_nothing(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    found = remembered(tmp_path / "file", "key", lambda: journeys(log(), PLAIN))
    assert len(found.frame)


def test_a_key_names_all_that_the_journeys_depend_on(monkeypatch: pytest.MonkeyPatch):
    facts: dict[str, object] = {"data": "abc", "period": "2026-05", "by": ("channel",), "as_of": START}
    key = key_of(PLAIN, **facts)
    assert key == key_of(PLAIN, **dict(reversed(facts.items())))
    assert key.startswith(PLAIN.fingerprint)
    others = [facts | {"data": "abd"}, facts | {"by": ("channel", "x")}, facts | {"as_of": None}]
    keys = {key, key_of(FUNNELS["open"], **facts), *(key_of(PLAIN, **other) for other in others)}
    assert len(keys) == 5
    monkeypatch.setattr(stored, "engine_hash", lambda: "another engine")
    assert key_of(PLAIN, **facts) not in keys
