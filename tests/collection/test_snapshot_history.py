from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.collection.snapshot_history import COLUMNS, stage_history


def versions(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """Rows (record, stage, day seen, day changed, day created), all days of November 2026."""
    frame = pd.DataFrame(
        [(*row, None, None)[:5] for row in rows],
        columns=["record_id", "stage", "seen_at", "changed_at", "created_at"],
    )
    for name in ("seen_at", "changed_at", "created_at"):
        frame[name] = pd.to_datetime([day(value) for value in frame[name]], utc=True)
    return frame


def day(value: Any) -> pd.Timestamp | None:
    return None if value is None or pd.isna(value) else pd.Timestamp(2026, 11, int(value), tz="UTC")


def stays(*rows: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """(record, stage, day entered, day left, entered after, known)."""
    found = stage_history(versions(*rows))
    return [
        tuple((value.day if isinstance(value, pd.Timestamp) else None if pd.isna(value) else value) for value in row)
        for row in found.itertuples(index=False, name=None)
    ]


def test_two_snapshots_bracket_a_change():
    # Seen in A on the 1st and 3rd, in B on the 5th: B was entered after the 3rd, not after the 5th.
    assert stays(("d", "A", 1), ("d", "A", 3), ("d", "B", 5)) == [
        ("d", "A", 1, 5, None, "first_sight"), ("d", "B", 5, None, 3, "between"),
    ]  # fmt: skip


def test_the_time_of_the_system_is_exact():
    assert stays(("d", "A", 3, 1), ("d", "B", 9, 7)) == [
        ("d", "A", 1, 7, None, "told"), ("d", "B", 7, None, None, "told"),
    ]  # fmt: skip


def test_a_record_that_is_not_in_a_snapshot_of_changes_stayed_as_it_was():
    # Another record shows that there was a snapshot on the 4th.
    assert stays(("d", "A", 1), ("e", "A", 4), ("d", "B", 6))[1] == ("d", "B", 6, None, 4, "between")


def test_a_record_made_between_two_snapshots_entered_after_it_was_made():
    assert stays(("e", "A", 1), ("d", "A", 4, None, 3))[0] == ("d", "A", 4, None, 3, "between")
    assert stays(("e", "A", 2), ("d", "A", 4, None, 1))[0] == ("d", "A", 4, None, None, "first_sight")


def test_a_stage_entered_again_is_another_stay():
    # On the 9th it is in A again, entered on the 8th: where it was between is not known, and not made up.
    assert stays(("d", "A", 3, 2), ("d", "A", 9, 8)) == [
        ("d", "A", 2, 8, None, "told"), ("d", "A", 8, None, None, "told"),
    ]  # fmt: skip


def test_a_time_that_cannot_be_is_not_believed():
    # Changed after it was seen; changed before the stage before it was entered.
    assert stays(("d", "A", 3, 5)) == [("d", "A", 3, None, None, "first_sight")]
    assert stays(("d", "A", 3, 2), ("d", "B", 6, 1))[1] == ("d", "B", 6, None, 3, "between")


def test_a_whole_history_in_one_snapshot_is_sorted():
    assert stays(("d", "B", 9, 5), ("d", "A", 9, 2), ("d", "C", 9, 7)) == [
        ("d", "A", 2, 5, None, "told"), ("d", "B", 5, 7, None, "told"), ("d", "C", 7, None, None, "told"),
    ]  # fmt: skip


def test_rows_without_a_stage_are_passed_over():
    assert stays(("d", None, 1), ("d", "A", 2), (None, "B", 3)) == [("d", "A", 2, None, None, "first_sight")]


def test_nothing_gives_nothing_and_only_three_columns_are_needed():
    assert list(stage_history(versions()).columns) == COLUMNS
    assert stage_history(versions()).empty
    three = versions(("d", "A", 1))[["record_id", "stage", "seen_at"]]
    assert stage_history(three)["known"].tolist() == ["first_sight"]


def test_the_callers_frame_stays_as_it_was():
    frame = versions(("d", "B", 5), ("d", "A", 1))
    before = frame.copy()
    stage_history(frame)
    pd.testing.assert_frame_equal(frame, before)


rows = st.lists(
    st.tuples(
        st.sampled_from("de"), st.sampled_from(["A", "B", "C"]), st.integers(1, 28),
        st.none() | st.integers(1, 28), st.none() | st.integers(1, 28),
    ),
    max_size=12,
    unique_by=lambda row: (row[0], row[2]),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(rows, st.randoms(use_true_random=False))
def test_stays_of_a_record_follow_each_other_and_fit_what_was_seen(rows: list[tuple[Any, ...]], chance: Any):
    found = stage_history(versions(*rows))
    shuffled = list(rows)
    chance.shuffle(shuffled)
    pd.testing.assert_frame_equal(found, stage_history(versions(*shuffled)))
    for record, part in found.groupby("record_id"):
        assert part["entered_at"].is_monotonic_increasing
        assert part["left_at"].iloc[:-1].tolist() == part["entered_at"].iloc[1:].tolist()
        assert part["left_at"].isna().iloc[-1]
        newest = max((row for row in rows if row[0] == record), key=lambda row: row[2])
        assert part["stage"].iloc[-1] == newest[1]
    between = found[found["known"] == "between"]
    assert (between["entered_after"] <= between["entered_at"]).all()
    assert found.loc[found["known"] != "between", "entered_after"].isna().all()
