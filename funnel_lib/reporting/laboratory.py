"""Notebooks for analysts: private copies with the parameters of one slice filled in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.errors import FunnelError
from funnel_lib.reporting import manifest
from funnel_lib.reporting.plan import plan

FOLDER = "lab"
SHOW = "%load_ext funnel_lib.reporting.display"


def prepare(
    workbook: Workbook, *, report: str | None = None, period: str | None = None, segment: str = "all",
    language: str | None = None, folder: Path | None = None, fresh: bool = False,
) -> list[Path]:  # fmt: skip
    """Write the workbook's notebooks with the parameters of one slice into a folder of one's own; return the files.

    A copy that is there keeps what was changed in it: only its parameters are renewed.

    Parameters
    ----------
    report : only the notebook of this report; all of the workbook's when None.
    period, segment, language : the slice; the newest period, everybody and the workbook's first language by default.
    folder : where the copies go; `lab/<workbook>` beside the workbook's `params` when None.
    fresh : write the copies anew, without what was changed in them.

    Raises
    ------
    ConfigError : a name is unknown, or a notebook cannot take the parameters.
    DataError : nothing was collected, or there is no data in the period.
    FunnelError : the folder cannot be written.
    """
    jobs = plan(
        workbook, Store(workbook.processed).facts(), report=report, period=period, segment=segment,
        language=language or workbook.languages[0],
    )  # fmt: skip
    place = folder or workbook.root / FOLDER / workbook.name
    file = Path(os.path.relpath(manifest.file_of(workbook), place.resolve())).as_posix()
    newest = {job.report: job for job in jobs}  # the oldest period comes first
    written = []
    for job in newest.values():
        values = {"workbook": file, "period": job.period, "segment": segment, "language": job.language, "as_of": None}
        written.append(_copied(job.notebook, place / job.notebook.name, values, fresh=fresh))
    return written


def _copied(source: Path, target: Path, values: Mapping[str, Any], *, fresh: bool) -> Path:
    """Write a notebook with its parameters, without outputs where it is new."""
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    new = fresh or not target.is_file()
    notebook = load_notebook_node(str(source if new else target))
    notebook = parameterize_notebook(notebook, dict(values), kernel_name="python3", language="python")
    _tables_of_the_house(notebook)
    del notebook.metadata["papermill"]
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        if new and cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")  # type: ignore[no-untyped-call]
        partial.replace(target)
    except OSError as error:
        raise FunnelError(
            "The notebooks' folder cannot be written.", where=target.parent, found=error.strerror or error,
            allowed="a folder that you may write to", do="Name another one with --folder.",
        ) from error  # fmt: skip
    return target


def _tables_of_the_house(notebook: Any) -> None:
    """Let the copy show results as the reports do; the line stands with the parameters, so it is renewed with them."""
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.source = f"{cell.source.rstrip()}\n{SHOW}\n"
