import gzip
import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.collection import lines as module
from funnel_lib.collection.lines import LONGEST, lines, parts


def read(path: Path, data: bytes, encoding: str = "utf-8", *, universal: bool = True) -> list[tuple[int, str, str]]:
    path.write_bytes(data)
    return list(lines(path, encoding, universal=universal))


def test_lines_end_as_python_ends_them(tmp_path: Path):
    assert read(tmp_path / "a", b"a\r\nb\rc\n\nd") == [(1, "a\r\n", ""), (2, "b\r", ""), (3, "c\n", ""), (4, "\n", ""),
                                                        (5, "d", "")]  # fmt: skip
    assert read(tmp_path / "a", b"a\rb\n", universal=False) == [(1, "a\rb\n", "")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-32", "cp1252"])
def test_every_encoding_gives_the_same_lines(tmp_path: Path, encoding: str):
    text = "id,ü\nu1,x\n" if encoding == "cp1252" else "编号,名\nu1,中\n"
    assert [line for _, line, _ in read(tmp_path / "a", text.encode(encoding), encoding)] == text.splitlines(True)


def test_a_line_in_another_encoding_is_marked_and_the_others_are_read(tmp_path: Path):
    data = "一\n".encode() + "二\n".encode("gbk") + "三\n".encode()
    assert [(n, rule) for n, _, rule in read(tmp_path / "a", data)] == [(1, ""), (2, "bad_encoding"), (3, "")]


def test_half_a_character_of_utf16_marks_its_line(tmp_path: Path):
    found = read(tmp_path / "a", "a\nb\n".encode("utf-16") + b"c", "utf-16")
    assert [(n, rule) for n, _, rule in found] == [(1, ""), (2, ""), (3, "bad_encoding")]


def test_null_bytes_mark_their_line(tmp_path: Path):
    assert [rule for *_, rule in read(tmp_path / "a", b"a\nb\x00\nc\n\xff\x00\n")] == [
        "", "null_bytes", "", "bad_encoding",
    ]  # fmt: skip


@pytest.mark.parametrize("length", [LONGEST - 1, LONGEST])
def test_a_line_of_the_greatest_length_is_read(tmp_path: Path, length: int):
    data = b"a\n" + b"x" * (length - 1) + b"\nb\n"
    assert [(n, len(text), rule) for n, text, rule in read(tmp_path / "a", data)] == [(1, 2, ""), (2, length, ""),
                                                                                      (3, 2, "")]  # fmt: skip


@pytest.mark.parametrize("length", [LONGEST + 1, LONGEST * 2 + 7])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_longer_line_is_marked_and_those_behind_it_are_read(tmp_path: Path, length: int, end: bytes):
    data = b"a\n" + b"x" * length + end + (b"b\n" if end else b"")
    found = read(tmp_path / "a", data)
    assert [(n, rule) for n, _, rule in found[:2]] == [(1, ""), (2, "too_long")]
    assert found[2:] == ([(3, "b\n", "")] if end else [])
    assert len(found[1][1]) == 2000


def test_an_endless_line_takes_little_memory(tmp_path: Path):
    with gzip.open(tmp_path / "a", "wb", compresslevel=1) as file:
        for _ in range(60):
            file.write(b"x" * (1 << 20))
    tracemalloc.start()
    found = [(number, rule) for number, _, rule in lines(tmp_path / "a", "utf-8")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [(1, "too_long")]
    assert peak < 20 << 20


def test_where_a_packed_file_ends_too_early_its_last_piece_says_so(tmp_path: Path):
    whole = gzip.compress("".join(f"row {i} of many\n" for i in range(999)).encode())
    found = read(tmp_path / "a", whole[:-200])
    assert {rule for *_, rule in found[:-1]} == {""}
    assert found[-1][2] == "cut_off"
    assert [text for _, text, _ in found[:-1]] == [f"row {i} of many\n" for i in range(len(found) - 1)]
    assert 100 < len(found) < 999


def test_only_the_checksum_missing_is_cut_off_as_well(tmp_path: Path):
    assert read(tmp_path / "a", gzip.compress(b"a\nb\n")[:-8]) == [(1, "a\n", ""), (2, "b\n", ""), (3, "", "cut_off")]


def test_parts_hold_whole_lines():
    found = list(parts(io.BytesIO(b"aaa\nbb\n" * 300_000 + b"c")))
    assert b"".join(part for part, _ in found) == b"aaa\nbb\n" * 300_000 + b"c"
    assert all(part.endswith(b"\n") for part, _ in found[:-1])


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("ab\r\n\n中\x00")), st.integers(1, 9), st.booleans())
def test_cutting_into_blocks_changes_nothing(text: str, block: int, universal: bool):
    expected = list(io.StringIO(text, newline="" if universal else "\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        found = [part for part, _ in module._parts(io.BytesIO(text.encode()), universal=universal)]
    again = [line for part in found for line in io.StringIO(part.decode(), newline="" if universal else "\n")]
    assert again == expected
