import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from funnel_lib.collection.files import Export, encoding_of, first_character, format_of, opened, sha256
from funnel_lib.errors import ConfigError, DataError

TABLE = {"system": "table", "table": "users", "files": "in/*.csv", "columns": {"user_id": "id"}}
Exports = Callable[..., Export]


def test_files_come_in_the_order_of_their_names(export: Exports):
    made = export(TABLE, {"in/b.csv": "x", "in/a.csv": "x", "in/~$a.csv": "x", "in/c.txt": "x"})
    assert [made.relative(path) for path in made.files()] == ["in/a.csv", "in/b.csv"]


def test_folders_within_folders_can_be_searched(export: Exports):
    made = export({**TABLE, "files": "**/*.csv"}, {"in/2026/a.csv": "x", "b.csv": "x"})
    assert [made.relative(path) for path in made.files()] == ["b.csv", "in/2026/a.csv"]


def test_a_source_without_files_names_the_near_ones(export: Exports):
    made = export(TABLE, {"inn/contacts.csv": "x"})
    with pytest.raises(DataError, match="source 's' has no file") as error:
        made.files()
    assert error.value.where == made.workbook.raw
    assert "inn/contacts.csv" in str(error.value.allowed)
    assert error.value.do == "Put the exports there, correct sources.s.files, or set optional: true."


def test_a_raw_folder_that_is_missing_or_empty_is_said(export: Exports):
    made = export(TABLE)
    with pytest.raises(DataError, match="no file") as error:
        made.files()
    assert "the folder is empty" in str(error.value.allowed)
    made.workbook.raw.rmdir()
    with pytest.raises(DataError, match="no file") as error:
        made.files()
    assert "does not exist" in str(error.value.allowed)


def test_an_optional_source_may_have_no_file(export: Exports):
    assert export({**TABLE, "optional": True}).files() == []


def test_a_pattern_from_the_root_of_the_disk_is_refused(export: Exports):
    with pytest.raises(ConfigError, match="root of the disk"):
        export({**TABLE, "files": "/etc/*.csv"}).files()


def test_an_empty_file_is_refused(export: Exports):
    with pytest.raises(DataError, match="file is empty"):
        export(TABLE, {"in/a.csv": b""}).files()


def test_the_zone_is_the_sources_own_or_the_businesss(export: Exports):
    assert export(TABLE, timezone="Asia/Shanghai").zone.key == "Asia/Shanghai"
    assert export({**TABLE, "timezone": "Europe/Berlin"}, timezone="Asia/Shanghai").zone.key == "Europe/Berlin"


def test_gzip_is_unpacked_whatever_its_name(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(gzip.compress(b"one") + gzip.compress(b"two"))
    with opened(tmp_path / "a.csv") as file:
        assert file.read() == b"onetwo"


@pytest.mark.parametrize("damage", [lambda d: d[:-6], lambda d: d[:30], lambda d: d[:40] + b"xxxx" + d[44:]])
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]):
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(bytes(range(256)) * 50)))
    with pytest.raises(DataError, match="gzip file is damaged"), opened(tmp_path / "a.gz") as file:
        file.read()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"PAR1..", "parquet"),
        (b"PK\x03\x04..", "excel"),
        (b"\xd0\xcf\x11\xe0.", "excel"),
        (b"id,city", "text"),
        (b"", "text"),
    ],
)
def test_the_format_shows_in_the_first_bytes(tmp_path: Path, data: bytes, kind: str):
    (tmp_path / "a").write_bytes(data)
    assert format_of(tmp_path / "a") == kind


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"abc", "utf-8"), ("é".encode(), "utf-8"), ("\ufeffabc".encode(), "utf-8-sig"), ("abc".encode("utf-16"),
        "utf-16"),
        ("abcdef".encode("utf-16-le"), "utf-16-le"), ("abcdef".encode("utf-16-be"), "utf-16-be"),
        ("中文名称，北京".encode("gb18030"), "gb18030"),
    ],
)  # fmt: skip
def test_the_encoding_is_found(tmp_path: Path, data: bytes, encoding: str):
    (tmp_path / "a").write_bytes(data)
    assert encoding_of(tmp_path / "a", None) == encoding


def test_a_fault_beyond_the_first_block_is_placed_exactly(tmp_path: Path):
    data = "é".encode() * (1 << 20) + b"\xffabc"
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(DataError) as error:
        encoding_of(tmp_path / "a", None)
    assert f"utf-8 at byte {2 << 20}" in str(error.value.found)


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


def test_a_cut_off_utf16_file_is_refused(tmp_path: Path):
    (tmp_path / "a").write_bytes("abc".encode("utf-16")[:-1])
    with pytest.raises(DataError, match="encoding is not known"):
        encoding_of(tmp_path / "a", None)


def test_the_first_character_is_found_behind_space_and_mark(tmp_path: Path):
    (tmp_path / "a").write_bytes("\ufeff \r\n{".encode())
    assert first_character(tmp_path / "a", "utf-8") == "{"


def test_the_hash_is_that_of_the_bytes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
