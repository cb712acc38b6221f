"""`funnel fetch`: what the sources' systems offer over REST, brought into raw files."""

from __future__ import annotations

import os
import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import lazy_loader

from funnel_lib.cli.options import WorkbookFile, option
from funnel_lib.errors import ConfigError, NothingToDo
from funnel_lib.reporting import terminal

if TYPE_CHECKING:
    from funnel_lib import config
    from funnel_lib.collection.rest import fetch as fetching
else:  # the help must not wait for pandas
    config, fetching = (
        lazy_loader.load(f"funnel_lib.{name}", suppress_warning=True) for name in ("config", "collection.rest.fetch")
    )

FETCH_EXAMPLE = "Examples: [bold]funnel fetch params/b2b.yml[/]; [bold]funnel fetch params/b2b.yml --source crm[/]"


def fetch(
    workbook: WorkbookFile,
    source: Annotated[str | None, option("Only this source.")] = None,
    since: Annotated[str | None, option("Everything from this day on anew, such as 2026-05-01.")] = None,
) -> None:
    """Fetch what is new from the systems' interfaces into raw files, for the sources that have api."""
    book = config.load(workbook)
    world = fetching.World(os.environ, lambda: datetime.now(UTC), time.sleep)
    with terminal.progress() as tell:
        outcome = fetching.fetch(book, world, source=source, since=_day(since), tell=tell)
    for one in outcome.fetched:
        files = "1 file" if len(one.files) == 1 else f"{len(one.files)} files"
        terminal.say(f"{one.source}, {one.stream}: {one.rows:,} fetched, {files} written")
    for path in outcome.unread:
        terminal.hint(f"No source reads {path}: its files pattern should match it.")
    for fault in outcome.faults[:-1]:
        terminal.error(fault)
    if outcome.faults:
        raise outcome.faults[-1]
    if not any(one.files for one in outcome.fetched):
        raise NothingToDo("Nothing new was to be fetched.", do="Fetch a time again with --since DAY.")
    terminal.say(f"Next: funnel collect {workbook}")


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            "This is no day.", where="--since", found=text, allowed="a day such as 2026-05-01", do="Correct it."
        ) from error
