import datetime as dt
import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900

from funnel_lib.collection import sheets
from funnel_lib.collection.sheets import sheet
from funnel_lib.errors import DataError


def saved(path: Path, fill: Callable[[Any], None], epoch: dt.datetime = CALENDAR_WINDOWS_1900) -> Path:
    book = openpyxl.Workbook()
    book.epoch = epoch
    fill(book.active)
    book.save(path)
    return path


def cells(path: Path) -> list[Any]:
    return [record.cells for record in sheet(path, None)]


@pytest.mark.parametrize("epoch", [CALENDAR_WINDOWS_1900, CALENDAR_MAC_1904])
def test_dates_are_read_by_the_epoch_of_their_file(tmp_path: Path, epoch: dt.datetime):
    row = [dt.datetime(2026, 3, 5, 14, 5), dt.date(2026, 3, 5), dt.time(9, 5), dt.timedelta(hours=26)]  # noqa: DTZ001
    path = saved(tmp_path / "a.xlsx", lambda page: page.append(row), epoch)
    moment, day, clock, length = cells(path)[0]
    assert (moment, day[:10], length) == ("2026-03-05T14:05:00", "2026-03-05", "93600")
    assert clock.endswith("09:05:00")


def test_formulas_are_not_run_and_show_what_was_stored(tmp_path: Path):
    path = saved(tmp_path / "a.xlsm", lambda page: page.append(["x", "=1+1", '=HYPERLINK("http://x")', "'=1"]))
    assert cells(path)[0] == ["x", None, None, "'=1"]  # openpyxl stores no results


def test_a_document_with_macros_is_read_as_data(tmp_path: Path):
    path = saved(tmp_path / "a.xlsm", lambda page: page.append(["id", "城市"]))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/vbaProject.bin", b"Sub Auto_Open()")
    assert cells(path) == [["id", "城市"]]


def test_the_name_of_the_file_does_not_matter(tmp_path: Path):
    assert cells(saved(tmp_path / "a.xlsx", lambda page: page.append(["id"])).rename(tmp_path / "a.csv")) == [["id"]]


def test_merged_cells_have_their_value_in_each_place(tmp_path: Path):
    def fill(page: Any) -> None:
        for row in (["客户", None, "金额"], ["编号", "名称", None], ["C1", "甲", 5], [None, None, 6]):
            page.append(row)
        for area in ("A1:B1", "C1:C2", "A3:A4", "B3:B4"):
            page.merge_cells(area)

    assert cells(saved(tmp_path / "a.xlsx", fill)) == [
        ["客户", "客户", "金额"], ["编号", "名称", "金额"], ["C1", "甲", "5"], ["C1", "甲", "6"],
    ]  # fmt: skip


def test_a_merged_area_beyond_the_cells_takes_no_memory(tmp_path: Path):
    def fill(page: Any) -> None:
        page.append(["id", "x"])
        page.merged_cells.add("A1:XFD1048576")

    assert cells(saved(tmp_path / "a.xlsx", fill)) == [["id", "id"]]


@pytest.mark.parametrize(("cell", "what"), [("XFD1048576", "1,048,576 rows and 16,384 columns"), ("CV1000000", "100")])
def test_a_cell_far_out_is_refused_before_it_takes_memory(tmp_path: Path, cell: str, what: str):
    def fill(page: Any) -> None:
        page["A1"] = "id"
        page[cell] = "x"

    with pytest.raises(DataError, match="too large") as error:
        sheet(saved(tmp_path / "a.xlsx", fill), None)
    assert what in str(error.value.found)


def test_a_spreadsheet_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = saved(tmp_path / "a.xlsx", lambda page: page.append(["id"]))
    monkeypatch.setattr(sheets, "LARGEST", 1000)
    with pytest.raises(DataError, match="too large"):
        sheet(path, None)


def test_an_archive_that_is_no_spreadsheet_is_refused(tmp_path: Path):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
    (tmp_path / "a.xlsx").write_bytes(held.getvalue())
    with pytest.raises(DataError, match="cannot be read"):
        sheet(tmp_path / "a.xlsx", None)


def test_a_document_of_the_old_kind_that_is_locked_or_broken_is_refused(tmp_path: Path):
    (tmp_path / "a.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(DataError, match="cannot be read") as error:
        sheet(tmp_path / "a.xls", None)
    assert "password" in str(error.value.allowed)


def written(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def parts_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("place", ["BXFD10485762", "xfd1048576", "A99999999999", "ZZZZZZZ1"])
def test_places_that_no_sheet_has_are_refused(tmp_path: Path, place: str):
    parts = parts_of(saved(tmp_path / "a.xlsx", lambda page: page.append(["id", "x"])))
    sheet_xml = "xl/worksheets/sheet1.xml"
    parts[sheet_xml] = parts[sheet_xml].replace(b'r="B1"', f'r="{place}"'.encode())
    with pytest.raises(DataError, match=r"too large|cannot be read"):
        sheet(written(tmp_path / "b.xlsx", parts), None)


def test_any_damage_within_a_document_is_read_or_refused(tmp_path: Path):
    def fill(page: Any) -> None:
        for row in (["id", "x"], [1, "甲"], [dt.date(2026, 3, 1), True]):
            page.append(row)
        page.merge_cells("A1:B1")

    good, chance, refused = parts_of(saved(tmp_path / "a.xlsx", fill)), random.Random(1), 0
    for _ in range(200):
        parts = dict(good)
        for name in chance.choices(list(parts), k=2):
            at, data = chance.randrange(len(parts[name])), parts[name]
            piece = chance.choice([b"", b"<", b'"', b"9" * 12, b"XFD1048576", b"\x00", b"-1", data[at : at + 30]])
            parts[name] = data[:at] + piece + data[at + chance.randrange(9) :]
        try:
            list(sheet(written(tmp_path / "b.xlsx", parts), None))
        except DataError:
            refused += 1
    assert 0 < refused < 200
