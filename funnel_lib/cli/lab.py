"""`funnel lab`: the notebooks in JupyterLab, with the parameters of one slice filled in."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import lazy_loader

from funnel_lib.cli.options import Finished, WorkbookFile, option
from funnel_lib.reporting import terminal

if TYPE_CHECKING:
    from funnel_lib import config
    from funnel_lib.reporting import laboratory
else:  # the help must not wait for pandas
    config, laboratory = (
        lazy_loader.load(f"funnel_lib.{name}", suppress_warning=True) for name in ("config", "reporting.laboratory")
    )

LAB_EXAMPLE = "Example: [bold]funnel lab params/education.yml --report conversion --segment audience=student[/]"


def lab(
    workbook: WorkbookFile,
    report: Annotated[str | None, option("Open the notebook of this report, such as conversion.", "--report")] = None,
    period: Annotated[str | None, option("The period; the newest with data by default.", "--period")] = None,
    segment: Annotated[str, option("The segment: all, or split=group.", "--segment")] = "all",
    language: Annotated[str | None, option("en or zh; the workbook's first by default.", "--language")] = None,
    folder: Annotated[Path | None, option("Where your copies of the notebooks go.", "--folder")] = None,
    fresh: Annotated[bool, option("Throw away what you changed in the copies.", "--fresh")] = False,
    browser: Annotated[bool, option("Open it in a browser.", "--browser/--no-browser")] = True,
    port: Annotated[int | None, option("The port of JupyterLab; the first that is free by default.", "--port")] = None,
    only_print: Annotated[bool, option("Write the copies and print the command that opens them.", "--print")] = False,
) -> None:
    """Open JupyterLab on your own copies of the notebooks, with the parameters filled in."""
    book = config.load(workbook)
    written = laboratory.prepare(
        book, report=report, period=period, segment=segment, language=language, folder=folder, fresh=fresh
    )
    shown = written[0] if report else written[0].parent
    command = [sys.executable, "-m", "jupyterlab", os.path.relpath(shown)]
    command += [] if browser else ["--no-browser"]
    command += [] if port is None else [f"--port={port}"]
    if only_print:
        terminal.plain(shlex.join(command))
        return
    for file in written:
        terminal.hint(f"Written: {file}")
    ended = subprocess.run(command, check=False).returncode
    if ended:
        raise Finished(1)
