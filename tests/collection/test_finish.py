import pandas as pd
import pytest

from funnel_lib.collection.finish import Resolved, complete, horizon, order_reasons, with_people_of_events, wrong_order
from funnel_lib.collection.stage import ORIGIN
from funnel_lib.config import parse
from funnel_lib.schema import empty, table

WORKBOOK = parse({
    "name": "t", "title": "t", "timezone": "Asia/Shanghai", "funnel": {"steps": [{"name": "a", "event": "b"}]},
    "sources": {"d": {"system": "table", "table": "deals", "files": "*", "columns": {"record_id": "id", "closed": "c"},
                      "not_before": {"closed": "first_seen"}}},
})  # fmt: skip


def per_day(*days: tuple[str, int]) -> pd.Series:
    return pd.Series([rows for _, rows in days], index=pd.to_datetime([day for day, _ in days]))


@pytest.mark.parametrize(
    ("days", "end"),
    [
        ([("2026-03-01", 9), ("2027-03-03", 1)], "2026-03-02"),  # 367 days after all others
        ([("2026-03-01", 9), ("2027-03-02", 1)], None),  # 366 days: a pause, perhaps
        ([("2026-03-01", 8), ("2031-01-01", 1)], None),  # nine rows prove nothing
        ([("2026-03-01", 98), ("2031-01-01", 2)], None),  # 2 of 100 are no slip
        ([("2026-03-01", 198), ("2031-01-01", 1), ("2040-01-01", 1)], "2026-03-02"),  # 1% is
        ([("2020-03-01", 1), ("2026-03-01", 99)], None),  # old is not the future
        ([], None),
    ],
)
def test_the_horizon_is_where_the_data_ends(days: list[tuple[str, int]], end: str | None):
    found = horizon(per_day(*days))
    assert found == (None if end is None else pd.Timestamp(end))


def test_ids_without_a_link_stand_for_themselves():
    ids = pd.DataFrame({"value": ["b1", "U1"], "user_id": ["U1", "U1"]}).astype("str")
    found = Resolved(WORKBOOK, ids, frozenset()).person(pd.Series(["b1", "b2", None, "U1"], dtype="str"))
    assert found.tolist()[:2] == ["U1", "b2"]
    assert pd.isna(found.iloc[2])


def test_a_time_is_held_against_the_attribute_of_its_person():
    people = pd.DataFrame({"user_id": ["u1"], "first_seen": pd.to_datetime(["2026-03-02T10:00Z"])})
    # March 2, 16:00 UTC is a midnight in Shanghai: the whole of March 3 there, which ends later still.
    closed = pd.to_datetime(
        ["2026-03-02T09:00Z", "2026-03-02T11:00Z", "2026-03-01T16:00Z", "2026-02-28T16:00Z", None, "2026-01-01T00:00Z"]
    )
    rows = pd.DataFrame({"user_id": ["u1"] * 5 + ["u2"], "closed": closed, ORIGIN: "d"})
    assert wrong_order(rows, "deals", people, WORKBOOK).tolist() == [True, False, False, True, False, False]
    assert not wrong_order(rows.assign(**{ORIGIN: "other"}), "deals", people, WORKBOOK).any()
    assert order_reasons(WORKBOOK)["d"] == "closed lies before first_seen."


def test_everybody_with_events_is_a_user():
    seen = pd.DataFrame(
        {"user_id": ["u1", "u2"], "first_seen": pd.to_datetime(["2026-03-02T10:00Z"] * 2).astype("datetime64[us, UTC]")}
    )
    users = pd.DataFrame({"user_id": ["u0", "u1"], "city": ["Bonn", "Köln"]}).astype("str")
    both = with_people_of_events(users, seen)
    assert both["user_id"].tolist() == ["u0", "u1", "u2"]
    assert both["first_seen"].notna().tolist() == [False, True, True]
    assert both["city"].tolist()[:2] == ["Bonn", "Köln"]
    pd.testing.assert_frame_equal(with_people_of_events(empty("users"), None), empty("users"))


def test_absent_columns_are_added_empty():
    frame = complete("deals", pd.DataFrame({"record_id": ["d1"], "status": ["won"]}))
    assert set(frame) == set(table("deals").columns)
    assert frame["created"].isna().all()
