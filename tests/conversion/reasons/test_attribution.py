"""Attribution: hand-worked credits, Shapley and Markov by brute force, and a published data set."""

from datetime import timedelta
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.config import Rules
from funnel_lib.conversion.rates import wilson
from funnel_lib.conversion.reasons import attribution
from funnel_lib.conversion.reasons.attribution import (
    CREDITS,
    MODELS,
    UNTOUCHED,
    attribute,
    disagreement,
    removal,
    transitions,
)
from funnel_lib.conversion.reasons.paths import Paths, paths, read_paths
from funnel_lib.errors import ConfigError

RULES, EASY = Rules(), Rules(min_units=1, min_events=0)
FOUR = pd.DataFrame({
    "path": ["a > b > c > a", "b", "c > b", "a"], "conversions": [10, 20, 30, 0], "nulls": [5, 15, 0, 20],
    "value": [100.0, 20.0, 60.0, 0.0],
})  # fmt: skip


def credited(found, rules=RULES, seed=1, **given):
    return attribute(found, rules=rules, rng=np.random.default_rng(seed), **given)


def by_channel(table, model, column="conversions"):
    return table[table["model"] == model].set_index("channel")[column].sort_index().to_dict()


def test_each_rule_by_hand():
    """Paths abca (10 conversions, 100), b (20, 20), cb (30, 60), a (none)."""
    table = credited(read_paths(FOUR))
    assert by_channel(table, "first") == {"a": 10, "b": 20, "c": 30}
    assert by_channel(table, "last") == {"a": 10, "b": 50, "c": 0}
    # abca by fours: a 5, b 2.5, c 2.5; cb by halves: 15 each.
    assert by_channel(table, "linear") == {"a": 5, "b": 37.5, "c": 17.5}
    # abca: a 40 + 40 %, b and c 10 % each; cb half each.
    assert by_channel(table, "position") == pytest.approx({"a": 8, "b": 36, "c": 16})
    # abca by its three channels.
    assert by_channel(table, "shapley") == pytest.approx({"a": 10 / 3, "b": 115 / 3, "c": 55 / 3})
    assert by_channel(table, "linear", "value") == {"a": 50, "b": 75, "c": 55}
    assert by_channel(table, "linear", "share") == pytest.approx({"a": 5 / 60, "b": 37.5 / 60, "c": 17.5 / 60})
    assert list(table.columns) == CREDITS
    assert table["model"].unique().tolist() == list(MODELS)
    assert table[table["model"] == "linear"]["channel"].tolist() == ["b", "c", "a"]  # the largest first


def test_all_of_the_credit_or_none_is_no_certainty():
    """No path of the four ends with c; drawing them again never gives it any, though another path might."""
    last = credited(read_paths(FOUR), models=["last"]).set_index("channel")
    assert (last["share"]["c"], last["low"]["c"]) == (0, 0)
    assert last["high"]["c"] == pytest.approx(wilson(0, 60)[1])
    one = pd.DataFrame({"path": ["a", "a > a"], "conversions": [40, 20], "nulls": [5, 5]})
    found = credited(read_paths(one)).set_index("model").drop("decay")  # that one needs times
    assert found["share"].to_numpy() == pytest.approx(1)
    assert found["high"].tolist() == [1] * len(found)
    assert found["low"].to_numpy() == pytest.approx(wilson(60, 60)[0])


def test_decay_halves_with_each_half_life():
    """Ages 14, 7 and 0 days: weights 1/4, 1/2, 1 with a half-life of 7 days, of which a has 5/7 and b 2/7."""
    start = pd.Timestamp("2026-05-01", tz="UTC")
    touches = pd.DataFrame({"user_id": 1, "channel": ["a", "b", "a"], "ts": start + pd.to_timedelta([0, 7, 14], "D")})
    sold = pd.DataFrame({"user_id": [1], "ts": [start + pd.Timedelta(days=14)]})
    found = paths(touches, sold)
    table = credited(found, EASY, models=["decay"])
    assert by_channel(table, "decay") == pytest.approx({"a": 5 / 7, "b": 2 / 7})
    # The distance to the conversion does not matter, only that between touches: none is cut off to zero.
    later = credited(paths(touches, sold.assign(ts=sold["ts"] + pd.Timedelta(days=5))), EASY, models=["decay"])
    assert by_channel(later, "decay") == pytest.approx({"a": 5 / 7, "b": 2 / 7})
    quick = credited(found, EASY, models=["decay"], half_life=timedelta(minutes=1))
    assert by_channel(quick, "decay") == pytest.approx({"a": 1, "b": 0})


def test_removal_by_hand():
    """Paths ab (1 conversion), a (1 null), b (1 conversion, 1 null): start -> a 2/4, b 2/4; a -> b 1/2, null 1/2.

    b converts with 2/3, a with 1/3; the rate is 1/2. Without a: 1/2 * 2/3 = 1/3, an effect of 1/3; without b: 0.
    """
    found = read_paths(pd.DataFrame({"path": ["a>b", "a", "b"], "conversions": [1, 0, 1], "nulls": [0, 1, 1]}))
    table = removal(found).set_index("channel")
    assert table["converts"].to_dict() == pytest.approx({"a": 1 / 3, "b": 2 / 3})
    assert table["reached"].to_dict() == pytest.approx({"a": 1 / 2, "b": 3 / 4})
    assert table["effect"].to_dict() == pytest.approx({"a": 1 / 3, "b": 1})
    credit = by_channel(credited(found, EASY, models=["markov"]), "markov")
    assert credit == pytest.approx({"a": 2 * (1 / 3) / (4 / 3), "b": 2 * 1 / (4 / 3)})
    steps = transitions(found).set_index(["source", "target"])["share"].to_dict()
    assert steps == pytest.approx({
        ("a", "b"): 0.5, ("a", "null"): 0.5, ("b", "conversion"): 2 / 3, ("b", "null"): 1 / 3, ("start", "a"): 0.5,
        ("start", "b"): 0.5,
    })  # fmt: skip


some_paths = st.lists(
    st.tuples(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), st.integers(0, 5), st.integers(0, 5)),
    min_size=1, max_size=12,
)  # fmt: skip


def read(rows, **columns):
    table = pd.DataFrame({
        "path": [">".join(steps) for steps, _, _ in rows], "conversions": [row[1] for row in rows],
        "nulls": [row[2] for row in rows],
    })  # fmt: skip
    return read_paths(table.assign(**columns))


@settings(max_examples=60, deadline=None)
@given(some_paths, st.integers(0, 3))
def test_credits_of_every_rule_add_up(rows, untouched):
    rows = [*rows, (["a"], 1, 0)]
    found = read(rows, value=np.arange(len(rows), dtype=float))
    found = Paths(
        **{
            **vars(found),
            "untouched": float(untouched),
            "untouched_value": 2.0,
            "ages": np.arange(len(found.touches))[::-1] * 1.0,
        }
    )
    table = credited(found, EASY, draws=20)
    for model in MODELS:
        part = table[table["model"] == model]
        assert part["conversions"].sum() == pytest.approx(found.total, rel=1e-12)
        assert part["share"].sum() == pytest.approx(1, rel=1e-12)
        assert (part["conversions"] >= -1e-12).all()
        assert (UNTOUCHED in part["channel"].tolist()) == (untouched > 0)
        assert (part["low"] <= part["high"]).all()
        assert part["value"].sum() == pytest.approx(found.value.sum() + (2 if untouched else 0), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(some_paths)
def test_shapley_is_that_of_all_sets_of_channels(rows):
    """The definition: a channel's gain, averaged over all sequences in which channels may join."""
    found = read(rows)
    names = sorted({step for steps, _, _ in rows for step in steps})
    worth = {
        subset: sum(count for steps, count, _ in rows if set(steps) <= set(subset))
        for size in range(len(names) + 1)
        for subset in combinations(names, size)
    }
    expected = {}
    for name in names:
        rest = [other for other in names if other != name]
        expected[name] = sum(
            factorial(len(subset)) * factorial(len(rest) - len(subset)) / factorial(len(names))
            * (worth[tuple(sorted((*subset, name)))] - worth[subset])
            for size in range(len(rest) + 1) for subset in combinations(rest, size)
        )  # fmt: skip
    if found.total:
        assert by_channel(credited(found, EASY, models=["shapley"], draws=5), "shapley") == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(some_paths)
def test_removal_is_that_of_a_chain_without_the_channel(rows):
    rows = [*rows, (["a", "b"], 1, 1)]
    found = read(rows)
    names = list(found.channels)
    counts = transitions(found).pivot_table(index="source", columns="target", values="steps", fill_value=0)
    counts = counts.reindex(index=[*names, "start"], columns=[*names, "conversion", "null"], fill_value=0)
    chance = counts.div(counts.sum(axis=1), axis=0).fillna(0)

    def rate(without=None):
        kept = [name for name in names if name != without]
        inner = chance.loc[kept, kept].to_numpy()
        converts = np.linalg.solve(np.eye(len(kept)) - inner, chance.loc[kept, "conversion"].to_numpy())
        return float(chance.loc["start", kept].to_numpy() @ converts)

    conversions, nulls = found.conversions.sum(), found.nulls.sum()
    assert rate() == pytest.approx(conversions / (conversions + nulls))  # the chain meets the observed rate
    effects = removal(found).set_index("channel")["effect"]
    for name in names:
        assert effects[name] == pytest.approx(1 - rate(name) / rate(), abs=1e-9)


def test_removal_of_value_is_that_of_paths_worth_as_much():
    """With the same value for each conversion, both effects are the same; a dear channel has a greater one."""
    table = FOUR.assign(value=FOUR["conversions"] * 7.0)
    alike = removal(read_paths(table))
    np.testing.assert_allclose(alike["effect"], alike["value_effect"])
    dear = removal(read_paths(table.assign(value=[700.0, 20.0, 60.0, 0.0]))).set_index("channel")
    assert dear.loc["a", "value_effect"] > dear.loc["a", "effect"]


def test_bags_give_the_intervals_of_paths_drawn_again():
    rng = np.random.default_rng(3)
    number = 400
    steps = [list(rng.choice(list("abc"), rng.integers(1, 5), p=[0.5, 0.3, 0.2])) for _ in range(number)]
    won = rng.random(number) < 0.4
    rows = [(path, int(sold), int(not sold)) for path, sold in zip(steps, won, strict=True)]
    table = credited(read(rows), models=["markov", "linear"], draws=2000)
    drawn = {"markov": [], "linear": []}
    for _ in range(300):
        again = read([rows[place] for place in rng.integers(0, number, number)])
        effect = removal(again).set_index("channel")["effect"]
        drawn["markov"].append((effect / effect.sum()).sort_index())
        lengths = np.diff(again.bounds)[again.owner]
        credit = np.bincount(again.touches, again.conversions[again.owner] / lengths)
        drawn["linear"].append(pd.Series(credit / credit.sum(), index=list("abc")))
    for model, found in drawn.items():
        low, high = np.quantile(found, [0.025, 0.975], axis=0)
        width = (high - low).mean()
        np.testing.assert_allclose(list(by_channel(table, model, "low").values()), low, atol=0.25 * width)
        np.testing.assert_allclose(list(by_channel(table, model, "high").values()), high, atol=0.25 * width)


def test_large_counts_are_dealt_without_listing_them():
    few = FOUR.assign(conversions=FOUR["conversions"] * 100, nulls=FOUR["nulls"] * 100)
    many = FOUR.assign(conversions=FOUR["conversions"] * 1_000_000, nulls=FOUR["nulls"] * 1_000_000)
    small, large = (credited(read_paths(table), models=["markov", "linear"]) for table in (few, many))
    np.testing.assert_allclose(small["share"], large["share"])
    ratio = (small["high"] - small["low"]) / (large["high"] - large["low"])
    np.testing.assert_allclose(ratio, 100, rtol=0.25)  # ten thousand times as many: a hundredth as wide


def test_same_seed_same_table():
    found = read_paths(FOUR)
    pd.testing.assert_frame_equal(credited(found), credited(found))


def test_compiled_code_counts_the_same_steps(monkeypatch):
    found = read_paths(FOUR.assign(nulls=[5, 15.5, 0, 20]))
    plain, steps = credited(found), transitions(found)
    monkeypatch.setattr(attribution, "worth_compiling", lambda rows: True)
    pd.testing.assert_frame_equal(credited(found), plain)
    pd.testing.assert_frame_equal(transitions(found), steps)


def test_what_cannot_be_credited_has_a_reason():
    found = read_paths(FOUR)
    decay = credited(found, models=["decay"])
    assert decay["reason"].unique().tolist() == ["no_times"]
    assert decay[["conversions", "share", "low"]].isna().all(axis=None)
    nobody = credited(read_paths(FOUR.assign(conversions=0)))
    assert nobody["reason"].unique().tolist() == ["no_conversions"]
    assert nobody[["conversions", "share", "high"]].isna().all(axis=None)
    few = credited(read_paths(FOUR.assign(conversions=[1, 1, 0, 0])), models=["linear", "markov"])
    assert few["reason"].unique().tolist() == ["too_few"]
    assert few["share"].isna().all()
    assert few.groupby("model")["conversions"].sum().tolist() == pytest.approx([2, 2])
    only = Paths((), *[np.array([], dtype=np.int64)], np.array([0]), *[np.array([])] * 3, untouched=50.0)
    table = credited(only)
    assert table[table["model"] == "linear"]["channel"].tolist() == [UNTOUCHED]
    assert table[table["model"] == "linear"]["share"].tolist() == [1]
    empty = credited(read_paths(FOUR.iloc[:0]))
    assert empty.empty
    assert list(empty.columns) == CREDITS
    assert removal(read_paths(FOUR.iloc[:0])).empty
    assert transitions(read_paths(FOUR.iloc[:0])).empty


def test_without_value_there_is_none():
    table = credited(read_paths(FOUR.drop(columns="value")))
    assert table["value"].isna().all()
    assert table[table["model"] != "decay"]["conversions"].notna().all()


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="no such model"):
        credited(read_paths(FOUR), models=["frist"])
    with pytest.raises(ConfigError, match="half-life"):
        credited(read_paths(FOUR), half_life=timedelta(0))


def test_disagreement_names_the_rules():
    found = disagreement(credited(read_paths(FOUR), models=["first", "last", "linear"]))
    # b: 20, 50 and 37.5 of 60; c: 30, 0 and 17.5; a: 10, 10 and 5.
    assert found["channel"].tolist() == ["b", "c", "a"]
    assert found.loc[0, ["lowest_model", "highest_model"]].tolist() == ["first", "last"]
    assert found.loc[1, ["lowest", "highest"]].tolist() == [0, 0.5]
    assert disagreement(credited(read_paths(FOUR.iloc[:0]))).empty


@pytest.mark.real
def test_published_paths(real_data):
    """Counts of first and last touch as recomputed by others; Markov as by the package that published the paths.

    That package simulates: 100,000 paths, its own stated convergence 2.9 %.
    """
    table = pd.read_csv(real_data / "channelattribution_paths" / "Data.csv", sep=";")
    names = {"total_conversions": "conversions", "total_null": "nulls", "total_conversion_value": "value"}
    found = read_paths(table.rename(columns=names))
    assert (found.total, found.nulls.sum(), round(found.value.sum(), 2)) == (19_785, 68_602, 74_802.97)
    credit = credited(found)
    names = ["alpha", "beta", "delta", "epsilon", "eta", "gamma", "iota", "kappa", "lambda", "mi", "theta", "zeta"]
    first = [6308, 2831, 1, 99, 3164, 165, 4606, 74, 902, 2, 1606, 27]
    last = [8447, 989, 5, 531, 4167, 92, 3355, 230, 1207, 2, 653, 107]
    for model, expected in (("first", first), ("last", last)):
        assert by_channel(credit, model) == dict(zip(names, expected, strict=True))
    effects = removal(found).set_index("channel")["effect"]
    simulated = {
        "alpha": 0.558723,
        "iota": 0.395745,
        "eta": 0.348936,
        "beta": 0.265957,
        "theta": 0.205957,
        "lambda": 0.136170,
    }
    assert effects[list(simulated)].to_dict() == pytest.approx(simulated, rel=0.03)
    shares = transitions(found).set_index(["source", "target"])["share"]
    assert shares[[("start", "eta"), ("start", "iota"), ("start", "alpha")]].tolist() == pytest.approx(
        [0.160804, 0.231109, 0.326360], abs=1e-6
    )
    markov = credit[credit["model"] == "markov"].set_index("channel")
    assert (markov["low"] <= markov["share"]).all()
    assert (markov["share"] <= markov["high"]).all()
    assert markov["conversions"].sum() == pytest.approx(19_785, rel=1e-12)
