"""A scope's journeys, with attributes and splits, on a small collected store."""

import warnings
from datetime import UTC

import pandas as pd
import pytest
import yaml

from funnel_lib import config
from funnel_lib.collection.scope import Scope
from funnel_lib.collection.store import Store
from funnel_lib.conversion.cohort import active, cohort
from funnel_lib.conversion.rates import rates
from funnel_lib.errors import ConfigError, DataError

BOOK = {
    "name": "shop",
    "title": "Shop",
    "timezone": "Asia/Shanghai",
    "sources": {"web": {"system": "ga4", "files": "*.jsonl"}},
    "funnel": {"window": "7d", "steps": [{"name": "visit", "event": "view"}, {"name": "buy", "event": "purchase"}]},
    "segments": {
        "audience": {"groups": {"student": {"where": {"job": "student"}}}},
        "channel": {"by": "channel"},
        "plan": {"by": "plan"},
    },
}
USERS = pd.DataFrame({"user_id": ["u", "v", "w"], "job": ["student", "clerk", None]})


def moment(day):
    return pd.Timestamp(2026, 5, day, 12, tz=UTC)


def events():
    """Hold u, who comes by ads, comes back by mail and buys; v who only visits; w who visits in June."""
    rows = [
        ("u", "view", moment(1), "ads", '{"plan": "pro"}'),
        ("u", "view", moment(10), "mail", "{}"),
        ("u", "purchase", moment(11), "mail", "{}"),
        ("v", "view", moment(2), None, "{}"),
        ("w", "view", moment(1) + pd.Timedelta(days=31), "ads", "{}"),
        ("v", "other", moment(1) + pd.Timedelta(days=50), None, None),
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "event", "ts", "channel", "properties"])
    return frame.assign(event_id=[str(n) for n in range(len(rows))], source="web")


@pytest.fixture
def shop(tmp_path):
    """A function that collects tables and opens a scope."""

    def scope(book=BOOK, tables=None, **options):
        folder = tmp_path / "params"
        folder.mkdir(exist_ok=True)
        (folder / "shop.yml").write_text(yaml.safe_dump(book), encoding="utf-8")
        workbook = config.load(folder / "shop.yml")
        tally = pd.DataFrame(columns=["source", "file", "table", "outcome", "rule", "rows"])
        through = "2026-06-20T12:00:00+00:00"
        facts = {"first_day": "2026-05-01", "last_day": "2026-06-20", "data_through": through, "inputs": []}
        held = {"events": events(), "users": USERS} if tables is None else tables
        Store(workbook.processed).write(held, tally, facts)
        return Scope.open(workbook, **{"period": "2026-05", **options})

    return scope


def test_a_cohort_has_attributes_and_every_split(shop):
    found = cohort(shop())
    frame = found.frame.set_index("unit")
    assert list(frame.index) == ["u", "v"]
    assert frame["depth"].to_dict() == {"u": 2, "v": 1}
    assert frame["job"].to_dict() == {"u": "student", "v": "clerk"}
    assert frame["audience"].to_dict() == {"u": "student", "v": "other"}
    # The first entry's values, though the visit by mail converted; the plan stands in the properties.
    assert frame["channel"].to_dict() == {"u": "ads", "v": "unknown"}
    assert frame["plan"].to_dict() == {"u": "pro", "v": "unknown"}
    assert found.as_of == pd.Timestamp("2026-06-20T12:00", tz=UTC)
    assert found.window_closed


def test_the_active_took_a_step_in_the_period_whenever_they_entered(shop):
    # w visits in June only but bought in May, before any visit; u's second purchase lies in June.
    more = events().iloc[[2, 2]].assign(user_id=["w", "u"], ts=[moment(20), moment(11) + pd.Timedelta(days=31)])
    log = pd.concat([events(), more.assign(event_id=["8", "9"])], ignore_index=True)
    scope = shop(tables={"events": log, "users": USERS})
    assert cohort(scope).counts()["units"].tolist() == [2, 1]  # u and v came, u bought
    assert active(scope).counts()["units"].tolist() == [2, 2]  # u and v visited, u and w bought
    students = shop(tables={"events": log, "users": USERS}, segment="audience=student")
    assert active(students).counts()["units"].tolist() == [1, 1]  # u


def test_a_segment_holds_its_units_only(shop):
    scope = shop(segment="audience=student")
    found = cohort(scope)
    assert found.frame["unit"].tolist() == ["u"]
    assert rates(found, rules=scope.workbook.rules)["numerator"].tolist() == [1, 1, 1]


def test_an_empty_segment_is_refused_with_those_that_are_not(shop):
    with pytest.raises(DataError, match="Nobody in this segment") as error:
        cohort(shop(period="2026-06", segment="audience=student"))
    assert "audience=unknown (1)" in str(error.value.allowed)


def test_a_period_without_entries_is_refused(shop):
    with pytest.raises(DataError, match="Nobody entered the funnel"):
        cohort(shop(period="2026-05-20..2026-05-22"))


def test_a_step_that_matches_nothing_is_refused_with_the_nearest_name(shop):
    steps = [{"name": "visit", "event": "view"}, {"name": "buy", "event": "purchases"}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConfigError, match="'buy' matches no event of the whole data") as error:
            cohort(shop({**BOOK, "funnel": {"steps": steps}}))
    assert "did you mean purchase?" in str(error.value.allowed)


def test_a_step_that_matches_nothing_counts_zero_where_the_workbook_says_so(shop):
    steps = [{"name": "visit", "event": "view"}, {"name": "buy", "event": "purchases"}]
    book = {**BOOK, "funnel": {"steps": steps}, "rules": {"allow_unmatched": True}}
    assert cohort(shop(book)).counts()["units"].tolist() == [2, 0]


def test_a_step_without_events_in_the_period_only_counts_zero(shop):
    assert cohort(shop(period="2026-06")).counts()["units"].tolist() == [1, 0]


def deals(**columns):
    frame = pd.DataFrame(
        {
            "record_id": ["a", "b", "c"],
            "user_id": ["u", "v", None],
            "amount": 1.0,
            "currency": "USD",
            "status": ["won", "open", "lost"],
            "created": [moment(1), moment(2), moment(3)],
            "closed": [moment(4), pd.NaT, pd.NaT],
            "channel": ["ads", "mail", "ads"],
        }
    )
    return frame.assign(**columns)


PIPELINE = {
    **BOOK,
    "funnel": {
        "snapshot": "deals", "unit": "record_id", "entered": "created", "window": "30d",
        "steps": [{"name": "deal"}, {"name": "won", "column": "closed"}],
    },
    "segments": {name: BOOK["segments"][name] for name in ("audience", "channel")},
}  # fmt: skip


def test_a_snapshot_of_deals_has_the_splits_of_deals_and_of_their_people(shop):
    found = cohort(shop(PIPELINE, {"deals": deals(), "users": USERS}))
    frame = found.frame.set_index("unit")
    assert frame["depth"].to_dict() == {"a": 2, "b": 1, "c": 1}
    assert frame["channel"].to_dict() == {"a": "ads", "b": "mail", "c": "ads"}
    assert frame["audience"].to_dict() == {"a": "student", "b": "other", "c": "unknown"}
    assert found.window_closed


def test_deals_of_two_systems_with_the_same_id_count_twice(shop):
    twice = deals(record_id=["a", "a", "c"], source=["north", "south", "north"])
    found = cohort(shop(PIPELINE, {"deals": twice, "users": USERS}))
    assert found.frame.set_index("unit")["depth"].to_dict() == {"north/a": 2, "south/a": 1, "c": 1}


def test_a_snapshot_of_users_has_their_attributes(shop):
    steps = [{"name": "lead"}, {"name": "won", "column": "won"}]
    book = {
        **BOOK,
        "funnel": {"snapshot": "users", "steps": steps},
        "segments": {"audience": BOOK["segments"]["audience"]},
    }
    found = cohort(shop(book, {"users": USERS.assign(won=["yes", "no", "no"])}, period="all"))
    assert found.frame.set_index("unit")["audience"].to_dict() == {"u": "student", "v": "other", "w": "unknown"}
    assert found.counts("audience")["units"].tolist() == [1, 0, 1, 1, 1, 0]
    assert not found.window_closed
    lean = cohort(shop(book, {"users": USERS.assign(won=["yes", "no", "no"])}, period="all"), attributes=False)
    assert "job" not in lean.frame
    assert lean.counts("audience").equals(found.counts("audience"))


def test_without_attributes_the_splits_are_the_same_also_when_they_come_from_what_was_kept(shop):
    scope = shop()
    whole = cohort(scope).frame
    for _ in range(2):
        found = cohort(scope, attributes=False).frame
        for split in scope.workbook.segments:
            assert found[split].tolist() == whole[split].tolist()
        assert {*found} <= {*whole}


def test_without_units_counts_and_times_are_the_same_also_when_they_come_from_what_was_kept(shop):
    scope = shop()
    whole = cohort(scope)
    for _ in range(2):
        found = cohort(scope, attributes=False, units=False)
        assert {*whole.frame} - {*found.frame} == {"unit", "last_entry", "matured", "job"}
        assert found.counts("channel").equals(whole.counts("channel"))
        assert found.moments("t_2").tolist() == whole.moments("t_2").tolist()
        assert isinstance(found.frame["plan"].dtype, pd.CategoricalDtype)


def test_a_segment_of_nobody_is_named_also_without_units(shop):
    with pytest.raises(DataError, match=r"channel=ads \(1\), channel=unknown \(1\)"):
        cohort(shop(segment="channel=other"), attributes=False, units=False)
