"""When a step broke: hand-made weeks with the answers worked out, and no false alarms on pure noise."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import journeys
from funnel_lib.conversion.movement.incidents import INCIDENTS, WEEKLY, incidents, weekly
from funnel_lib.definition import Funnel, Step
from funnel_lib.periods import period

FUNNEL = Funnel(steps=[Step("visit", event="v"), Step("order", event="o"), Step("pay", event="p")], window="14d")
MONDAY = datetime(2026, 5, 4, 12, tzinfo=UTC)


def log(weeks: list[tuple[int, int, int]], group: str = "mobile") -> pd.DataFrame:
    """Return events: per week, (visitors, of these ordering two days later, of these paying at once)."""
    rows = []
    for week, (visits, orders, paid) in enumerate(weeks):
        for person in range(visits):
            at, who = MONDAY + timedelta(weeks=week), f"{group}-{week}-{person}"
            rows.append((who, "v", at, group))
            if person < orders:
                rows.append((who, "o", at + timedelta(days=2), group))
            if person < paid:
                rows.append((who, "p", at + timedelta(days=2, hours=1), group))
    return pd.DataFrame(rows, columns=["user_id", "event", "ts", "device"])


def made(events: pd.DataFrame, **given):
    return journeys(events, FUNNEL, by=["device"], as_of=datetime(2026, 8, 1, tzinfo=UTC), **given)


def test_weekly_counts_by_the_week_of_the_step_before():
    # 40 visitors a week; 20 and 30 of them order two days later (the same week); 10 and 6 of those pay.
    found = weekly(made(log([(40, 20, 10), (40, 30, 6)])), rules=Rules(min_units=1, min_events=1), zone=UTC)
    assert list(found.columns) == WEEKLY
    assert found[["step", "start", "numerator", "denominator"]].to_numpy().tolist() == [
        [2, date(2026, 5, 4), 20, 40],
        [2, date(2026, 5, 11), 30, 40],
        [3, date(2026, 5, 4), 10, 20],
        [3, date(2026, 5, 11), 6, 30],
    ]
    assert found["final"].all()


def test_nobody_whose_time_is_over_makes_no_weeks():
    # Entered in the last week of the data: the window of 14 days is not over for anybody.
    events = log([(40, 20, 10)])
    open_ = journeys(events, FUNNEL, by=["device"], period=period("2026-05", UTC), as_of=MONDAY + timedelta(days=3))
    found = weekly(open_, rules=Rules(), zone=UTC)
    assert list(found.columns) == WEEKLY
    assert found.empty
    assert incidents(open_, rules=Rules(), zone=UTC).empty


def test_a_week_is_that_of_the_step_before_not_of_the_entry():
    # Entered on Sunday, ordered on Tuesday of the next week: the payment is judged in the week of the order.
    late = pd.DataFrame(
        [("a", "v", MONDAY - timedelta(days=1), "m"), ("a", "o", MONDAY + timedelta(days=1), "m")],
        columns=["user_id", "event", "ts", "device"],
    )
    found = weekly(made(late), rules=Rules(min_units=1, min_events=0), zone=UTC).set_index("step")
    assert found.loc[2, "start"] == date(2026, 4, 27)
    assert found.loc[3, "start"] == date(2026, 5, 4)


def test_coming_back_does_not_move_those_who_pass_into_later_weeks():
    # All 40 come back a week later, 20 of them order then. Their best chain enters late, but they stood before the
    # step from the first week on: both weeks' visitors count once, in the first.
    first = log([(40, 0, 0)])
    again = log([(40, 20, 0)]).assign(ts=lambda rows: rows["ts"] + timedelta(weeks=1))
    found = weekly(made(pd.concat([first, again])), rules=Rules(min_units=1, min_events=1), zone=UTC)
    visits = found[found["step"] == 2]
    assert visits[["start", "numerator", "denominator"]].to_numpy().tolist() == [[date(2026, 5, 4), 20, 40]]


def test_a_broken_week_is_found_for_the_group_that_it_hit():
    events = pd.concat([
        log([(200, 100, 80), (200, 100, 30), (200, 100, 79), (200, 100, 81)], "mobile"),
        log([(200, 100, 80), (200, 100, 82), (200, 100, 79), (200, 100, 81)], "desktop"),
    ])  # fmt: skip
    found = incidents(made(events), by="device", rules=Rules(), zone=UTC)
    assert list(found.columns) == INCIDENTS
    low = found[found["clear"] & (found["difference"] < 0)]
    assert low[["name", "group", "start"]].to_numpy().tolist() == [["pay", "mobile", date(2026, 5, 11)]]
    # 30 of 100 against 240 of 300 in the other weeks.
    assert low["rate"].iloc[0] == pytest.approx(0.3)
    assert low["rest_rate"].iloc[0] == pytest.approx(0.8)
    assert low["difference"].iloc[0] == pytest.approx(-0.5)
    assert low["low"].iloc[0] < -0.5 < low["high"].iloc[0] < 0


def test_a_week_in_which_nobody_passed_is_tested():
    found = incidents(made(log([(200, 100, 80), (200, 100, 0), (200, 100, 79)])), rules=Rules(), zone=UTC)
    assert found.iloc[0][["name", "start", "numerator"]].tolist() == ["pay", date(2026, 5, 11), 0]
    assert found.iloc[0]["clear"]


def test_weeks_after_the_period_are_left_out():
    may = period("2026-05", ZoneInfo("UTC"))
    events = log([(40, 20, 10)]).assign(ts=lambda rows: rows["ts"] + timedelta(days=25))  # 29 May, orders on 31 May
    events.loc[events["event"] == "o", "ts"] += timedelta(days=3)  # orders on 3 June
    events = events[events["event"] != "p"]
    found = weekly(made(events, period=may), rules=Rules(min_units=1, min_events=0))
    assert found["step"].tolist() == [2]


def test_pure_noise_seldom_raises_an_alarm():
    # 60 runs of 6 weeks at one common rate; Holm at 5 %: about 3 runs with an alarm are expected, 10 would be far out.
    rng = np.random.default_rng(7)
    alarms = 0
    for _ in range(60):
        weeks = [(40, 40, int(paid)) for paid in rng.binomial(40, 0.5, size=6)]
        alarms += bool(incidents(made(log(weeks)), rules=Rules(), zone=UTC)["clear"].any())
    assert alarms < 10


def test_the_input_is_not_changed():
    given = made(log([(40, 20, 10)]))
    before = given.frame.copy()
    incidents(given, rules=Rules(), zone=UTC)
    pd.testing.assert_frame_equal(given.frame, before)


def test_weeks_with_too_few_units_are_not_tested():
    found = incidents(made(log([(200, 100, 40), (29, 29, 0), (200, 100, 40)])), rules=Rules(), zone=UTC)
    assert date(2026, 5, 11) not in set(found["start"])


@pytest.mark.filterwarnings("ignore::funnel_lib.conversion.journeys.UnmatchedStep")
def test_one_step_has_no_incidents():
    one = journeys(log([(100, 0, 0)]), Funnel(steps=FUNNEL.steps[:1], window="14d"))
    assert len(incidents(one, rules=Rules(), zone=UTC)) == 0
