from pathlib import Path

import pytest

from funnel_lib.collection.datafeed import Lookups, cells, encoding, is_hits, records


@pytest.mark.parametrize(
    ("name", "hits"),
    [
        ("hit_data.tsv", True), ("01-shop_2026-03-01.tsv.gz", True), ("01-shop_20260301-040000.tsv", True),
        ("column_headers.tsv", False), ("event.tsv", False), ("hit_data.tsv.txt", False),
    ],
)  # fmt: skip
def test_hits_are_told_by_their_name(name: str, hits: bool):
    assert is_hits(name) is hits


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("a\t\tb", ["a", None, "b"]),
        ("a\\\tb\tc", ["a\tb", "c"]),  # a tab in the data
        ("a\\\\\tb", ["a\\", "b"]),  # a backslash in the data, then the end of the column
        ("a\\tb\tc\\nd", ["a\tb", "c\nd"]),  # the same, written with letters
        ("a\\", ["a\\"]),
        ("\t", [None, None]),
        ("a\\b\t", ["ab", None]),
    ],
)
def test_cells_end_at_tabs_without_a_backslash(row: str, found: list[str | None]):
    assert cells(row) == found


def test_rows_end_at_line_ends_without_a_backslash(tmp_path: Path):
    file = tmp_path / "hits.tsv"
    file.write_bytes(b"a\tb\\\nc\nd\\\\\ne\x00\n\nf\\\n")
    found = [(record.line, record.cells, record.rule) for record in records(file, "utf-8")]
    assert found == [(1, ["a", "b\nc"], ""), (3, ["d\\"], ""), (4, None, "null_bytes"), (6, ["f\\"], "")]


@pytest.mark.parametrize(
    ("data", "forced", "told"),
    [("ä中".encode(), None, "utf-8"), ("ä".encode("latin-1"), None, "iso-8859-1"), (b"a", "cp1252", "cp1252")],
)
def test_utf8_comes_before_what_the_reference_says(tmp_path: Path, data: bytes, forced: str | None, told: str):
    file = tmp_path / "hits.tsv"
    file.write_bytes(data)
    assert encoding(file, forced) == told


def test_own_lookups_come_before_others():
    own, other = Lookups(("a",), {}), Lookups(("b",), {"1": "Purchase"})
    assert own.over(other) == Lookups(("a",), {"1": "Purchase"})
