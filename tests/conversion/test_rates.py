"""Rates, intervals and comparisons, against statsmodels, scipy and published numbers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2_contingency, fisher_exact
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import adjust, compare, newcombe, p_values, rates, wilson
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError

ABC = Funnel(steps=[Step(name, event=name) for name in "ABC"], window="7d")
RULES = Rules()
EASY = Rules(min_units=1, min_events=0)


def made(depth, *, mature=None, window_closed=True, **columns):
    """Journeys with the given depths (and mature depths), one unit each."""
    frame = pd.DataFrame({"depth": depth, "mature_depth": depth if mature is None else mature}).astype("int8")
    frame = frame.assign(unit=np.arange(len(frame)), **columns)
    return Journeys(ABC, frame, None, None, window_closed)


counts = st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@settings(max_examples=300, deadline=None)
@given(counts.filter(lambda pair: pair[1] > 0), levels)
def test_wilson_equals_statsmodels_and_scipy(pair, level):
    k, n = pair
    expected = proportion_confint(k, n, alpha=1 - level, method="wilson")
    np.testing.assert_allclose(wilson(k, n, level), expected, atol=1e-12)
    np.testing.assert_allclose(wilson(k, n, level), binomtest(k, n).proportion_ci(level, "wilson"), atol=1e-12)


@settings(max_examples=300, deadline=None)
@given(counts, levels)
def test_wilson_holds_the_rate_and_stays_within_0_and_1(pair, level):
    k, n = pair
    low, high = wilson(k, n, level)
    if n == 0:
        assert np.isnan(low)
        assert np.isnan(high)
    else:
        assert 0 <= low <= k / n <= high <= 1


def test_wilson_takes_many_at_once():
    low, high = wilson([0, 5, 10], [10, 10, 10])
    assert low.tolist() == [wilson(k, 10)[0] for k in (0, 5, 10)]
    assert high.tolist() == [wilson(k, 10)[1] for k in (0, 5, 10)]


def test_newcombe_gives_the_published_interval():
    # Newcombe 1998, table II, example (a): 56/70 - 48/80, method 10.
    found = newcombe(56, 70, 48, 80)
    assert (found.estimate, found.level, found.method) == (pytest.approx(0.2), 0.95, "newcombe")
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


@settings(max_examples=200, deadline=None)
@given(counts.filter(lambda pair: pair[1] > 0), counts.filter(lambda pair: pair[1] > 0), levels)
def test_newcombe_equals_statsmodels(one, two, level):
    expected = confint_proportions_2indep(*one, *two, method="newcomb", compare="diff", alpha=1 - level)
    found = newcombe(*one, *two, level)
    np.testing.assert_allclose((found.low, found.high), expected, atol=1e-10)


def test_newcombe_of_nothing_is_missing():
    assert np.isnan([newcombe(1, 2, 0, 0).estimate, newcombe(1, 2, 0, 0).low]).all()


@settings(max_examples=200, deadline=None)
@given(counts.filter(lambda pair: pair[1] > 0), counts.filter(lambda pair: pair[1] > 0))
def test_p_values_are_those_of_scipy(one, two):
    table = np.array([[one[0], one[1] - one[0]], [two[0], two[1] - two[0]]])
    large = (table.sum(axis=1, keepdims=True) * table.sum(axis=0) >= 5 * table.sum()).all()  # expected counts
    known = chi2_contingency(table, correction=False) if large else fisher_exact(table)
    np.testing.assert_allclose(p_values(*one, *two), known.pvalue, rtol=1e-9, atol=1e-14)


def test_p_value_of_nothing_is_missing():
    assert np.isnan(p_values(0, 0, 1, 2))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@pytest.mark.parametrize(("method", "name"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_adjust_equals_statsmodels(method, name, p):
    np.testing.assert_allclose(adjust(p, method), multipletests(p, method=name)[1], atol=1e-12)


def test_adjust_leaves_missing_ones_out():
    found = adjust([0.01, np.nan, 0.04], "holm")
    np.testing.assert_allclose(found, [0.02, np.nan, 0.04])
    with pytest.raises(ConfigError, match="no such correction"):
        adjust([0.01], "bonferoni")


def test_rates_have_their_denominators():
    # 100 units: 40 stop at A, 40 at B, 20 reach C.
    found = rates(made([1] * 40 + [2] * 40 + [3] * 20), rules=RULES)
    rows = found[["step", "name", "base", "numerator", "denominator", "rate", "method", "reason"]]
    assert list(rows.itertuples(index=False, name=None)) == [
        (1, "A", "first", 100, 100, 1.0, "definition", ""),
        (2, "B", "previous", 60, 100, 0.6, "wilson", ""),
        (2, "B", "first", 60, 100, 0.6, "wilson", ""),
        (3, "C", "previous", 20, 60, pytest.approx(1 / 3), "wilson", ""),
        (3, "C", "first", 20, 100, 0.2, "wilson", ""),
    ]
    assert (found["group"] == "all").all()
    assert found[["low", "high"]].iloc[0].tolist() == [1, 1]
    assert tuple(found[["low", "high"]].iloc[3]) == wilson(20, 60)
    assert found["mature_only"].all()


def test_too_few_units_or_events_give_no_rate():
    # 29 of 29 reach B: too few units. 4 of 29 reach C: too few of both.
    few = rates(made([2] * 25 + [3] * 4), rules=RULES)
    assert (few["reason"] == "too_few").all()
    assert few[["rate", "low", "high"]].isna().all(axis=None)
    assert few["numerator"].tolist() == [29, 29, 29, 4, 4]
    # 30 of 30 reach B; 4 of 30 reach C: too few events. All of many is enough: non-events do not matter.
    enough = rates(made([2] * 26 + [3] * 4), rules=RULES)
    assert enough["reason"].tolist() == ["", "", "", "too_few", "too_few"]
    assert enough["rate"].tolist()[:3] == [1, 1, 1]


def test_rates_of_nobody_are_missing_not_zero():
    found = rates(made([]), rules=EASY)
    assert found["rate"].isna().all()
    assert (found["reason"] == "too_few").all()


def test_mature_units_only_unless_nothing_can_be_said():
    # Ten young units have not had the time to convert.
    depth, mature = [3] * 30 + [1] * 10, [3] * 30 + [0] * 10
    final = {"base": "first", "step": 3}

    def last(**options):
        found = rates(made(depth, mature=mature, **options.pop("made", {})), rules=RULES, **options)
        return found[(found["base"] == final["base"]) & (found["step"] == final["step"])].iloc[0]

    assert (last()["denominator"], last()["mature_only"]) == (30, True)
    assert (last(mature_only=False)["denominator"], last(mature_only=False)["mature_only"]) == (40, False)
    unknown = last(made={"window_closed": False})
    assert (unknown["denominator"], unknown["mature_only"]) == (40, False)
    assert last(made={"window_closed": False}, mature_only=True)["denominator"] == 40


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("xyz")), min_size=1, max_size=60), st.randoms())
def test_rates_are_rates_and_groups_add_up(rows, shuffler):
    depth, group = zip(*rows, strict=True)
    journeys = made(list(depth), group=list(group))
    before = journeys.frame.copy()
    found, total = rates(journeys, "group", rules=EASY), rates(journeys, rules=EASY)
    assert found["rate"].dropna().between(0, 1).all()
    assert (found["numerator"] <= found["denominator"]).all()
    added = found.groupby(["step", "base"])[["numerator", "denominator"]].sum()
    whole = total.set_index(["step", "base"])[["numerator", "denominator"]]
    pd.testing.assert_frame_equal(added, whole.sort_index(), check_dtype=False)
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    depth, group = zip(*shuffled, strict=True)
    pd.testing.assert_frame_equal(rates(made(list(depth), group=list(group)), "group", rules=EASY), found)
    pd.testing.assert_frame_equal(journeys.frame, before)


def two_groups(*reached, size=200):
    """Groups x, y, z... of `size` units; so many of each reach B."""
    depth = [d for k in reached for d in [2] * k + [1] * (size - k)]
    return made(depth, group=[name for name, _ in zip("xyzuvw", reached, strict=False) for _ in range(size)])


def test_compare_each_group_with_the_rest():
    found = compare(two_groups(100, 60, 62), "group", step=2, rules=RULES).set_index("group")
    row = found.loc["x"]
    assert (row["numerator"], row["denominator"], row["rest_rate"]) == (100, 200, 122 / 400)
    expected = newcombe(100, 200, 122, 400)
    assert (row["difference"], row["diff_low"], row["diff_high"]) == (
        expected.estimate,
        expected.low,
        expected.high,
    )
    np.testing.assert_allclose(row["p"], chi2_contingency([[100, 100], [122, 278]], correction=False).pvalue)
    np.testing.assert_allclose(found["p_adjusted"], multipletests(found["p"], method="holm")[1])
    assert found["clear"].to_dict() == (found["p_adjusted"] < 0.05).to_dict()
    assert row["clear"]


def test_two_groups_are_one_comparison():
    found = compare(two_groups(100, 80), "group", step=2, rules=RULES)
    assert found["p"].iloc[0] == found["p"].iloc[1]
    assert (found["p_adjusted"] == found["p"]).all()


def test_a_group_of_too_few_is_not_compared():
    journeys = made([2] * 10 + [1] * 200 + [2] * 100, group=["small"] * 10 + ["big"] * 300)
    found = compare(journeys, "group", step=2, rules=RULES)
    assert (found["reason"] == "too_few").all()  # neither against the other
    assert found[["p", "difference", "p_adjusted"]].isna().all(axis=None)
    assert not found["clear"].any()


def test_compare_of_the_first_step_and_unknown_bases_are_refused():
    with pytest.raises(ConfigError, match="no rate of this step"):
        compare(two_groups(1, 2), "group", step=1, rules=RULES)
    with pytest.raises(ConfigError, match="no such base"):
        compare(two_groups(1, 2), "group", step=2, base="last", rules=RULES)


def test_base_first_divides_by_those_who_entered():
    journeys = made([1] * 100 + [2] * 60 + [3] * 40, group=["x", "y"] * 100)
    found = compare(journeys, "group", step=3, base="first", rules=RULES)
    assert found["denominator"].tolist() == [100, 100]
    found = compare(journeys, "group", step=3, rules=RULES)
    assert found["denominator"].tolist() == [50, 50]
