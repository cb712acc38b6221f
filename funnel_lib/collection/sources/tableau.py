"""Tableau: the data behind a view (CSV), a crosstab (UTF-16 with tabs, Excel) or an extract (.hyper).

What the columns mean is the view's matter, so the workbook maps them as for any table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.sources import table
from funnel_lib.collection.unpacking import Inside
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.settings import MAPPED

_HYPER = b"Hyper"


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read each file like any table; of an extract the table that the source's `sheet` names, else its only one.

    Raises
    ------
    DataError : a file is damaged or lacks a mapped column, or an extract holds several tables and none is named.
    ConfigError : an extract is there, and the extra `tableau` is not installed.
    """
    for path in paths:
        with path.open("rb") as file:
            extract = file.read(len(_HYPER)) == _HYPER
        yield from _extract(path, export) if extract else table.read([path], export)


def _extract(path: Path, export: Export) -> Iterator[Batch]:
    rows = _rows(path, export)
    with TemporaryDirectory(prefix="funnel-") as folder:
        copy = Path(folder) / "extract.parquet"
        pq.write_table(rows, copy)
        try:
            yield from table.read([copy], Inside.of(export, export.relative(path)))
        except DataError as error:
            error.where = path if error.where == copy else error.where
            raise


def _rows(path: Path, export: Export) -> pa.Table:
    try:
        import pantab
    except ImportError as error:
        raise ConfigError(
            "Tableau extracts need a library that is not installed.", where=path, found="no pantab",
            allowed="the extra tableau", do="Install funnel-lib[tableau], or export the view as CSV.",
        ) from error  # fmt: skip
    try:
        read_all = pantab.frames_from_hyper(path, return_type="pyarrow")
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        raise DataError(
            "The extract cannot be read.", where=path, found=str(error).splitlines()[0] if str(error) else error,
            allowed="a whole .hyper file", do="Export it again, or export the view as CSV.",
        ) from error  # fmt: skip
    tables = {".".join(map(str, name)): rows for name, rows in read_all.items()}
    asked = export.source.sheet
    found = [name for name in tables if asked in (None, name, name.rpartition(".")[2])]
    if len(found) != 1:
        raise DataError(
            "The extract does not hold exactly one table of this name.", where=path,
            found=asked or f"{len(tables)} tables", allowed=choices(sorted(tables), asked),
            do="Name one of them as the source's sheet.",
        )  # fmt: skip
    return tables[found[0]]


SYSTEM = Offer(
    name="tableau",
    title="Tableau",
    reads=read,
    fills=MAPPED,
    files="The data of a view as CSV, a crosstab as CSV (UTF-16 with tabs) or Excel, or an extract (.hyper, with the "
    "extra `tableau`).",
    confirmed="That the views' data and crosstabs can be exported, and the library for extracts, by the vendor's "
    "libraries; UTF-16 with tabs is not confirmed. The columns are the view's own.",
    mapped=True,
    check=table.check,
)
