from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from funnel_lib.config import Rules
from funnel_lib.conversion.worth.opinions import latest, net_promoters, referred, satisfied
from funnel_lib.errors import ConfigError

RULES = Rules()


def test_the_published_example():
    # 500 answers, 50 % promoters, 30 % passives, 20 % detractors: 30 ± 6.8 points; with three more, 29.8 ± 6.8.
    found = net_promoters([9] * 250 + [8] * 150 + [0] * 100, rules=RULES)
    assert found.value == pytest.approx(0.3)
    assert round(100 * (found.high - found.low) / 2, 1) == 6.8
    assert (found.high + found.low) / 2 == pytest.approx(150 / 503)


def test_the_interval_is_that_of_a_mean_and_stays_within_its_limits():
    scores = np.repeat([10, 7, 3], [40, 30, 31])
    ones = np.repeat([1, 0, -1], [163, 126, 127])  # of four of each answer, and three for, six neither, three against
    found = net_promoters(scores, rules=RULES)
    assert found.high - found.low == pytest.approx(2 * 1.959964 * ones.std() / math.sqrt(104))
    alike = net_promoters([10] * 30, rules=RULES)
    assert (alike.value, alike.high) == (1, 1)
    assert alike.low == pytest.approx(30 / 33 - 1.959964 * math.sqrt((31.5 / 33 - (30 / 33) ** 2) / 33))
    assert net_promoters([10] * 29 + [0], rules=RULES).high <= 1


def test_answers_outside_the_scale_are_set_aside():
    found = net_promoters([9] * 40 + [11, -1, math.nan], rules=RULES)
    assert (found.answers, found.set_aside, found.value) == (40, 3, 1)
    assert net_promoters([9] * 5, rules=RULES).reason == "too_few"
    assert net_promoters([], rules=RULES).reason == "no_answers"


def test_satisfaction_is_a_share_with_wilsons_interval():
    found = satisfied([5] * 30 + [4] * 30 + [3] * 20 + [1] * 20 + [9], rules=RULES)
    assert (found.value, found.answers, found.set_aside) == (0.6, 100, 1)
    assert (found.low, found.high) == pytest.approx(proportion_confint(60, 100, method="wilson"))
    with pytest.raises(ConfigError, match="scale"):
        satisfied([1], least=6, rules=RULES)


def test_who_came_through_others():
    firsts = pd.DataFrame({"channel": ["referral"] * 10 + ["direct"] * 30 + [None] * 5})
    found = referred(firsts, rules=RULES)
    assert (found.value, found.answers, found.set_aside) == (0.25, 40, 5)
    assert referred(firsts[:10], rules=RULES).reason == "too_few"


def test_the_last_answer_of_each_person_counts():
    surveys = pd.DataFrame({
        "user_id": ["a", "a", None, None, "b"], "question": ["q", "q", "q", "q", "other"],
        "ts": pd.to_datetime(["2026-02-01", "2026-01-01", "2026-01-01", "2026-01-02", "2026-01-01"]),
        "score": [9.0, 1.0, 5.0, 6.0, 2.0],
    })  # fmt: skip
    assert sorted(latest(surveys, "q")["score"]) == [5, 6, 9]
    assert latest(surveys, "nobody asked").empty
