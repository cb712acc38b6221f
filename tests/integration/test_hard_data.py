"""The conversion notebook on data that has little to say: answers with reasons, no traceback and no false zero."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

import funnel_lib as fl
from funnel_lib.errors import ConfigError, DataError
from funnel_lib.reporting.blocks import Block

pytestmark = [
    pytest.mark.slow,
    # What numpy, pandas and statsmodels warn of would stand in the report.
    *(pytest.mark.filterwarnings(f"error::{kind}") for kind in (
        "RuntimeWarning", "FutureWarning", "UserWarning", "pandas.errors.Pandas4Warning",
    )),
]  # fmt: skip
Page = dict[str, Block]
Run = Callable[..., Page]
PEOPLE, STEPS = 840, {"view": 0, "cart": 5, "order": 20}
"""Twelve people a day for ten weeks from 5 January 2026; so many minutes after their first step."""
COLUMNS = ("user_id", "event", "ts", "device", "channel", "amount", "currency")
BOOK = {
    "name": "shop", "title": {"en": "Shop", "zh": "网店"}, "timezone": "UTC", "currency": "EUR",
    "languages": ["en", "zh"],
    "sources": {
        "web": {"system": "table", "table": "events", "files": "events.csv",
                "columns": {name: name for name in COLUMNS}},
    },
    "funnel": {"window": "3d", "steps": [{"name": name, "event": name} for name in STEPS]},
    "segments": {"device": {"by": "device"}, "channel": {"by": "channel"}},
    "value": {"event": "order"},
}  # fmt: skip


def log(reached: Callable[[int], int], **columns: Callable[[int], object]) -> pd.DataFrame:
    """Return events of PEOPLE: person n takes `reached(n)` steps; `columns` tell the rest of each event."""
    rows = []
    for person in range(PEOPLE):
        start = pd.Timestamp("2026-01-05 09:00") + pd.Timedelta(days=person // 12, minutes=person % 12)
        for event in list(STEPS)[: reached(person)]:
            told = {"device": ["mobile", "desktop"][person % 2], "channel": ["mail", "ads"][person % 3 == 0]}
            paid = {"amount": 20 + person % 7, "currency": "EUR"} if event == "order" else {}
            row = {"user_id": f"u{person}", "event": event, "ts": start + pd.Timedelta(minutes=STEPS[event])}
            rows.append({**row, **told, **paid, **{name: of(person) for name, of in columns.items()}})
    return pd.DataFrame(rows, columns=list(COLUMNS))


SPEND = ("date", "campaign", "impressions", "clicks", "cost")
ADVERTISED = BOOK["sources"] | {
    "ads": {"system": "table", "table": "spend", "files": "spend.csv", "columns": {name: name for name in SPEND},
            "constants": {"platform": "ads", "currency": "EUR"}},
}  # fmt: skip
"""The sources with those of `spend`."""


def spend(cost: float, clicks: int, impressions: int) -> pd.DataFrame:
    """Return what advertising cost on each day of the log."""
    days = pd.date_range("2026-01-05", "2026-03-15").date
    told = ("ads", impressions, clicks, cost)
    return pd.DataFrame({"date": days} | dict(zip(SPEND[1:], told, strict=True)))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a workbook with its exports, collects it and gives its file."""

    def write(events: pd.DataFrame | None, book: dict[str, object] | None = None, **files: pd.DataFrame) -> Path:
        raw, file = tmp_path / "data" / "raw" / "shop", tmp_path / "params" / "shop.yml"
        raw.mkdir(parents=True)
        file.parent.mkdir()
        for name, frame in {**files, **({} if events is None else {"events": events})}.items():
            frame.to_csv(raw / f"{name}.csv", index=False)
        file.write_text(yaml.safe_dump({**BOOK, **(book or {})}, allow_unicode=True))
        fl.collect(fl.load(file))
        return file

    return write


def sound(page: Page) -> None:
    """Check what holds of every page: all sections speak, none shows a number that is none."""
    assert len(page) > 18
    for name, block in page.items():
        assert block.text.strip(), name
        assert not re.search(r"\b(nan|inf|None|NaT|NaN)\b", block.text), (name, block.text)
        assert not re.search(r"\{\w+\}", block.text), name
    assert 3 <= len(page["summary"].text.splitlines()) <= 6


def usually(person: int) -> int:
    """Half go on to the cart, a third of these order."""
    return 1 if person % 2 else 3 if person % 6 == 0 else 2


def test_nobody_converts(written: Callable[..., Path], page: Run):
    book = {"rules": {"allow_unmatched": True}, "targets": {"order": 0.3}}
    found = page(written(log(lambda person: 2 if person % 2 else 1), book), period="2026-02")
    sound(found)
    assert "nobody has converted yet" in found["timing"].text or "too few people or conversions" in found["timing"].text
    assert found["value"].text.splitlines()[0].startswith("What customers are worth cannot be computed")
    assert "Hardly anybody gets to order: 0 of 168 went on" in found["summary"].text
    assert "order cannot be judged, because too few of 168 people went on" in found["losses"].text
    assert "clearly behind the others" not in found["device-steps"].text  # nothing could be compared


def test_everybody_converts(written: Callable[..., Path], page: Run):
    found = page(written(log(lambda _: 3)), period="2026-02")
    sound(found)
    assert "100" in found["summary"].text.splitlines()[0]
    assert "either nobody or everybody went on" in found["since"].text + found["monitoring"].text
    assert "Nobody is lost: all people went on at every step" in found["funnel"].text
    assert "Most people leave" not in found["summary"].text
    assert "The definition makes no difference" in found["robustness"].text
    assert "No step can be said to lose the most" in found["robustness"].text
    assert "cannot be computed, because either nobody or everybody went on" in found["drivers"].text


def test_one_segment_only(written: Callable[..., Path], page: Run):
    log_ = log(usually, device=lambda _: "mobile", channel=lambda _: "mail")
    found = page(written(log_), period="2026-02")
    sound(found)
    assert "there is only one group" in found["drivers"].text
    assert found["device-steps"].text.splitlines()[0] == (
        "A comparison of the groups cannot be computed, because there is only one group"
    )


def test_costs_without_conversions(written: Callable[..., Path], page: Run):
    book = {"sources": ADVERTISED, "rules": {"allow_unmatched": True}}
    found = page(written(log(lambda person: 1 + person % 2), book, spend=spend(50.0, 30, 900)), period="2026-02")
    sound(found)
    assert found["value"].text.splitlines()[0].startswith("What customers are worth cannot be computed")
    assert "returns" not in found  # of which the value says why there is none


def test_currencies_that_cannot_be_added(written: Callable[..., Path], page: Run):
    mixed = log(usually)
    mixed.loc[mixed["event"] == "order", "currency"] = "USD"
    found = page(written(mixed), period="2026-02")
    sound(found)
    assert "€" not in found["summary"].text
    assert "cannot be computed, because all of it is in another currency" in found["losses"].text
    assert "cannot be computed" in found["value"].text


def test_a_window_longer_than_the_data(written: Callable[..., Path], page: Run):
    # Ten weeks of data, a window of thirteen: nobody has had the full time, which is not nobody converts.
    file = written(log(usually), {"funnel": {**BOOK["funnel"], "window": "91d"}})
    found = page(file, period="2026-02")
    sound(found)
    entered, ordered = 12 * 28, 12 * 28 // 6
    assert f"{entered} people entered, and none has had the full 91 days yet; {ordered} have reached order so far" in (
        found["summary"].text
    )
    assert found["funnel"].text.splitlines()[0] == (
        "The rate of each step cannot be computed, because nobody has had the full time yet"
    )
    assert "0 did" not in found["views"].text


def test_a_look_back_longer_than_the_data(written: Callable[..., Path], page: Run):
    # The first week of the data: credit looks back thirty days, and nothing lies there.
    found = page(written(log(usually)), period="2026-01-05..2026-01-18")
    sound(found)
    assert "There is no earlier period to compare with" in found["kpis"].html
    assert "there is no earlier period to compare with" in found["summary"].text
    assert "cannot be computed, because there are too few days" in found["monitoring"].text


def test_a_period_outside_the_data_is_refused_with_what_there_is(written: Callable[..., Path], page: Run):
    file = written(log(usually))
    with pytest.raises(DataError, match="There is no data in this period") as error:
        page(file, period="2027-01")
    assert "2026-01-05 to 2026-03-15" in str(error.value)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_ends_before_their_beginnings(written: Callable[..., Path], page: Run, language: str):
    days = pd.date_range("2026-01-05", periods=PEOPLE, freq="2h")
    people = pd.DataFrame({"user_id": [f"u{person}" for person in range(PEOPLE)], "first_seen": days})
    people["won_at"] = days.where(people.index % 4 == 0) + pd.Timedelta(days=3)
    people.loc[people.index % 8 == 0, "won_at"] -= pd.Timedelta(days=9)  # six days before the beginning
    source = {"system": "table", "table": "users", "files": "people.csv", "columns": {n: n for n in people}}
    funnel = {
        "snapshot": "users",
        "entered": "first_seen",
        "steps": [{"name": "lead"}, {"name": "won", "column": "won_at"}],
    }
    book = {"sources": {"crm": source}, "funnel": funnel, "segments": {}, "value": {}}
    found = page(written(None, book, people=people), period="2026-02", language=language)
    sound(found)
    # 28 days of twelve: 336 people; every fourth is won, half of these before they came, which cannot be: 42.
    assert ("42 people are left out" if language == "en" else "42人未计入") in found["funnel"].html
    assert not re.search(r"[−-]\d+(\.\d)? ?(days|天)", found["timing"].text)


@pytest.mark.parametrize(
    ("people", "a_day", "language"), [(1, 1, "en"), (120, 60, "zh"), (300, 300, "en")],
    ids=["one person", "two days", "one instant"],
)  # fmt: skip
def test_hardly_any_data(written: Callable[..., Path], page: Run, people: int, a_day: int, language: str):
    log_ = log(usually).iloc[: people * 3]
    log_ = log_.assign(user_id=[f"u{row // 3}" for row in range(len(log_))], event=[*STEPS] * (len(log_) // 3))
    days = pd.Series(range(len(log_))) // 3 // a_day
    log_["ts"] = "2026-02-05 09:00" if a_day == people > 1 else pd.Timestamp("2026-02-05 09:00") + pd.to_timedelta(
        days, unit="D"
    ) + pd.to_timedelta(log_["event"].map(STEPS), unit="min")  # fmt: skip
    found = page(written(log_), period="all", language=language)
    sound(found)
    if language == "en":
        assert "95% interval" not in found["summary"].text.splitlines()[0]  # nobody has had the full time
        assert "cannot be computed" in found["moved"].text


NAMES = [
    "😀 emoji", "مرحبا بالعالم", '<b>bold & "q"</b>', "中文 设备", "x" * 200, "a|b", "=1+1", "$x$ _y_ *z*", "{n}", "%s",
]  # fmt: skip
"""Names of groups that exports do hold."""


def test_twenty_steps_odd_names_and_amounts_of_a_trillion(written: Callable[..., Path], page: Run):
    steps = [f"s{number}" for number in range(20)]
    rows = [
        {"user_id": f"u{person}", "event": steps[place],
         "device": NAMES[person % 10], "channel": NAMES[person // 3 % 10],
         "ts": pd.Timestamp("2026-01-05 09:00") + pd.Timedelta(days=person // 12, minutes=place),
         **({"amount": 1e12 + person, "currency": "EUR"} if place == 19 else {})}
        for person in range(PEOPLE) for place in range(20 - (person % 21) % 20)
    ]  # fmt: skip
    funnel = {"window": "3d", "steps": [{"name": name, "event": name, "title": "سلة {n} %"} for name in steps]}
    book = {"funnel": funnel, "value": {"event": "s19"}}
    found = page(written(pd.DataFrame(rows, columns=list(COLUMNS)), book), period="2026-02", language="zh")
    for name, block in found.items():
        assert block.text.strip(), name
        assert not re.search(r"\b(nan|inf|None|NaT|NaN)\b", block.text), name
        assert "<b>bold" not in block.html  # it is shown, never obeyed
    assert "10,000亿" in found["value"].text


def test_refunds_are_no_orders(written: Callable[..., Path], page: Run):
    log_ = log(usually)
    log_["amount"] = -log_["amount"]
    found = page(written(log_), period="2026-02")
    sound(found)
    assert "what it is worth cannot be computed" in found["summary"].text
    assert "−€" not in found["losses"].text
    assert "there are no orders with an amount" in found["value"].text


def test_one_step_is_refused_with_what_to_do(written: Callable[..., Path], page: Run):
    file = written(log(usually), {"funnel": {"window": "3d", "steps": BOOK["funnel"]["steps"][:1]}, "value": {}})
    with pytest.raises(ConfigError, match="only one") as error:
        page(file, period="2026-02")
    assert "Name a second step" in str(error.value)


def test_where_all_orders_are_alike_no_group_is_ahead(written: Callable[..., Path], page: Run):
    # A whole period before it, one group that is everybody, all orders of one amount, advertising that cost nothing.
    log_ = log(usually)
    log_.loc[log_["event"] == "order", "amount"] = 20
    everyone = {"groups": {"everyone": {"where": {"device": {"is_null": False}}}}}
    book = {"sources": ADVERTISED, "segments": {"everyone": everyone}}
    found = page(written(log_, book, spend=spend(0.0, 0, 0)), period="2026-02-16..2026-03-01")
    sound(found)
    assert "did not move clearly: 0.0 points" in found["summary"].text
    assert "there is only one group" in found["drivers"].text
    assert "cannot be computed, because no costs are known" in found["returns"].text
