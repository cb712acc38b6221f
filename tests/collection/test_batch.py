import pandas as pd
import pytest

from funnel_lib.collection.batch import AT, FILE, LINE, RAW, ROW, Batch, Sieve, balance, happened, rejected, tally
from funnel_lib.errors import DataError


def rows(n: int) -> pd.DataFrame:
    return pd.DataFrame({FILE: ["a"] * n, LINE: range(2, n + 2), RAW: ["x"] * n, ROW: range(n), "value": range(n)})


def test_the_first_rule_that_a_row_breaks_counts():
    before = rows(4)
    sieve = Sieve(before)
    sieve.reject([True, False, True, False], "missing_value", "The column value is empty.")
    sieve.reject([True, True, False, False], "score_range", "Out of range", before["value"])
    kept, aside = sieve.split()
    assert kept["value"].tolist() == [3]
    assert aside[[LINE, "rule", "reason"]].to_numpy().tolist() == [
        [2, "missing_value", "The column value is empty."],
        [3, "score_range", "Out of range: 1"],
        [4, "missing_value", "The column value is empty."],
    ]
    pd.testing.assert_frame_equal(before, rows(4))


def test_a_rule_has_a_usual_reason():
    sieve = Sieve(rows(1))
    sieve.reject([True], "blank_row")
    assert sieve.split()[1]["reason"].tolist() == ["The row is empty."]


def test_rows_set_aside_tell_when_they_happened():
    times = pd.to_datetime(["2026-03-01T10:00Z", None]).astype("datetime64[us, UTC]")
    sieve = Sieve(rows(2).assign(ts=times))
    sieve.reject([True, True], "blank_row")
    assert sieve.split()[1][AT].tolist() == [pd.Timestamp("2026-03-01T10:00Z"), pd.NaT]
    # A day is its noon, so that it is the same day from Honolulu to Auckland.
    assert happened(pd.DataFrame({"date": pd.to_datetime(["2026-03-01"])})).tolist() == [
        pd.Timestamp("2026-03-01T12:00Z")
    ]
    assert happened(rows(2)).isna().all()


def test_a_batch_whose_rows_do_not_add_up_is_refused():
    aside = rejected([("a", 9, "blank_row", "The row is empty.", "")])
    Batch("users", rows(2), aside, {"a": 4, "b": 0}, {("a", "total_row"): 1})
    with pytest.raises(DataError, match="do not add up") as error:
        Batch("users", rows(2), aside, {"a": 4})
    assert error.value.found == "4 rows read and 3 kept, merged or set aside"
    with pytest.raises(DataError, match="do not add up"):
        Batch("users", rows(0), rejected(), {"a": 1})


def test_the_tally_adds_up_equal_entries():
    frame = tally([("s", "f", "t", "read", "", 2), ("s", "f", "t", "read", "", 3), ("s", "f", "t", "kept", "", 5)])
    assert frame.to_numpy().tolist() == [["s", "f", "t", "kept", "", 5], ["s", "f", "t", "read", "", 5]]
    balance(frame)


def test_an_unbalanced_tally_is_refused():
    with pytest.raises(DataError, match="do not add up"):
        balance(tally([("s", "f", "t", "read", "", 2), ("s", "f", "t", "quarantined", "bot", 1)]))


def test_rows_set_aside_are_typed_also_when_there_are_none():
    assert rejected().dtypes.astype(str).tolist() == ["str", "int64", "str", "str", "str", "datetime64[us, UTC]"]
