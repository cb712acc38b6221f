"""The conversion notebook on data that has little to say: answers with reasons, no traceback and no false zero."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

import funnel_lib as fl
from funnel_lib.errors import DataError
from funnel_lib.reporting.blocks import Block

pytestmark = pytest.mark.slow
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
    assert len(page) > 20
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
    assert "The definition makes no difference" in found["robustness"].text or "too few" in found["robustness"].text


def test_one_segment_only(written: Callable[..., Path], page: Run):
    log_ = log(usually, device=lambda _: "mobile", channel=lambda _: "mail")
    found = page(written(log_), period="2026-02")
    sound(found)
    assert "there is only one group" in found["drivers"].text
    assert found["device-steps"].text.splitlines()[0] == (
        "A comparison of the groups cannot be computed, because there is only one group"
    )


def test_costs_without_conversions(written: Callable[..., Path], page: Run):
    days = pd.date_range("2026-01-05", "2026-03-15")
    spend = pd.DataFrame({"date": days.date, "campaign": "ads", "impressions": 900, "clicks": 30, "cost": 50.0})
    source = {
        "system": "table", "table": "spend", "files": "spend.csv", "columns": {name: name for name in spend},
        "constants": {"platform": "ads", "currency": "EUR"},
    }  # fmt: skip
    book = {"sources": {**BOOK["sources"], "ads": source}, "rules": {"allow_unmatched": True}}
    found = page(written(log(lambda person: 1 + person % 2), book, spend=spend), period="2026-02")
    sound(found)
    assert found["value"].text.splitlines()[0].startswith("What customers are worth cannot be computed")
    assert "cannot be computed" in found["returns"].text


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
