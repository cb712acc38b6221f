"""Benchmarks: what ships, one's own file, and which bar applies."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import wilson
from funnel_lib.conversion.worth.benchmarks import BARS, COLUMNS, bar, bars, benchmarks
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError, DataError

RULES = Rules()
TODAY = date(2026, 11, 20)
ABC = Funnel(steps=[Step(name, event=name) for name in "ABC"], window="7d")


def row(**changed):
    """A benchmark that can be a bar, with changes."""
    plain = {
        "key": "mine", "kind": "rate", "unit": "share", "better": "up", "value": 0.2, "value_high": np.nan,
        "year": 2025.0, "stale": False, "quality": "B",
    }  # fmt: skip
    return plain | changed


def held(k=250, n=1000, **given):
    return bar(k, n, rules=RULES, as_of=TODAY, **given)


def past(*rates, units=1000):
    return pd.DataFrame({"numerator": [round(rate * units) for rate in rates], "denominator": units})


def test_what_ships_is_complete_and_says_where_it_is_from():
    table = benchmarks()
    assert list(table.columns) == COLUMNS
    assert table["key"].is_unique
    assert (table["origin"] == "shipped").all()
    assert (
        table[["industry", "step", "definition", "source", "quality", "sample", "last_verified"]].notna().all(axis=None)
    )
    assert table.loc[table["kind"] == "rate", "value"].between(0, 1).all()
    assert (table["value_high"].isna() | (table["value_high"] > table["value"])).all()
    assert set(table["quality"]) == set("ABCD")
    named = set(table["conflict"].dropna().str.findall(r"\(([a-z0-9_]+_[a-z0-9_]+)\)").explode().dropna())
    assert named <= set(table["key"])  # a conflict that names a row names one that is there
    assert len(named) >= 8


def test_the_old_figures_of_search_ads_are_marked():
    table = benchmarks().set_index("key")
    old = table.loc[["search_ads_conversion_2014", "search_ads_conversion_2014_p75"]]
    assert old["value"].tolist() == [0.0235, 0.0531]
    assert old["year"].tolist() == [2014, 2014]
    assert old["stale"].all()
    assert (held(benchmark=old.iloc[0].to_dict() | {"key": "old"}).light, old["quality"].tolist()) == (
        "grey",
        ["D", "D"],
    )


def test_the_first_bar_that_there_is_applies():
    everything = {"target": 0.3, "history": past(0.2, 0.22, 0.21), "benchmark": row()}
    assert (held(**everything).origin, held(**everything).bar) == ("target", 0.3)
    del everything["target"]
    own = held(**everything)
    assert (own.origin, own.bar, own.label) == ("history", pytest.approx(0.21), "3")
    del everything["history"]
    other = held(**everything)
    assert (other.origin, other.bar, other.label) == ("benchmark", 0.2, "mine")
    nothing = held()
    assert (nothing.origin, nothing.light, nothing.reason) == ("none", "grey", "no_bar")
    assert np.isnan(nothing.bar)
    assert held(target=float("nan"), benchmark=row()).origin == "benchmark"


def test_the_light_goes_by_the_interval():
    low, high = wilson(250, 1000)
    assert (held(target=0.2).low, held(target=0.2).high) == (low, high)
    assert held(target=low - 1e-6).light == "above"
    assert held(target=low + 1e-6).light == "near"
    assert held(target=high - 1e-6).light == "near"
    assert held(target=high + 1e-6).light == "below"
    assert held(target=0.2).reason is None


def test_a_range_is_met_between_its_ends():
    ends = {"value": 0.20, "value_high": 0.30}
    assert held(benchmark=row(**ends)).light == "near"
    assert held(150, benchmark=row(**ends)).light == "below"
    assert held(400, benchmark=row(**ends)).light == "above"
    assert held(benchmark=row(**ends)).bar_high == 0.30


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"stale": True}, "stale"),
        ({"year": 2020.0}, "stale"),
        ({"year": 2021.0}, None),
        ({"year": np.nan}, "year_unknown"),
        ({"quality": "D"}, "weak_source"),
        ({"unit": "USD"}, "not_comparable"),
        ({"kind": "context"}, "not_comparable"),
        ({"better": "down"}, "not_comparable"),
    ],
)
def test_a_benchmark_that_is_no_bar_is_grey_with_a_reason(changed, reason):
    found = held(benchmark=row(**changed))
    assert found.reason == reason
    assert (found.light == "grey") == (reason is not None)
    assert found.bar == 0.2  # it is still shown


def test_too_few_have_no_light():
    for k, n in ((10, 29), (4, 100)):
        found = held(k, n, target=0.2)
        assert (found.light, found.reason) == ("grey", "too_few")
        assert np.isnan([found.rate, found.low, found.high]).all()
        assert found.bar == 0.2


def test_ones_own_past_needs_three_periods_and_takes_twelve():
    assert held(history=past(0.2, 0.3)).origin == "none"
    assert held(history=pd.concat([past(0.2, 0.3), past(0.5, units=20)])).origin == "none"
    long = held(history=past(*[0.9] * 20, *[0.1] * 12))
    assert (long.bar, long.label, long.light) == (0.1, "12", "above")


def made(depth):
    frame = pd.DataFrame({"depth": np.array(depth, dtype=np.int8)})
    frame["mature_depth"] = frame["depth"]
    return Journeys(ABC, frame, None, None)


def test_every_step_gets_its_own_bar():
    """400 enter, 200 reach B (a half), 50 of them C (a quarter)."""
    some = made([1] * 200 + [2] * 150 + [3] * 50)
    history = past(0.2, 0.25, 0.3).assign(name="C")
    found = bars(some, rules=RULES, targets={"B": 0.6}, history=history, as_of=TODAY)
    assert list(found.columns) == BARS
    assert found[["step", "name", "numerator", "denominator", "rate"]].to_numpy().tolist() == [
        [2, "B", 200, 400, 0.5], [3, "C", 50, 200, 0.25],
    ]  # fmt: skip
    assert found["origin"].tolist() == ["target", "history"]
    assert found["light"].tolist() == ["below", "near"]
    assert found["reason"].tolist() == ["", ""]
    first = bars(some, base="first", rules=RULES, as_of=TODAY)
    assert first["denominator"].tolist() == [400, 400]
    assert first["reason"].tolist() == ["no_bar", "no_bar"]
    published = bars(some, rules=RULES, chosen={"C": "saas_trial_no_card"}, as_of=TODAY).set_index("name")
    assert published.loc["C", ["light", "label", "bar", "bar_high"]].tolist() == [
        "above",
        "saas_trial_no_card",
        0.04,
        0.06,
    ]
    with pytest.raises(ConfigError, match="no such benchmark") as raised:
        bars(some, rules=RULES, chosen={"C": "saas_trial_no_cart"}, as_of=TODAY)
    assert "saas_trial_no_card" in str(raised.value)


def own(tmp_path, text):
    file = tmp_path / "mine.csv"
    file.write_text(text, encoding="utf-8-sig")
    return file


def test_ones_own_file_wins(tmp_path):
    file = own(
        tmp_path,
        "key,industry,step,statistic,value,source,year\nsaas_freemium,SaaS,free_to_paid,median,0.07,us,2026\nnew,x,y,mean,0.5,us,\n",
    )
    table = benchmarks(file).set_index("key", drop=False)
    assert table.loc["saas_freemium", ["value", "origin", "kind", "unit"]].tolist() == [0.07, "own", "rate", "share"]
    assert len(table) == len(benchmarks()) + 1
    assert held(benchmark=table.loc["saas_freemium"].to_dict()).light == "above"
    assert held(benchmark=table.loc["new"].to_dict()).reason == "year_unknown"


def test_all_faults_of_a_file_are_listed(tmp_path):
    text = (
        "key,industry,step,statistic,value,source,kind,year\na,x,y,middle,0.5,us,rate,2026\na,x,y,mean,-1,us,odd,1800\n"
    )
    with pytest.raises(DataError) as raised:
        benchmarks(own(tmp_path, text))
    for fault in ("key", "middle", "-1", "odd", "1800"):
        assert fault in str(raised.value)
    with pytest.raises(DataError, match="missing"):
        benchmarks(own(tmp_path, "key,value\na,1\n"))
    with pytest.raises(DataError, match="cannot be used"):
        benchmarks(own(tmp_path, "key,industry,step,statistic,value,source\na,x,y,mean,much,us\n"))
    with pytest.raises(DataError, match="at most 1"):
        benchmarks(own(tmp_path, "key,industry,step,statistic,value,source\na,x,y,mean,35,us\n"))
    with pytest.raises(DataError, match="no such file"):
        benchmarks(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="cannot be read as text"):
        benchmarks(own(tmp_path, ""))
