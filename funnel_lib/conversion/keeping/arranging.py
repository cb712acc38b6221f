"""Events put in order of person and time, as numbers: written once, in files that are mapped and not read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funnel_lib.conversion.engine.arrow import numbers
from funnel_lib.conversion.engine.compiling import jit, worth_compiling
from funnel_lib.errors import DataError, choices
from funnel_lib.schema import EVENT, PROPERTIES, TS

Ints = npt.NDArray[np.integer[Any]]
_BATCH = 1_000_000
_SQL: dict[npt.DTypeLike, str] = {np.int16: "INT2", np.int32: "INT4", np.int64: "INT8"}
_FEW = 48
"""A person's rows up to which putting each in its place is faster than sorting them."""


def arranged(events: Path, unit: str) -> tuple[pa.Array, tuple[str, ...], dict[str, Ints]]:
    """Return the units and the event names in order, and the rows of all units, one after the other.

    Rows without a unit or a time are left out; units are texts, in the order of their bytes. Rows of one instant stay
    in the order in which they stand in the file.

    Parameters
    ----------
    events : the canonical events (Parquet).
    unit : the column that says whose they are.

    Returns
    -------
    The units, the names, and as numbers: `starts` (one per unit, and the end); one per row: `at` (microseconds
    since 1970, UTC), `event` (a place among the names, -1 where a row has none), `person` (a place among the units),
    `row` (its place in the file); `order`: the rows by event (those without one first), those of an event in order;
    `sizes`: how many each event has.

    Raises
    ------
    DataError : the events cannot be read, or have no such column.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            units, names, columns = _numbered(connection, events, unit)
        except duckdb.Error as fault:
            raise DataError(
                "The events cannot be read.", where=events, found=str(fault).split("\n")[0],
                do="Collect the exports again.",
            ) from fault  # fmt: skip
    starts = np.concatenate([[0], np.cumsum(np.bincount(columns["person"], minlength=len(units)))])
    order = np.empty_like(columns["row"])
    put = compiled()["in_order"] if worth_compiling(len(order)) else in_order
    put(columns["person"], columns["at"], columns["row"], starts, order)
    rows = {name: columns.pop(name)[order] for name in [*columns]}  # never two copies of all
    by_event = np.argsort(rows["event"], kind="stable").astype(_width(len(rows["at"])))
    sizes = np.bincount(rows["event"][rows["event"] >= 0], minlength=len(names))
    return units, tuple(names), {"starts": starts, **rows, "order": by_event, "sizes": sizes}


def in_order(person: Ints, at: Ints, row: Ints, starts: Ints, order: Ints) -> None:
    """Fill `order` with the places of rows by person, then time, then place in the file (numba compiles it)."""
    free = starts[:-1].copy()
    for place in range(len(at)):
        order[free[person[place]]] = place
        free[person[place]] += 1
    for one in range(len(starts) - 1):
        low, high = starts[one], starts[one + 1]
        if high - low > _FEW:
            own = order[low:high].copy()
            own = own[np.argsort(row[own], kind="mergesort")]
            order[low:high] = own[np.argsort(at[own], kind="mergesort")]
            continue
        for place in range(low + 1, high):
            moved, gap = order[place], place
            while gap > low and (
                at[order[gap - 1]] > at[moved] or (at[order[gap - 1]] == at[moved] and row[order[gap - 1]] > row[moved])
            ):
                order[gap] = order[gap - 1]
                gap -= 1
            order[gap] = moved


def meet(starts: Ints, data: Ints, held: Ints, holding: Ints, found: Ints) -> bool:
    """Find ascending texts among ascending ones, side by side; False where they do not ascend (numba compiles it).

    Parameters
    ----------
    starts, data : where the bytes of each text begin and end, and all bytes; `held`, `holding`: of those searched.
    found : gets the place of each text among those searched; it is left as it is for those that are not there.
    """
    place = 0
    for one in range(len(starts) - 1):
        low, high = starts[one], starts[one + 1]
        if one and before(data, low, high, data, starts[one - 1], low) > 0:
            return False
        while place < len(held) - 1:
            order = before(holding, held[place], held[place + 1], data, low, high)
            if order <= 0:
                if order == 0:
                    found[one] = place
                break
            place += 1
    return True


def before(one: Ints, low: int, high: int, other: Ints, begin: int, end: int) -> int:
    """Return 1 where a text comes before another, 0 where they are the same, -1 where it comes after."""
    size = min(high - low, end - begin)
    for step in range(size):
        if one[low + step] != other[begin + step]:
            return 1 if one[low + step] < other[begin + step] else -1
    return 0 if high - low == end - begin else 1 if high - low < end - begin else -1


@cache
def compiled() -> dict[str, Callable[..., Any]]:
    """Return `in_order` and `meet`, compiled."""
    return jit(in_order, before, meet, names=globals())


def _numbered(
    connection: duckdb.DuckDBPyConnection, events: Path, unit: str
) -> tuple[pa.Array, list[str], dict[str, Ints]]:
    """Return units, names, and the rows as they come from the file, in numbers."""
    connection.read_parquet(str(events), file_row_number=True).create_view("rows")
    known = f'"{unit}" IS NOT NULL AND {TS} IS NOT NULL'
    connection.execute(
        f"CREATE TABLE units AS SELECT unit, (row_number() OVER (ORDER BY unit) - 1)::INT4 AS person "  # noqa: S608
        f'FROM (SELECT DISTINCT CAST("{unit}" AS VARCHAR) AS unit FROM rows WHERE {known})'
    )
    connection.execute(
        f"CREATE TABLE names AS SELECT event, (row_number() OVER (ORDER BY event) - 1)::INT4 AS code "  # noqa: S608
        f"FROM (SELECT DISTINCT {EVENT} AS event FROM rows WHERE {known} AND {EVENT} IS NOT NULL)"
    )
    units = connection.sql("SELECT unit FROM units ORDER BY person").to_arrow_table()["unit"]
    names = [name for (name,) in connection.sql("SELECT event FROM names ORDER BY code").fetchall()]
    most = int(connection.sql("SELECT count(*) FROM rows").fetchall()[0][0])
    event, row = _width(len(names)), _width(most)
    size = int(connection.sql(f"SELECT count(*) FROM rows WHERE {known}").fetchall()[0][0])  # noqa: S608
    found = connection.sql(
        f"SELECT epoch_us({TS}) AS at, coalesce(code, -1)::{_SQL[event]} AS event, person, "  # noqa: S608
        f"file_row_number::{_SQL[row]} AS row FROM rows LEFT JOIN names ON rows.{EVENT} = names.event "
        f'JOIN units ON CAST(rows."{unit}" AS VARCHAR) = units.unit WHERE rows.{TS} IS NOT NULL'
    )
    columns = {
        "at": np.empty(size, dtype=np.int64), "event": np.empty(size, dtype=event),
        "person": np.empty(size, dtype=np.int32), "row": np.empty(size, dtype=row),
    }  # fmt: skip
    _fill(columns, found.to_arrow_reader(_BATCH))
    return units.combine_chunks().cast(pa.large_string()), names, columns


def _fill(columns: dict[str, Ints], batches: Iterable[pa.RecordBatch]) -> None:
    """Put the batches' columns one after the other."""
    place = 0
    for batch in batches:
        for name, values in columns.items():
            values[place : place + batch.num_rows] = numbers(batch.column(name))
        place += batch.num_rows


def _width(most: int) -> npt.DTypeLike:
    """Return the narrowest whole numbers that hold places below `most`, and -1."""
    return np.int16 if most < 2**15 else np.int32 if most < 2**31 else np.int64


def told(events: Path, name: str, chosen: Sequence[str] | None) -> tuple[Ints, pa.Array, bool]:
    """Return which rows tell `name` (their places in the file), what they tell, and whether that is JSON.

    A column is told in its own type, a property as JSON.

    Parameters
    ----------
    chosen : only events of these names; None: all.

    Raises
    ------
    DataError : there is neither such a column nor properties, or these do not hold JSON.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.read_parquet(str(events), file_row_number=True)
        if name not in rows.columns and PROPERTIES not in rows.columns:
            raise DataError(
                f"The events have no column {name!r}.", where=events, found=name,
                allowed=choices(rows.columns, name), do="Correct the name, or collect this column.",
            )  # fmt: skip
        as_json = name not in rows.columns
        rows.create_view("rows")
        path = '$."' + name.replace('"', '\\"') + '"'
        value = f"json_extract({PROPERTIES}, $path)" if as_json else f'"{name}"'
        query = (
            f"SELECT row, told FROM (SELECT file_row_number::INT8 AS row, {value} AS told FROM rows "  # noqa: S608
            f"WHERE ($names IS NULL OR list_contains($names, {EVENT}))) WHERE told IS NOT NULL"
        )
        given = {"names": None if chosen is None else list(chosen)} | ({"path": path} if as_json else {})
        try:
            found = connection.sql(query, params=given).to_arrow_table()
        except duckdb.Error as fault:
            raise DataError(
                "The column properties does not hold JSON.", where=events, found=str(fault).split("\n")[0],
                allowed="a JSON object in each row, or nothing",
                do="Correct the export, or map this column to another name.",
            ) from fault  # fmt: skip
    return numbers(found["row"]), found["told"].combine_chunks(), as_json
