"""Options as they are typed: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.definition import Exclusion, Funnel, Step
from funnel_lib.errors import ConfigError
from funnel_lib.presets import PRESETS
from funnel_lib.reporting import asking
from funnel_lib.reporting.asking import Asked, condition


def test_the_options_are_the_funnel_that_one_would_write():
    asked = Asked(
        step=["Visit=page_view", "Cart=add, view", "Buy=purchase,order", "Any=*", "refer"],
        where=["Buy:amount>=10", "Buy:amount<20.5", "Visit:device=mobile,tablet", "refund:reason=broken"],
        window="36h", order="ordered", optional=["Cart"], within=["Buy=1d"], exclude=["refund:Visit-Buy", "bot,spam"],
        policy="drop_off", hold=["cart_id"], unit="account",
    )  # fmt: skip
    wanted = Funnel(
        steps=[
            Step("Visit", event="page_view", where={"device": ["mobile", "tablet"]}),
            Step("Cart", event=["add", "view"], optional=True),
            Step("Buy", event=["purchase", "order"], within="1d", where={"amount": {"ge": 10, "lt": 20.5}}),
            Step("Any"),
            Step("refer", event="refer"),
        ],
        window="36h",
        exclusions=[
            Exclusion(event="refund", where={"reason": "broken"}, after=0, before=2),
            Exclusion(event=["bot", "spam"]),
        ],
        policy="drop_off",
        hold_constant=["cart_id"],
        unit="account",
    )
    assert asking.funnel(asked) == wanted
    assert asking.funnel(asked).fingerprint == wanted.fingerprint


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fills_in_what_is_not_named(preset: Any):
    steps = ["Visit=a", "Buy=b"]
    assert asking.funnel(Asked(step=steps, preset=preset)) == Funnel(
        steps=[Step("Visit", event="a"), Step("Buy", event="b")], preset=preset
    )
    assert asking.funnel(Asked(step=steps, preset=preset, policy="drop_unit")).policy == "drop_unit"
    assert asking.funnel(Asked(step=steps, preset=preset, window="none")).window is None


def test_a_session_gap_means_that_sessions_are_counted():
    funnel = asking.funnel(Asked(step=["A", "B"], session_gap="30min"))
    assert (funnel.counting, funnel.session_gap) == ("sessions", timedelta(minutes=30))


@pytest.mark.parametrize(
    ("text", "column", "asked"),
    [
        ("amount>0", "amount", {"gt": 0}),
        ("amount >= 1.5", "amount", {"ge": 1.5}),
        ("amount<0", "amount", {"lt": 0}),
        ("ts<=2026-05-01T00:00:00Z", "ts", {"le": "2026-05-01T00:00:00Z"}),
        ("device=mobile", "device", {"eq": "mobile"}),
        ("device==mobile", "device", {"eq": "mobile"}),
        ("device != mobile, tablet", "device", {"not_in": ["mobile", "tablet"]}),
        ('name="Smith, John"', "name", {"eq": "Smith, John"}),
        ('name="a,b",c', "name", {"in": ["a,b", "c"]}),
        ("page~/pricing", "page", {"contains": "/pricing"}),
        ('page~"a, b"', "page", {"contains": "a, b"}),
        ("page~a,b", "page", {"contains": "a,b"}),
        ("vip=true", "vip", {"eq": True}),
        ("code=007", "code", {"eq": "007"}),
        ("code=1e3", "code", {"eq": "1e3"}),
        ("url=a=b", "url", {"eq": "a=b"}),
        ("coupon is null", "coupon", {"is_null": True}),
        ("coupon IS NOT NULL", "coupon", {"is_null": False}),
        ("渠道=广告", "渠道", {"eq": "广告"}),
    ],
)
def test_conditions(text: str, column: str, asked: dict[str, object]):
    found = condition(text)
    assert found == (column, asked)
    assert [type(value) for value in found[1].values()] == [type(value) for value in asked.values()]


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_number_that_a_workbook_would_hold(number: float):
    _, asked = condition(f"amount>{number}")
    assert float(asked["gt"]) == float(number)


@pytest.mark.parametrize("text", ["amount", "amount>", "=5", ">5", "", "amount is", "is null"])
def test_what_is_no_condition(text: str):
    with pytest.raises(ConfigError, match="condition cannot be read"):
        condition(text)


REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    ({}, "--step", "none", "NAME=EVENT"),
    ({"step": ["=x"]}, "--step", "=x", "NAME=EVENT"),
    ({"step": ["x="]}, "--step", "x=", "NAME=EVENT"),
    ({"step": ["A"], "window": "7"}, "--window", "7", "a number with a unit"),
    ({"step": ["A"], "window": "-7d"}, "--window", "-7d", "0s or longer"),
    ({"step": ["A"], "order": "strikt"}, "--order", "strikt", "did you mean strict?"),
    ({"step": ["A"], "counting": "people"}, "--counting", "people", "units, entries, sessions"),
    ({"step": ["A"], "policy": "drop"}, "--policy", "drop", "drop_unit, drop_off"),
    ({"step": ["A"], "preset": "mixpanell"}, "--preset", "mixpanell", "did you mean mixpanel?"),
    ({"step": ["A"], "session_gap": "x"}, "--session-gap", "x", "a number with a unit"),
    ({"step": ["A", "Buy"], "optional": ["Bye"]}, "--optional", "Bye", "did you mean Buy?"),
    ({"step": ["A", "B"], "within": ["B=1"]}, "--within", "1", "a number with a unit"),
    ({"step": ["A", "B"], "within": ["1d"]}, "--within", "(nothing)", "A, B"),
    ({"step": ["A", "B"], "exclude": ["x:A-C"]}, "--exclude", "x:A-C", "steps A, B"),
    ({"step": ["A", "B"], "where": ["C:x=1"]}, "--where", "C:x=1", "STEP:CONDITION"),
    ({"step": ["A"], "where": ["A:x=1", "A:x=2"]}, "--where", "A:x=2", "one eq for x of A"),
    ({"step": ["A"], "where": ["A:x"]}, "--where", "x", "is null"),
]


@pytest.mark.parametrize(("given", "where", "found", "allowed"), REFUSED)
def test_what_cannot_be_is_named_with_its_option(given: dict[str, Any], where: str, found: str, allowed: str):
    with pytest.raises(ConfigError) as error:
        asking.funnel(Asked(**given))
    assert error.value.where == where
    assert str(error.value.found) == found
    assert allowed in str(error.value.allowed)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"step": ["A", "A"]}, "two steps share a name"),
        ({"step": ["A", "B"], "optional": ["A"]}, "the first step cannot be optional"),
        ({"step": ["A", "B"], "open": True, "order": "any"}, "an open funnel in any order"),
        ({"step": ["A", "B"], "exclude": ["x:B-A"]}, "an exclusion lies between two steps"),
    ],
)
def test_what_cannot_go_together(given: dict[str, Any], what: str):
    with pytest.raises(ConfigError, match=what):
        asking.funnel(Asked(**given))


def test_names_with_signs_in_them():
    asked = Asked(
        step=["Sign-up=sign:up", "Pay: now=pay"], exclude=["x:Sign-up-Pay: now", '"app:open",y'],
        where=["Pay: now:amount>0"],
    )  # fmt: skip
    funnel = asking.funnel(asked)
    assert funnel.steps[0].events == ["sign:up"]
    assert funnel.steps[1].where == {"amount": {"gt": 0}}
    assert [(one.events, one.after, one.before) for one in funnel.exclusions] == [
        (["x"], 0, 1), (["app:open", "y"], 0, None)
    ]  # fmt: skip


def test_days_belong_to_the_zone_and_the_last_one_to_the_period():
    found = asking.period(Asked(since="2026-05-01", until="2026-05-03", zone="Asia/Shanghai"))
    assert found is not None
    assert found.start == datetime(2026, 4, 30, 16, tzinfo=UTC)
    assert found.end == datetime(2026, 5, 3, 16, tzinfo=UTC)
    assert found.name == "2026-05-01..2026-05-03"
    assert asking.period(Asked()) is None
    since, until = asking.period(Asked(since="2026-05-01")), asking.period(Asked(until="2026-05-01"))
    assert since is not None
    assert until is not None
    assert since.end > datetime(2150, 1, 1, tzinfo=UTC)
    assert until.end == datetime(2026, 5, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"since": "2026-05-32"}, "--from"),
        ({"until": "May"}, "--to"),
        ({"since": "2026-05-02", "until": "2026-05-01"}, "--to"),
        ({"since": "2026-05-02", "zone": "Asia/Shanghay"}, "--zone"),
    ],
)
def test_days_that_cannot_be(given: dict[str, str], where: str):
    with pytest.raises(ConfigError) as error:
        asking.period(Asked(**given))  # type: ignore[arg-type]
    assert error.value.where == where


def test_the_time_of_looking():
    assert asking.moment(Asked()) is None
    assert asking.moment(Asked(as_of="2026-05-01T08:00:00", zone="Asia/Shanghai")) == datetime(2026, 5, 1, tzinfo=UTC)
    assert asking.moment(Asked(as_of="2026-05-01T08:00:00+02:00")) == datetime(2026, 5, 1, 6, tzinfo=UTC)
    with pytest.raises(ConfigError, match="time cannot be read"):
        asking.moment(Asked(as_of="noon"))


def test_a_zone_that_is_not_there_names_the_nearest():
    with pytest.raises(ConfigError, match="no such time zone") as error:
        asking.zone("Asia/Shanghay")
    assert "did you mean Asia/Shanghai?" in str(error.value)
    assert str(asking.zone(None)) == "UTC"
