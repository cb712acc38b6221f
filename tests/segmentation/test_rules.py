"""Every unit is in exactly one group, the same whatever the order of the rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.config import Did, Source, Split, Workbook, parse
from funnel_lib.errors import ConfigError, DataError
from funnel_lib.segmentation.rules import assign, attach, behaviour, members


def workbook(**segments: object) -> Workbook:
    return parse(
        {
            "name": "shop",
            "title": "Shop",
            "sources": {"web": {"system": "ga4", "files": "*.jsonl"}},
            "funnel": {"steps": [{"name": "visit", "event": "page_view"}]},
            "segments": segments,
        }
    )


def times(*days: str | None) -> pd.Series:
    return pd.to_datetime(pd.Series(days, dtype="str"), format="ISO8601", utc=True).dt.as_unit("us")


UNITS = pd.DataFrame({"unit": ["a", "b", "c"], "first_entry": times("2026-01-05", "2026-01-05", "2026-01-09")})
EVENTS = pd.DataFrame(
    {
        "user_id": ["a", "a", "a", "b", "c", "x"],
        "event": ["page_view", "search", "search", "search", "page_view", "search"],
        # a's entry is the first instant of the 5th, that of b too, a's third event a day later
        "ts": times("2026-01-05", "2026-01-05", "2026-01-06", "2026-01-05T00:00:00.000001", "2026-01-01", "2026-01-01"),
        "device": ["mobile", "mobile", "desktop", "mobile", None, "mobile"],
        "properties": ['{"page": "home"}', '{"page": "list"}', None, "{}", '{"page": "home"}', None],
    }
)


# --- by: the values of a column ---


def test_by_takes_the_values_as_text_and_the_missing_as_unknown():
    units = pd.DataFrame({"city": ["Wuhan", None, "", "  ", "Xi'an"]})
    assert assign(units, Split(by="city")).tolist() == ["Wuhan", "unknown", "unknown", "unknown", "Xi'an"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.5, np.nan], ["1", "2.5", "unknown"]),
        ([True, False, None], ["true", "false", "unknown"]),
        (pd.Series([1, 2, None], dtype="Int64"), ["1", "2", "unknown"]),
        (pd.Categorical(["b", None, "a"], categories=["a", "b"]), ["b", "unknown", "a"]),
    ],
)
def test_by_writes_every_kind_of_value_as_text(values: object, expected: list[str]):
    assert assign(pd.DataFrame({"v": values}), Split(by="v")).tolist() == expected


def test_by_keeps_the_top_and_breaks_ties_by_name():
    # sizes: d 2, and az, ba, c one each; top 2 keeps d and, of the equal ones, the first by name
    units = pd.DataFrame({"v": ["c", "ba", "d", "az", "d"]})
    assert assign(units, Split(by="v", top=2)).tolist() == ["other", "other", "d", "az", "d"]


def test_by_folds_values_called_other_and_unknown_and_they_take_no_place_of_the_top():
    units = pd.DataFrame({"v": ["other", "other", "unknown", "unknown", "a", "b", "b", None]})
    expected = ["other", "other", "unknown", "unknown", "other", "b", "b", "unknown"]
    assert assign(units, Split(by="v", top=1)).tolist() == expected


def test_by_a_column_that_is_not_there_names_the_nearest():
    with pytest.raises(DataError, match="did you mean channel"):
        assign(pd.DataFrame({"channel": ["a"]}), Split(by="chanel"))


def test_no_units_have_no_groups_but_a_result():
    none = pd.DataFrame({"v": pd.Series(dtype="str")})
    assert assign(none, Split(by="v")).empty
    assert assign(none, Split(groups={"a": {"where": {"v": "a"}}})).empty
    assert members(none, Split(by="v")).columns.tolist() == ["group", "units", "share"]
    assert np.isnan(members(none, Split(groups={"a": {"where": {"v": "a"}}}))["share"].item())


# --- groups: rules ---


def test_the_first_group_in_the_workbooks_order_wins():
    split = Split(groups={"young": {"where": {"age": {"lt": 30}}}, "adult": {"where": {"age": {"ge": 18}}}})
    units = pd.DataFrame({"age": [10, 25, 40]})
    assert assign(units, split).tolist() == ["young", "young", "adult"]
    turned = Split(groups=dict(reversed(split.groups.items())))
    assert assign(units, turned).tolist() == ["young", "adult", "adult"]


def test_unclaimed_units_are_other_and_those_without_any_value_unknown():
    split = Split(groups={"rich": {"where": {"income": {"gt": 9}}}, "north": {"where": {"city": ["A", "B"]}}})
    units = pd.DataFrame(
        {
            "income": [
                10,
                1,
                None,
                None,
                None,
            ],  # rich; known and unclaimed; by city; city known; nothing known
            "city": [None, None, "B", "C", " "],
        }
    )
    assert assign(units, split).tolist() == ["rich", "other", "north", "other", "unknown"]


def test_all_conditions_of_a_group_must_hold():
    split = Split(groups={"both": {"where": {"age": {"ge": 18, "lt": 30}, "city": "A"}}})
    units = pd.DataFrame({"age": [20, 20, 40], "city": ["A", "B", "A"]})
    assert assign(units, split).tolist() == ["both", "other", "other"]


def test_a_rule_may_claim_the_missing_ones():
    split = Split(groups={"empty": {"where": {"age": {"is_null": True}}}})
    assert assign(pd.DataFrame({"age": [None, 3.0]}), split).tolist() == ["empty", "other"]


def test_a_rule_on_a_column_that_is_not_there_names_the_nearest():
    with pytest.raises(DataError, match="did you mean occupation"):
        assign(pd.DataFrame({"occupation": ["a"]}), Split(groups={"a": {"where": {"ocupation": "a"}}}))


# --- did: behaviour ---


@pytest.mark.parametrize(
    ("did", "expected"),
    [
        ({}, [2, 0, 1]),  # any event until the entry; a's third and b's only event come after it
        ({"event": "search"}, [1, 0, 0]),
        ({"event": ["search", "page_view"]}, [2, 0, 1]),
        ({"event": "search", "within": "1d"}, [2, 1, 0]),  # a's search of the 6th is exactly one day after
        ({"event": "search", "within": "1d", "where": {"device": "mobile"}}, [1, 1, 0]),
        ({"where": {"page": "home"}}, [1, 0, 1]),  # a property
        ({"where": {"page": "home", "device": {"is_null": True}}}, [0, 0, 1]),
    ],
)
def test_behaviour_counts_events_until_a_fixed_time_after_the_own_entry(did: dict, expected: list[int]):
    assert behaviour(EVENTS, UNITS, Did(**did)).tolist() == expected


def test_behaviour_reads_parquet_like_a_frame(tmp_path: Path):
    EVENTS.to_parquet(tmp_path / "events.parquet")
    did = Did(where={"page": "home"}, within="30d")
    pd.testing.assert_series_equal(behaviour(tmp_path / "events.parquet", UNITS, did), behaviour(EVENTS, UNITS, did))


def test_behaviour_of_a_unit_without_entry_is_missing_not_zero():
    units = UNITS.assign(first_entry=times("2026-01-05", None, "2026-01-09"))
    assert behaviour(EVENTS, units, Did(event="page_view")).to_list() == [1, pd.NA, 1]


def test_behaviour_of_several_entries_of_one_unit_is_counted_for_each():
    entries = pd.DataFrame({"unit": ["a", "a"], "first_entry": times("2026-01-05", "2026-01-07")})
    units = entries.set_axis(pd.Index([7, 3]))
    counts = behaviour(EVENTS, units, Did(event="search"))
    assert counts.to_dict() == {7: 1, 3: 2}


def test_did_makes_groups_and_zero_events_is_known():
    split = Split(groups={"searcher": {"did": [{"event": "search", "count": {"ge": 2}, "within": "7d"}]}})
    assert assign(UNITS, split, events=EVENTS).tolist() == ["searcher", "other", "other"]
    without_entry = UNITS.assign(first_entry=times("2026-01-05", None, "2026-01-09"))
    assert assign(without_entry, split, events=EVENTS).tolist() == ["searcher", "unknown", "other"]


def test_did_can_ask_for_nothing_done():
    split = Split(groups={"idle": {"did": [{"event": "search", "count": 0, "within": "7d"}]}})
    assert assign(UNITS, split, events=EVENTS).tolist() == ["other", "other", "idle"]


def test_did_and_where_must_both_hold():
    split = Split(groups={"x": {"where": {"city": "A"}, "did": [{"event": "search", "within": "7d"}]}})
    units = UNITS.assign(city=["A", "B", "A"])
    assert assign(units, split, events=EVENTS).tolist() == ["x", "other", "other"]


def test_did_without_events_is_refused():
    with pytest.raises(DataError, match="no events to look at"):
        assign(UNITS, Split(groups={"x": {"did": [{"event": "search"}]}}))


# --- attach and members ---


def test_attach_joins_users_and_adds_one_column_per_split():
    users = pd.DataFrame({"user_id": ["c", "a"], "age": [40, 20], "channel": ["email", "email"]})
    units = UNITS.assign(channel=["ads", "ads", None])
    book = workbook(young={"groups": {"yes": {"where": {"age": {"lt": 30}}}}}, channel={"by": "channel", "top": 1})
    found = attach(units, users, book, None)
    assert found.columns.tolist() == ["unit", "first_entry", "channel", "age", "young"]
    assert found["young"].tolist() == ["yes", "unknown", "other"]
    # the units' own channel wins over the users', and the split replaces the column it divides by
    assert found["channel"].tolist() == ["ads", "ads", "unknown"]


def test_attach_works_all_splits_out_before_it_replaces_any_column():
    users = pd.DataFrame({"user_id": ["a", "b", "c"], "city": ["A", "B", "B"]})
    book = workbook(city={"by": "city", "top": 1}, first={"groups": {"yes": {"where": {"city": "A"}}}})
    found = attach(UNITS, users, book, None)
    assert found["city"].tolist() == ["other", "B", "B"]
    assert found["first"].tolist() == ["yes", "other", "other"]


def test_attach_takes_what_an_optional_source_would_have_told_as_missing():
    book = workbook(job={"by": "job"}, young={"groups": {"yes": {"where": {"age": {"lt": 30}}}}})
    crm = {"system": "table", "table": "users", "files": "*.csv", "optional": True}
    source = Source(**crm, columns={"user_id": "ID", "job": "Job", "age": "Age"})
    nobody = pd.DataFrame({"user_id": pd.Series(dtype="str")})
    found = attach(UNITS, nobody, book.model_copy(update={"sources": {"crm": source}}), None)
    assert found["job"].tolist() == found["young"].tolist() == ["unknown"] * 3
    with pytest.raises(DataError, match="no column 'job'"):
        attach(UNITS, nobody, book, None)


def test_attach_leaves_its_inputs_alone_and_keeps_rows_and_index():
    users = pd.DataFrame({"user_id": ["b"], "age": [5]})
    units = UNITS.set_axis(pd.Index([5, 1, 9]))
    before = units.copy(), users.copy()
    found = attach(units, users, workbook(age={"by": "age"}), None)
    pd.testing.assert_frame_equal(units, before[0])
    pd.testing.assert_frame_equal(users, before[1])
    assert found.index.tolist() == [5, 1, 9]
    assert found["age"].tolist() == ["unknown", "5", "unknown"]


def test_attach_asks_the_events_what_units_did(tmp_path: Path):
    EVENTS.to_parquet(tmp_path / "events.parquet")
    users = pd.DataFrame({"user_id": pd.Series(dtype="str")})
    book = workbook(interest={"groups": {"searcher": {"did": [{"event": "search", "within": "1d"}]}}})
    found = attach(UNITS, users, book, tmp_path / "events.parquet")
    assert found["interest"].tolist() == ["searcher", "searcher", "other"]


@pytest.mark.parametrize("name", ["unit", "depth", "first_entry", "matured", "t_1", "t_12"])
def test_a_split_must_not_hide_a_column_of_the_journeys(name: str):
    users = pd.DataFrame({"user_id": ["a"], "age": [5]})
    with pytest.raises(ConfigError, match="column of the journeys"):
        attach(UNITS, users, workbook(**{name: {"by": "age"}}), None)


def test_members_lists_rules_in_order_and_values_by_size():
    split = Split(groups={"b": {"where": {"v": "b"}}, "z": {"where": {"v": "z"}}, "a": {"where": {"v": "a"}}})
    units = pd.DataFrame({"v": ["a", "b", "a", "q", None]})
    rows = [tuple(row) for row in members(units, split).itertuples(index=False)]
    assert rows == [("b", 1, 0.2), ("z", 0, 0.0), ("a", 2, 0.4), ("other", 1, 0.2), ("unknown", 1, 0.2)]
    by_size = members(pd.DataFrame({"v": ["b", "a", "c", "c"]}), Split(by="v"))
    assert by_size["group"].tolist() == ["c", "a", "b"]


# --- properties ---

VALUES = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d", "other", "unknown", "", " "]))
SPLITS = st.one_of(
    st.builds(lambda top: Split(by="v", top=top), st.integers(1, 5)),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True).map(
        lambda names: Split(groups={f"is_{name}": {"where": {"v": [name, "d"]}} for name in names})
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, max_size=25), SPLITS, st.randoms(use_true_random=False))
def test_groups_add_up_to_the_total_and_do_not_depend_on_the_order_of_rows(values, split, random):
    units = pd.DataFrame({"v": pd.Series(values, dtype=object)})
    groups = assign(units, split)
    assert groups.notna().all()
    assert set(groups) <= {*split.groups, "a", "b", "c", "d", "other", "unknown"}
    assert members(units, split)["units"].sum() == len(units)
    order = list(units.index)
    random.shuffle(order)
    pd.testing.assert_series_equal(assign(units.loc[order], split).sort_index(), groups)


@pytest.mark.parametrize("named", [["b"], ["b", "zz"], ["b", "b"], ["a", "b", "c", "zz", "a", "f", "d"]])
def test_units_find_their_users_however_few_they_are_and_however_often_they_come(named):
    users = pd.DataFrame({"user_id": list("cabdef"), "city": list("CABDEF")}, dtype="str")
    units = pd.DataFrame({"unit": pd.Series(named, dtype="str"), "first_entry": times(*["2026-05-01"] * len(named))})
    found = attach(units, users, workbook(where={"by": "city"}), None)
    assert found["where"].tolist() == ["unknown" if name == "zz" else name.upper() for name in named]
    assert found["city"].isna().tolist() == [name == "zz" for name in named]
