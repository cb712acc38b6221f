"""Change points: the likelihood ratio against scipy and statsmodels, planted days found, noise left alone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from funnel_lib import periods
from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import journeys
from funnel_lib.conversion.movement import changepoint
from funnel_lib.conversion.movement.changepoint import CHANGES, LEVELS, changes, daily
from funnel_lib.conversion.rates import newcombe
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError, DataError

ABC = Funnel(steps=[Step(name, event=name) for name in "ABC"], window="7d")
RULES, EASY = Rules(), Rules(min_units=1, min_events=0)
MONDAY = pd.Timestamp("2026-05-04")


def counts(passed, units, first=MONDAY):
    day = pd.date_range(first, periods=len(passed), unit="us")
    return pd.DataFrame({"day": day, "numerator": passed, "denominator": units})


def search(table, rules=RULES, seed=1, **given):
    return changes(table, rules=rules, rng=np.random.default_rng(seed), **given)


def noisy(rates, units, seed):
    rng = np.random.default_rng(seed)
    units = np.broadcast_to(units, len(rates))
    return counts(rng.binomial(units, rates), units)


def test_the_ratio_is_that_of_the_binomial_likelihoods():
    """Ten days without weekday effects: cut after each day, both sides at their own rate, against one rate."""
    k, n = np.array([3, 5, 2, 9, 8, 7, 0, 4, 6, 1.0]), np.array([10, 12, 9, 15, 9, 8, 5, 9, 10, 6.0])
    found = changepoint._scan(k, n, np.zeros(10, dtype=np.int64), np.array([0.3]), 1)

    def likelihood(part):
        return binom.logpmf(k[part], n[part], k[part].sum() / n[part].sum()).sum()

    expected = [
        2 * (likelihood(slice(0, t)) + likelihood(slice(t, 10)) - likelihood(slice(0, 10))) for t in range(1, 10)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_the_ratio_with_weekdays_is_that_of_logits_with_an_offset():
    rng = np.random.default_rng(2)
    weekday, beta = np.arange(28) % 7, rng.normal(size=7)
    n = rng.integers(20, 60, 28).astype(float)
    k = rng.binomial(n.astype(int), 0.3).astype(float)
    found = changepoint._scan(k, n, weekday, beta, 1)

    def likelihood(part):
        model = GLM(
            np.column_stack([k, n - k])[part], np.ones((len(k[part]), 1)), Binomial(), offset=beta[weekday][part]
        )
        return model.fit().llf

    for t in (2, 9, 20, 26):
        expected = 2 * (likelihood(slice(0, t)) + likelihood(slice(t, 28)) - likelihood(slice(0, 28)))
        assert found[t - 1] == pytest.approx(expected, abs=1e-6)


def test_levels_and_weekdays_are_fitted_together_as_a_logit_does():
    rng = np.random.default_rng(3)
    weekday, level = np.arange(70) % 7, (np.arange(70) >= 31).astype(int)
    n = rng.integers(50, 90, 70).astype(float)
    k = rng.binomial(n.astype(int), 1 / (1 + np.exp(1 - 0.5 * level - 0.4 * (weekday > 4)))).astype(float)
    beta = changepoint._weekdays(k, n, weekday, [31])
    design = np.column_stack([weekday == day for day in range(7)] + [level]).astype(float)
    fitted = GLM(np.column_stack([k, n - k]), design, Binomial()).fit()
    np.testing.assert_allclose(beta - beta[0], fitted.params[:7] - fitted.params[0], atol=1e-4)
    residuals = changepoint._residuals(k, n, weekday, beta, [31])
    np.testing.assert_allclose(residuals, fitted.resid_pearson, atol=1e-3)


def test_a_planted_day_is_found_with_its_size():
    found = search(noisy([0.30] * 40 + [0.22] * 30, 500, 4))
    assert list(found.frame.columns) == CHANGES
    row = found.frame.iloc[0]
    assert len(found.frame) == 1
    assert row["day_low"] <= MONDAY + pd.Timedelta(days=40) <= row["day_high"]
    assert abs((row["day"] - MONDAY).days - 40) <= 2
    assert row["low"] < -0.08 < row["high"] < 0
    assert row["p_adjusted"] == row["p"] == found.p == 0.002  # twice one in a thousand
    assert list(found.levels.columns) == LEVELS
    assert found.levels["end"].iloc[0] + pd.Timedelta(days=1) == row["day"] == found.levels["start"].iloc[1]
    assert found.weekdays
    assert found.reason is None
    again = search(noisy([0.30] * 40 + [0.22] * 30, 500, 4))
    pd.testing.assert_frame_equal(found.frame, again.frame)


def test_the_difference_is_newcombes_for_counts_less_the_dispersion():
    found = search(noisy([0.5] * 20 + [0.3] * 20, 200, 6))
    before, after = found.levels.iloc[0], found.levels.iloc[1]
    expected = newcombe(
        *(part[name] / found.dispersion for part in (after, before) for name in ("numerator", "denominator"))
    )
    assert found.frame.loc[0, ["difference", "low", "high"]].tolist() == pytest.approx(
        [expected.estimate, expected.low, expected.high]
    )
    assert found.frame.loc[0, "rate_before"] == before["numerator"] / before["denominator"]


def test_several_days_are_found_in_order():
    found = search(noisy([0.4] * 30 + [0.25] * 25 + [0.4] * 35, 400, 8))
    assert (found.frame["day"] - MONDAY).dt.days.tolist() == pytest.approx([30, 55], abs=2)
    assert np.sign(found.frame["difference"]).tolist() == [-1, 1]
    assert (found.frame["p_adjusted"] >= found.frame["p"]).all()
    assert (found.frame["day_low"] <= found.frame["day"]).all()
    assert (found.frame["day"] <= found.frame["day_high"]).all()
    assert len(found.levels) == 3
    assert found.levels["denominator"].sum() == 90 * 400


def test_a_broken_step_is_found_although_nobody_passes():
    found = search(counts([12] * 20 + [0] * 10, [40] * 30))
    assert (found.frame.loc[0, "day"] - MONDAY).days == 20
    assert found.frame.loc[0, "rate_after"] == 0


def test_weekends_are_no_changes():
    week = np.array([0.3] * 5 + [0.6] * 2)
    for length in (21, 28, 59):
        found = search(noisy(np.resize(week, length), 1000, length))
        assert found.frame.empty
        assert found.weekdays


def test_one_odd_day_is_no_change():
    rates = np.full(60, 0.3)
    rates[30] = 0.05
    assert search(noisy(rates, 500, 12)).frame.empty


def test_noise_is_left_alone():
    """200 series, 5 % false alarms promised: more than 20 (3.2 standard errors) would be a fault."""
    rng, alarms = np.random.default_rng(10), 0
    for _ in range(200):
        table = counts(rng.binomial(200, 0.3, 28), np.full(28, 200))
        alarms += len(changes(table, rules=RULES, rng=rng, draws=199).frame) > 0
    assert alarms <= 20


@pytest.mark.parametrize("memory", [0.3, 0.6])
def test_neighbouring_days_that_resemble_each_other_are_allowed_for(memory):
    """Drift with memory, 60 days: permuting days alone would alarm in a third of the series; 5 % are promised."""
    rng, alarms = np.random.default_rng(11), 0
    for _ in range(100):
        drift = rng.normal(size=60)
        for place in range(1, 60):
            drift[place] = memory * drift[place - 1] + np.sqrt(1 - memory**2) * drift[place]
        table = counts(rng.binomial(300, 1 / (1 + np.exp(0.85 - 0.2 * drift))), np.full(60, 300))
        alarms += len(changes(table, rules=RULES, rng=rng, draws=199).frame) > 0
    assert alarms <= 12


def test_days_out_of_order_and_missing_days_do_not_matter():
    table = noisy([0.30] * 20 + [0.15] * 20, 300, 13)
    table.loc[7, ["numerator", "denominator"]] = 0
    mixed = table.drop(index=7).sample(frac=1, random_state=1)
    kept = table.copy()
    pd.testing.assert_frame_equal(search(table).frame, search(mixed).frame)
    pd.testing.assert_frame_equal(table, kept)  # the caller's frame is untouched


def test_what_cannot_be_searched_has_a_reason():
    assert search(counts([], [])).reason == "no_days"
    assert search(counts([5] * 13, [20] * 13)).reason == "too_short"
    assert search(counts([5] * 20, [20] * 20), shortest=11).reason == "too_short"
    assert search(counts([0] * 20, [20] * 20)).reason == "too_few"
    assert search(counts([0] * 20, [0] * 20)).reason == "too_few"
    assert search(counts([20] * 20, [20] * 20)).reason == "no_variation"
    assert search(counts([21] * 20, [20] * 20)).reason == "not_nested"
    nothing = search(counts([], []))
    assert nothing.frame.empty
    assert np.isnan(nothing.p)
    with pytest.raises(DataError, match="lack a column"):
        search(counts([1], [2]).drop(columns="denominator"))


def log(days, *, end):
    """Per day (entered, B two days later, C of these at once)."""
    rows = [("end", "end", pd.Timestamp(end, tz=UTC))]
    for day, (entered, second, third) in enumerate(days):
        at = pd.Timestamp("2026-05-04T12:00", tz=UTC) + pd.Timedelta(days=day)
        for person in range(entered):
            who = f"{day}-{person}"
            rows.append((who, "A", at))
            rows += [(who, "B", at + timedelta(days=2))] * (person < second)
            rows += [(who, "C", at + timedelta(days=2, hours=1))] * (person < third)
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"])


def test_days_are_those_of_the_step_before():
    """Entered on days 0 to 3 (May 4 to 7), B two days later; the first two days after the first entry are left out."""
    made = journeys(log([(5, 4, 1), (5, 4, 2), (5, 4, 3), (5, 4, 4)], end="2026-06-30"), ABC)
    found = daily(made, step=3, rules=RULES)
    assert found["day"].dt.strftime("%m-%d").tolist() == ["05-08", "05-09"]  # B on 6, 7, 8, 9; waits of two days
    assert found[["numerator", "denominator"]].to_numpy().tolist() == [[3, 4], [4, 4]]
    second = daily(made, step=2, rules=RULES)
    assert second["day"].dt.strftime("%m-%d").tolist() == ["05-04", "05-05", "05-06", "05-07"]
    assert second[["numerator", "denominator"]].to_numpy().tolist() == [[4, 5]] * 4
    whole = daily(made, step=3, base="first", rules=RULES)
    assert whole["numerator"].tolist() == [1, 2, 3, 4]
    assert whole["denominator"].tolist() == [5] * 4


def test_days_end_where_windows_are_open():
    """Known until May 24, noon: entries until May 17, noon, are closed; the whole of May 16 is, but not of May 17."""
    made = journeys(log([(5, 4, 1)] * 20, end="2026-06-30"), ABC, as_of=datetime(2026, 5, 24, 12, tzinfo=UTC))
    assert daily(made, step=2, rules=RULES)["day"].max() == pd.Timestamp("2026-05-16")
    assert daily(made, step=2, rules=Rules(mature_only=False))["day"].max() == pd.Timestamp("2026-05-23")


def test_days_are_those_of_the_zone_and_the_period():
    shanghai = ZoneInfo("Asia/Shanghai")
    may = periods.period("2026-05-01..2026-05-10", shanghai)
    made = journeys(log([(5, 4, 1)] * 20, end="2026-06-30"), ABC, period=may)
    found = daily(made, step=2, rules=RULES)
    assert found["day"].iloc[[0, -1]].dt.strftime("%m-%d").tolist() == ["05-04", "05-10"]
    late = made.frame["first_entry"].max().astimezone(shanghai)
    assert late < datetime(2026, 5, 11, tzinfo=shanghai)
    third = daily(made, step=3, rules=RULES)  # B from May 6 on, of which two days are left out
    assert third["day"].dt.strftime("%m-%d").tolist() == ["05-08", "05-09", "05-10"]


@pytest.mark.filterwarnings("ignore::funnel_lib.conversion.journeys.UnmatchedStep")
def test_days_of_nobody():
    made = journeys(log([], end="2026-06-30"), ABC)
    assert daily(made, step=2, rules=RULES).empty
    assert search(daily(made, step=2, rules=RULES)).reason == "no_days"
    with pytest.raises(ConfigError):
        daily(made, step=4, rules=RULES)


def test_a_step_that_broke_is_found_from_journeys():
    broken = [(40, 30, 20)] * 30 + [(40, 30, 5)] * 20
    found = search(daily(journeys(log(broken, end="2026-08-30"), ABC), step=3, rules=RULES))
    assert found.frame["day"].dt.strftime("%m-%d").tolist() == ["06-05"]  # entered on June 3, at B two days later


def test_a_spell_is_found_from_both_ends():
    """Ten bad days of ninety: no single cut tells them from noise as well as both together."""
    rates = np.full(90, 0.3)
    rates[50:60] = 0.22
    found = search(noisy(rates, 400, 14))
    assert (found.frame["day"] - MONDAY).dt.days.tolist() == pytest.approx([50, 60], abs=1)
    assert np.sign(found.frame["difference"]).tolist() == [-1, 1]
    assert len(found.levels) == 3


def test_the_score_of_a_spell_is_the_squared_gap_over_its_variance():
    """No weekdays: (passed in the spell less expected)² / (n p (1 - p) (n_in / n) (n_out / n)), for every spell."""
    rng = np.random.default_rng(4)
    n = rng.integers(5, 30, 20).astype(float)
    k = rng.binomial(n.astype(int), 0.4).astype(float)
    found = changepoint._spells(k, n, np.zeros(20, dtype=np.int64), np.array([0.2]), 3)
    p = k.sum() / n.sum()
    for start in range(20):
        for length in range(3, 11):
            inside = slice(start, start + length)
            share = n[inside].sum() / n.sum()
            expected = (k[inside].sum() - p * n[inside].sum()) ** 2 / (n.sum() * p * (1 - p) * share * (1 - share))
            allowed = start >= 3 and start + length <= 17
            assert found[start, length - 3] == (pytest.approx(expected) if allowed else -np.inf)
