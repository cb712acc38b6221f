import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from funnel_lib.collection import archives
from funnel_lib.collection.archives import members, names_in_zip
from funnel_lib.errors import DataError


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(data), kind
            archive.addfile(entry, io.BytesIO(data))
    return path


Pack = Callable[[Path, dict[str, bytes]], Path]


def read(path: Path) -> dict[str, bytes]:
    return {name: stream.read() for name, stream in members(path)}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_members_come_unpacked(tmp_path: Path, pack: Pack):
    data = {"b/one.tsv": b"1\n" * 9, "a/two.json.gz": gzip.compress(b"{}" * 99)}
    data |= {"__MACOSX/._x": b"", "c/.DS_Store": b""}
    assert read(pack(tmp_path / "a", data)) == {"b/one.tsv": b"1\n" * 9, "a/two.json.gz": b"{}" * 99}


def test_members_of_zip_come_in_the_order_of_their_names(tmp_path: Path):
    assert list(read(zipped(tmp_path / "a", {"b": b"", "a": b"", "c": b""}))) == ["a", "b", "c"]
    assert names_in_zip(tmp_path / "a") == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "C:\\x", "..\\x", "\\\\host\\x"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path: Path, pack: Pack, name: str):
    with pytest.raises(DataError, match="leads out of it"):
        read(pack(tmp_path / "a", {"good": b"1", name: b"2"}))


def test_links_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="leads out of it") as error:
        read(tarred(tmp_path / "a", {"a": b""}, tarfile.SYMTYPE))
    assert error.value.found == "a (a link or a device)"


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_bomb_is_stopped_at_the_limit(tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "MODEST", 1 << 20)
    read(pack(tmp_path / "a", {"a": bytes(1 << 20)}))
    with pytest.raises(DataError, match="far more than its size"):
        read(pack(tmp_path / "a", {"a": bytes(8 << 20)}))
    with pytest.raises(DataError, match="far more than its size"):
        read(pack(tmp_path / "a", {"a.gz": gzip.compress(bytes(8 << 20))}))


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    with pytest.raises(DataError, match="too many files"):
        read(zipped(tmp_path / "a", {"a": b"", "b": b"", "c": b""}))


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_damaged_archive_is_refused_or_says_that_it_is_cut_off(tmp_path: Path, pack: Pack, share: float):
    noise = bytes((i * 7919) % 251 for i in range(5000))
    path = pack(tmp_path / "a", {"a": noise, "b": noise[::-1]})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    try:
        told = [stream.cut_off for _, stream in members(path) if stream.read() or True][-1]
    except DataError as error:
        told = error.what
    assert told


def test_a_member_of_gzip_that_ends_too_early_is_read_up_to_there(tmp_path: Path):
    path = zipped(tmp_path / "a", {"a.gz": gzip.compress(b"one")[:-6]})
    (found,) = [(stream.read(), bool(stream.cut_off)) for _, stream in members(path)]
    assert found == (b"one", True)


def test_a_locked_archive_is_refused(tmp_path: Path):
    path = zipped(tmp_path / "a", {"a": b"x"})
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1  # the flag of an encrypted member
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="packed file is damaged") as error:
        read(path)
    assert "password" in str(error.value.allowed)
