import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from funnel_lib.collection.files import Export, claimed_once, format_of, opened, sha256
from funnel_lib.config import Workbook
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
    with pytest.raises(DataError, match="packed file is damaged"), opened(tmp_path / "a.gz") as file:
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


def zipped(**files: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return held.getvalue()


def test_a_zip_archive_of_one_file_is_read_as_that_file(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(zipped(table=b"id,city", **{"__MACOSX/._table": b"x"}))
    assert format_of(tmp_path / "a.csv") == "text"
    with opened(tmp_path / "a.csv") as file:
        assert file.read() == b"id,city"


def test_a_zip_archive_of_several_files_is_refused(tmp_path: Path):
    (tmp_path / "a.zip").write_bytes(zipped(a=b"1", b=b"2"))
    with pytest.raises(DataError, match="exactly one file") as error, opened(tmp_path / "a.zip"):
        pass
    assert error.value.found == "a, b"


def test_a_zip_archive_that_is_cut_off_is_refused(tmp_path: Path):
    (tmp_path / "a.zip").write_bytes(zipped(a=bytes(range(256)) * 9)[:-9])
    with pytest.raises(DataError, match="packed file is damaged"):
        format_of(tmp_path / "a.zip")


def test_what_is_there_of_a_file_that_is_cut_off_can_be_had(tmp_path: Path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\ntwo\n", mtime=0)[:-5])
    with opened(tmp_path / "a.gz", part=True) as file:
        assert file.read(100) == b"one\ntwo\n"
        assert file.read(100) == b""
        assert "end-of-stream" in file.cut_off


def test_two_sources_may_not_claim_one_file(book: Callable[..., Workbook]):
    sources = {"a": {**TABLE, "files": "*.csv"}, "b": {**TABLE, "files": "x.*"}}
    workbook = book(sources, {"x.csv": "id", "y.csv": "id"})
    exports = [Export(name, source, workbook) for name, source in workbook.sources.items()]
    with pytest.raises(ConfigError, match="claim the same file") as error:
        claimed_once([(export, export.files()) for export in exports])
    assert (error.value.where, error.value.found) == ("sources.b.files", "x.csv belongs to a and to b")


@pytest.mark.parametrize("change", [{"table": "events"}, {"sheet": "Second"}])
def test_other_tables_or_sheets_of_one_file_are_other_rows(book: Callable[..., Workbook], change: dict[str, str]):
    sources = {"a": {**TABLE, "files": "x.csv", "sheet": "First"}, "b": {**TABLE, "files": "*", **change}}
    workbook = book(sources, {"x.csv": "id"})
    exports = [Export(name, source, workbook) for name, source in workbook.sources.items()]
    claimed_once([(export, export.files()) for export in exports])


def test_the_hash_is_that_of_the_bytes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
