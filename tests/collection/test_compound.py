import struct
import subprocess
import sys
from pathlib import Path

import pytest
import statsmodels
from python_calamine import CalamineWorkbook

from funnel_lib.collection.compound import MAGIC, extent
from funnel_lib.collection.sheets import sheet
from funnel_lib.errors import DataError

REAL = next(path for path in Path(statsmodels.__file__).parent.rglob("macrodata.xls") if path.is_file())
NUMBER, BEGIN = 0x0203, 0x0809


def record(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def number(row: int, column: int) -> bytes:
    return record(NUMBER, struct.pack("<HHHd", row, column, 0, 1.5))


def old(stream: bytes, name: str = "Workbook") -> bytes:
    """A file system of sectors of 512 bytes: the table, the folder, then the stream, which is not a small one."""
    stream = stream.ljust(4096, b"\0")
    sectors = -(-len(stream) // 512)
    table = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, sectors + 2), 0xFFFFFFFE]
    head = MAGIC.ljust(24, b"\0") + struct.pack("<HHHHH", 62, 3, 0xFFFE, 9, 6)
    head = head.ljust(44, b"\0") + struct.pack("<II", 1, 1)
    head = head.ljust(56, b"\0") + struct.pack("<IIIII", 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    head += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)

    def entry(text: str, kind: int, start: int, size: int) -> bytes:
        named = text.encode("utf-16-le").ljust(64, b"\0") + struct.pack("<HB", 2 * len(text) + 2, kind)
        return named.ljust(116, b"\0") + struct.pack("<IQ", start, size)

    folder = (entry("Root Entry", 5, 0xFFFFFFFE, 0) + entry(name, 2, 2, len(stream))).ljust(512, b"\0")
    cells = struct.pack(f"<{len(table)}I", *table).ljust(512, b"\xff")
    return head + cells + folder + stream.ljust(sectors * 512, b"\0")


def test_a_real_document_reaches_as_far_as_its_cells():
    book = CalamineWorkbook.from_path(REAL)
    found = [book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names]
    reach = [(len(rows), len(rows[0])) for rows in found]
    assert extent(REAL.read_bytes()) == max(reach, key=lambda one: one[0] * one[1])
    assert len(list(sheet(REAL, None))) == len(found[0])


def test_the_sheet_that_reaches_farthest_counts():
    begin = record(BEGIN, bytes(16))
    assert extent(old(begin + number(9, 2) + begin + number(4, 0) + number(0, 3))) == (10, 3)
    assert extent(old(begin + record(0x00BD, struct.pack("<HH", 2, 1) + bytes(12) + struct.pack("<H", 7)))) == (3, 8)
    assert extent(old(begin + record(0x0201, struct.pack("<HHH", 99, 99, 0)))) == (0, 1)  # a blank cell


def test_a_cell_far_out_is_refused_before_it_takes_memory(tmp_path: Path):
    data = REAL.read_bytes()
    at = data.index(struct.pack("<HH", NUMBER, 14)) + 4
    (tmp_path / "a.xls").write_bytes(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])
    # In a process of its own, as without the check this ends the whole process.
    code = "import pathlib, sys; from funnel_lib.collection.sheets import sheet; sheet(pathlib.Path(sys.argv[1]), None)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.xls")], capture_output=True, text=True, check=False
    )
    assert "65,536 rows and 65,536 columns" in done.stderr


@pytest.mark.parametrize(
    "data",
    [MAGIC + bytes(600), MAGIC, old(b"", name="Elsewhere"), old(b"")[:700], MAGIC + b"\xff" * 2000],
    ids=["nothing in it", "only its mark", "no sheets", "cut off", "noise"],
)
def test_what_is_built_otherwise_is_refused(tmp_path: Path, data: bytes):
    with pytest.raises(ValueError, match=r"damaged|no sheets"):
        extent(data)
    (tmp_path / "a.xls").write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        sheet(tmp_path / "a.xls", None)


def test_sectors_that_follow_each_other_in_a_circle_end():
    data = bytearray(old(record(BEGIN, bytes(16)) + number(1, 1)))
    data[512 + 4 * 9 : 512 + 4 * 9 + 4] = struct.pack("<I", 2)  # the last sector leads to the first one
    assert extent(bytes(data))[1] == 2
