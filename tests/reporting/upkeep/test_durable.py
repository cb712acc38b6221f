"""What is renamed is on the disk first, content before name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from funnel_lib.reporting.upkeep import durable


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was written to the disk and renamed, in turn."""
    told: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(number: int) -> None:
        told.append(Path(f"/proc/self/fd/{number}").readlink().name)
        sync(number)

    def replaced(path: Path, target: Path) -> Path:
        told.append(f"{path.name} -> {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    return told


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the names of open files are told by Linux")
def test_a_folder_is_on_the_disk_before_its_name_and_its_name_after(tmp_path: Path, written: list[str]) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for name in ("b", "a"):
        (old / name).write_text(name)
    durable.renamed(old, tmp_path / "new")
    assert written == ["a", "b", "old", "old -> new", tmp_path.name]
    assert sorted(path.read_text() for path in (tmp_path / "new").iterdir()) == ["a", "b"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the names of open files are told by Linux")
def test_a_file_takes_the_place_of_another(tmp_path: Path, written: list[str]) -> None:
    (tmp_path / "part").write_text("new")
    (tmp_path / "page").write_text("old")
    durable.renamed(tmp_path / "part", tmp_path / "page")
    assert written == ["part", "part -> page", tmp_path.name]
    assert (tmp_path / "page").read_text() == "new"


def test_a_full_disk_leaves_the_old_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "part").write_text("new")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.renamed(tmp_path / "part", tmp_path / "page")
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
    durable.names(tmp_path)  # what only holds names may refuse
