"""Events from wherever they are, as rows for the kernel: DuckDB reads only the columns and rows that matter.

A time without a zone is UTC. A time given as text is read as ISO 8601. Numbers are refused as times: their
unit would be a guess. Units in CSV files are text, so that 007 and 7 stay apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.conditions import columns as named_by
from funnel_lib.conditions import meets
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import DataError, choices
from funnel_lib.schema import EVENT, PROPERTIES, TS

Events: TypeAlias = pd.DataFrame | pa.Table | duckdb.DuckDBPyRelation | Path | str
Ints = npt.NDArray[np.int64]
Masks = npt.NDArray[np.integer[Any]]
_READERS = {
    ".parquet": "read_parquet", ".csv": "read_csv", ".tsv": "read_csv", ".jsonl": "read_json",
    ".ndjson": "read_json", ".json": "read_json",
}  # fmt: skip
_ZONED = "TIMESTAMP WITH TIME ZONE"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Rows:
    """The rows that match a step, in any sequence.

    `table` has `unit`, `at_us` (microseconds since 1970, UTC), `mask` (bit k-1 set: matches step k) and a column
    `extra NAME` for each further one that was asked for. `set_aside` counts the rows that would have matched
    but have no unit (`no_unit`) or no readable time (`no_time`).
    """

    table: pa.Table
    set_aside: Mapping[str, int]

    def matched(self, step: int) -> int:
        """Return how many rows match step `step` (counted from 1)."""
        masks = (part.to_numpy() for part in self.table["mask"].chunks)
        return sum(int(np.count_nonzero(part & (1 << (step - 1)))) for part in masks)


@dataclass(frozen=True)
class Feeder:
    """Events ready to be read for `funnel`; `extra` are further columns (or properties) to bring along.

    `parts` are the same events file by file: what Parquet says of a column is used for one file at a time only.
    """

    log: duckdb.DuckDBPyRelation
    funnel: Funnel
    extra: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[duckdb.DuckDBPyRelation, ...] = ()

    @cached_property
    def newest(self) -> datetime | None:
        """The newest time of any event, None where there is none."""
        newest = f"max({self._at})" if self.types[TS] == "VARCHAR" else self._microseconds(f"max({_name(TS)})")
        found = [part.aggregate(f"{newest} AS last").to_arrow_table()["last"][0].as_py() for part in self.parts]
        last = max((moment for moment in found if moment is not None), default=None)
        return None if last is None else _EPOCH + timedelta(microseconds=last)

    @cached_property
    def names(self) -> list[str]:
        """All event names, sorted."""
        if EVENT not in self.types:
            return []
        found = self.log.project(f"{self._event} AS name").distinct().to_arrow_table()["name"].to_pylist()
        return sorted(name for name in found if name is not None)

    def read(self, since: datetime | None = None, until: datetime | None = None) -> Rows:
        """Return the rows from `since` to `until` (both included) that match a step."""
        wheres = [step.where for step in self.funnel.steps if step.where]
        conditional = sorted(self._present(named_by(wheres)))
        unit, candidate = self._value(self.funnel.unit), self._candidates()
        chosen = [f"{unit} AS unit", f"{self._at} AS at_us", f"{candidate} AS mask"]
        chosen += [f"{_name(name)} AS {_name(f'where {name}')}" for name in conditional]
        chosen += [f"{self._value(name)} AS {_name(f'extra {name}')}" for name in self.extra]
        span = self._span(since, until)
        empty = f" OR {unit} = ''" if self.types[self.funnel.unit].startswith(("VARCHAR", "ENUM")) else ""
        missing = f"({unit} IS NULL{empty})"
        rows = self.log.filter(f"NOT {missing} AND {span}").project(", ".join(chosen))
        table = rows.filter("mask <> 0 AND at_us IS NOT NULL").to_arrow_table()
        untimed = self._at if self.types[TS] == "VARCHAR" else _name(TS)  # the bare column is quickly ruled out
        set_aside = {
            "no_unit": self._count(f"{missing} AND {candidate} <> 0 AND {span}"),
            "no_time": self._count(f"{untimed} IS NULL AND {candidate} <> 0"),
        }
        if wheres:
            held = pa.array(self._held(table, conditional))
            table = table.set_column(table.column_names.index("mask"), "mask", held)
            table = table.filter(pc.not_equal(held, 0))
        return Rows(table.drop([f"where {name}" for name in conditional]), set_aside)

    def _held(self, table: pa.Table, conditional: Collection[str]) -> Masks:
        """Return the masks without the steps whose conditions do not hold."""
        masks: Masks = table["mask"].to_numpy()
        asked_for = table.select([f"where {name}" for name in conditional])
        frame = asked_for.rename_columns(list(conditional)).to_pandas()
        held = masks.copy()
        for place, step in enumerate(self.funnel.steps):
            if step.where:
                asked = np.flatnonzero(masks & (1 << place))
                failed = asked[~meets(frame.iloc[asked], step.where)]
                held[failed] &= ~masks.dtype.type(1 << place)
        return held

    def _candidates(self) -> str:
        """Return the SQL of the steps that a row's event name allows, as a mask."""
        kind = "UTINYINT" if len(self.funnel.steps) <= 8 else "BIGINT"
        anything = sum(1 << place for place, step in enumerate(self.funnel.steps) if not step.events)
        masks: dict[str, int] = {}
        for place, step in enumerate(self.funnel.steps):
            for name in step.events:
                masks[name] = masks.get(name, anything) | 1 << place
        if not masks:
            return f"CAST({anything} AS {kind})"
        cases = " ".join(f"WHEN {_text(name)} THEN {mask}" for name, mask in masks.items())
        return f"CAST(CASE {self._event} {cases} ELSE {anything} END AS {kind})"

    @property
    def _event(self) -> str:
        plain = self.types[EVENT] == "VARCHAR" or self.types[EVENT].startswith("ENUM")
        return _name(EVENT) if plain else f"CAST({_name(EVENT)} AS VARCHAR)"

    @property
    def _at(self) -> str:
        if self.types[TS] == "VARCHAR":
            return f"epoch_us(TRY_CAST({_name(TS)} AS TIMESTAMPTZ))"
        return self._microseconds(_name(TS))

    def _microseconds(self, time: str) -> str:
        zoned = self.types[TS] == _ZONED or self.types[TS].startswith("TIMESTAMPTZ")
        return f"epoch_us(CAST({time} AS {'TIMESTAMPTZ' if zoned else 'TIMESTAMP'}))"

    def _span(self, since: datetime | None, until: datetime | None) -> str:
        """Return the SQL for times from `since` to `until`, in a form that skips parts of Parquet files."""
        bounds = []
        for sign, limit in ((">=", since), ("<=", until)):
            if limit is not None:
                moment = limit.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
                if self.types[TS] == _ZONED:
                    bounds.append(f"{_name(TS)} {sign} TIMESTAMPTZ '{moment}+00'")
                elif self.types[TS] == "TIMESTAMP":
                    bounds.append(f"{_name(TS)} {sign} TIMESTAMP '{moment}'")
                else:
                    bounds.append(f"{self._at} {sign} {microseconds(limit)}")
        return " AND ".join(bounds) or "TRUE"

    def _present(self, names: Collection[str]) -> set[str]:
        """Return the columns in which `names` are to be looked up."""
        return {name if name in self.types else PROPERTIES for name in names}

    def _value(self, name: str) -> str:
        if name in self.types:
            return f"CAST({_name(name)} AS VARCHAR)" if self.types[name].startswith("ENUM") else _name(name)
        path = '$."' + name.replace('"', "") + '"'
        text = f"CAST({_name(PROPERTIES)} AS VARCHAR)"
        return f"CASE WHEN json_valid({text}) THEN json_extract_string({text}, {_text(path)}) END"

    def _count(self, condition: str) -> int:
        counted = self.log.filter(condition).aggregate("count(*) AS n").to_arrow_table()
        return int(counted["n"][0].as_py())


def feed(events: Events, funnel: Funnel, extra: Collection[str] = ()) -> Feeder:
    """Open `events` for `funnel`, with the further columns or properties `extra`.

    Raises
    ------
    DataError : there is no such file, its format is not known, a column is missing, or times are no times.
    """
    needed = {funnel.unit, TS, *extra, *named_by(step.where for step in funnel.steps)}
    if any(step.events for step in funnel.steps):
        needed.add(EVENT)
    log = _open(events, needed, texts=(funnel.unit, EVENT))
    types = {name: str(kind) for name, kind in zip(log.columns, log.types, strict=True)}
    _check(types, needed, (funnel.unit, TS, EVENT))
    if types[TS] == "VARCHAR" and isinstance(events, duckdb.DuckDBPyRelation):
        # Text would be read in the time zone of a connection that is not ours.
        raise DataError(
            "The times of this relation are text.", where=TS, found="VARCHAR", allowed="TIMESTAMP[TZ]",
            do=f"Cast the column: SELECT CAST({TS} AS TIMESTAMPTZ) AS {TS}, ...",
        )  # fmt: skip
    return Feeder(log, funnel, tuple(extra), types, _parts(events, log))


def microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970, UTC; a time without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def _check(types: Mapping[str, str], needed: Collection[str], own: Collection[str]) -> None:
    """Refuse events without the needed columns, or whose times are no times."""
    for name in sorted(needed):
        if name not in types and (name in own or PROPERTIES not in types):
            raise DataError(
                f"The events have no column {name!r}.", found=", ".join(types) or "no columns",
                allowed=choices(types, name), do="Name the funnel's unit, or rename the column.",
            )  # fmt: skip
    if not types[TS].startswith(("TIMESTAMP", "DATE", "VARCHAR")):
        raise DataError(
            "The events' times are not times.", where=TS, found=types[TS],
            allowed="times, or text such as 2026-05-31T18:00:00Z", do="Convert them before, with their unit.",
        )  # fmt: skip


def _open(events: Events, needed: Collection[str], *, texts: Collection[str]) -> duckdb.DuckDBPyRelation:
    if isinstance(events, duckdb.DuckDBPyRelation):
        return events
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if isinstance(events, pa.Table):
        return connection.from_arrow(events)
    if isinstance(events, pd.DataFrame):
        kept = [name for name in events.columns if name in needed or name == PROPERTIES]
        try:
            return connection.from_arrow(pa.Table.from_pandas(events[kept], preserve_index=False))
        except pa.ArrowException as error:
            raise DataError(
                "A column of the events holds values of several kinds.", found=error,
                allowed="one kind in a column", do="Convert the column to text, numbers or times.",
            ) from error  # fmt: skip
    try:
        return _open_file(Path(events), connection, needed, texts)
    except duckdb.Error as error:
        raise DataError(
            "The events cannot be read.", where=events, found=str(error).split("\n")[0],
            do="Check the path and the file.",
        ) from error  # fmt: skip


def _open_file(
    path: Path, connection: duckdb.DuckDBPyConnection, needed: Collection[str], texts: Collection[str]
) -> duckdb.DuckDBPyRelation:
    kind = next((suffix for suffix in reversed(path.suffixes) if suffix in _READERS), None)
    if kind is None:
        raise DataError(
            "The format of this file is not known.", where=path, found=path.suffix or "no suffix",
            allowed=", ".join(_READERS), do="Name files, or a pattern such as events/*.parquet.",
        )  # fmt: skip
    reader = getattr(connection, _READERS[kind])
    log: duckdb.DuckDBPyRelation = reader(str(path))
    if kind == ".parquet":
        return log
    if reader == connection.read_csv:
        log = reader(str(path), dtype={name: "VARCHAR" for name in texts if name in log.columns})
    # Texts are parsed once, not once per question.
    kept = [_name(name) for name in log.columns if name in needed or name == PROPERTIES]
    return connection.from_arrow(log.project(", ".join(kept)).to_arrow_table()) if kept else log


def _parts(events: Events, log: duckdb.DuckDBPyRelation) -> tuple[duckdb.DuckDBPyRelation, ...]:
    if not isinstance(events, Path | str) or ".parquet" not in Path(events).suffixes:
        return (log,)
    connection = duckdb.connect()
    files = connection.sql(f"SELECT file FROM glob({_text(str(events))})").to_arrow_table()["file"].to_pylist()  # noqa: S608
    return tuple(connection.read_parquet(file) for file in files)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def accepts(step: Step, names: Collection[str]) -> bool:
    """Return whether any of the event names in the data can be this step."""
    return not step.events or any(name in names for name in step.events)
