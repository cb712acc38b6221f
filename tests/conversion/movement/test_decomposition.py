"""Mix and rate: published and hand-worked numbers, exact sums, Simpson's paradox, and no alarms on noise."""

from math import log

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from statsmodels.stats.contingency_tables import StratifiedTable

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.decomposition import EXPLAINED, GROUPS, STEPS, by_step, decompose, explain_change
from funnel_lib.conversion.rates import newcombe
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError

AB = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window="7d")
ABC = Funnel(steps=[Step(name, event=name) for name in "ABC"], window="7d")
RULES = Rules()
EASY = Rules(min_units=1, min_events=0)


def made(cells, funnel=AB, name="group"):
    """Journeys with (passed, units) of each group."""
    depth = [2 if place < k else 1 for k, n in cells.values() for place in range(n)]
    group = [key for key, (_, n) in cells.items() for _ in range(n)]
    return deep(depth, funnel, **{name: pd.Series(group, dtype="str")})


def deep(depth, funnel=ABC, **columns):
    frame = pd.DataFrame({"depth": np.array(depth, dtype=np.int8), **columns})
    frame["mature_depth"] = frame["first_depth"] = frame["depth"]
    return Journeys(funnel, frame, None, None)


def split(now, before, rules=RULES, **given):
    return decompose(made(now), made(before), "group", step=2, rules=rules, rng=np.random.default_rng(1), **given)


def test_the_example_that_everybody_got_worse_and_the_total_rose():
    """Shares 80:20 -> 50:50, rates 2 % -> 1.8 % and 10 % -> 9 %.

    c = (0.036 + 0.054) / 2 = 0.045. Mix: -0.3 (0.019 - 0.045) + 0.3 (0.095 - 0.045) = 0.0078 + 0.015 = 0.0228.
    Rate: 0.65 (-0.002) + 0.35 (-0.01) = -0.0048. Together 0.018.
    """
    found = split({"x": (90, 5000), "y": (450, 5000)}, {"x": (160, 8000), "y": (200, 2000)})
    assert found.change.estimate == pytest.approx(0.018, abs=1e-15)
    assert found.mix.estimate == pytest.approx(0.0228, abs=1e-15)
    assert found.rate.estimate == pytest.approx(-0.0048, abs=1e-15)
    assert found.turnover.estimate == 0
    assert found.composition.estimate == found.mix.estimate
    table = found.frame.set_index("group")
    assert table.index.tolist() == ["y", "x"]  # 0.0115 and 0.0065: the largest contribution first
    assert table["mix_part"].tolist() == pytest.approx([0.015, 0.0078])
    assert table["rate_part"].tolist() == pytest.approx([-0.0035, -0.0013])
    assert table["share_now"].tolist() == [0.5, 0.5]
    assert table.loc["x", ["rate_before", "rate_now"]].tolist() == [0.02, 0.018]
    expected = newcombe(540, 10_000, 360, 10_000)
    assert (found.change.low, found.change.high) == (expected.low, expected.high)
    assert found.simpson
    assert found.reversal == "all_groups"
    assert found.mix.clear
    assert not found.rate.clear
    assert not found.reversal_clear  # the fall within the groups may be chance
    assert list(found.frame.columns) == GROUPS


def test_simpson_with_enough_people_is_clear():
    found = split({"x": (900, 50_000), "y": (4500, 50_000)}, {"x": (1600, 80_000), "y": (2000, 20_000)})
    assert found.simpson
    assert found.reversal_clear


def test_the_weaker_reversal_is_that_of_the_rate_part():
    """The large group falls, the small one rises a little, the mix lifts the total."""
    found = split(
        {"x": (500, 5000), "y": (2500, 5000), "z": (110, 1000)},
        {"x": (1200, 8000), "y": (1100, 2000), "z": (100, 1000)},
    )
    assert found.change.estimate > 0 > found.rate.estimate
    assert (found.reversal, found.simpson, found.reversal_clear) == ("rate_part", False, True)
    same = split({"x": (500, 5000)}, {"x": (400, 5000)})
    assert (same.reversal, same.reversal_clear) == ("none", False)


def test_new_and_vanished_groups_have_their_own_part():
    """Shares before: a 0.6, old 0.4; now: a 0.5, new 0.5. Rates a 0.2 -> 0.3, old 0.1, new 0.4.

    Total 0.16 -> 0.35, c = 0.255. a: mix -0.1 (0.25 - 0.255) = 0.0005, rate 0.55 * 0.1 = 0.055.
    old: -0.4 (0.1 - 0.255) = 0.062; new: 0.5 (0.4 - 0.255) = 0.0725. Together 0.19.
    """
    found = split({"a": (150, 500), "new": (200, 500)}, {"a": (120, 600), "old": (40, 400)})
    table = found.frame.set_index("group")
    assert table["kind"].to_dict() == {"new": "new", "old": "vanished", "a": "both"}
    assert table["turnover_part"].to_dict() == pytest.approx({"new": 0.0725, "old": 0.062, "a": 0})
    assert table.loc["a", ["mix_part", "rate_part"]].tolist() == pytest.approx([0.0005, 0.055])
    assert found.turnover.estimate == pytest.approx(0.1345)
    assert found.composition.estimate == pytest.approx(0.135)
    assert found.change.estimate == pytest.approx(0.19)
    assert np.isnan(table.loc["new", "rate_before"])
    assert np.isnan(table.loc["old", "rate_now"])
    assert found.turnover.clear
    assert table.loc["new", "turnover_clear"]


cell = st.integers(0, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
side = st.dictionaries(st.sampled_from("pqrst"), cell, max_size=5)


@settings(max_examples=80, deadline=None)
@given(side, side)
def test_parts_add_up_exactly_whatever_the_groups(now, before):
    found = split(now, before, EASY, draws=5)
    (k1, n1), (k0, n0) = (np.array([[0, 0], *part.values()]).sum(axis=0) for part in (now, before))
    if n0 == 0 or n1 == 0:
        assert found.reason == ("nobody_now" if n1 == 0 else "nobody_before")
        assert np.isnan(found.change.estimate)
        return
    assert found.reason is None
    assert found.change.estimate == pytest.approx(k1 / n1 - k0 / n0, abs=1e-12)
    whole = [found.mix.estimate, found.rate.estimate, found.turnover.estimate]
    assert sum(whole) == pytest.approx(found.change.estimate, abs=1e-12)
    parts = found.frame[["mix_part", "rate_part", "turnover_part"]]
    assert parts.sum().tolist() == pytest.approx(whole, abs=1e-12)
    assert found.frame["total"].sum() == pytest.approx(found.change.estimate, abs=1e-12)
    back = split(before, now, EASY, draws=5)
    assert back.mix.estimate == pytest.approx(-found.mix.estimate, abs=1e-12)


def test_the_sequence_of_rows_does_not_matter():
    cells = {"x": (30, 90), "y": (40, 60)}
    one, two = made(cells), made(dict(reversed(cells.items())))
    before = made({"x": (50, 80), "y": (10, 70)})
    found = [decompose(now, before, "group", step=2, rules=RULES, rng=np.random.default_rng(3)) for now in (one, two)]
    pd.testing.assert_frame_equal(found[0].frame, found[1].frame)
    assert found[0].mix == found[1].mix


def test_intervals_equal_the_bootstrap_of_single_units():
    """Brute force: draw units of both periods again, and split anew."""
    now, before = {"x": (60, 300), "y": (90, 200)}, {"x": (100, 400), "y": (30, 100)}
    found = split(now, before, draws=4000)
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(1500):
        sides = []
        for cells in (now, before):
            group = np.repeat(list(cells), [n for _, n in cells.values()])
            passed = np.concatenate([np.arange(n) < k for k, n in cells.values()])
            pick = rng.integers(0, len(group), len(group))
            group, passed = group[pick], passed[pick]
            sides.append({key: (passed[group == key].mean(), (group == key).mean()) for key in cells})
        middle = sum(r * w for part in sides for r, w in part.values()) / 2
        drawn.append(sum(
            (sides[0][key][1] - sides[1][key][1]) * ((sides[0][key][0] + sides[1][key][0]) / 2 - middle) for key in now
        ))  # fmt: skip
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.mix.low == pytest.approx(low, abs=0.003)
    assert found.mix.high == pytest.approx(high, abs=0.003)


def test_few_units_keep_their_part_but_show_no_rate():
    found = split({"x": (300, 900), "tiny": (5, 10)}, {"x": (200, 900), "tiny": (2, 10)})
    tiny = found.frame.set_index("group").loc["tiny"]
    assert tiny["reason"] == "too_few"
    assert tiny[["rate_before", "rate_now", "rate_low", "mix_high"]].isna().all()
    assert not tiny[["mix_clear", "rate_clear"]].any()
    assert found.frame["total"].sum() == pytest.approx(found.change.estimate, abs=1e-12)


def test_a_broken_step_is_shown_although_nobody_passed():
    found = split({"x": (100, 500), "broken": (0, 500)}, {"x": (100, 500), "broken": (100, 500)})
    broken = found.frame.set_index("group").loc["broken"]
    assert (broken["rate_now"], broken["reason"]) == (0, "")
    assert broken["rate_clear"]
    assert found.rate.clear
    assert not found.mix.clear


def test_what_cannot_be_compared_has_a_reason():
    some = {"x": (10, 60)}
    assert split({}, some).reason == "nobody_now"
    assert split(some, {}).reason == "nobody_before"
    assert split({"x": (2, 20)}, some).reason == "too_few"
    assert split({"x": (0, 60)}, {"x": (1, 60)}).reason == "too_few"
    nothing = split({}, some)
    assert np.isnan([nothing.change.estimate, nothing.mix.low, nothing.rate.p]).all()
    assert list(nothing.frame.columns) == GROUPS
    assert (nothing.reversal, nothing.simpson) == ("none", False)


def test_only_one_group_has_no_mix():
    found = split({"x": (30, 100)}, {"x": (20, 100)})
    assert (found.mix.estimate, found.mix.clear) == (0, False)
    assert np.isnan(found.mix.p)
    assert found.rate.estimate == pytest.approx(0.1)


def test_wrong_arguments_are_refused():
    one = made({"x": (10, 60)})
    for asked in ({"by": "nothing", "step": 2}, {"by": "group", "step": 3}, {"by": "group", "step": 2, "base": "last"}):
        with pytest.raises(ConfigError):
            decompose(one, one, rules=RULES, rng=np.random.default_rng(1), **asked)
    with pytest.raises(ConfigError, match="different funnels"):
        decompose(one, deep([1]), "group", step=2, rules=RULES, rng=np.random.default_rng(1))
    with pytest.raises(ConfigError, match="different funnels"):
        by_step(one, deep([1]), rules=RULES, rng=np.random.default_rng(1))


def test_missing_values_are_a_group():
    found = split({None: (20, 100), "x": (30, 100)}, {None: (40, 100), "x": (30, 100)})
    assert found.frame.set_index("group").loc["unknown", "rate_part"] == pytest.approx(-0.1)


def dimensions(rates, *, size=2000, seed=1):
    """Units with three columns, the first of which tells the rate; the second is noise, the third one value."""
    rng = np.random.default_rng(seed)
    device = rng.integers(0, len(rates), size)
    passed = rng.random(size) < np.array(rates)[device]
    columns = {"device": device.astype(str), "noise": rng.integers(0, 4, size).astype(str), "one": ["all"] * size}
    return deep(1 + passed, AB, **columns)


def explain(now, before, names=("noise", "one", "device")):
    return explain_change(now, before, names, step=2, rules=RULES, rng=np.random.default_rng(1))


def test_the_dimension_in_which_one_group_broke_comes_first():
    now, before = dimensions([0.3, 0.1, 0.2], size=30_000), dimensions([0.3, 0.3, 0.2], size=30_000, seed=2)
    found = explain(now, before)
    assert list(found.columns) == EXPLAINED
    assert found["dimension"].iloc[0] == "device"
    assert found["spread_clear"].tolist() == [True, False, False]
    assert not found["clear"].any()
    assert found.loc[0, "group"] == "1"
    # Had all fallen alike (odds ratio 0.69), the rates were 0.23, 0.23 and 0.15: off by 0.07, -0.13 and 0.05.
    assert found.loc[0, "spread"] == pytest.approx(np.sqrt((0.07**2 + 0.13**2 + 0.05**2) / 3), abs=0.01)


def test_a_fall_of_all_alike_points_to_no_dimension():
    found = explain(dimensions([0.2, 0.1, 0.15]), dimensions([0.4, 0.22, 0.31], seed=2))
    assert not found["spread_clear"].any()
    assert not found["clear"].any()


def test_the_spread_is_woolfs_test_about_a_common_odds_ratio():
    now, before = {"x": (30, 200), "y": (60, 200), "z": (50, 100)}, {"x": (50, 250), "y": (40, 150), "z": (80, 160)}
    found = explain_change(
        made(now), made(before), ["group"], step=2, rules=RULES, rng=np.random.default_rng(1)
    )  # fmt: skip
    logs, weights, tables = [], [], []
    for key, (k1, n1) in now.items():
        k0, n0 = before[key]
        cells = np.array([k1, n1 - k1, k0, n0 - k0]) + 0.5
        logs.append(log(cells[0] * cells[3] / cells[1] / cells[2]))
        weights.append(1 / (1 / cells).sum())
        tables.append([[k1, n1 - k1], [k0, n0 - k0]])
    logs, weights = np.array(logs), np.array(weights)
    q = (weights * (logs - np.average(logs, weights=weights)) ** 2).sum()
    assert found.loc[0, "spread_p_adjusted"] == pytest.approx(chi2.sf(q, 2), rel=1e-9)  # the larger of two, by Holm
    # Cross-check: Breslow and Day's test of the same question agrees closely.
    assert chi2.sf(q, 2) == pytest.approx(
        StratifiedTable(np.array(tables).transpose(1, 2, 0)).test_equal_odds().pvalue, abs=0.02
    )


def test_dimensions_without_data_have_a_reason():
    empty = explain(dimensions([0.3]), dimensions([0.3], size=0))
    assert empty["reason"].tolist() == ["nobody_before"] * 3
    assert empty[["explained", "spread"]].isna().all(axis=None)
    assert explain(dimensions([0.3]), dimensions([0.3]), []).empty


def test_the_steps_parts_multiply_to_the_whole():
    """10,000 -> 5000 -> 1000 before, 10,000 -> 4000 -> 1000 now: B fell from 0.5 to 0.4, C rose from 0.2 to 0.25."""
    before, now = deep([1] * 5000 + [2] * 4000 + [3] * 1000), deep([1] * 6000 + [2] * 3000 + [3] * 1000)
    found = by_step(now, before, rules=RULES, rng=np.random.default_rng(1))
    assert list(found.columns) == STEPS
    assert found["part"].tolist() == pytest.approx([0.1 * log(0.8), 0.1 * log(1.25)])  # L(0.1, 0.1) = 0.1
    assert found["part"].sum() == pytest.approx(0, abs=1e-12)
    assert found["clear"].tolist() == [True, True]
    assert found[["rate_before", "rate_now"]].to_numpy().tolist() == [[0.5, 0.4], [0.2, 0.25]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=40, max_size=80), st.lists(st.integers(1, 3), min_size=40, max_size=80))
def test_the_steps_parts_add_up_to_the_change(one, two):
    now, before = ([*part, 3, 3] for part in (one, two))
    found = by_step(deep(now), deep(before), rules=EASY, rng=np.random.default_rng(1), draws=5)
    change = now.count(3) / len(now) - before.count(3) / len(before)
    assert found["part"].sum() == pytest.approx(change, abs=1e-12)


def test_steps_that_nobody_took_have_a_reason():
    found = by_step(deep([1] * 50), deep([1, 2, 3] * 50), rules=RULES, rng=np.random.default_rng(1))
    assert found["reason"].tolist() == ["too_few"] * 2
    assert found["part"].isna().all()
    assert not found["clear"].any()


def test_noise_is_rarely_called_clear():
    """150 draws of the same truth: at most 5 % are false, so more than 16 (3 standard errors) would be a fault."""
    rng, clear = np.random.default_rng(7), 0
    for _ in range(150):
        sides = []
        for _ in range(2):
            n = rng.multinomial(2000, [0.6, 0.3, 0.1])
            sides.append(
                {
                    key: (int(rng.binomial(size, p)), int(size))
                    for key, size, p in zip("xyz", n, (0.3, 0.1, 0.5), strict=True)
                }
            )
        found = decompose(made(sides[0]), made(sides[1]), "group", step=2, rules=RULES, rng=rng, draws=300)
        clear += found.mix.clear or found.rate.clear
    assert clear <= 16
