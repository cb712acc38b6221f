"""What changed: the mix of who came, rates by week of entry, and weeks that stand out."""

from datetime import UTC
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from funnel_lib import periods
from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import journeys
from funnel_lib.conversion.movement.change import mix, trend
from funnel_lib.conversion.rates import newcombe
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError

AB = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window="7d")
RULES, EASY = Rules(), Rules(min_units=1, min_events=0)
SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = pd.Timestamp("2026-05-04", tz=UTC)


def log(weeks, *, last=90, **columns):
    """Per week (entered, converted): units enter on its Tuesday, convert a day later. The log ends on day `last`."""
    rows, unit = [(-1, "end", MONDAY + pd.Timedelta(days=last))], 0
    for week, (entered, converted) in enumerate(weeks):
        day = MONDAY + pd.Timedelta(days=7 * week + 1)
        for place in range(entered):
            rows += [(unit, "A", day)] + ([(unit, "B", day + pd.Timedelta(days=1))] if place < converted else [])
            unit += 1
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"]).assign(**columns)


def grouped(sizes):
    """Units that only enter, so many per group."""
    groups = [name for name, size in sizes.items() for _ in range(size)]
    events = pd.DataFrame({"user_id": range(len(groups)), "event": "A", "ts": MONDAY, "group": groups})
    return journeys(events, Funnel(steps=[Step("A", event="A")]), by=["group"])


def test_mix_compares_the_shares_of_all_who_entered():
    found = mix(grouped({"x": 60, "y": 30, "z": 10}), grouped({"x": 30, "y": 60, "w": 10}), "group", rules=RULES)
    assert found["group"].tolist() == ["x", "y", "z", "w"]  # largest now first
    assert found["now"].tolist() == [60, 30, 10, 0]
    assert found["before"].tolist() == [30, 60, 0, 10]
    row, expected = found.iloc[0], newcombe(60, 100, 30, 100)
    assert (row["share_now"], row["share_before"]) == (0.6, 0.3)
    assert (row["difference"], row["low"], row["high"]) == (expected.estimate, expected.low, expected.high)
    np.testing.assert_allclose(row["p"], chi2_contingency([[60, 40], [30, 70]], correction=False).pvalue)
    assert found[["share_now", "share_before"]].sum().tolist() == pytest.approx([1, 1])
    assert row["clear"]


def test_mix_of_too_few_is_not_compared():
    small = mix(grouped({"x": 29}), grouped({"x": 100}), "group", rules=RULES)
    assert small["reason"].tolist() == ["too_few"]
    rare = mix(grouped({"x": 100, "y": 2}), grouped({"x": 100, "y": 2}), "group", rules=RULES).set_index("group")
    assert rare["reason"].to_dict() == {"x": "", "y": "too_few"}
    assert np.isnan(rare.loc["y", "p_adjusted"])
    assert not rare["clear"].any()
    empty = mix(grouped({}), grouped({"x": 100}), "group", rules=RULES)
    assert empty["share_now"].isna().all()


def test_trend_by_week_of_entry():
    found = trend(journeys(log([(100, 50), (0, 0), (100, 20)]), AB), step=2, rules=RULES)
    assert found["start"].tolist() == list(pd.to_datetime(["2026-05-04", "2026-05-11", "2026-05-18"]))
    assert found["denominator"].tolist() == [100, 0, 100]
    assert found["rate"].fillna(-1).tolist() == [0.5, -1, 0.2]
    assert found["reason"].tolist() == ["", "too_few", ""]
    assert found["final"].all()


def test_young_weeks_are_not_blamed():
    """Units enter on Tuesdays and convert on Wednesdays; the log ends on the third Tuesday, an hour after entry."""
    found = trend(journeys(log([(100, 50), (100, 50), (100, 50)], last=15.04), AB), step=2, rules=RULES)
    # The windows of week 2 closed an hour ago; those of week 3 are open.
    assert found["denominator"].tolist() == [100, 100, 0]
    assert found["rate"].tolist()[:2] == [0.5, 0.5]
    assert found["reason"].tolist() == ["", "", "open"]
    # Somebody could still have entered at the end of week 2: it is not final.
    assert found["final"].tolist() == [True, False, False]


def test_coming_back_does_not_favour_old_weeks():
    """Everybody enters every week for ten weeks; one in ten converts each week, whatever came before."""
    rng = np.random.default_rng(4)
    units, weeks = 3000, 10
    first = rng.integers(0, weeks, units)
    rows = []
    for week in range(weeks):
        here = np.flatnonzero(first <= week)
        day = MONDAY + pd.Timedelta(days=7 * week)
        rows.append(pd.DataFrame({"user_id": here, "event": "A", "ts": day}))
        rows.append(
            pd.DataFrame({"user_id": here[rng.random(len(here)) < 0.1], "event": "B", "ts": day + pd.Timedelta(days=1)})
        )
    rows.append(pd.DataFrame({"user_id": [-1], "event": ["end"], "ts": [MONDAY + pd.Timedelta(days=200)]}))
    funnel = Funnel(steps=AB.steps, window="6d")
    found = journeys(pd.concat(rows), funnel)
    weekly = trend(found, step=2, rules=RULES)
    assert weekly["rate"].to_numpy() == pytest.approx(np.full(weeks, 0.1), abs=0.06)
    early, late = (
        weekly.iloc[part]["numerator"].sum() / weekly.iloc[part]["denominator"].sum()
        for part in (slice(0, 3), slice(7, 10))
    )
    assert early == pytest.approx(late, abs=0.04)
    # Counting whatever they did later would show weeks 1-3 at well over half of those who entered.
    starts = found.frame["first_entry"] < MONDAY + pd.Timedelta(days=21)
    assert (found.frame.loc[starts, "depth"] == 2).mean() > 0.5


@pytest.mark.filterwarnings("ignore::funnel_lib.conversion.journeys.UnmatchedStep")
def test_days_weeks_and_months_are_those_of_the_zone():
    # 17:00 UTC on Sunday May 31 is Monday June 1 in Shanghai.
    events = pd.DataFrame({"user_id": [1], "event": "A", "ts": [pd.Timestamp("2026-05-31T17:00", tz=UTC)]})
    found = journeys(events, AB)
    for every, utc, local in (("day", "05-31", "06-01"), ("week", "05-25", "06-01"), ("month", "05-01", "06-01")):
        assert trend(found, step=2, every=every, rules=EASY)["start"].iloc[0] == pd.Timestamp(f"2026-{utc}")
        there = trend(found, step=2, every=every, rules=EASY, zone=SHANGHAI)
        assert there["start"].iloc[0] == pd.Timestamp(f"2026-{local}")
    may = periods.period("2026-06", SHANGHAI)
    assert trend(journeys(events, AB, period=may), step=2, rules=EASY)["start"].iloc[0] == pd.Timestamp("2026-06-01")


def test_a_week_cut_by_the_period_is_final_when_its_part_is():
    # The period ends on Tuesday of week 1; its last window closes on Tuesday of week 2 (day 8).
    period = periods.period("2026-05-01..2026-05-05", ZoneInfo("UTC"))
    for last, final in ((8.99, False), (9, True)):
        found = trend(journeys(log([(40, 20)], last=last), AB, period=period), step=2, rules=RULES)
        assert found["final"].tolist() == [final]


def test_without_closed_windows_nothing_is_final():
    found = trend(journeys(log([(100, 50)]), Funnel(steps=AB.steps)), step=2, rules=RULES)
    assert found["rate"].tolist() == [0.5]
    assert not found["final"].any()


def test_trend_by_group_adds_up():
    events = log([(100, 50), (100, 20)])
    events["group"] = events["user_id"].mod(3).astype("str")
    found = journeys(events, AB, by=["group"], touch="first")
    parts, whole = trend(found, step=2, rules=EASY, by="group"), trend(found, step=2, rules=EASY)
    added = parts.groupby("start")[["numerator", "denominator"]].sum()
    assert added.to_numpy().tolist() == whole[["numerator", "denominator"]].to_numpy().tolist()


@pytest.mark.filterwarnings("ignore::funnel_lib.conversion.journeys.UnmatchedStep")
def test_trend_of_nobody_is_empty():
    found = trend(journeys(log([]), AB), step=2, rules=RULES)
    assert len(found) == 0
    assert "rate" in found


def test_unknown_stretches_are_refused():
    with pytest.raises(ConfigError, match="no such stretch"):
        trend(journeys(log([(1, 1)]), AB), step=2, every="year", rules=RULES)
