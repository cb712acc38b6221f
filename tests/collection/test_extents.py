import io
import random
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from funnel_lib.collection.extents import follow
from funnel_lib.collection.sheets import sheet
from funnel_lib.errors import DataError

OPEN = ('<office:document-content xmlns:office="urn:o" xmlns:table="urn:t" xmlns:text="urn:x"><office:body>'
        "<office:spreadsheet>{}</office:spreadsheet></office:body></office:document-content>")  # fmt: skip


def cell(text: str, times: int = 1) -> str:
    value = f' office:value-type="string"><text:p>{text}</text:p>' if text else ">"
    return f'<table:table-cell table:number-columns-repeated="{times}"{value}</table:table-cell>'


def row(*cells: str, times: int = 1) -> str:
    return f'<table:table-row table:number-rows-repeated="{times}">{"".join(cells)}</table:table-row>'


def table(*rows: str) -> bytes:
    return OPEN.format(f'<table:table table:name="A">{"".join(rows)}</table:table>').encode()


def record(kind: int, data: bytes = b"") -> bytes:
    """A record of a binary sheet: its number and length in groups of seven bits."""
    head = bytes([kind & 0x7F | 0x80, kind >> 7]) if kind > 127 else bytes([kind])
    size = len(data)
    while True:
        head += bytes([size & 0x7F | (0x80 if size > 127 else 0)])
        size >>= 7
        if not size:
            return head + data


def binary(*places: tuple[int, int], kind: int = 5) -> bytes:
    """A binary sheet with a number in each place (row, column from 0)."""
    cells = b"".join(
        record(0, r.to_bytes(4, "little") + bytes(13)) + record(kind, c.to_bytes(4, "little") + bytes(4) + bytes(8))
        for r, c in places
    )
    return record(129) + record(148, bytes(16)) + record(145) + cells + record(146) + record(130)


def reach(name: str, data: bytes, block: int = 1 << 20, *, of_xlsb: bool = False) -> tuple[int, int]:
    take = follow(name, binary=of_xlsb)
    for at in range(0, len(data), block):
        take(data[at : at + block])
    return take(b"")


@pytest.mark.parametrize("block", [7, 100, 1 << 20])
def test_rows_and_cells_that_are_repeated_count_as_often(block: int):
    data = table(row(cell("id"), cell("x", 3)), row(cell(""), cell("y"), times=5), row(cell("", 16384), times=1048570))
    assert reach("content.xml", data, block) == (6, 4)  # what is empty at the end takes no memory
    assert reach("content.xml", table(row(cell("", 9)), row(times=99), row(cell("", 40), cell("z"))), block) == (
        101,
        41,
    )
    two = table(row(cell("a", 50))).replace(b"</table:table>", b'</table:table><table:table table:name="B">' + row(
        cell("b"), times=60).encode() + b"</table:table>")  # fmt: skip
    assert reach("content.xml", two, block) == (60, 1)  # each sheet by itself


@pytest.mark.parametrize("block", [1, 10, 1 << 20])
def test_cells_of_a_binary_sheet_tell_their_place(block: int):
    assert reach("xl/worksheets/sheet1.bin", binary((0, 0), (9, 3), (4, 7)), block, of_xlsb=True) == (10, 8)
    assert reach("xl/worksheets/sheet1.bin", binary((2, 900), kind=1), block, of_xlsb=True) == (3, 1)  # a blank cell
    assert reach("xl/media/image1.png", binary((9, 9)), block, of_xlsb=True) == (0, 1)


@pytest.mark.parametrize("block", [40, 1 << 20])
def test_cells_of_a_sheet_of_today_tell_theirs(block: int):
    assert reach("xl/worksheets/sheet1.xml", b'<c r="A1"/><c r="AB1200000"/><c r="C7"/>', block)[1] == 28
    assert reach("any/name", b'<c r="XFD1048576"/>', block) == (1_048_576, 16_384)


def packed(path: Path, **parts: bytes) -> Path:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    path.write_bytes(held.getvalue())
    return path


OPENED = {
    "mimetype": b"application/vnd.oasis.opendocument.spreadsheet",
    "META-INF/manifest.xml": b'<manifest:manifest xmlns:manifest="urn:m"/>',
}


@pytest.mark.parametrize(
    "bomb",
    [
        [row(cell("x", 16384), times=1048576)],
        [row(cell("x")), row(times=1048574), row(cell("", 16383), cell("x"))],
        [row(cell("x", 2_000_000_000))],
    ],
)
def test_an_open_document_that_reaches_too_far_is_refused(tmp_path: Path, bomb: list[str]):
    path = packed(tmp_path / "a.ods", **OPENED, **{"content.xml": table(*bomb)})
    tracemalloc.start()
    with pytest.raises(DataError, match="too large") as error:
        sheet(path, None)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert "content.xml with" in str(error.value.found)


def test_an_open_document_is_read(tmp_path: Path):
    rows = [row(cell("id"), cell("城市")), row(cell("u1"), cell("北京")), row(cell("", 1024), times=1048573)]
    path = packed(tmp_path / "a.ods", **OPENED, **{"content.xml": table(*rows)})
    assert [record.cells for record in sheet(path, None)] == [["id", "城市"], ["u1", "北京"]]


def test_a_binary_document_that_reaches_too_far_is_refused(tmp_path: Path):
    parts = {"[Content_Types].xml": b"<Types/>", "xl/workbook.bin": b"", "xl/worksheets/any.thing": binary((0, 0))}
    with pytest.raises(DataError, match="cannot be read"):
        sheet(packed(tmp_path / "a.xlsb", **parts), None)
    parts["xl/worksheets/any.thing"] = binary((0, 0), (1_048_575, 16_383))
    with pytest.raises(DataError, match="too large") as error:
        sheet(packed(tmp_path / "a.xlsb", **parts), None)
    assert "1,048,576 rows and 16,384 columns" in str(error.value.found)


def test_entities_are_not_expanded(tmp_path: Path):
    laughs = b'<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;">]>' + table(row(cell("&m;")))
    with pytest.raises(DataError, match="cannot be read") as error:
        sheet(packed(tmp_path / "a.ods", **OPENED, **{"content.xml": laughs}), None)
    assert "entities" in str(error.value.found)


def test_any_damage_to_an_open_document_is_read_or_refused(tmp_path: Path):
    good = table(row(cell("id"), cell("x")), row(cell("1"), cell("甲")))
    chance, refused = random.Random(1), 0
    for _ in range(200):
        at = chance.randrange(len(good))
        piece = chance.choice([b"", b"<", b'"', b"9" * 12, b"\x00", b"-1", good[at : at + 30]])
        try:
            broken = good[:at] + piece + good[at + chance.randrange(9) :]
            list(sheet(packed(tmp_path / "a.ods", **OPENED, **{"content.xml": broken}), None))
        except DataError:
            refused += 1
    assert 0 < refused < 200
