import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import table
from funnel_lib.collection.unpacking import each, is_archive, unpacked
from funnel_lib.errors import DataError

Exports = Callable[..., Export]
USERS = {"system": "table", "table": "users", "files": "*", "columns": {"user_id": "id"}}


def zipped(**members: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return held.getvalue()


def tarred(**members: bytes) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return held.getvalue()


def one(path: Path, export: Export) -> Iterator[Batch]:
    return table.read([path], export)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_members_are_read_one_after_the_other_and_named_after_their_archive(
    export: Exports, pack: Callable[..., bytes]
):
    made = export(USERS, {"a.zip": pack(b__csv=b"id\nu2\n", c__csv=gzip.compress(b"id\nu3\nu4\n"), x__txt=b"?")})
    batches = list(each(made.files(), made, one, lambda name: name.endswith(".csv")))
    assert [batch.read for batch in batches] == [{"a.zip/b.csv": 1}, {"a.zip/c.csv": 2}]
    assert [batch.rows["user_id"].tolist() for batch in batches] == [["u2"], ["u3", "u4"]]


def test_files_and_office_documents_are_no_archives(export: Exports, xlsx: Callable[..., bytes]):
    files = {"a.csv": b"id\nu1\n", "b.xlsx": xlsx([["id"], ["u1"]]), "c.csv.gz": gzip.compress(b"id\nu1\n")[:-9]}
    made = export(USERS, files)
    assert not any(is_archive(path) for path in made.files())
    assert [member.name for member in unpacked(made.files()[0], made)] == ["a.csv"]


def test_a_message_names_the_archive_and_the_member(export: Exports):
    made = export(USERS, {"a.zip": zipped(b__csv=b"name\nx\n")})
    with pytest.raises(DataError, match="lacks the column") as error:
        list(each(made.files(), made, one))
    assert str(error.value.where) == str(made.files()[0] / "b.csv")


@pytest.mark.parametrize("name", ["../b.csv", "/b.csv", "a/../../b.csv"])
def test_a_member_that_leads_out_of_the_archive_is_refused(export: Exports, name: str):
    made = export(USERS, {"a.zip": zipped(**{name: b"id\nu1\n"})})
    with pytest.raises(DataError, match="leads out"):
        list(each(made.files(), made, one))


def test_an_archive_that_unpacks_to_too_much_is_refused(export: Exports):
    made = export(USERS, {"a.zip": zipped(b__csv=b"id\n" + b"0\n" * (50 << 20))})
    with pytest.raises(DataError, match="far more than its size"):
        list(each(made.files(), made, one))


def test_an_archive_without_a_member_of_the_system_is_refused_unless_it_may_be(export: Exports):
    made = export(USERS, {"a.zip": zipped(x__txt=b"?")})
    (path,) = made.files()
    with pytest.raises(DataError, match="none of the files"):
        list(unpacked(path, made, lambda name: name.endswith(".csv")))
    assert list(unpacked(path, made, lambda name: name.endswith(".csv"), perhaps=True)) == []


def test_of_a_member_that_ends_too_early_the_rows_before_are_read(export: Exports):
    rows = b"id\n" + b"".join(b"u%07d\n" % (number * 7919 % 999_983) for number in range(20_000))
    made = export(USERS, {"a.zip": zipped(b__csv=gzip.compress(rows)[:20_000])})
    batches = list(each(made.files(), made, one))
    assert 0 < len(batches[0].rows) < 20_000
    assert batches[-1].rejected["rule"].tolist() == ["cut_off"]
    assert batches[-1].read == {"a.zip/b.csv": 1}


def test_damaged_archives_are_refused(export: Exports):
    for data in (zipped(b__csv=b"id\nu1\n")[:-30], b"PK\x03\x04 no archive"):
        made = export(USERS, {"a.zip": data})
        with pytest.raises(DataError, match="damaged or ends too early"):
            list(each(made.files(), made, one))
