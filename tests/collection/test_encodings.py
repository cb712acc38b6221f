from pathlib import Path

import pytest

from funnel_lib.collection.encodings import encoding_of, first_character, has_plain_line_ends
from funnel_lib.errors import ConfigError, DataError

CHINESE = "客户名称，北京，上海\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"abc", "utf-8"), ("é".encode(), "utf-8"), ("\ufeffabc".encode(), "utf-8-sig"),
        ("abc".encode("utf-16"), "utf-16"), ("abc".encode("utf-32"), "utf-32"),
        ("abcdef".encode("utf-16-le"), "utf-16-le"), ("abcdef".encode("utf-16-be"), "utf-16-be"),
        (CHINESE.encode("gb18030"), "gb18030"), (CHINESE.encode("gbk"), "gb18030"),
        ((CHINESE * 3).encode() + CHINESE.encode("gbk"), "utf-8"),
        (CHINESE.encode() + (CHINESE * 3).encode("gbk"), "gb18030"),
        (b"id\n" + b"\x00" * 50, "utf-16-be"), (b"\x00" * 50, "utf-8"),
    ],
)  # fmt: skip
def test_the_encoding_is_that_of_most_lines(tmp_path: Path, data: bytes, encoding: str):
    (tmp_path / "a").write_bytes(data)
    assert encoding_of(tmp_path / "a", None) == encoding


def test_a_fault_beyond_the_first_block_is_placed_exactly(tmp_path: Path):
    (tmp_path / "a").write_bytes("é".encode() * (1 << 20) + b"\xffabc")
    with pytest.raises(DataError) as error:
        encoding_of(tmp_path / "a", None)
    assert f"utf-8 at byte {2 << 20}" in str(error.value.found)


def test_latin_text_is_not_taken_for_chinese(tmp_path: Path):
    (tmp_path / "a").write_bytes("id,city\nu1,Müller in Köln\n".encode("latin-1"))
    with pytest.raises(DataError, match="encoding is not known") as error:
        encoding_of(tmp_path / "a", None)
    assert "utf-8 at byte 12" in str(error.value.found)
    assert "latin-1" in str(error.value.do)


def test_a_named_encoding_is_the_only_one_tried(tmp_path: Path):
    (tmp_path / "a").write_bytes("Köln".encode())
    assert encoding_of(tmp_path / "a", "cp1252") == "cp1252"
    with pytest.raises(DataError) as error:
        encoding_of(tmp_path / "a", "ascii")
    assert error.value.found == "not readable as ascii at byte 1"


@pytest.mark.parametrize("name", ["utf8000", "base64"])
def test_an_encoding_that_does_not_exist_is_refused(tmp_path: Path, name: str):
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(ConfigError, match="no such encoding"):
        encoding_of(tmp_path / "a", name)


def test_the_first_character_is_found_behind_space_and_mark(tmp_path: Path):
    (tmp_path / "a").write_bytes("\ufeff \r\n{".encode())
    assert first_character(tmp_path / "a", "utf-8") == "{"


def test_encodings_that_write_a_line_end_as_ascii_does_can_be_cut_by_bytes():
    assert [has_plain_line_ends(name) for name in ("utf-8", "gb18030", "cp1252", "utf-16", "utf-16-le", "cp037")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
