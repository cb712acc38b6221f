"""Events that DuckDB reads: frames, Arrow tables, relations, text files, and Parquet files that are not plain.

Only the needed columns and rows are asked for. A time without a zone is UTC; a time given as text is read as ISO
8601. Numbers are refused as times: their unit would be a guess.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import pyarrow as pa

from funnel_lib.conditions import columns as named_by
from funnel_lib.conversion.engine.files import Files, literal, quoted, temporary_folder, unreadable
from funnel_lib.conversion.engine.grouping import parted_by
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.sieve import EARLIEST, LATEST, Raw, Sieve
from funnel_lib.errors import DataError, choices
from funnel_lib.schema import EVENT, PROPERTIES, SESSION_ID, TS

ROWS_PER_BATCH = 131_072
IN_MEMORY = 100_000_000
"""Text files up to so many bytes are read into memory; larger ones are written to a temporary Parquet file."""


@dataclass(frozen=True)
class RelationLog:
    """A relation of DuckDB, and what its columns are called in SQL.

    Parameters
    ----------
    log : the relation.
    types : the type of each column, as DuckDB writes it.
    unit : the column that identifies who goes through the funnel.
    held : what must stay alive as long as this does.
    """

    log: Any
    types: Mapping[str, str]
    unit: str
    held: object = None

    @cached_property
    def newest(self) -> int | None:
        """The newest possible time of any event, None where there is none."""
        found = self.log.project(f"{self.at} AS at_us").filter(f"at_us BETWEEN {EARLIEST} AND {LATEST}")
        newest: int | None = found.aggregate("max(at_us) AS last").to_arrow_table()["last"][0].as_py()
        return newest

    @cached_property
    def names(self) -> list[str]:
        """All event names, sorted."""
        if EVENT not in self.types:
            return []
        found = self.log.project(f"{self.event} AS name").distinct().to_arrow_table()["name"].to_pylist()
        return sorted(name for name in found if name is not None)

    @cached_property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.log.aggregate("count(*) AS n").to_arrow_table()["n"][0].as_py())

    def read(self, plan: Plan, sieve: Sieve, parts: int = 1) -> Iterator[Raw]:
        """Yield the rows that can match something, with the columns that the plan asks for; the last batch is empty.

        With several `parts`, each row has the number of the one that its unit belongs to.
        """
        parting, asked = parted_by(plan), self.asked(plan)
        chosen = [f"{self.value(self.unit)} AS unit", f"{self.at} AS at_us", f"{self.mask(sieve)} AS mask"]
        chosen += [f"{self.value(name)} AS {quoted(f'extra {name}')}" for name in plan.by]
        chosen += [f"{quoted(name)} AS {quoted(f'where {name}')}" for name in asked]
        sources = {name: SESSION_ID if name == "session" else name.removeprefix("hold ") for name in parting}
        chosen += [f"CAST({self.value(source)} AS VARCHAR) AS {quoted(name)}" for name, source in sources.items()]
        chosen += [f"CAST(hash({self.value(self.unit)}) % {parts} AS INTEGER) AS part"] if parts > 1 else []
        span = f"at_us BETWEEN {sieve.since} AND {sieve.until}"
        odd = f"at_us IS NULL OR at_us NOT BETWEEN {EARLIEST} AND {LATEST}"
        wanted = f"({span} OR {odd})" if plan.whole_logs else f"mask <> 0 AND ({span} OR {odd})"
        try:
            reader = self.log.project(", ".join(chosen)).filter(wanted).to_arrow_reader(ROWS_PER_BATCH)
            for batch in chain(reader, [pa.RecordBatch.from_pylist([], reader.schema)]):
                yield Raw(
                    batch["unit"], batch["at_us"], None, tuple(batch[f"extra {name}"] for name in plan.by),
                    {name: batch[f"where {name}"] for name in asked},
                    batch["mask"].to_numpy(), {name: batch[name] for name in parting},
                    batch["part"].to_numpy() if parts > 1 else None,
                )  # fmt: skip
        except pa.ArrowException as error:
            raise unreadable("the relation", error) from error

    def asked(self, plan: Plan) -> list[str]:
        """Return the columns that the conditions look at."""
        wheres = [thing.where for thing in plan.funnel.things]
        return sorted({name if name in self.types else PROPERTIES for name in named_by(wheres)})

    def mask(self, sieve: Sieve) -> str:
        """Return what a row may match by the name of its event, as a mask."""
        kind = "UTINYINT" if sieve.dtype.itemsize == 1 else "BIGINT"
        masks = sieve.by_name
        if not masks:
            return f"CAST({sieve.anything} AS {kind})"
        cases = " ".join(f"WHEN {literal(name)} THEN {mask}" for name, mask in masks.items())
        return f"CAST(CASE {self.event} {cases} ELSE {sieve.anything} END AS {kind})"

    @property
    def event(self) -> str:
        """The event's name."""
        plain = self.types[EVENT] == "VARCHAR" or self.types[EVENT].startswith("ENUM")
        return quoted(EVENT) if plain else f"CAST({quoted(EVENT)} AS VARCHAR)"

    @property
    def at(self) -> str:
        """The time in microseconds since 1970, UTC."""
        time = quoted(TS)
        if self.types[TS] == "VARCHAR":
            return f"epoch_us(TRY_CAST({time} AS TIMESTAMPTZ))"
        zoned = self.types[TS].startswith(("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"))
        return f"epoch_us(CAST({time} AS {'TIMESTAMPTZ' if zoned else 'TIMESTAMP'}))"

    def value(self, name: str) -> str:
        """Return a column, or the property of that name where there is no such column."""
        if name in self.types:
            kind = self.types[name]
            nested = kind.startswith(("STRUCT", "MAP", "UNION", "JSON", "ENUM", "UUID")) or kind.endswith("]")
            return f"CAST({quoted(name)} AS VARCHAR)" if nested else quoted(name)
        path = '$."' + name.replace('"', "") + '"'
        text = f"CAST({quoted(PROPERTIES)} AS VARCHAR)"
        return f"CASE WHEN json_valid({text}) THEN json_extract_string({text}, {literal(path)}) END"


def open_relation(events: Any, needed: Collection[str], unit: str, *, in_memory: int = IN_MEMORY) -> RelationLog:
    """Open events that DuckDB reads.

    Parameters
    ----------
    events : a DataFrame, an Arrow table, a relation, or `Files`.
    needed : the columns (or properties) that will be asked for.
    unit : one of them; text files' units are text, so that 007 and 7 stay apart.

    Raises
    ------
    DataError : they cannot be read, a column is missing, or times are no times.
    """
    wanted = {*needed, PROPERTIES}
    log, held = _relation(events, wanted, unit, in_memory)
    types = {name: str(kind) for name, kind in zip(log.columns, log.types, strict=True)}
    check(types, needed, unit, offered=_offered(events))
    if types[TS] == "VARCHAR" and type(events).__name__ == "DuckDBPyRelation":
        # Text would be read in the time zone of a connection that is not ours.
        raise DataError(
            "The times of this relation are text.", where=TS, found="VARCHAR", allowed="TIMESTAMP[TZ]",
            do=f"Cast the column: SELECT CAST({TS} AS TIMESTAMPTZ) AS {TS}, ...",
        )  # fmt: skip
    return RelationLog(log, types, unit, held)


def _relation(events: Any, wanted: Collection[str], unit: str, in_memory: int) -> tuple[Any, object]:
    import duckdb

    if isinstance(events, duckdb.DuckDBPyRelation):
        return events, None
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if isinstance(events, pa.Table):
        return connection.from_arrow(events), events
    if not isinstance(events, Files):
        kept = [name for name in events.columns if name in wanted]
        try:
            table = pa.Table.from_pandas(events[kept], preserve_index=False)
        except pa.ArrowException as error:
            raise DataError(
                "A column of the events holds values of several kinds.", found=error,
                allowed="one kind in a column", do="Convert the column to text, numbers or times.",
            ) from error  # fmt: skip
        return connection.from_arrow(table), table
    log = events.relation(connection, wanted, (unit, EVENT))
    if events.kind == ".parquet":
        return log, None
    # Texts are parsed once, not once per question.
    try:
        if events.bytes <= in_memory:
            table = log.to_arrow_table()
            events.check()
            return connection.from_arrow(table), table
        folder = temporary_folder()
        path = f"{folder.name}/events.parquet"
        log.write_parquet(path, compression="zstd")
    except duckdb.Error as error:
        raise unreadable(", ".join(events.paths[:3]), error) from error
    events.check()
    return connection.read_parquet(path), folder


def _offered(events: Any) -> Collection[str]:
    """Return the names of all columns; only the needed ones are read."""
    return [str(name) for name in (events.column_names if isinstance(events, pa.Table) else events.columns)]


def check(types: Mapping[str, str], needed: Collection[str], unit: str, *, offered: Collection[str] = ()) -> None:
    """Refuse events without the needed columns, or whose times are no times.

    Parameters
    ----------
    types : the columns that are read, and their types.
    offered : the names of all columns, where there are more.

    Raises
    ------
    DataError : so they are.
    """
    for name in sorted(needed):
        if name not in types and (name in (unit, TS, EVENT) or PROPERTIES not in types):
            raise DataError(
                f"The events have no column {name!r}.", found=", ".join(offered or types) or "no columns",
                allowed=choices(offered or types, name), do="Name the funnel's unit, or rename the column.",
            )  # fmt: skip
    if not types[TS].startswith(("TIMESTAMP", "DATE", "VARCHAR")):
        raise DataError(
            "The events' times are not times.", where=TS, found=types[TS],
            allowed="times, or text such as 2026-05-31T18:00:00Z", do="Convert them before, with their unit.",
        )  # fmt: skip
