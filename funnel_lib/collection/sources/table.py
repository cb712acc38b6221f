"""Any table - CSV, JSON lines, Excel, Parquet - through the column mapping that the workbook gives it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from funnel_lib.collection.batch import Batch
from funnel_lib.collection.clean import batch, kind_of
from funnel_lib.collection.files import Export
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.pages import Wanted
from funnel_lib.collection.reading import pages
from funnel_lib.errors import ConfigError, choices
from funnel_lib.schema import CURRENCY, EVENT_ID, SOURCE, table
from funnel_lib.settings import MAPPED


def check(export: Export) -> None:
    """Check that the mapping can give rows of its table.

    Raises
    ------
    ConfigError : a required column is neither mapped nor constant, or a name belongs to nothing.
    """
    source, spec = export.source, table(str(export.source.table))
    given = {*source.columns, *source.constants}
    made = {SOURCE, EVENT_ID} if source.table == "events" else {CURRENCY} if source.table == "spend" else {SOURCE}
    lacking = [name for name, column in spec.columns.items() if column.required and name not in given | made]
    if lacking:
        raise ConfigError(
            f"The table {source.table!r} needs {', '.join(lacking)}.", where=f"{export.where}.columns",
            found=", ".join(given), allowed=", ".join(f"{name}: COLUMN OF THE FILE" for name in lacking),
            do="Map these columns, or set them under constants.",
        )  # fmt: skip
    open_ = spec.open or source.table == "events"
    unknown = [name for name in given if name not in spec.columns and (not open_ or name.startswith("_"))]
    if unknown:
        raise ConfigError(
            f"The table {source.table!r} has no column {unknown[0]!r}.", where=f"{export.where}.columns",
            found=unknown[0], allowed=choices(spec.columns, unknown[0]), do="Remove it, or correct its name.",
        )  # fmt: skip
    for part, names in (("values", source.values), ("not_before", source.not_before)):
        stray = next((name for name in names if name not in given), None)
        if stray is not None:
            raise ConfigError(
                "There is no such column in this source.", where=f"{export.where}.{part}", found=stray,
                allowed=choices(given, stray), do="Map the column, or correct its name.",
            )  # fmt: skip


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read each file in pages; rows that cannot be read are set aside with their line.

    Raises
    ------
    DataError : a file is damaged, in an unknown encoding, or lacks a mapped column.
    """
    name = str(export.source.table)
    needed = {column for column, spec in table(name).columns.items() if spec.required}
    names = frozenset(export.source.columns)
    times = frozenset(column for column in names if kind_of(name, column) in ("time", "date"))
    wanted = Wanted(export.source.columns, keys=names & needed, times=times, totals=True)
    for path in paths:
        for page in pages(path, export, wanted):
            yield batch(page, name, export)


SYSTEM = Offer(
    name="table",
    title="Any table",
    reads=read,
    fills=MAPPED,
    files="CSV, JSON lines, Excel or Parquet; the workbook names the table and the columns.",
    confirmed="Nothing has to be known: the workbook tells.",
    mapped=True,
    check=check,
)
