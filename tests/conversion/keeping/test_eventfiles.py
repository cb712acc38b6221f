"""Files as they are named on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.conversion.journeys import journeys
from funnel_lib.conversion.keeping import eventfiles
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import DataError

AB = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window="1d", unit="who")
# 007 goes through, 7 does not: ids are texts.
LOG = pd.DataFrame(
    {
        "who": ["007", "007", "7"],
        "what": ["A", "B", "A"],
        "when": ["2026-05-01T10:00:00Z", "2026-05-01T13:00:00+02:00", "2026-05-01 10:00:00"],
        "amount": [None, 12.5, None],
    }
)


def write(frame: pd.DataFrame, file: Path) -> Path:
    if ".parquet" in file.suffixes:
        frame.to_parquet(file, index=False)
    elif {".csv", ".tsv"} & set(file.suffixes):
        frame.to_csv(file, index=False, sep="\t" if ".tsv" in file.suffixes else ",")
    else:
        frame.to_json(file, orient="records", lines=True)
    return file


def found(events: Any) -> list[tuple[str, int]]:
    frame = journeys(events, AB).frame
    return [(str(unit), int(depth)) for unit, depth in zip(frame["unit"], frame["depth"], strict=True)]


KINDS = ["parquet", "csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz", "ndjson", "json"]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_any_name(kind: str, tmp_path: Path):
    file = write(LOG, tmp_path / f"log.{kind}")
    assert found(eventfiles.find([str(file)], unit="who", event="what", ts="when")) == [("007", 2), ("7", 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_the_usual_names(kind: str, tmp_path: Path):
    file = write(LOG.rename(columns={"what": "event", "when": "ts"}), tmp_path / f"log.{kind}")
    assert found(eventfiles.find([str(file)], unit="who")) == [("007", 2), ("7", 1)]


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz", "jsonl"])
@pytest.mark.parametrize("named", [False, True])
def test_several_files_and_patterns(kind: str, named: bool, tmp_path: Path):
    log = LOG if named else LOG.rename(columns={"what": "event", "when": "ts"})
    names = {"event": "what", "ts": "when"} if named else {}
    write(log.iloc[:1], tmp_path / f"a.{kind}")
    (tmp_path / "deep").mkdir()
    write(log.iloc[1:], tmp_path / "deep" / f"b.{kind}")
    wanted = [("007", 2), ("7", 1)]
    both = [str(tmp_path / f"a.{kind}"), str(tmp_path / "deep" / f"b.{kind}")]
    assert found(eventfiles.find(both, unit="who", **names)) == wanted
    assert found(eventfiles.find([str(tmp_path / "**" / f"*.{kind}")], unit="who", **names)) == wanted
    # The same file twice is one file: else B would follow A twice.
    assert found(eventfiles.find([*both, str(tmp_path / "a*")], unit="who", **names)) == wanted


def test_times_that_are_no_texts_and_further_columns(tmp_path: Path):
    log = LOG.assign(when=pd.to_datetime(LOG["when"], format="ISO8601", utc=True))
    events = eventfiles.find([str(write(log, tmp_path / "log.parquet"))], unit="who", event="what", ts="when")
    paid = Funnel(steps=[AB.steps[0], Step("B", where={"what": "B", "amount": {"gt": 10}})], unit="who")
    assert journeys(events, paid, by=["what"]).counts()["units"].tolist() == [2, 1]


def test_a_column_with_the_usual_name_gives_way(tmp_path: Path):
    log = LOG.assign(event="wrong", ts="wrong")
    file = write(log, tmp_path / "log.csv")
    assert found(eventfiles.find([str(file)], unit="who", event="what", ts="when")) == [("007", 2), ("7", 1)]


@pytest.mark.parametrize(
    ("name", "what", "part"),
    [
        ("lgo.csv", "no such file", "did you mean log.csv?"),
        ("*.parquet", "no such file", "pattern"),
        ("deep", "no such file", "deep/*.parquet"),
        ("nowhere/log.csv", "no such file", "pattern"),
        ("notes.txt", "format of this file is not known", ".parquet, .csv"),
        ("bare", "format of this file is not known", "no suffix"),
    ],
)
def test_files_that_cannot_be(name: str, what: str, part: str, tmp_path: Path):
    write(LOG, tmp_path / "log.csv")
    (tmp_path / "deep").mkdir()
    (tmp_path / "notes.txt").write_text("a")
    (tmp_path / "bare").write_text("a")
    with pytest.raises(DataError, match=what) as error:
        eventfiles.find([str(tmp_path / name)])
    assert part in str(error.value)


@pytest.mark.parametrize("pair", [("a.csv", "b.parquet"), ("a.csv", "b.tsv"), ("a.csv.gz", "b.jsonl")])
def test_files_of_several_kinds(pair: tuple[str, str], tmp_path: Path):
    files = [str(write(LOG, tmp_path / name)) for name in pair]
    with pytest.raises(DataError, match="several kinds") as error:
        eventfiles.find(files)
    assert all(Path(file).name in str(error.value) for file in files)


@pytest.mark.parametrize(
    ("names", "option"), [({"event": "wat"}, "--event"), ({"ts": "wen"}, "--ts"), ({"unit": "woh"}, "--unit")]
)
def test_a_column_that_is_not_there(names: dict[str, str], option: str, tmp_path: Path):
    file = write(LOG, tmp_path / "log.csv")
    with pytest.raises(DataError, match="no column") as error:
        eventfiles.find([str(file)], **({"unit": "who", "event": "what", "ts": "when"} | names))
    assert error.value.where == option
    assert "did you mean wh" in str(error.value)
    assert option in str(error.value.do)


def test_a_further_column_may_be_a_property(tmp_path: Path):
    log = LOG.rename(columns={"what": "event", "when": "ts"})
    with pytest.raises(DataError, match="no column 'amuont'") as error:
        eventfiles.find([str(write(log, tmp_path / "a.csv"))], unit="who", more={"ts": "--by", "amuont": "--where"})
    assert error.value.where == "--where"
    assert "did you mean amount?" in str(error.value)
    file = write(log.assign(properties='{"plan": "x"}'), tmp_path / "b.csv")
    events = eventfiles.find([str(file)], unit="who", more={"plan": "--by"})
    assert journeys(events, AB, by=["plan"]).frame["plan"].tolist() == ["x", "x"]


def test_a_funnel_of_any_events_needs_no_names(tmp_path: Path):
    file = write(LOG.drop(columns="what"), tmp_path / "log.csv")
    funnel = Funnel(steps=[Step("once"), Step("again")], unit="who")
    events = eventfiles.find([str(file)], unit="who", event=None, ts="when")
    assert journeys(events, funnel).counts()["units"].tolist() == [2, 1]


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_an_empty_file(kind: str, tmp_path: Path):
    (tmp_path / f"log.{kind}").write_text("")
    with pytest.raises(DataError, match="file is empty"):
        eventfiles.find([str(tmp_path / f"log.{kind}")])


def test_a_file_that_is_no_such_file(tmp_path: Path):
    (tmp_path / "log.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="cannot be read"):
        eventfiles.find([str(tmp_path / "log.parquet")], event="what", ts="when")
