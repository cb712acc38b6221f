"""`collect`: raw exports in, canonical tables out; every row that enters is kept, merged or set aside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.collection import events, finish
from funnel_lib.collection.batch import NO_FAULT
from funnel_lib.collection.clean import TEST
from funnel_lib.collection.files import Export, sha256
from funnel_lib.collection.finish import MAIN_TIME, SMALL, Resolved
from funnel_lib.collection.identity import People, people
from funnel_lib.collection.sources import READERS, table
from funnel_lib.collection.stage import DERIVED, Stage
from funnel_lib.collection.store import Facts, Store
from funnel_lib.collection.values import PERSONAL, days
from funnel_lib.config import Workbook
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.schema import FIRST_SEEN, SOURCE, USER_ID, TableName

Progress = Callable[[str, float], None]
Tables = dict[TableName, pd.DataFrame | Path]
_READING = 0.8
"""The share of the work that reading is."""
_SEVERAL = 5
"""So many faulty rows speak about a file; fewer may be all that a small file has."""
_REMARK = (SOURCE, "file", "rule", "rows")


def collect(workbook: Workbook, progress: Progress | None = None) -> Store:
    """Read the workbook's exports into its canonical tables, replacing those of the last time as a whole.

    The same exports give the same bytes of every table. Memory does not grow with the number of files; events
    are sorted on disk where they do not fit.

    Parameters
    ----------
    workbook : names the sources; its `raw` and `processed` folders are read and written.
    progress : is told what is being done and the share done.

    Raises
    ------
    ConfigError : a source's mapping cannot give its table, or the test accounts cannot be judged.
    DataError : a file is missing, empty, damaged or lacks a column; or too many rows of a file cannot be used
        (then nothing is published, and the quarantine tells why).
    """
    tell = progress or (lambda _what, _share: None)
    exports = [Export(name, source, workbook) for name, source in workbook.sources.items()]
    _check(workbook, exports)
    files = [(export, export.files()) for export in exports]
    store = Store(workbook.processed)
    with store.workshop() as folder:
        stage = Stage(folder)
        _read(stage, files, tell)
        tell("Bringing people together", _READING)
        tables, facts = _finish(stage, workbook, folder)
        _good_enough(stage, store, workbook)
        tally, coverage = stage.tally(), stage.coverage()
        tell("Writing the tables", 0.95)
        remarks = [dict(zip(_REMARK, (*place, rows), strict=True)) for place, rows in sorted(stage.remarks.items())]
        facts |= {**_facts(workbook, tables, coverage), **_inputs(files, tally, workbook), "remarks": remarks}
        tables["quarantine"] = stage.quarantine().drop(columns="table")
        store.write(tables, tally, facts, coverage)
    tell("Collected", 1.0)
    return store


def _check(workbook: Workbook, exports: Sequence[Export]) -> None:
    mapped = [export for export in exports if export.source.system == "table"]
    for export in mapped:
        table.check(export)
    asked = set(workbook.cleaning.test_accounts)
    people = [{*export.source.columns, *export.source.constants} for export in mapped if export.source.table == "users"]
    # User properties of web analytics are only known from the data, and never name a person.
    perhaps = not asked & PERSONAL and any(export.source.system == "ga4" for export in exports)
    if asked and not any(asked <= given for given in people) and not perhaps:
        given = sorted(set().union(*people))
        stray = sorted(asked - set(given)) or sorted(asked)
        raise ConfigError(
            "Test accounts cannot be told: no source of people has these columns.", where="cleaning.test_accounts",
            found=", ".join(stray), allowed=choices(given, stray[0]) or "columns of a source with table: users",
            do="Map the columns in one source with table: users.",
        )  # fmt: skip


def _read(stage: Stage, files: Sequence[tuple[Export, list[Path]]], tell: Progress) -> None:
    total = sum(path.stat().st_size for _, paths in files for path in paths) or 1
    done = 0
    for export, paths in files:
        sizes = {export.relative(path): path.stat().st_size for path in paths}
        tell(f"Reading {export.name}", _READING * done / total)
        for batch in READERS[export.source.system](paths, export):
            stage.add(export, batch)
            # A file may come in several batches; it counts as done with its first.
            done += sum(sizes.pop(file, 0) for file in batch.read)
            tell(f"Reading {export.name}", _READING * done / total)


def _finish(stage: Stage, workbook: Workbook, folder: Path) -> tuple[Tables, Facts]:
    links = stage.read("identities")
    linked = people(links if len(links) else pd.DataFrame(columns=[USER_ID, "value", FIRST_SEEN]))
    resolved = _resolved(stage, workbook, linked)
    users = finish.users(stage, resolved)
    tables: Tables = {"identities": finish.identities(stage, resolved)}
    for name in SMALL:
        tables[name] = finish.small(name, stage, resolved, users)
    if "events" in stage.parts:
        target = folder / "finished.parquet"
        stage.covered.append(events.write(stage, resolved, users, target))
        tables["events"] = target
    tables["users"] = finish.with_people_of_events(users, events.seen(target) if "events" in tables else None)
    met = _people_facts(stage, links, resolved) | {"oversize": len(linked.oversize)}
    filled = {name: content for name, content in tables.items() if isinstance(content, Path) or len(content)}
    return filled, {"people": met}


def _resolved(stage: Stage, workbook: Workbook, linked: People) -> Resolved:
    """Find all ids of the people who are a test account under one of them."""
    rows = stage.read("users")
    marked = rows.loc[rows[TEST].fillna(value=False).astype(bool), USER_ID] if len(rows) else pd.Series(dtype="str")
    nobody = Resolved(workbook, linked.ids, frozenset())
    persons = {*nobody.person(marked)}
    others = linked.ids.loc[linked.ids[USER_ID].isin(persons), "value"]
    return Resolved(workbook, linked.ids, frozenset({*marked, *persons, *others}))


def _people_facts(stage: Stage, links: pd.DataFrame, resolved: Resolved) -> Facts:
    """Count the people who logged in, and those of them whom a source of people knows."""
    rows = stage.read("users")
    if links.empty or rows.empty or rows[DERIVED].all():
        return {"registered": None, "with_record": None}
    registered = {*resolved.person(links[USER_ID])} - resolved.tests
    recorded = {*resolved.person(rows.loc[~rows[DERIVED], USER_ID])}
    return {"registered": len(registered), "with_record": len(registered & recorded)}


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
        known = coverage[coverage[SOURCE].isin([n for n, s in sources if s.system == "ga4" or s.table == "events"])][
            "day"
        ]
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
    if not isinstance(rows, pd.DataFrame) or entered not in rows:
        return pd.Series(dtype="datetime64[us]"), None
    named = {entered, *(step.column for step in funnel.steps)}
    times = pd.concat([rows[name].dropna() for name in rows.select_dtypes("datetimetz") if name in named])
    return days(rows[entered].dropna(), workbook.zone), None if times.empty else times.max()


def _inputs(files: Sequence[tuple[Export, list[Path]]], tally: pd.DataFrame, workbook: Workbook) -> Facts:
    read = tally[tally["outcome"] == "read"].set_index([SOURCE, "file"])["rows"].to_dict()
    inputs = [
        {
            "source": export.name, "file": export.relative(path), "sha256": sha256(path), "bytes": path.stat().st_size,
            "rows": int(read.get((export.name, export.relative(path)), 0)),
        }
        for export, paths in files
        for path in paths
    ]  # fmt: skip
    if workbook.file is not None:
        digest = sha256(workbook.file)
    else:
        digest = hashlib.sha256(workbook.model_dump_json().encode()).hexdigest()
    return {"inputs": inputs, "workbook_sha256": digest}
