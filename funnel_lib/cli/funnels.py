"""`funnel count` and `funnel explain`: a funnel from the command line, over any files of events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import lazy_loader

from funnel_lib.cli.options import argument, defining, option
from funnel_lib.reporting import terminal

if TYPE_CHECKING:
    from funnel_lib.reporting import asking, counting, explaining
else:  # the help must not wait for pandas
    asking, counting, explaining = (
        lazy_loader.load(f"funnel_lib.reporting.{name}", suppress_warning=True)
        for name in ("asking", "counting", "explaining")
    )

COUNT_EXAMPLE = (
    "Example: [bold]funnel count events/*.parquet --step Visit=page_view --step Buy=purchase,order --window 7d "
    "--by channel[/]"
)
EXPLAIN_EXAMPLE = (
    "Examples: [bold]funnel explain u1001[/]; [bold]funnel explain u1001 events/*.parquet --step Visit=page_view "
    "--step Buy=purchase,order --window 7d[/]"
)
_FILES = "Files or patterns: CSV, TSV, JSON lines (also .gz) or Parquet; all of one kind."


@defining
def count(
    files: Annotated[list[str], argument(_FILES, metavar="FILES…")],
    *,
    asked: dict[str, Any],
    by: Annotated[list[str] | None, option("Break down by this column; may be given again.", "--by")] = None,
    touch: Annotated[
        str, option("Which event tells the value of --by: entry, first, last, or a step's name.", "--touch")
    ] = "entry",
    top: Annotated[
        int | None, option("Only the N largest groups; the rest is other. A table shows 20.", "--top", min=1)
    ] = None,
    allow_unmatched: Annotated[
        bool, option("Count zero for a step that matches no event, instead of refusing.", "--allow-unmatched")
    ] = False,
    memory: Annotated[str | None, option("Most memory to use, such as 2GB.", "--memory")] = None,
    form: Annotated[str, option("table, json or csv.", "--format")] = "table",
) -> None:
    """Count how many units reached each step of a funnel."""
    counting.check_form(form)
    question = counting.Question(asking.Asked(**asked), tuple(by or ()), touch, memory, allow_unmatched)
    found = counting.count(files, question)
    terminal.plain(counting.write(found, form, top=top).rstrip("\n"))
    for remark in found.remarks:
        terminal.hint(remark)


@defining
def explain(
    user: Annotated[str, argument("Whose way through the funnel is to be told.")],
    files: Annotated[
        list[str] | None, argument(f"{_FILES} Without: the workbook's events.", metavar="[FILES…]")
    ] = None,
    *,
    asked: dict[str, Any],
    workbook: Annotated[
        Path | None, option("Take funnel and events from this workbook; default: the only one in params/.")
    ] = None,
    language: Annotated[str, option("en or zh.", "--language")] = "en",
) -> None:
    """Tell which events of a user matched which step, and why the user counts or does not."""
    question = asking.Asked(**asked)
    told = explaining.explained(user, files or [], question, workbook=workbook, language=language)
    terminal.plain(told.rstrip("\n"))
