from __future__ import annotations

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.reasons.design import design

RULES = Rules(min_units=2, min_events=0)


def made(people: pd.DataFrame, converted: list[int], rules: Rules = RULES):
    return design(people, list(people), np.array(converted, dtype=bool), rules)


def test_one_column_per_value_beside_the_most_frequent_one():
    people = pd.DataFrame({"job": ["a", "a", "a", "a", "b", "b", "c", "c", None, None]})
    found = made(people, [1, 0, 1, 0, 1, 0, 1, 0, 1, 0])
    assert found.rows[["value", "reference", "column"]].to_numpy().tolist() == [
        ["b", "a", 0], ["c", "a", 1], ["unknown", "a", 2],
    ]  # fmt: skip
    columns = found.columns[found.kind]  # of each unit
    assert columns.tolist()[4:9:2] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert columns[:4].sum() == 0
    assert len(found.columns) == 8  # four values, converted or not
    assert found.converted[found.kind].tolist() == [True, False] * 5
    assert found.kept.all()
    assert list(found.blocks) == [slice(0, 3)] * 3


def test_rare_values_are_put_together():
    people = pd.DataFrame({"job": ["a"] * 6 + ["b", "c", "d", "e"]})
    found = made(people, [1, 0] * 5)
    assert found.rows["value"].tolist() == ["other"]
    assert found.rows["units"].tolist() == [4]


def test_numbers_of_many_kinds_are_cut_into_thirds():
    found = made(pd.DataFrame({"age": np.arange(9.0)}), [1, 0, 1, 0, 1, 0, 1, 0, 1])
    assert len(found.rows) == 2
    assert found.columns.shape == (6, 2)
    assert found.columns[found.kind].sum(axis=0).tolist() == [3, 3]


def test_units_of_a_value_that_says_everything_leave():
    people = pd.DataFrame({"job": ["a", "a", "a", "a", "b", "b", "b", "c", "c", "c"]})
    found = made(people, [1, 0, 1, 0, 1, 1, 1, 1, 0, 0], RULES)
    assert found.rows.set_index("value")["reason"].to_dict() == {"b": "separated", "c": ""}
    assert found.kept.sum() == 7
    assert found.columns[found.kind].shape == (7, 1)
    assert found.kept.tolist() == [True] * 4 + [False] * 3 + [True] * 3


def test_leaving_out_units_can_take_away_another_value():
    # All of b convert, so they leave; then nobody of x converts, and x leaves too.
    people = pd.DataFrame({"job": ["a"] * 6 + ["b"] * 3, "site": ["y"] * 4 + ["x"] * 2 + ["x"] * 3})
    found = made(people, [1, 0, 1, 0, 0, 0, 1, 1, 1])
    reasons = found.rows.set_index(["attribute", "value"])["reason"]
    assert reasons["job", "b"] == "separated"
    assert reasons["site", "x"] == "separated"
    assert found.columns[found.kind].shape == (4, 0)
