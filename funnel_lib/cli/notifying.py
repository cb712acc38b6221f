"""`funnel notify`: whether digests arrive; and the digest after a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import lazy_loader
import typer

from funnel_lib.cli.options import WorkbookFile, option
from funnel_lib.errors import ConfigError, FunnelError, NothingToDo
from funnel_lib.reporting import terminal

if TYPE_CHECKING:
    from funnel_lib import config
    from funnel_lib.notices import Notify
    from funnel_lib.reporting.notify import delivery, digest, memory, messages
    from funnel_lib.reporting.notify.digest import Digest
    from funnel_lib.reporting.notify.memory import Alert, News
    from funnel_lib.reporting.runs import RunResult
else:  # the help must not wait for the reports' libraries
    config, delivery, digest, memory, messages = (
        lazy_loader.load(f"funnel_lib.{name}", suppress_warning=True)
        for name in (
            "config", "reporting.notify.delivery", "reporting.notify.digest", "reporting.notify.memory",
            "reporting.notify.messages",
        )
    )  # fmt: skip

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def options() -> None:
    """Tell people what runs did; addresses come from environment variables."""


@app.command("test", epilog="Example: [bold]funnel notify test params/education.yml[/]")
def try_out(
    workbook: WorkbookFile,
    only_print: Annotated[bool, option("Print the message and send nothing.", "--print")] = False,
) -> None:
    """Send a test message to every address of the workbook, and say what each service answered."""
    book = config.load(workbook)
    if book.notify is None:
        raise ConfigError(
            "The workbook names nobody to tell.", where=f"{workbook}: notify", found="no such section",
            allowed="notify: {to: [FUNNEL_FEISHU_URL]}", do="Add the section; see docs/notifications.md.",
        )  # fmt: skip
    told = digest.trial(book, book.notify)
    if only_print:
        terminal.plain(messages.plain(told))
        return
    _send(told, book.notify, [], lambda: None)


def after(workbook: Path, result: RunResult) -> None:
    """Tell of a run whoever its workbook wants to hear of it.

    Raises
    ------
    FunnelError : somebody could not be told; the reports themselves are not affected.
    """
    book = config.load(workbook)
    if book.notify is None:
        return
    found = digest.alerts(result, book, book.notify)
    heard = _heard(result.folder, found, digest.looked(result), book.notify)
    if digest.wanted(result, book.notify, heard):
        told = digest.digest(result, book, book.notify, heard)
        _send(told, book.notify, digest.pictures(result), lambda: memory.write(result.folder, heard.kept))


@contextmanager
def telling_of_faults(workbook: Path) -> Iterator[None]:
    """Tell of a run that ends before it has made anything; the fault goes on as it was."""
    try:
        yield
    except NothingToDo:
        raise
    except FunnelError as fault:
        try:
            notify = (book := config.load(workbook)).notify
        except FunnelError:  # the workbook itself is what is wrong
            raise fault from None
        if notify is not None:
            heard = _heard(book.reports_folder, [digest.stop(fault, book, notify)], {memory.RUN: False}, notify)
            if heard.fresh:
                with suppress(FunnelError):  # said already, line by line
                    told = digest.stopped(fault, book, notify)
                    _send(told, notify, [], lambda: memory.write(book.reports_folder, heard.kept))
        raise


def _heard(folder: Path, found: Sequence[Alert], looked: Mapping[str, bool], notify: Notify) -> News:
    return memory.news(memory.read(folder), found, looked, at=datetime.now(UTC), repeat=notify.repeat)


def _send(told: Digest, notify: Notify, pictures: Sequence[Path], delivered: Callable[[], None]) -> None:
    """Send the digest and say what became of it; `delivered` is called once somebody has it."""
    now = datetime.now(UTC)
    done = delivery.deliver(told, notify.to, environment=os.environ, at=now, pictures=pictures)
    for one in done:
        where = f"{one.variable} ({one.service})" if one.service else one.variable
        terminal.hint(f"Delivered: {where}" if one.ok else f"Not delivered: {where}: {one.detail}")
    if any(one.ok for one in done):
        delivered()
    if failed := [one.variable for one in done if not one.ok]:
        raise FunnelError(
            "A digest was not delivered.", where=", ".join(failed), found=f"{len(failed)} of {len(done)} addresses",
            do="Correct the variables, then try them with: funnel notify test WORKBOOK",
        )  # fmt: skip
