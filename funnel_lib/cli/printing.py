"""`funnel print`: reports on paper and as a picture."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import lazy_loader

from funnel_lib.cli.options import argument, option
from funnel_lib.reporting import terminal

if TYPE_CHECKING:
    from funnel_lib.reporting import printing
else:  # the help must not wait for the reports' libraries
    printing = lazy_loader.load("funnel_lib.reporting.printing", suppress_warning=True)

PRINT_EXAMPLE = "Example: [bold]funnel print reports/education/2026-05/all/conversion.en.html[/]"


def print_(
    pages: Annotated[list[Path], argument("Pages of reports, or a catalogue.", metavar="PAGE…")],
    timeout: Annotated[float, option("Most seconds for one page.", "--timeout", min=1)] = 90.0,
) -> None:
    """Print reports to PDF (A4), and their summary to a picture for chats and mails; needs Chromium."""
    for page in pages:
        for file in printing.print_published(page, at=datetime.now(UTC), seconds=timeout):
            terminal.say(str(file))
