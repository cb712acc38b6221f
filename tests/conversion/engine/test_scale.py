"""Large logs are read in parts, by several threads, and spilled: no result may change, nothing may stay behind."""

import os
import tempfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from funnel_lib.conversion.engine import local, records, spill
from funnel_lib.conversion.engine.local import LocalSource
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import DataError

STEPS = [Step("A", event="a"), Step("B", event="b"), Step("C", event="c")]
FUNNEL = Funnel(steps=STEPS, window="2d")


def log(kind: str, rows: int = 30_000, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    number = rng.integers(-2_000, 2_000, rows) * (2**40 if kind == "wide" else 1)
    units = {"number": number, "wide": number, "text": [f"u{n}-{'x' * (n % 17)}" for n in number]}[kind]
    at = pd.Timestamp("2026-05-01") + pd.to_timedelta(rng.integers(0, 8 * 86_400, rows), unit="s")
    return pd.DataFrame({
        "user_id": units, "event": rng.choice(list("abcd"), rows), "ts": at.astype("datetime64[us]"),
        "channel": rng.choice(["ads", "mail", None], rows),
    })  # fmt: skip


def written(frame: pd.DataFrame, folder, files: int = 3) -> str:
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(np.array_split(np.arange(len(frame)), files)):
        frame.iloc[part].to_parquet(folder / f"{number}.parquet", index=False, row_group_size=4_000)
    return f"{folder}/*.parquet"


def made(events, plan: Plan, **options) -> tuple[pa.Table, LocalSource]:
    source = LocalSource(events, plan.funnel, plan.by, **options)
    found = pa.concat_tables(source.journeys(plan, None, None))
    return found.sort_by("unit").combine_chunks(), source


@pytest.fixture
def records_only(monkeypatch):
    """Let every Parquet file be read as a large one."""
    monkeypatch.setattr(local, "TABLE_ROWS", 0)


@pytest.mark.parametrize("kind", ["number", "wide", "text"])
@pytest.mark.parametrize(
    "options", [{}, {"workers": 1}, {"workers": 3}, {"memory": "1MB"}, {"memory": "1MB", "workers": 1}]
)
def test_parts_threads_and_spilling_change_nothing(kind, options, tmp_path, records_only, monkeypatch):
    frame, plan = log(kind), Plan(FUNNEL, ("channel",))
    found, source = made(written(frame, tmp_path / "log"), plan, **options)
    monkeypatch.setattr(local, "TABLE_ROWS", 10**9)
    expected, _ = made(frame, plan)
    assert found.equals(expected.cast(found.schema))
    assert source.facts.matched == [int((frame["event"] == name).sum()) for name in "abc"]


@pytest.mark.parametrize("kind", ["number", "text"])
def test_row_order_and_file_splits_change_nothing(kind, tmp_path, records_only):
    frame, plan = log(kind), Plan(FUNNEL)
    expected, _ = made(written(frame, tmp_path / "one", files=1), plan)
    mixed = frame.sample(frac=1, random_state=3)
    found, _ = made(written(mixed, tmp_path / "many", files=7), plan)
    assert found.equals(expected)


def test_rows_beyond_the_memory_are_spilled_and_the_files_removed(tmp_path, records_only, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    _, source = made(written(log("text", 200_000), tmp_path / "log"), Plan(FUNNEL), memory="2MB")
    assert source.spilled > 0
    assert os.listdir(tmp_path / "tmp") == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, records_only, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)

    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, octets):
            raise OSError(28, "No space left on device")

        def __getattr__(self, name):
            return getattr(self.file, name)

    opened = tempfile.TemporaryFile
    monkeypatch.setattr(spill.tempfile, "TemporaryFile", lambda *a, **k: Full(opened(*a, **k)))
    with pytest.raises(DataError, match="cannot be written to temporary files") as error:
        made(written(log("text", 200_000), tmp_path / "log"), Plan(FUNNEL), memory="2MB")
    assert "No space left" in str(error.value)
    assert os.listdir(tmp_path / "tmp") == []


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    path = written(log("number"), tmp_path / "log", files=1)
    source = LocalSource(path, FUNNEL)
    log("number", seed=2).to_parquet(tmp_path / "log" / "0.parquet", index=False)
    with pytest.raises(DataError):
        list(source.journeys(Plan(FUNNEL), None, None))


def test_units_with_the_same_hash_stay_apart():
    # Records of two words (the unit) and one of load; `mix` 0 sends every unit to the same place of the table.
    units = np.arange(50).repeat(3)
    rows = np.stack([units, -units, np.arange(150)], axis=1).astype(np.int64)
    table = np.full(256, -1, dtype=np.int64)
    places, firsts = np.zeros(150, dtype=np.int64), np.zeros(150, dtype=np.int64)
    count = records.told_apart(rows.ravel(), 2, 3, 0, table, places, firsts)
    assert count == 50
    assert places.tolist() == units.tolist()
