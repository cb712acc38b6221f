"""What was told before: old trouble is not told again, new trouble is, and what is over is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from funnel_lib.reporting.notify import memory
from funnel_lib.reporting.notify.memory import RUN, Alert, News

NIGHT, WEEK = timedelta(days=1), timedelta(days=7)
FIRST = datetime(2026, 6, 1, 7, 23, tzinfo=UTC)
BROKEN = Alert("2026-05/all/conversion.en.html", "Conversion: no space left", failed=True)
LATE = Alert("2026-05/all/conversion.en.html", "2 days are missing")
MOVED = Alert("2026-05/all/conversion.en.html", "3 numbers have moved", counted=True)


def night(number: int, known: tuple[Alert, ...], *found: Alert, well: bool = True) -> News:
    """What is new on a night on which the conversion report was made, well or not."""
    return memory.news(known, found, {BROKEN.about: well}, at=FIRST + number * NIGHT, repeat=WEEK)


def test_the_same_trouble_is_told_once_and_again_after_a_week() -> None:
    known: tuple[Alert, ...] = ()
    told = []
    for number in range(15):
        heard = night(number, known, BROKEN, well=False)
        known = heard.kept
        told.append(len(heard.fresh))
        assert len(heard.fresh) + len(heard.standing) == 1
        assert heard.over == ()
    assert [number for number, count in enumerate(told) if count] == [0, 7, 14]


def test_other_numbers_are_no_other_trouble_but_where_they_count() -> None:
    known = night(0, (), LATE, MOVED).kept
    heard = night(1, known, replace(LATE, text="12.5 days are missing"), replace(MOVED, text="4 numbers have moved"))
    assert [one.text for one in heard.fresh] == ["4 numbers have moved"]
    assert [one.text for one in heard.standing] == ["12.5 days are missing"]


def test_a_failure_that_changes_is_told_and_the_old_one_is_not_called_over() -> None:
    known = night(0, (), BROKEN, LATE).kept
    other = replace(BROKEN, text="Conversion: the kernel died")
    heard = night(1, known, other, well=False)
    assert ([one.text for one in heard.fresh], heard.over) == ([other.text], ())
    # The report could not be made, so nobody knows of the missing days.
    assert [one.text for one in heard.kept] == [other.text, LATE.text]


def test_what_a_run_did_not_look_at_stays_as_it_was() -> None:
    known = night(0, (), BROKEN).kept
    heard = memory.news(known, [], {RUN: True}, at=FIRST + NIGHT, repeat=WEEK)
    assert (heard.over, heard.kept) == ((), known)
    assert (night(2, known).over, night(2, known).kept) == (known, ())
    assert memory.news(known, [], {}, at=FIRST + 91 * NIGHT, repeat=WEEK).kept == ()  # nobody asks any more


def test_the_memory_is_kept_beside_the_reports(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "shop"
    assert memory.read(folder) == []
    known = night(0, (), BROKEN, MOVED).kept
    memory.write(folder, known)
    assert memory.read(folder) == list(known)
    assert [path.name for path in folder.iterdir()] == [".told.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": "another/1"}', '{"schema": "funnel-told/1", "alerts": [1]}']
)
def test_a_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ".told.json").write_text(text)
    assert memory.read(tmp_path) == []


def test_where_nothing_can_be_written_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    memory.write(tmp_path / "reports", [BROKEN])
    assert (tmp_path / "reports").read_text() == "a file"
