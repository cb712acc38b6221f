"""`collect`: raw exports in, canonical tables out; every row that enters is kept, merged or set aside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from funnel_lib.collection import channels, comparing, events, finish, users, who
from funnel_lib.collection.batch import NO_FAULT, Batch
from funnel_lib.collection.clean import MAIN_TIME
from funnel_lib.collection.files import Export, claimed_once, sha256
from funnel_lib.collection.finish import SMALL
from funnel_lib.collection.identity import SPLIT
from funnel_lib.collection.keys import own_key
from funnel_lib.collection.shelf import File, Group, Shelf, recipe
from funnel_lib.collection.sources import OFFERS
from funnel_lib.collection.stage import Stage, archive_of
from funnel_lib.collection.store import Facts, Store
from funnel_lib.collection.trends import daily
from funnel_lib.collection.values import PERSONAL, days
from funnel_lib.config import Workbook
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.schema import SOURCE, TableName

Progress = Callable[[str, float], None]
Tables = dict[TableName, pd.DataFrame | Path]
_READING = 0.8
"""The share of the work that reading is."""
_MOST_UNKNOWN = 50
_SEVERAL = 5
"""So many faulty rows speak about a file; fewer may be all that a small file has."""
_REMARK = (SOURCE, "file", "rule", "rows")


@dataclass(frozen=True)
class _Input:
    """A source with its files: each as the tally names it, with the hash of its bytes, in reading order."""

    export: Export
    paths: Mapping[str, Path]
    files: tuple[File, ...]

    @classmethod
    def of(cls, export: Export, paths: Sequence[Path]) -> _Input:
        named = {export.relative(path): path for path in paths}
        return cls(export, named, tuple((name, sha256(path)) for name, path in named.items()))


def collect(workbook: Workbook, progress: Progress | None = None, *, anew: bool = False) -> Store:
    """Read the workbook's exports into its canonical tables, replacing those of the last time as a whole.

    The same exports give the same bytes of every table, whether they are read at once or as they come in. Only
    files that are new or have changed are read (see `shelf`); where nothing has changed, nothing is done. Memory
    does not grow with the input: what does not fit waits on the disk.

    Parameters
    ----------
    workbook : names the sources; its `raw` and `processed` folders are read and written.
    progress : is told what is being done and the share done.
    anew : read everything again.

    Raises
    ------
    ConfigError : a source's mapping cannot give its table, or the test accounts cannot be judged.
    DataError : a file is missing, empty, damaged or lacks a column; or too many rows of a file cannot be used
        (then nothing is published, and the quarantine tells why).
    """
    tell = progress or (lambda _what, _share: None)
    exports = [Export(name, source, workbook) for name, source in workbook.sources.items()]
    _check(workbook, exports)
    _prepare(exports)
    files = [(export, export.files()) for export in exports]
    claimed_once(files)
    inputs = [_Input.of(export, paths) for export, paths in files]
    store, state = Store(workbook.processed), _state(workbook, inputs)
    with store.workshop() as folder:
        if not anew and store.holds(state):
            tell("Nothing has changed", 1.0)
            return store
        shelf = Shelf(store.shelf)
        if anew:
            shelf.sweep()
        stage = Stage(folder)
        lasting = _read(stage, inputs, shelf, tell)
        tell("Bringing people together", _READING)
        tables, facts = _finish(stage, workbook, folder)
        _good_enough(stage, store, workbook)
        tally, coverage = stage.tally(), stage.coverage()
        tell("Writing the tables", 0.95)
        remarks = [dict(zip(_REMARK, (*place, rows), strict=True)) for place, rows in sorted(stage.remarks.items())]
        facts |= {**_facts(workbook, tables, coverage), **_inputs(inputs, tally, workbook), "remarks": remarks}
        tables["quarantine"] = stage.quarantine().drop(columns="table")
        named = {one.export.name: one.files for one in inputs}
        facts |= comparing.compared(stage, store, state, files=named, late_after=workbook.cleaning.late_after)
        log = tables.get("events")
        measures = daily(log, workbook.timezone) if isinstance(log, Path) else None
        store.write(tables, tally, {**facts, "state": state if lasting else None}, coverage, measures)
        shelf.sweep()
    tell("Collected", 1.0)
    return store


def _prepare(exports: Sequence[Export]) -> None:
    for export in exports:
        prepare = OFFERS[export.source.system].prepare
        if prepare is not None:
            prepare(export)


def _check(workbook: Workbook, exports: Sequence[Export]) -> None:
    for export in exports:
        OFFERS[export.source.system].require(export)
    mapped = [export for export in exports if OFFERS[export.source.system].mapped]
    asked = set(workbook.cleaning.test_accounts)
    people = [{*export.source.columns, *export.source.constants} for export in mapped if export.source.table == "users"]
    # Attributes that a system's own export holds are only known from the data.
    told = [OFFERS[export.source.system] for export in exports if not OFFERS[export.source.system].mapped]
    people += [{*offer.aliases["users"]} for offer in told if "users" in offer.aliases]
    perhaps = not asked & PERSONAL and any("users" in offer.fills for offer in told)
    if asked and not any(asked <= given for given in people) and not perhaps:
        given = sorted(set().union(*people))
        stray = sorted(asked - set(given)) or sorted(asked)
        raise ConfigError(
            "Test accounts cannot be told: no source of people has these columns.", where="cleaning.test_accounts",
            found=", ".join(stray), allowed=choices(given, stray[0]) or "columns of a source with table: users",
            do="Map the columns in one source with table: users.",
        )  # fmt: skip


def _read(stage: Stage, inputs: Sequence[_Input], shelf: Shelf, tell: Progress) -> bool:
    """Take what is on the shelf, read the rest; tell whether everything came from files."""
    total = sum(path.stat().st_size for one in inputs for path in one.paths.values()) or 1
    done, whole = 0, True
    for one in inputs:
        name = one.export.name
        stage.expect(name, [file for file, _ in one.files])
        tell(f"Reading {name}", _READING * done / total)
        sizes = {file: path.stat().st_size for file, path in one.paths.items()}
        for group in _groups(one, shelf, partial(_told, tell, name, total), done):
            whole &= bool(group.files)
            for batch in group.batches:
                stage.take(name, batch)
        done += sum(sizes.values())
        tell(f"Reading {name}", _READING * done / total)
    return whole


def _told(tell: Progress, name: str, total: int, done: int) -> None:
    tell(f"Reading {name}", _READING * done / total)


def _groups(one: _Input, shelf: Shelf, tell: Callable[[int], None], done: int) -> list[Group]:
    """Return everything that was ever read from the files of a source, in their order."""
    offer, how = OFFERS[one.export.source.system], recipe(one.export)
    found = shelf.find(how, one.files)
    known = {name for group in found for name, _ in (*group.files, *group.beside)}
    if offer.together and known != set(one.paths):
        found, known = [], set()
    left = [file for file in one.files if file[0] not in known]
    sizes = {file: path.stat().st_size for file, path in one.paths.items()}
    seen = done + sum(sizes.pop(name) for name in known)

    def report(batch: Batch) -> None:
        # A file may come in several batches; it counts as done with its first.
        nonlocal seen
        seen += sum(sizes.pop(archive_of(file, sizes.__contains__), 0) for file in batch.read)
        tell(seen)

    if left or not one.files:
        batches = offer.reads([one.paths[name] for name, _ in left], one.export)
        found += shelf.fill(how, left, batches, report)
    places = {name: place for place, (name, _) in enumerate(one.files)}
    return sorted(found, key=lambda group: min((places[name] for name, _ in group.files), default=0))


def _finish(stage: Stage, workbook: Workbook, folder: Path) -> tuple[Tables, Facts]:
    resolved, linked, met = who.resolve(stage, workbook)
    known = folder / "people.parquet"
    people = known if users.write(stage, resolved, known) else None
    tables: Tables = {}
    if linked is not None:
        tables |= who.tables(stage, resolved, linked)
    for name in SMALL:
        tables[name] = finish.small(name, stage, resolved, people)
    target = folder / "finished.parquet"
    if "events" in stage.parts:
        stage.covered.append(events.write(stage, resolved, people, target))
        tables["events"] = target
    everybody = folder / "finished-users.parquet"
    if users.complete(stage, people, tables.get("events") and target, everybody):
        tables["users"] = everybody
    filled = {name: content for name, content in tables.items() if isinstance(content, Path) or len(content)}
    refused = [] if linked is None else linked.refused.to_dict("records")
    met |= {"oversize": sum(row["values"] for row in refused if row["rule"] != SPLIT)}
    return filled, {
        "people": met,
        "refused": refused,
        "channels": _channel_facts(stage, workbook),
        "overlap": who.overlap(stage, resolved),
        "key": "own" if own_key() else "demo",
        "hashed": linked is not None and linked.hashed,
    }


def _channel_facts(stage: Stage, workbook: Workbook) -> Facts:
    """Tell by which rules visits were classified, and the largest groups that no rule knows."""
    by_size = sorted(stage.unclassified.items(), key=lambda item: (-item[1], item[0]))
    names = ("source", "from", "medium", "rows")
    return {
        "version": channels.known().version, "own_rules": len(workbook.channels),
        "unclassified_rows": sum(stage.unclassified.values()),
        "unclassified": [dict(zip(names, (*place, rows), strict=True)) for place, rows in by_size[:_MOST_UNKNOWN]],
    }  # fmt: skip


def _good_enough(stage: Stage, store: Store, workbook: Workbook) -> None:
    """Refuse to publish where too many rows of a file, or of a source, are faulty; bots are no fault.

    A few faults in a file of a few rows are judged with the rest of their source.
    """
    limit, aside = workbook.cleaning.worst_share, stage.quarantine()
    faulty = aside[~aside["rule"].isin(NO_FAULT)]
    if faulty.empty:
        return
    read = stage.tally().query("outcome == 'read'")[[SOURCE, "file", "rows"]]
    files = read.merge(faulty.groupby([SOURCE, "file"]).size().rename("faulty").reset_index())
    files["share"] = files["faulty"] / files["rows"]
    whole = files.groupby(SOURCE)["faulty"].transform("sum") / files[SOURCE].map(read.groupby(SOURCE)["rows"].sum())
    bad = files[((files["share"] > limit) & (files["faulty"] >= _SEVERAL)) | (whole > limit)]
    if bad.empty:
        return
    written = store.write_quarantine(aside.drop(columns="table"))
    source, file, rows, count, _ = next(bad.sort_values("share", ascending=False).itertuples(index=False, name=None))
    here = faulty[(faulty[SOURCE] == source) & (faulty["file"] == file)]
    example = here[here["rule"] == here["rule"].value_counts().index[0]].iloc[0]
    more = f" ({len(bad) - 1} more file{'s' * (len(bad) > 2)} like this)" if len(bad) > 1 else ""
    raise DataError(
        f"{count:,} of {rows:,} rows of a file cannot be used{more}.", where=workbook.raw / file,
        found=f"most often {example['rule']}, as in line {example['line']}: {example['reason']}",
        allowed=f"at most {limit:.0%} (cleaning.worst_share)",
        do=f"Correct sources.{source} in the workbook or export the file again; all rows set aside are in {written}",
    )  # fmt: skip


def _facts(workbook: Workbook, tables: Tables, coverage: pd.DataFrame) -> Facts:
    """Return first and last day of the funnel's rows, the newest instant, and each source's newest day."""
    newest = coverage.groupby(SOURCE)["day"].max().dt.strftime("%Y-%m-%d").to_dict()
    log = tables.get("events")
    if isinstance(log, Path) and workbook.funnel.snapshot is None:
        sources = workbook.sources.items()
        logs = [name for name, source in sources if "events" in OFFERS[source.system].tables(source)]
        known = coverage.loc[coverage[SOURCE].isin(logs), "day"]
        through = events.newest(log)
    else:
        known, through = _snapshot_times(workbook, tables)
    first, last = (known.min().date().isoformat(), known.max().date().isoformat()) if len(known) else (None, None)
    return {"first_day": first, "last_day": last, "data_through": through and through.isoformat(), "newest": newest}


def _snapshot_times(workbook: Workbook, tables: Tables) -> tuple[pd.Series[Any], pd.Timestamp | None]:
    """Return the days on which people entered, and the newest time of any step (other dates may lie ahead)."""
    funnel = workbook.funnel
    rows = tables.get(funnel.snapshot or "users")
    entered = funnel.entered or MAIN_TIME[funnel.snapshot or "users"]
    if isinstance(rows, Path):  # people stay on disk
        asked = {entered, *(str(step.column) for step in funnel.steps)}
        rows = pd.read_parquet(rows, columns=[name for name in pq.read_schema(rows).names if name in asked])
    if rows is None or entered not in rows:
        return pd.Series(dtype="datetime64[us]"), None
    named = {entered, *(step.column for step in funnel.steps)}
    times = pd.concat([rows[name].dropna() for name in rows.select_dtypes("datetimetz") if name in named])
    return days(rows[entered].dropna(), workbook.zone), None if times.empty else times.max()


def _inputs(inputs: Sequence[_Input], tally: pd.DataFrame, workbook: Workbook) -> Facts:
    found = tally[tally["outcome"] == "read"]
    known = {one.export.name: one.paths for one in inputs}
    pairs = zip(found[SOURCE], found["file"], strict=True)
    files = [archive_of(file, known.get(source, {}).__contains__) for source, file in pairs]
    read = found["rows"].groupby([found[SOURCE].to_numpy(), np.array(files, dtype=object)]).sum().to_dict()
    told = [
        {
            "source": one.export.name, "file": file, "sha256": digest, "bytes": one.paths[file].stat().st_size,
            "rows": int(read.get((one.export.name, file), 0)),
        }
        for one in inputs
        for file, digest in one.files
    ]  # fmt: skip
    return {"inputs": told, "workbook_sha256": _workbook_sha256(workbook)}


def _workbook_sha256(workbook: Workbook) -> str:
    if workbook.file is not None:
        return sha256(workbook.file)
    return hashlib.sha256(workbook.model_dump_json().encode()).hexdigest()


def _state(workbook: Workbook, inputs: Sequence[_Input]) -> str:
    """Return a hash of all that the tables follow from: files, workbook, secret key and code."""
    files = [(one.export.name, recipe(one.export), one.files) for one in inputs]
    return hashlib.sha256(f"{_workbook_sha256(workbook)} {files}".encode()).hexdigest()
