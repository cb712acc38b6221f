from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from funnel_lib.collection.batch import FILE, LINE, RAW, ROW
from funnel_lib.collection.clean import before, canonical, convert, kind_of, people, screen, tidy
from funnel_lib.collection.files import Export
from funnel_lib.config import Cleaning

USERS = {"system": "table", "table": "users", "files": "*", "columns": {"user_id": "id"}}
Exports = Callable[..., Export]


def texts(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="str")


def rows(**columns: list[Any]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    origin = {FILE: ["a"] * n, LINE: range(2, n + 2), RAW: [""] * n, ROW: range(n)}
    return pd.DataFrame({**{name: texts(*values) for name, values in columns.items()}, **origin})


def test_texts_are_trimmed_emptied_and_rewritten(export: Exports):
    source = export({**USERS, "missing": ["n/a", " - "], "values": {"city": {"BN": "Bonn"}}}).source
    found = tidy(texts(" BN ", "n/a", "-", "  ", None, "bn"), source, "city")
    assert found.fillna("?").tolist() == ["Bonn", "?", "?", "?", "?", "bn"]
    assert tidy(texts("BN"), source, "town").tolist() == ["BN"]


@pytest.mark.parametrize(
    ("table", "name", "kind"),
    [
        ("users", "won_at", "time"),
        ("users", "city", "text"),
        ("events", "paid_at", "text"),
        ("spend", "clicks", "count"),
        ("deals", "amount", "number"),
    ],
)
def test_the_kind_of_a_column(table: str, name: str, kind: str):
    assert kind_of(table, name) == kind


def test_counts_are_whole_numbers(export: Exports):
    assert convert(texts("1,000", "2.0", "2.5", "1e20"), "count", export(USERS)).fillna(-1).tolist() == [
        1000,
        2,
        -1,
        -1,
    ]


def test_a_midnight_stands_for_its_whole_day():
    zone = ZoneInfo("Asia/Shanghai")
    earlier = pd.Series(pd.to_datetime(["2026-03-02T10:00+08:00"] * 4, utc=True))
    later = pd.Series(
        pd.to_datetime(
            ["2026-03-02T00:00+08:00", "2026-03-01T00:00+08:00", "2026-03-02T09:59+08:00", None],
            utc=True,
            format="ISO8601",
        )
    )
    assert before(later, earlier, zone).tolist() == [False, True, True, False]


def test_people_are_judged_only_where_all_is_known():
    users = pd.DataFrame(
        {"user_id": ["u1", "u2"], "email": ["a@x.example", "b@y.example"], "staff": ["yes", "no"]}
    ).astype("str")
    where = Cleaning.model_validate({"test_accounts": {"email": {"contains": "@x."}, "staff": "yes"}})
    assert people(users, where)["_test"].tolist() == [True, False]
    assert people(users.drop(columns="staff"), where)["_test"].tolist() == [False, False]
    assert people(users, Cleaning())["_test"].tolist() == [False, False]
    assert list(people(users, where)) == ["user_id", "staff", "_test"]
    assert list(users) == ["user_id", "email", "staff"]


def test_the_callers_rows_stay_as_they_are(export: Exports):
    one = export({**USERS, "columns": {"user_id": "id", "first_seen": "at"}})
    given = rows(user_id=[" u1 ", ""], first_seen=["2026-03-01", "soon"])
    kept_as = given.copy(deep=True)
    sieve = canonical(given, "users", one)
    screen(sieve, "users", one)
    kept, aside = sieve.split()
    assert kept["user_id"].tolist() == ["u1"]
    assert aside["rule"].tolist() == ["unreadable_time"]
    pd.testing.assert_frame_equal(given, kept_as)
