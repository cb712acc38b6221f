from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import tally
from funnel_lib.collection.contents import deals_alike, money
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook

SOURCE = {"system": "table", "table": "events", "files": "*", "columns": {"user_id": "i", "event": "e", "ts": "t"}}
Make = Callable[..., Store]


@pytest.fixture
def store(tmp_path: Path) -> Make:
    def make(**tables: pd.DataFrame) -> Store:
        made = Store(tmp_path / "processed")
        made.write(tables, tally([]), {})
        return made

    return make


@pytest.fixture
def workbook(book: Callable[..., Workbook]) -> Workbook:
    return book({"a": SOURCE}, {}, currency="CNY")


def test_amounts_are_judged_over_all_tables(store: Make, workbook: Workbook):
    made = store(
        events=pd.DataFrame({
            "event": ["buy", "buy", "Refund paid", "退款", "view"], "amount": [5.0, -5.0, -5.0, -5.0, None],
            "currency": ["CNY", "USD", "CNY", None, "EUR"],
        }),
        spend=pd.DataFrame({"cost": [1.0, 2.0], "currency": ["USD", "CNY"]}),
        deals=pd.DataFrame({"amount": [-1.0, 1.0]}),
    )  # fmt: skip
    # Eight amounts, of which two are negative without being refunds; five have a currency, two of them another one.
    assert money(made, workbook) == {
        "other_currency_share": (2 / 5, ["USD 2"]), "negative_amounts_share": (2 / 8, []),
    }  # fmt: skip


def test_without_amounts_nothing_is_wrong_with_them(store: Make, workbook: Workbook):
    assert money(store(events=pd.DataFrame({"event": ["view"]})), workbook) == {
        "other_currency_share": (0.0, []), "negative_amounts_share": (0.0, []),
    }  # fmt: skip


def deals(*rows: tuple[Any, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["record_id", "source", "user_id", "account", "amount", "created"])
    return frame.assign(created=pd.to_datetime(frame["created"], utc=True).astype("datetime64[us, UTC]"))


def test_deals_of_one_person_within_a_day_look_alike(store: Make):
    found = deals_alike(store(deals=deals(
        ("1", "crm", "u1", "Acme", 500.0, "2026-03-01T10:00"), ("2", "crm", "u1", "Acme", 500.0, "2026-03-02T10:00"),
        ("3", "crm", "u1", "Acme", 500.0, "2026-03-03T10:01"),  # more than a day later
        ("4", "crm", "u1", "Acme", 501.0, "2026-03-01T10:00"), ("5", "crm", "u2", "Acme", 500.0, "2026-03-01T10:00"),
        ("6", "erp", "u1", "Acme", 500.0, "2026-03-01T10:00"),  # another system
        ("7", "crm", "u3", None, None, "2026-03-01T10:00"), ("8", "crm", "u3", None, None, "2026-03-01T11:00"),
        ("9", "crm", None, "Acme", 500.0, "2026-03-01T10:00"), ("10", "crm", None, "Acme", 500.0, "2026-03-01T10:00"),
    )))  # fmt: skip
    assert found == (2 / 8, ["crm 1 and 2", "crm 7 and 8"])  # of the eight that tell whom they are with


def test_deals_that_do_not_tell_with_whom_cannot_be_judged(store: Make):
    assert deals_alike(store()) is None
    assert deals_alike(store(deals=deals())) is None
    assert deals_alike(store(deals=deals(("1", "crm", None, "Acme", 1.0, "2026-03-01")))) is None
    assert deals_alike(store(deals=deals(("1", "crm", "u1", "A", 1.0, "2026-03-01")).drop(columns="created"))) is None
