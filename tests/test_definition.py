"""A funnel is refused where it cannot be, and equal funnels have equal fingerprints."""

from dataclasses import replace
from datetime import timedelta

import pytest

from funnel_lib.definition import Exclusion, Funnel, Matching, Step
from funnel_lib.errors import ConfigError

DAY_US = 86_400_000_000
VISIT, BUY = Step("visit", event="page_view"), Step("buy", event=["purchase", "order"])


def test_a_step_accepts_one_event_several_or_any():
    assert VISIT.events == ["page_view"]
    assert BUY.events == ["purchase", "order"]
    assert Step("anything").events == []
    assert Step("visit", where={"device": "mobile"}).where == {"device": {"eq": "mobile"}}


def test_an_empty_list_of_events_is_refused_as_it_would_match_any():
    with pytest.raises(ConfigError, match="at least 1 item"):
        Step("visit", event=[])


def test_a_funnel_knows_its_names_and_its_window_in_microseconds():
    funnel = Funnel([VISIT, BUY], window="30min")
    assert funnel.names == ["visit", "buy"]
    assert funnel.window_us == 1_800_000_000
    assert Funnel([VISIT]).window_us is None
    assert Funnel([VISIT], window="0s").window_us == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"steps": []}, "at least 1 item"),
        ({"steps": [VISIT, VISIT]}, "share a name"),
        ({"steps": [Step("a"), {"name": ""}]}, "at least 1 character"),
        ({"steps": [{"name": "a", "evnt": "x"}]}, "evnt"),
        ({"steps": [VISIT], "windw": "1d"}, "windw"),
        ({"steps": [VISIT], "order": "anyhow"}, "'ordered', 'strict' or 'any'"),
        ({"steps": [VISIT, BUY], "exclusions": [{"event": "x", "after": 1, "before": 1}]}, "between two steps"),
        ({"steps": [VISIT, BUY], "exclusions": [{"event": "x", "before": 2}]}, "between two steps"),
        ({"steps": [VISIT, BUY], "exclusions": [{"event": "x", "after": -1}]}, "greater than or equal to 0"),
        ({"steps": [VISIT], "exclusions": [{"event": "x"}]}, "between two steps"),
        ({"steps": [Step("a", optional=True), BUY]}, "first step cannot be optional"),
        ({"steps": [VISIT, Step("b", within="1d")], "order": "any"}, "any order with within"),
        ({"steps": [VISIT, BUY], "order": "any", "open": True}, "open funnel in any order"),
        ({"steps": [VISIT, BUY], "open": True, "exclusions": [{"event": "x"}]}, "open funnel with exclusions"),
        ({"steps": [VISIT, BUY], "open": True, "counting": "entries"}, "open funnel that counts entries"),
        ({"steps": [VISIT, BUY], "session_gap": "30min"}, "session gap, but no sessions"),
        ({"steps": [VISIT, BUY], "counting": "sessions", "hold_constant": ["sku"]}, "sessions with hold_constant"),
        ({"steps": [VISIT, BUY], "order": "strict", "matching": {"grace": "2s"}}, "grace with another order"),
        ({"steps": [VISIT, BUY], "window": "0s", "matching": {"ties": "increasing"}}, "never be at the same instant"),
        (
            {
                "steps": [Step("a", where={"sku": 1}), Step("b", where={"sku": 2})],
                "hold_constant": ["sku"],
            },
            "want different values",
        ),
        ({"steps": [VISIT], "preset": "adobe"}, "preset"),
        ({"steps": [VISIT, Step("won", column="won")], "snapshot": "users", "order": "any"}, "no events"),
        ({"steps": [VISIT, Step("won", column="won", within="1d")], "snapshot": "users"}, "no events"),
        ({"steps": [VISIT], "window": 14}, "not a duration"),
        ({"steps": [VISIT, Step("won", column="won")]}, "belong to a snapshot"),
        ({"steps": [VISIT, Step("won", stage=["won"])]}, "belong to a snapshot"),
        ({"steps": [VISIT], "furthest": "stage"}, "belong to a snapshot"),
        ({"steps": [VISIT], "entered": "created"}, "belong to a snapshot"),
        ({"steps": [VISIT, BUY], "snapshot": "users"}, "needs a column"),
        ({"steps": [Step("lead"), Step("won", stage=["won"])], "snapshot": "users"}, "needs a column"),
        ({"steps": [VISIT], "snapshot": "events"}, "'users' or 'deals'"),
    ],
)
def test_a_funnel_that_cannot_be_is_refused(arguments: dict, reason: str):
    with pytest.raises(ConfigError, match=reason):
        Funnel(**arguments)


def test_a_wrong_call_teaches_as_the_workbook_does():
    with pytest.raises(ConfigError) as error:
        Funnel([Step("visit"), {"name": "buy", "evnt": "order"}], window="soon", ordr="any")
    message = str(error.value)
    assert message.startswith("This Funnel cannot be: ")
    assert "Funnel: steps.1.evnt" in message
    assert "did you mean event?" in message
    assert "also:    Funnel: window = soon" in message
    assert "did you mean order?" in message
    assert "help(Funnel)" in message
    assert "pydantic" not in message


@pytest.mark.parametrize(
    ("made", "arguments", "where", "allowed"),
    [
        (Funnel, {}, "Funnel: steps", "field required"),
        (Step, {"evnt": "x", "name": "a"}, "Step: evnt", "did you mean event?"),
        (Exclusion, {"after": "x"}, "Exclusion: after", "integer"),
        (Matching, {"ties": "any"}, "Matching: ties", "in_order, increasing"),
    ],
)
def test_each_part_says_where_and_what_is_allowed(made: type, arguments: dict, where: str, allowed: str):
    with pytest.raises(ConfigError) as error:
        made(**arguments)
    assert f"where:   {where}\n" in str(error.value)
    assert allowed in str(error.value).lower()


def test_a_snapshot_names_columns_or_stages():
    stages = Funnel([Step("lead"), Step("won", stage=["won"])], snapshot="deals", furthest="stage", entered="created")
    assert stages.snapshot == "deals"
    assert Funnel([Step("lead"), Step("won", column="converted")], snapshot="users").names == ["lead", "won"]


def test_a_funnel_and_its_steps_cannot_be_changed():
    funnel = Funnel([VISIT, BUY])
    with pytest.raises(AttributeError):
        funnel.window = timedelta(days=1)
    with pytest.raises(AttributeError):
        funnel.steps[0].name = "x"


def test_the_fingerprint_is_that_of_what_is_counted():
    funnel = Funnel([VISIT, BUY], window="14d")
    titled = Funnel([Step("visit", event="page_view", title="Visit"), BUY], window="2w")
    assert funnel.fingerprint == titled.fingerprint
    assert len(funnel.fingerprint) == 16
    others = [
        Funnel([VISIT, BUY]),
        Funnel([BUY, VISIT], window="14d"),
        Funnel([VISIT, BUY], window="15d"),
        Funnel([VISIT, BUY], window="14d", unit="session_id"),
        Funnel([VISIT, Step("buy", event=["purchase"])], window="14d"),
        Funnel([VISIT, Step("buy", event=["purchase", "order"], where={"amount": {"gt": 0}})], window="14d"),
    ]
    assert len({funnel.fingerprint, *(other.fingerprint for other in others)}) == 7


def test_a_preset_fills_in_only_what_nobody_named():
    assert Funnel([VISIT, BUY], preset="posthog").window_us == 14 * DAY_US
    assert Funnel([VISIT, BUY], preset="posthog", window="1d").window_us == DAY_US
    named = Funnel([VISIT, BUY], preset="mixpanel", policy="drop_unit", matching={"grace": "1s"})
    assert (named.policy, named.matching.grace, named.matching.attempts) == ("drop_unit", timedelta(seconds=1), "first")


def test_ga4_counts_a_window_from_the_step_before():
    funnel = Funnel([VISIT, BUY, Step("pay", event="pay", within="1h")], window="1d", preset="ga4")
    assert funnel.window is None
    assert [step.within for step in funnel.steps] == [None, timedelta(days=1), timedelta(hours=1)]


def test_a_preset_and_what_it_switches_are_the_same_funnel():
    assert Funnel([VISIT], preset="clickhouse").fingerprint == Funnel([VISIT], matching={"distinct": False}).fingerprint
    assert Funnel([VISIT], preset="clickhouse").fingerprint != Funnel([VISIT]).fingerprint


def test_a_window_that_would_say_nothing_is_refused():
    funnel = Funnel([VISIT, BUY], window="1d", preset="ga4")
    with pytest.raises(ConfigError, match="every step has its own within"):
        replace(funnel, window="2d")
