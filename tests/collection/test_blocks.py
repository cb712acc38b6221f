from pathlib import Path

import duckdb
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.collection.batch import FILE, LINE, RAW
from funnel_lib.collection.blocks import Block, Piece, gathered, pieces, side_by_side
from funnel_lib.collection.lines import lines


def read(*found: Piece) -> list[tuple[int, str, str]]:
    block = Block.of(found)
    return list(block.lines(np.arange(len(block.rule))))


def test_lines_that_hold_anything_keep_their_numbers() -> None:
    assert read(Piece("a", 5, b" x \n\n\t\ny")) == [(5, "x", ""), (8, "y", "")]


def test_what_is_no_text_spoils_its_own_line_only() -> None:
    assert read(Piece("a", 1, b"x\n\xff\n\xc3\xa9\n")) == [(1, "x", ""), (2, "\ufffd", "bad_encoding"), (3, "é", "")]
    assert read(Piece("a", 4, b"x" * 9, "too_long"), Piece("a", 5, b"", "cut_off")) == [
        (4, "x" * 9, "too_long"), (5, "", "cut_off"),
    ]  # fmt: skip
    assert read(Piece("a", 1, b"x\0\n")) == [(1, "x\0", "null_bytes")]


def test_lines_know_their_files() -> None:
    block = Block.of([Piece("a", 1, b"x\ny\n"), Piece("b", 1, b""), Piece("c", 3, b"z\n")])
    assert block.counts() == {"a": 2, "b": 0, "c": 1}
    found = block.origin(np.array([1, 2]))
    assert found[[FILE, LINE, RAW]].to_numpy().tolist() == [["a", 2, "y"], ["c", 3, "z"]]


def test_only_whole_objects_are_asked() -> None:
    block = Block.of([Piece("a", 1, b'{"n": 1}\n[2]\n{"n": 3}\n'), Piece("a", 4, b'{"n"', "cut_off")])
    query = "SELECT line, text->>'n' AS n FROM objects"
    with duckdb.connect() as connection:
        assert block.objects(connection, query).to_pylist() == [{"line": 0, "n": "1"}, {"line": 2, "n": "3"}]
        broken = Block.of([Piece("a", 1, b'{"n": 1}\n{"n"\n')])
        assert broken.objects(connection, query).to_pylist() == [{"line": 0, "n": "1"}]


def test_work_side_by_side_comes_in_order() -> None:
    assert list(side_by_side(lambda n: n * n, range(20))) == [n * n for n in range(20)]
    sizes = [Piece("a", 1, b"x" * 3)] * 5
    assert [len(found) for found in gathered(sizes, 6)] == [2, 2, 1]


@settings(max_examples=60, deadline=None)
@given(data=st.text(alphabet=" ab\n\r\té\0", max_size=60))
def test_blocks_find_what_lines_find(data: str, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    path: Path = tmp_path_factory.mktemp("blocks") / "a"
    path.write_bytes(data.encode())
    found = lines(path, "utf-8", universal=False)
    space = " \t\n\r"
    assert read(*pieces(path, "a")) == [(n, text.strip(space), rule) for n, text, rule in found if text.strip(space)]
