import numpy as np
import pyarrow as pa
import pytest

from funnel_lib.conversion.keeping import logfiles
from funnel_lib.conversion.keeping.logfiles import ARRAYS, kept, told


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "counted" / "log"


def _maker():
    calls = []

    def make():
        calls.append(1)
        arrays = {name: np.arange(place + 1) for place, name in enumerate(ARRAYS)}
        return pa.array(["al", "bo"], pa.large_string()), ("buy", "看"), arrays

    return make, calls


def test_a_log_is_made_once_and_mapped(folder):
    make, calls = _maker()
    for _ in range(2):
        units, names, arrays = kept(folder, make)
        assert (units.to_pylist(), names) == (["al", "bo"], ("buy", "看"))
        assert [arrays[name].tolist() for name in ARRAYS] == [list(range(place + 1)) for place in range(len(ARRAYS))]
        assert isinstance(arrays["at"], np.memmap)
    assert len(calls) == 1


@pytest.mark.parametrize("left", [b"\x93torn", b""], ids=["torn", "empty"])
@pytest.mark.parametrize("damage", ["at.npy", "units.arrow", "about.json"])
def test_what_cannot_be_opened_is_made_again(folder, damage, left):
    make, calls = _maker()
    kept(folder, make)
    (folder / damage).write_bytes(left)
    assert kept(folder, make)[1] == ("buy", "看")
    kept(folder, make)
    assert len(calls) == 2


def test_a_log_of_other_code_is_made_again_in_its_place(folder, monkeypatch):
    make, calls = _maker()
    kept(folder, make)
    monkeypatch.setattr(logfiles, "code", lambda: "newer")
    kept(folder, make)
    kept(folder, make)
    assert len(calls) == 2
    assert [path.name for path in folder.parent.iterdir() if not path.name.startswith(".")] == ["log"]


def test_what_cannot_be_kept_is_returned_all_the_same(tmp_path):
    (tmp_path / "counted").write_text("a file in the way")
    make, calls = _maker()
    assert kept(tmp_path / "counted" / "log", make)[1] == ("buy", "看")
    assert len(calls) == 1


def test_what_rows_tell_is_kept_with_its_kind(folder):
    folder.mkdir(parents=True)
    calls = []

    def make():
        calls.append(1)
        return np.array([0, -1, 1], dtype=np.int32), pa.array(["a", "b"]), True

    for _ in range(2):
        codes, values, as_json = told(folder, "told plan None", make)
        assert (codes.tolist(), values.to_pylist(), as_json) == ([0, -1, 1], ["a", "b"], True)
    assert len(calls) == 1
    next(folder.glob("*/codes.npy")).write_bytes(b"torn")
    told(folder, "told plan None", make)
    assert len(calls) == 2
    next(folder.glob("*/codes.npy")).write_bytes(b"")
    told(folder, "told plan None", make)
    assert len(calls) == 3
    assert told(None, "told plan None", make)[2] is True
    assert len(calls) == 4
