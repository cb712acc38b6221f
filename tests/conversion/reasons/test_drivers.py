from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from funnel_lib.config import Rules
from funnel_lib.conversion.reasons.drivers import COLUMNS, NOT_CAUSAL, drivers
from funnel_lib.conversion.worth.intervals import z_of
from funnel_lib.errors import ConfigError

RULES = Rules()


def rng() -> np.random.Generator:
    return np.random.default_rng(23)


def people(n: int = 4000, seed: int = 2, effect: float = 0.8) -> pd.DataFrame:
    """Return people of whom `plan` and `age` matter, `city` does not."""
    chance = np.random.default_rng(seed)
    plan = chance.choice(["free", "paid"], n, p=[0.6, 0.4])
    age = chance.normal(40, 10, n)
    logit = -1.5 + effect * (plan == "paid") + 0.03 * (age - 40)
    return pd.DataFrame({
        "plan": plan, "age": age, "city": chance.choice(["x", "y", "z"], n, p=[0.5, 0.3, 0.2]),
        "account": np.arange(n) // 5, "converted": chance.random(n) < 1 / (1 + np.exp(-logit)),
    })  # fmt: skip


def test_odds_ratios_and_effects_are_those_of_statsmodels():
    frame = people()
    found = drivers(frame, ["plan"], rules=RULES, rng=rng()).table.iloc[0]
    x = sm.add_constant((frame["plan"] == "paid").astype(float))
    fitted = sm.Logit(frame["converted"].astype(float), x).fit(disp=0)
    effects = fitted.get_margeff(at="overall", dummy=True).summary_frame().iloc[0]
    assert found["reference"] == "free"
    assert found["odds_ratio"] == pytest.approx(np.exp(fitted.params.iloc[1]))
    assert found["p"] == pytest.approx(fitted.pvalues.iloc[1])
    assert (found["odds_low"], found["odds_high"]) == pytest.approx(np.exp(fitted.conf_int().iloc[1]), rel=1e-4)
    assert found["effect"] == pytest.approx(effects["dy/dx"])
    assert (found["low"], found["high"]) == pytest.approx((effects.iloc[4], effects.iloc[5]), rel=1e-4)


def test_units_that_are_alike_may_be_counted_together():
    # The model is fitted to kinds of units with their numbers: to the last digits what each unit by itself gives.
    chance = np.random.default_rng(7)
    frame = people(3000).assign(seen=chance.random(3000) < 0.3)
    found = drivers(frame, ["city", "plan", "seen"], rules=RULES, rng=rng()).table.set_index(["attribute", "value"])
    order = [("city", "y"), ("city", "z"), ("plan", "paid"), ("seen", "true")]
    x = sm.add_constant(
        np.column_stack([(frame[name].astype(str).str.lower() == value) for name, value in order]) * 1.0
    )
    fitted = sm.GLM(frame["converted"].astype(float), x, family=sm.families.Binomial()).fit()
    np.testing.assert_allclose(fitted.params, sm.Logit(frame["converted"].astype(float), x).fit(disp=0).params)
    spread = np.sqrt(np.diag(fitted.cov_params()))[1:]
    ours = found.loc[order]
    np.testing.assert_allclose(np.log(ours["odds_ratio"]), fitted.params.iloc[1:], rtol=1e-8)
    width = (np.log(ours["odds_high"]) - np.log(ours["odds_low"])) / (2 * z_of(RULES.level))
    np.testing.assert_allclose(width, spread, rtol=1e-8)
    for place, (name, _) in enumerate(order):
        with_it, without = x.copy(), x.copy()
        block = [1 + other for other, (attribute, _) in enumerate(order) if attribute == name]
        with_it[:, block], without[:, block] = 0.0, 0.0
        with_it[:, 1 + place] = 1.0
        one, two = fitted.predict(with_it), fitted.predict(without)
        effect = one.mean() - two.mean()
        slope = ((one * (1 - one)) @ with_it - (two * (1 - two)) @ without) / len(x)
        error = np.sqrt(slope @ fitted.cov_params().to_numpy() @ slope)
        row = ours.iloc[place]
        assert row["effect"] == pytest.approx(effect, rel=1e-8)
        assert (row["high"] - row["low"]) / (2 * z_of(RULES.level)) == pytest.approx(error, rel=1e-8)
    half = rng().permutation(3000) < 1500  # each half is fitted by itself
    for name, part in (("half_1", half), ("half_2", ~half)):
        alone = drivers(frame[part], ["city", "plan", "seen"], rules=RULES, rng=rng()).table
        again = alone.set_index(["attribute", "value"]).loc[order]
        np.testing.assert_allclose(ours[name], again["effect"], rtol=1e-8)


def test_units_of_one_cluster_are_alike():
    frame = pd.concat([people(1000)] * 4, ignore_index=True).assign(account=np.tile(np.arange(1000), 4))
    found = drivers(frame, ["plan"], cluster="account", rules=RULES, rng=rng()).table.iloc[0]
    x = sm.add_constant((frame["plan"] == "paid").astype(float))
    robust = {"cov_type": "cluster", "cov_kwds": {"groups": frame["account"]}}
    fitted = sm.Logit(frame["converted"].astype(float), x).fit(disp=0, **robust)
    assert found["p"] == pytest.approx(fitted.pvalues.iloc[1], rel=1e-3)
    alone = drivers(people(1000), ["plan"], rules=RULES, rng=rng()).table.iloc[0]
    assert found["high"] - found["low"] == pytest.approx(alone["high"] - alone["low"], rel=0.05)


def test_what_matters_is_clear_and_stable_and_what_does_not_is_neither_first_nor_clear():
    found = drivers(people(), ["city", "age", "plan"], rules=RULES, rng=rng())
    table = found.table
    assert list(table) == COLUMNS
    assert found.note == NOT_CAUSAL
    assert set(table.loc[table["clear"], "attribute"]) == {"age", "plan"}
    assert table.loc[table["attribute"] == "plan", "stable"].all()
    assert not table.loc[table["attribute"] == "city", "clear"].any()
    assert table["clear"].is_monotonic_decreasing
    assert (table["p_adjusted"] >= table["p"]).all()
    paid = table.set_index("attribute").loc["plan"]
    with_it, without = (1 / (1 + np.exp(1.5 - more - 0.03 * (people()["age"] - 40))) for more in (0.8, 0.0))
    assert paid["low"] < (with_it - without).mean() < paid["high"]


def test_the_input_stays_and_the_order_of_rows_does_not_matter():
    frame = people()
    before = frame.copy(deep=True)
    one = drivers(frame, ["city", "plan"], rules=RULES, rng=rng()).table
    two = drivers(frame.sample(frac=1, random_state=1), ["city", "plan"], rules=RULES, rng=rng()).table
    pd.testing.assert_frame_equal(frame, before)
    kept = [name for name in COLUMNS if name not in ("half_1", "half_2", "stable")]
    pd.testing.assert_frame_equal(one[kept], two[kept])


def test_a_value_that_says_everything_has_no_odds_ratio():
    frame = people().assign(paid_invoice=lambda rows: rows["converted"])
    found = drivers(frame, ["plan", "paid_invoice"], rules=RULES, rng=rng())
    assert set(found.table.loc[found.table["attribute"] == "paid_invoice", "reason"]) == {"separated"}
    assert found.units == 0
    assert found.reason
    some = people().assign(seen=lambda rows: np.where(rows["converted"] & (rows["age"] > 45), "invoice", "none"))
    table = drivers(some, ["plan", "seen"], rules=RULES, rng=rng()).table.set_index(["attribute", "value"])
    assert table.loc[("seen", "invoice"), "reason"] == "separated"
    assert np.isnan(table.loc[("seen", "invoice"), "odds_ratio"])
    assert table.loc[("plan", "paid"), "reason"] == ""


def test_of_two_attributes_that_say_the_same_the_first_stays():
    frame = people().assign(again=lambda rows: rows["plan"].map({"paid": "yes", "free": "no"}))
    table = drivers(frame, ["plan", "again"], rules=RULES, rng=rng()).table.set_index("attribute")
    assert table.loc["again", "reason"] == "collinear"
    assert table.loc["plan", "reason"] == ""


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (people(60), "too_few"),
        (people().assign(converted=False), "no_variation"),
        (people().assign(plan="free"), "one_group"),
        (people()[:0], "one_group"),
    ],
)
def test_what_cannot_be_told_has_a_reason(frame: pd.DataFrame, reason: str):
    found = drivers(frame, ["plan"], rules=RULES, rng=rng())
    assert found.reason in (reason, "too_few")
    assert found.table["effect"].isna().all()
    assert not found.table["clear"].any()


@pytest.mark.parametrize("converted", [True, False])
def test_where_all_or_none_convert_nothing_goes_with_it(converted: bool):
    found = drivers(people().assign(converted=converted), ["plan", "age"], rules=RULES, rng=rng())
    assert found.reason == "no_variation"
    assert found.table["effect"].isna().all()


def test_a_finding_of_one_half_alone_is_not_stable():
    frame = people(4000, effect=0.0)
    half = rng().permutation(4000) < 2000  # the very halves that the same seed gives
    chance = np.random.default_rng(3).random(4000)
    raised = np.where(half & (frame["plan"] == "paid"), 0.6, 0.2)
    table = drivers(frame.assign(converted=chance < raised), ["plan"], rules=RULES, rng=rng()).table
    assert table.loc[0, "clear"]
    assert not table.loc[0, "stable"]


def test_what_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="no column 'plam'"):
        drivers(people(), ["plam"], rules=RULES, rng=rng())
    with pytest.raises(ConfigError, match="neither yes nor no"):
        drivers(people(), ["plan"], outcome="age", rules=RULES, rng=rng())
