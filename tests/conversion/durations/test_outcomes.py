"""Outcomes that exclude each other: by hand, as statsmodels has them, and beside the share of the closed."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import CumIncidenceRight

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.outcomes import beside_closed, outcomes
from funnel_lib.conversion.rates import wilson
from funnel_lib.errors import DataError

EASY = Rules(min_units=1, min_events=1)
START = pd.Timestamp("2026-01-01 01:00", tz="UTC")
END = datetime(2026, 4, 11, 1, tzinfo=UTC)  # 100 days later


def deals(created, closed, kind):
    """Days since the start; NaN: not closed."""
    started = pd.Series(START + pd.to_timedelta(np.asarray(created, dtype=float), unit="D").round("us"))
    ended = pd.Series(START + pd.to_timedelta(np.asarray(closed, dtype=float), unit="D").round("us"))
    return started, ended, pd.Series(kind)


def drawn(seed, units=400):
    rng = np.random.default_rng(seed)
    created = rng.random(units) * 100
    won, lost = rng.exponential(40, units), rng.exponential(20, units)
    closed = created + np.minimum(won, lost)
    kind = np.where(closed > 100, "open", np.where(won < lost, "won", "lost"))
    return deals(created, np.where(closed > 100, np.nan, closed), kind)


def test_a_table_worked_by_hand():
    # 5 deals. After 10 days one is lost: 1/5. After 20 one goes out of sight. After 30 one is won: 4/5 stay, of 3 at
    # risk 1: 4/15. After 40 one is lost: 8/15 stay, of 2 at risk 1: 4/15; together 1/5 + 4/15 = 7/15. One stays open.
    journeys = deals([0, 0, 80, 0, 0], [10, 30, np.nan, 40, np.nan], ["lost", "won", "open", "lost", "open"])
    found = outcomes(*journeys, as_of=END, rules=EASY, days=50).set_index(["outcome", "day"])["share"]
    assert found["lost"][[5, 10, 39, 40]].tolist() == pytest.approx([0, 1 / 5, 1 / 5, 7 / 15])
    assert found["won"][[29, 30, 50]].tolist() == pytest.approx([0, 4 / 15, 4 / 15])
    assert found["open"][[0, 10, 30, 50]].tolist() == pytest.approx([1, 4 / 5, 8 / 15, 4 / 15])


@pytest.mark.parametrize("seed", range(3))
def test_the_same_as_statsmodels(seed):
    started, ended, kind = drawn(seed)
    days = (ended.fillna(pd.Timestamp(END)) - started) / pd.Timedelta(days=1)
    with np.errstate(divide="ignore", invalid="ignore"):  # its variance where nobody is left
        theirs = CumIncidenceRight(days.to_numpy(), kind.map({"open": 0, "lost": 1, "won": 2}).to_numpy())
    found = outcomes(started, ended, kind, as_of=END, rules=EASY, days=60).set_index(["outcome", "day"])
    for day in (5, 20, 60):
        place = np.searchsorted(theirs.times, day, side="right") - 1
        for number, name in enumerate(("lost", "won")):
            row, error = found.loc[(name, day)], theirs.cinc_se[number][place]
            assert row["share"] == pytest.approx(theirs.cinc[number][place], abs=1e-9)
            # The interval is Wilson's for the number of units that this variance is worth.
            size = row["share"] * (1 - row["share"]) / error**2
            assert (row["low"], row["high"]) == pytest.approx(wilson(row["share"] * size, size), abs=1e-9)


def test_shares_of_a_day_add_up_to_one():
    found = outcomes(*drawn(4), as_of=END, rules=Rules())
    known = found[found["reason"] == ""]
    assert known.groupby("day")["share"].sum().to_numpy() == pytest.approx(1)
    assert known["low"].le(known["share"] + 1e-12).all()
    assert known["high"].ge(known["share"] - 1e-12).all()


def test_of_deals_that_all_are_closed_it_is_the_plain_share():
    rng = np.random.default_rng(1)
    kind = np.where(rng.random(80) < 0.25, "won", "lost")
    found = beside_closed(*deals(np.zeros(80), rng.uniform(1, 60, 80), kind), as_of=END, rules=Rules())
    row, k = found.set_index("outcome").loc["won"], int((kind == "won").sum())
    assert row["share"] == row["of_closed"] == pytest.approx(k / 80)
    assert (row["low"], row["high"]) == pytest.approx(wilson(k, 80))
    assert (row["of_closed_low"], row["of_closed_high"]) == wilson(k, 80)


def test_the_share_of_the_closed_favours_what_comes_fast():
    """Half of the deals are lost after 10 days, half won after 50; they are created evenly over 100 days."""
    created = np.arange(0, 100, 0.5)
    lost = np.arange(200) % 2 == 0
    closed = created + np.where(lost, 10, 50)
    kind = np.where(lost, "lost", "won")
    journeys = deals(created, np.where(closed <= 100, closed, np.nan), np.where(closed <= 100, kind, "open"))
    found = beside_closed(*journeys, as_of=END, rules=Rules()).set_index("outcome")
    assert found.loc["won", "of_closed"] == pytest.approx(50 / 140, abs=0.01)
    assert found.loc["won", "share"] == pytest.approx(0.5, abs=0.02)
    assert found.loc["won", "of_ended"] == pytest.approx(0.5, abs=0.02)


def test_what_cannot_be_used_is_set_aside_and_counted():
    started, ended, kind = deals([0, 0, 50, 0, 0, 200], [10, np.nan, 40, 5, 500, np.nan],
                                 ["won", "won", "won", "lost", "won", None])  # fmt: skip
    started[3] = pd.NaT
    found = outcomes(started, ended, kind, as_of=END, rules=EASY, days=20)
    # Won at an unknown time, won before the start, without a start, and started after the end. Left: won, and one open.
    assert set(found["set_aside"]) == {4}
    assert found.set_index(["outcome", "day"]).loc[("won", 20), "share"] == 0.5


def test_an_outcome_without_a_name_is_unknown():
    found = outcomes(*deals([0, 0], [5, 9], [None, "won"]), as_of=END, rules=EASY, days=10)
    assert set(found["outcome"]) == {"unknown", "won", "open"}


def test_dates_are_counted_in_days():
    started = pd.Series(pd.to_datetime(["2026-01-01"] * 4))
    ended = pd.Series(["2026-01-01", "2026-01-03", None, None])
    found = outcomes(started, ended, pd.Series(["won", "lost", None, None]), as_of=END, rules=EASY, days=3)
    assert set(found["method"]) == {"life_table"}
    assert found[found["outcome"] == "won"]["share"].tolist() == [0.25] * 4
    assert found[found["outcome"] == "lost"]["share"].tolist() == pytest.approx([0, 0, 0.25, 0.25])


@pytest.mark.parametrize(
    ("created", "closed", "kind", "reason"),
    [
        (np.zeros(50), [np.nan] * 50, ["open"] * 50, "no_conversions"),
        ([0], [3], ["won"], "too_few"),
        ([], [], [], "too_few"),
        ([np.nan] * 50, [3] * 50, ["won"] * 50, "no_times"),
    ],
)
def test_what_cannot_be_told_has_a_reason(created, closed, kind, reason):
    found = outcomes(*deals(created, closed, kind), as_of=END, rules=Rules())
    assert set(found["reason"]) == {reason}
    assert found["share"].isna().all()
    beside = beside_closed(*deals(created, closed, kind), as_of=END, rules=Rules())
    assert set(beside["reason"]) <= {reason}
    assert beside["share"].isna().all()


def test_beyond_what_was_observed_nothing_is_told():
    found = outcomes(*drawn(5), as_of=END, rules=Rules(), days=120)
    last = found[found["day"] == 120]
    assert set(last["reason"]) == {"not_observed"}
    assert last["share"].isna().all()


def test_columns_of_different_length_are_refused():
    with pytest.raises(DataError, match="differ in length"):
        outcomes(*deals([0], [1], ["won", "lost"]), as_of=END, rules=EASY)


@pytest.mark.real
def test_real_opportunities(real_data):
    """8,800 opportunities: 4,238 won, 2,473 lost, 63.15 % of the closed; 500 have not been engaged."""
    rows = pd.read_csv(real_data / "crm_maven" / "sales_pipeline.csv")
    kind = rows["deal_stage"].map({"Won": "won", "Lost": "lost"})
    end = datetime(2017, 12, 31, tzinfo=UTC)
    found = beside_closed(rows["engage_date"], rows["close_date"], kind, as_of=end, rules=Rules()).set_index("outcome")
    assert found["records"].to_dict() == {"won": 4238, "lost": 2473}
    assert found.loc["won", "of_closed"] == pytest.approx(0.6315, abs=5e-5)
    assert found.loc["won", "share"] < 0.54  # a fifth of all is never closed
    days = outcomes(rows["engage_date"], rows["close_date"], kind, as_of=end, rules=Rules())
    assert set(days["set_aside"]) == {500}
    at_138 = days[days["day"] == 138].set_index("outcome")["share"]
    assert at_138.sum() == pytest.approx(1)
    assert at_138["won"] == pytest.approx(found.loc["won", "share"])  # the longest cycle is 138 days
