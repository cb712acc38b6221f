"""Who comes back: retention, second orders and churn."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.cohorts import triangle
from funnel_lib.conversion.durations.returning import churn, reorders, repurchase, retention
from funnel_lib.conversion.durations.survival import by_day
from funnel_lib.conversion.rates import wilson
from funnel_lib.errors import ConfigError, DataError

EASY = Rules(min_units=1, min_events=1)
MONDAY = pd.Timestamp("2026-01-05 01:00", tz="UTC")


def acts(**days):
    """Each person's days of activity, counted from a Monday."""
    rows = [(name, MONDAY + pd.Timedelta(days=day)) for name, when in days.items() for day in when]
    return pd.DataFrame(rows, columns=["user_id", "ts"])


def at(day):
    return (MONDAY + pd.Timedelta(days=day)).to_pydatetime()


def test_retention_worked_by_hand():
    # a, b and c come in week 1, d in week 2; the data ends on day 24.
    # In their second week: a (day 8) and c (day 13; it came on day 2: days 9 to 15). In the third: b (15), c (17).
    # d came on day 9 and is 15 days old: its second week (days 16 to 22) is over, and it was there on day 20.
    events = acts(a=[0, 8], b=[0, 15], c=[2, 13, 17], d=[9, 20])
    found = retention(events, as_of=at(24), rules=EASY)
    first = found[found["cohort"] == pd.Timestamp("2026-01-05")].set_index("age")
    second = found[found["cohort"] == pd.Timestamp("2026-01-12")].set_index("age")
    assert first["entered"].tolist() == [3, 3]
    assert first["observed"].tolist() == [3, 3]
    assert first["active"].tolist() == [2, 2]
    assert second["active"].tolist() == [1, 0]
    assert second["observed"].tolist() == [1, 0]
    assert second["reason"].tolist() == ["", "open"]
    assert (first.loc[1, "low"], first.loc[1, "high"]) == wilson(2, 3)
    from_then_on = retention(events, kind="from", as_of=at(24), rules=EASY).set_index(["cohort", "age"])
    assert from_then_on.loc[pd.Timestamp("2026-01-05"), "active"].tolist() == [3, 2]


def test_people_seen_before_are_not_new():
    found = retention(acts(a=[0, 8], b=[7, 15]), as_of=at(30), rules=EASY, since=at(5))
    assert found["entered"].unique().tolist() == [1]
    assert found["cohort"].unique().tolist() == [pd.Timestamp("2026-01-12")]


def test_dates_count_in_days_and_the_last_one_is_not_over():
    events = pd.DataFrame({"user_id": ["a", "a"], "ts": pd.to_datetime(["2026-01-05", "2026-01-13"])})
    noon = datetime(2026, 1, 18, 12, tzinfo=UTC)  # the second week ends with this day
    assert retention(events, as_of=noon, rules=EASY)["observed"].tolist() == [0]
    after = retention(events, as_of=datetime(2026, 1, 19, 12, tzinfo=UTC), rules=EASY)
    assert after[["observed", "active"]].to_numpy().tolist() == [[1, 1]]


def test_retention_of_nobody_and_of_what_cannot_be_used():
    none = retention(acts(), as_of=at(9), rules=EASY)
    assert none["reason"].tolist() == ["no_times"]
    events = acts(a=[0, 8], b=[99])
    events.loc[len(events)] = [None, MONDAY]
    events.loc[len(events)] = ["c", pd.NaT]
    found = retention(events, as_of=at(30), rules=Rules())
    assert set(found["set_aside"]) == {3}
    assert set(found[found["observed"] > 0]["reason"]) == {"too_few"}


@pytest.mark.parametrize("wrong", [{"every": "year"}, {"kind": "between"}])
def test_unknown_choices_are_refused(wrong):
    with pytest.raises(ConfigError, match="choices"):
        retention(acts(a=[0]), as_of=at(9), rules=EASY, **wrong)


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="ts"):
        repurchase(pd.DataFrame({"user_id": [1]}), within_days=9, as_of=at(9), rules=EASY)


def test_second_orders_become_journeys():
    # a orders again after 3 days, b after 20 (too late), c twice at one instant: one order, d has one.
    orders = acts(a=[0, 3, 4], b=[1, 21], c=[2, 2], d=[25])
    found = reorders(orders, within_days=10, as_of=at(30))
    assert found.frame["unit"].tolist() == ["a", "b", "c", "d"]
    assert found.frame["depth"].tolist() == [2, 1, 1, 1]
    assert found.frame["mature_depth"].tolist() == [2, 1, 1, 0]
    assert found.counts()["units"].tolist() == [4, 1]
    assert by_day(found, rules=EASY)["rate"].iloc[5] == pytest.approx(0.25)
    assert triangle(found, rules=EASY)["entered"].tolist()[0] == 3


def test_only_mature_customers_count_and_all_do_in_the_survival_form():
    # Of ten old customers four come back after 5 days; of ten who came 6 days ago all four who do are there already.
    old = {f"o{number}": [0, 5] if number < 4 else [0] for number in range(10)}
    young = {f"y{number}": [44, 49] if number < 4 else [44] for number in range(10)}
    found = repurchase(acts(**old, **young), within_days=10, as_of=at(50), rules=EASY).set_index("method")
    assert found.loc["mature", ["customers", "repeated", "rate"]].tolist() == [10, 4, 0.4]
    assert found.loc["kaplan_meier", ["customers", "repeated", "rate"]].tolist() == [20, 8, pytest.approx(0.4)]
    assert (found.loc["mature", "low"], found.loc["mature", "high"]) == wilson(4, 10)
    assert found.loc["kaplan_meier", "high"] - found.loc["kaplan_meier", "low"] < 0.9 * (
        found.loc["mature", "high"] - found.loc["mature", "low"]
    )


def test_second_orders_that_cannot_be_told():
    few = repurchase(acts(a=[0, 3]), within_days=10, as_of=at(50), rules=Rules())
    assert few["reason"].tolist() == ["too_few", "too_few"]
    young = repurchase(acts(**{f"u{n}": [0, 1] for n in range(50)}), within_days=99, as_of=at(50), rules=Rules())
    assert young["reason"].tolist() == ["not_observed", "not_observed"]
    none = repurchase(acts(), within_days=10, as_of=at(50), rules=Rules())
    assert none["customers"].tolist() == [0, 0]
    assert none["rate"].isna().all()


def test_churn_worked_by_hand():
    # 1 February is day 27, less an hour. In the 20 days before: a (day 10), b (26), c (20). After: a (30), not
    # b, and c not before day 60. On 1 March (day 55): a (54) only, silent until the data ends on day 70, too early.
    events = acts(a=[0, 10, 30, 54], b=[26], c=[20, 60])
    found = churn(events, idle_days=20, as_of=at(70), rules=EASY)
    assert found["start"].tolist() == [pd.Timestamp("2026-02-01"), pd.Timestamp("2026-03-01")]
    assert found["active"].tolist() == [3, 1]
    assert found["lost"].tolist() == [2, 1]
    assert found["rate"].tolist() == pytest.approx([2 / 3, np.nan], nan_ok=True)
    assert found["reason"].tolist() == ["", "open"]
    assert found["finished"].tolist() == [True, False]
    assert set(found["definition"]) == {"active_20_days_before_silent_20_days_after"}


def test_churn_needs_a_full_stretch_of_data_before():
    found = churn(acts(a=[0, 30]), idle_days=90, as_of=at(60), rules=EASY)
    assert found["reason"].tolist() == ["no_times"]
    assert churn(acts(), idle_days=9, as_of=at(60), rules=EASY)["reason"].tolist() == ["no_times"]
    with pytest.raises(ConfigError, match="Churn"):
        churn(acts(a=[0]), idle_days=0, as_of=at(60), rules=EASY)


def test_churn_begins_at_local_midnight():
    """17:00 UTC on 31 January is February in Shanghai."""
    shanghai = ZoneInfo("Asia/Shanghai")
    events = pd.DataFrame({"user_id": ["a", "b", "a"], "ts": pd.to_datetime(
        ["2026-01-20 09:30", "2026-01-31 17:00", "2026-02-03 09:30"], utc=True)})  # fmt: skip
    end = datetime(2026, 3, 1, tzinfo=UTC)
    local = churn(events, idle_days=10, as_of=end, rules=EASY, zone=shanghai)
    assert local["active"].tolist()[0] == 0
    assert churn(events, idle_days=10, as_of=end, rules=EASY)["active"].tolist()[0] == 1


@pytest.mark.real
def test_real_customers_come_back(real_data):
    """CDNOW: 2,357 customers of the first quarter of 1997, followed until June 1998."""
    orders = pd.read_csv(
        real_data / "cdnow" / "CDNOW_sample.txt", sep=r"\s+", header=None, usecols=[1, 2],
        names=["user_id", "ts"], dtype="str",
    )  # fmt: skip
    orders["ts"] = pd.to_datetime(orders["ts"])
    end = datetime(1998, 6, 30, tzinfo=UTC)
    whole = repurchase(orders, within_days=90, as_of=end, rules=Rules()).set_index("method")
    assert whole["customers"].tolist() == [2357, 2357]
    assert whole.loc["life_table", "rate"] == pytest.approx(whole.loc["mature", "rate"])
    # In the middle of May 1997 half of them were less than 90 days old: both ways come close to what came.
    early = repurchase(orders, within_days=90, as_of=datetime(1997, 5, 15, tzinfo=UTC), rules=Rules()).set_index(
        "method"
    )
    assert early.loc["mature", "customers"] < 1200
    truth = whole.loc["mature", "rate"]
    for method in ("mature", "life_table"):
        assert early.loc[method, "low"] < truth < early.loc[method, "high"]
    assert early.loc["life_table", "rate"] == pytest.approx(truth, abs=0.003)
