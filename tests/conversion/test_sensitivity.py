"""Other definitions of the same funnel: worked by hand, compared pair by pair, and by simulation."""

import warnings
from datetime import UTC

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import UnmatchedStep
from funnel_lib.conversion.rates import wilson
from funnel_lib.conversion.sensitivity import Sensitivity, paired_difference, sensitivity
from funnel_lib.conversion.variants import BASE
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError

STEPS = [Step(name, event=name) for name in "ABC"]
ABC = Funnel(steps=STEPS, window="4d")
ANY_SIZE = Rules(min_units=1, min_events=0)
NOTHING = {"windows": (), "orders": (), "presets": ()}


def day(number, hour=12):
    return pd.Timestamp(2026, 5, 1, tz=UTC) + pd.Timedelta(days=number - 1, hours=hour)


def log(text, **columns):
    """Read `u:A1 u:B2`: unit, event and day of May 2026 (noon)."""
    rows = [(word.split(":")[0], word.split(":")[1][0], day(int(word.split(":")[1][1:]))) for word in text.split()]
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"]).assign(**columns)


# Within 4 days: u comes to C, v to B, w (B and C late) to A, x to A (B before A).  Within 2 days: u only to B.
# Without a window: w comes to C as well; in any order x has A and B.
LOG = log("u:A1 u:B2 u:C4 v:A1 v:B3 w:A1 w:B9 w:C9 x:B1 x:A2 end:A60")


def counts(found, variant):
    part = found.frame[found.frame["variant"] == variant]
    return part["converted"].tolist()


def last(found, variant):
    return found.frame[(found.frame["variant"] == variant) & (found.frame["step"] == 3)].iloc[0]


def test_counts_under_every_definition():
    found = sensitivity(LOG, ABC, rules=ANY_SIZE, presets=())
    # `end` is only in the unbounded funnel: its window of 4 (2, 8) days has not closed.
    assert counts(found, "base") == [4, 2, 1]
    assert counts(found, "window 2d") == [4, 2, 0]
    assert counts(found, "window 8d") == [4, 3, 2]
    assert counts(found, "window unbounded") == [5, 3, 2]
    assert counts(found, "order any") == [4, 3, 1]
    assert counts(found, "order strict") == [4, 2, 1]
    assert counts(found, "counting entries") == [4, 2, 1]
    assert counts(found, "ties increasing") == [4, 2, 1]
    assert counts(found, "attempts first") == [4, 2, 1]
    names = [variant.name for variant in found.variants]
    assert names == list(dict.fromkeys(found.frame["variant"]))
    assert names[0] == BASE
    assert len(names) == 9
    assert found.refused == {}


def test_a_row_holds_its_rate_and_what_it_differs_by():
    found = sensitivity(LOG, ABC, rules=ANY_SIZE, **{**NOTHING, "windows": ["8d", None]})
    row = last(found, "window 8d")
    assert (row["changed"], row["value"], row["name"]) == ("window", "8d", "C")
    assert (row["entered"], row["rate"], row["previous"]) == (4, 0.5, 3)
    assert row["of_previous"] == pytest.approx(2 / 3)
    assert (row["low"], row["high"]) == wilson(2, 4)
    # Of the same four people one more (w) came to C, none fewer: 1/4.
    assert (row["shared"], row["difference"], row["method"]) == (4, 0.25, "paired")
    assert [row["diff_low"], row["diff_high"]] == pytest.approx(
        [part[0] for part in paired_difference([1], [0], 4, 0.95)][1:]
    )
    base = last(found, "base")
    assert np.isnan(base["difference"])
    assert (base["method"], base["reason"], base["mature_only"]) == ("base", "", True)
    # Without a window nothing is mature: `end` counts too, but only the four shared people are compared.
    unbounded = last(found, "window unbounded")
    assert (unbounded["entered"], unbounded["shared"], unbounded["difference"]) == (5, 4, 0.25)
    assert not unbounded["mature_only"]


def test_the_first_step_differs_in_who_entered_only():
    found = sensitivity(LOG, ABC, rules=ANY_SIZE, **{**NOTHING, "windows": ["8d"]})
    first = found.frame[found.frame["step"] == 1]
    assert first["rate"].tolist() == first["low"].tolist() == [1.0] * len(first)
    assert first["difference"].isna().all()


def test_few_people_are_no_finding():
    found = sensitivity(LOG, ABC, **{**NOTHING, "windows": ["8d"]})
    assert found.frame[["rate", "low", "difference", "diff_low"]].isna().all(axis=None)
    assert set(found.frame["reason"]) == {"too_few"}
    assert found.conclusion.bottleneck is None
    assert found.conclusion.same_bottleneck is None
    assert (found.conclusion.lowest, found.conclusion.highest) == (None, None)


def test_another_unit_has_no_same_people():
    rows = LOG.assign(account=["p"] * 5 + ["q"] * 3 + ["r"] * 3)
    found = sensitivity(rows, ABC, rules=ANY_SIZE, **NOTHING, units=["account"])
    row = last(found, "unit account")
    # p (u and v) comes to C; q is w; r: x enters on the 2nd, its account again at the end: mature with A only.
    assert (row["entered"], row["converted"]) == (3, 1)
    assert np.isnan(row["difference"])
    assert (row["reason"], row["shared"], row["method"]) == ("other_units", 0, "")


def test_entries_of_one_unit_are_compared_as_one_cluster():
    # Counted by entries u has two: A1 comes to C, A10 stays; v has one. By units: u converts, v does not.
    rows = log("u:A1 u:B2 u:C3 u:A10 v:A1 end:A60")
    found = sensitivity(rows, ABC, rules=ANY_SIZE, **NOTHING)
    row = last(found, "counting entries")
    assert (row["entered"], row["converted"], row["method"], row["shared"]) == (3, 1, "clustered", 2)
    assert row["difference"] == pytest.approx(1 / 3 - 1 / 2)
    # Parts: entries u (1 - 2/3)/3, v (0 - 1/3)/3; units u (1 - 1/2)/2, v (0 - 1/2)/2.
    parts = np.array([(1 - 2 / 3) / 3, -1 / 9]) - np.array([1 / 4, -1 / 4])
    half = 1.959963985 * np.sqrt((parts**2).sum() * 2)
    assert [row["diff_low"], row["diff_high"]] == pytest.approx([-1 / 6 - half, -1 / 6 + half])


def test_of_clusters_of_one_the_interval_is_that_of_the_pairs():
    # With one entry each, both methods estimate the same thing; in a large sample their intervals meet.
    rng = np.random.default_rng(1)
    rows = crowd(rng, 3000)
    doubled = pd.concat([rows, log("u0:A50 u0:B51 u0:C52")], ignore_index=True)  # one unit with two entries
    both = [
        last(sensitivity(events, ABC, **NOTHING, **{"units": ()}), "counting entries") for events in (rows, doubled)
    ]
    assert [row["method"] for row in both] == ["paired", "clustered"]
    assert both[1]["difference"] == pytest.approx(both[0]["difference"], abs=1e-3)


def crowd(rng, size, **columns):
    """People who enter on the 1st and come to B, then C, after random days."""
    to_b, to_c = rng.geometric(0.4, size), rng.geometric(0.3, size)
    reach_b, reach_c = rng.random(size) < 0.7, rng.random(size) < 0.6
    unit = np.array([f"u{number}" for number in range(size)])
    parts = [
        pd.DataFrame({"user_id": unit, "event": "A", "days": 0}),
        pd.DataFrame({"user_id": unit, "event": "B", "days": to_b})[reach_b],
        pd.DataFrame({"user_id": unit, "event": "C", "days": to_b + to_c})[reach_b & reach_c],
        pd.DataFrame({"user_id": ["end"], "event": "Z", "days": 400}),
    ]
    rows = pd.concat(parts, ignore_index=True)
    rows["ts"] = day(1) + pd.to_timedelta(rows.pop("days"), unit="D")
    return rows.assign(**columns)


def test_the_paired_interval_holds_its_level():
    # 400 samples of 60 people, p(only one) = 0.12, p(only the other) = 0.05: it must cover 0.07 about 95 times in 100
    rng, held = np.random.default_rng(2026), 0
    for _ in range(400):
        gained, lost, _ = rng.multinomial(60, [0.12, 0.05, 0.83])
        _, low, high = paired_difference(gained, lost, 60, 0.95)
        held += low <= 0.07 <= high
    assert 0.93 <= held / 400 <= 0.98


def test_the_paired_interval_by_hand():
    # b = 6, c = 2 of 30: middle 4/32 = 0.125; half 1.96 * sqrt(0.296875 / 32) = 0.188782
    difference, low, high = paired_difference(6, 2, 30, 0.95)
    assert difference == pytest.approx(4 / 30)
    assert (low, high) == pytest.approx((0.125 - 0.188782, 0.125 + 0.188782), abs=1e-5)
    assert np.isnan(paired_difference(0, 0, 0, 0.95)).all()
    assert paired_difference(1, 0, 1, 0.95)[2] <= 1


# What stays the same


def test_the_bottleneck_that_stays_and_the_one_that_moves():
    found = sensitivity(LOG, ABC, rules=ANY_SIZE, **{**NOTHING, "windows": ["8d", "2d"]}).conclusion
    # Base: 2 of 4 come to B, 1 of 2 to C (the first of equals is named). 8 days: 3/4 and 2/3. 2 days: 2/4 and 0/2.
    assert found.bottleneck == "B"
    assert {name: found.bottleneck_moves[name] for name in ("window 8d", "window 2d")} == {
        "window 8d": "C", "window 2d": "C",
    }  # fmt: skip
    assert found.same_bottleneck is False
    assert (found.lowest, found.highest) == ("window 2d", "window 8d")
    calm = sensitivity(crowd(np.random.default_rng(3), 500), ABC, **{**NOTHING, "windows": ["5d"]}).conclusion
    assert calm.bottleneck == "C"
    assert calm.same_bottleneck is True


def test_where_nobody_is_lost_no_step_loses_most():
    # Under every definition both come through; strictly they would, too: nothing lies between.
    found = sensitivity(log("u:A1 u:B2 u:C3 v:A1 v:B2 v:C3 z:A60"), ABC, rules=ANY_SIZE, presets=())
    assert found.frame.query("variant == 'base' and step == 3")["converted"].tolist() == [2]
    assert found.conclusion.bottleneck is None


def test_groups_that_turn_round():
    # In `fast` half convert within a day, the rest never; in `slow` a tenth does, and eight tenths after ten days.
    rows = []
    for group, at_once, ever in (("fast", 100, 100), ("slow", 20, 180)):
        for number in range(200):
            unit, after = f"{group}{number}", 1 if number < at_once else 10
            rows.append((unit, "A", day(1), group))
            if number < ever:
                rows += [(unit, "B", day(1 + after), group), (unit, "C", day(1 + after), group)]
    rows.append(("end", "Z", day(100), "fast"))
    events = pd.DataFrame(rows, columns=["user_id", "event", "ts", "channel"])
    found = sensitivity(events, ABC, by="channel", **{**NOTHING, "windows": ["8d", "20d"]})
    assert found.conclusion.ranking == ("fast", "slow")
    assert found.conclusion.ranking_turns == {"window 20d": (("fast", "slow"),)}
    assert found.conclusion.same_ranking is False
    groups = found.groups[found.groups["variant"] == "window 20d"].set_index("group")
    assert groups["rate"].to_dict() == {"fast": 0.5, "slow": 0.9}
    steady = sensitivity(events, ABC, by="channel", **{**NOTHING, "windows": ["8d"]}).conclusion
    assert steady.same_ranking is True


def test_groups_that_are_not_apart_do_not_turn():
    rows = crowd(np.random.default_rng(5), 400)
    rows["channel"] = np.where(rows["user_id"].str[-1].isin(list("02468")), "even", "odd")
    found = sensitivity(rows, ABC, by="channel", **{**NOTHING, "windows": ["2d", "3d", "6d", "9d"]})
    assert found.conclusion.same_ranking is True  # both are the same people by chance


def test_without_groups_nothing_is_ranked():
    found = sensitivity(LOG, ABC, rules=ANY_SIZE, **NOTHING)
    assert found.groups is None
    assert found.conclusion.ranking is None
    assert found.conclusion.same_ranking is None


def test_a_snapshot_cannot_be_varied():
    with pytest.raises(ConfigError, match="snapshot"):
        sensitivity(LOG, Funnel(steps=[Step("Lead"), Step("Won", column="won")], snapshot="users"))


def test_a_step_that_is_missing_is_said_once():
    rows = log("u:A1 v:A1 end:A60")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = sensitivity(rows, ABC, rules=ANY_SIZE, **{**NOTHING, "windows": ["8d"]})
    assert sum(issubclass(one.category, UnmatchedStep) for one in said) == 2  # B and C
    assert isinstance(found, Sensitivity)


def test_all_presets_count_the_same_log():
    found = sensitivity(LOG, ABC, rules=ANY_SIZE, windows=(), orders=())
    assert found.refused == {}
    # hubspot_any: who ever did B, whatever else: u, v, w and x; C: u and w; A: all, `end` too (no window).
    assert counts(found, "preset hubspot_any") == [5, 4, 2]
    # ga4: 4 days from the step before: w's B comes after 8 days.
    assert counts(found, "preset ga4") == [5, 2, 1]


def test_optional_steps_are_no_bottleneck():
    funnel = Funnel(steps=[STEPS[0], Step("B", event="B", optional=True), STEPS[2]], window="4d")
    found = sensitivity(LOG, funnel, rules=ANY_SIZE, **NOTHING)
    # C: u only, of 4 (v stops at B): its share is that of A, the required step before.
    row = last(found, "base")
    assert (row["previous"], row["of_previous"]) == (4, 0.25)
    assert found.conclusion.bottleneck == "C"


def test_inputs_stay_as_they_are():
    rows = LOG.copy()
    sensitivity(rows, ABC, rules=ANY_SIZE)
    pd.testing.assert_frame_equal(rows, LOG)


@pytest.mark.real
def test_real_events_under_other_definitions(real_data):
    file = real_data / "taobao_userbehavior" / "UserBehavior_first84476.csv"
    rows = pd.read_csv(file, names=["user_id", "item", "category", "event", "seconds"])
    rows["ts"] = pd.to_datetime(rows["seconds"], unit="s", utc=True)
    funnel = Funnel(steps=[Step(name, event=name) for name in ("pv", "cart", "buy")], window="1d")
    found = sensitivity(rows, funnel)
    # The published counts of people by kind of event, whatever else they did.
    assert counts(found, "preset hubspot_any") == [813, 601, 559]
    wide, narrow = last(found, "window unbounded"), last(found, "window 12h")
    assert wide["converted"] > last(found, "base")["converted"] > narrow["converted"]
    assert wide["diff_low"] > 0 > narrow["diff_high"]
