"""The Excel file: numbers are numbers, texts stay texts, nothing is a formula."""

from __future__ import annotations

from pathlib import Path

from openpyxl import load_workbook

from funnel_lib.reporting.spreadsheet import write_xlsx

TABLE = 'Group,Rate,Rate (low),People\r\n学生,0.25,1e-05,12\r\n"\'=cmd|x",,-0.5,007\r\n'


def test_tables_and_a_first_sheet(tmp_path: Path) -> None:
    file = tmp_path / "r.xlsx"
    write_xlsx(
        file,
        {"funnel": TABLE, "Funnel": "a\r\n1\r\n", "x/y" * 20: "a\r\n"},
        [("Period", "2026-05"), ("Segment", "=all")],
    )
    book = load_workbook(file)
    assert book.sheetnames == ["README", "funnel", "Funnel 2", "x yx yx yx yx yx yx yx yx yx"]
    assert [[cell.value for cell in row] for row in book["README"]] == [["Period", "2026-05"], ["Segment", "'=all"]]
    # 0.25 and 12 are numbers; an empty cell is empty; a number with leading zeros is a name; a formula is a text.
    assert [[cell.value for cell in row] for row in book["funnel"]] == [
        ["Group", "Rate", "Rate (low)", "People"], ["学生", 0.25, 1e-05, 12], ["'=cmd|x", None, -0.5, "007"],
    ]  # fmt: skip
    assert all(cell.data_type != "f" for sheet in book for row in sheet for cell in row)
    assert book["funnel"].freeze_panes == "B2"


def test_characters_that_excel_does_not_take(tmp_path: Path) -> None:
    file = tmp_path / "r.xlsx"
    write_xlsx(file, {"t": f"a\r\n\x01b\r\n{'x' * 40_000}\r\n"}, [])
    assert [row[0].value for row in load_workbook(file)["t"]][1:] == ["b", "x" * 32_767]
