"""What a system's REST interface offers, said in data: its streams of rows, credentials and faults.

An `Api` is small and says only what differs between systems. How it is carried out - retries, waiting, new
tokens, files - is said once, in `client` and `fetch`. Nothing here needs dlt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from funnel_lib.collection.rest.auth import Auth
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Paging, Single

Every = Literal["day", "month", "changes", "whole"]
"""How a stream is divided: one file for each day or month, what changed since the last time, or all of it anew."""
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Stages:
    """Where the rows of a stream say in which stage a record is, for systems that keep no history of it.

    Parameters
    ----------
    record, stage, label : columns; the label counts where there is one. The workbook's options `stage` and
        `stage_label` overrule; dotted names look into objects.
    changed, created : when the stage was entered, and the record made: ISO text, or milliseconds since 1970.
    """

    record: str
    stage: str
    label: str | None = None
    changed: str | None = None
    created: str | None = None


@dataclass(frozen=True)
class Job:
    """A report that is ordered first and fetched when it is ready.

    `order` is the answer to the stream's own request; `look` asks how far it is, `ready` reads that answer (an
    error text for a report that failed), `fetch` asks for the rows.
    """

    look: Callable[[Ask, Any], Request]
    ready: Callable[[Any], bool | str]
    fetch: Callable[[Ask, Any], Request]
    wait: float = 10.0
    longest: float = 3600.0


@dataclass(frozen=True)
class Stream:
    """One kind of rows.

    Parameters
    ----------
    name : names the folder of its files.
    request : the (first) call for a slice.
    every : how the stream is divided.
    paging : how the next call follows.
    select : JSON path of the rows in an answer.
    shape : turns the rows of an answer into those to keep; gets the whole answer as well.
    key : the column that names a row; needed where only changes are fetched.
    overlap : rows this much older than the last fetch are fetched again: they may have been late.
    of : the stream whose every row is a `parent` of this one's calls.
    parents : the column of the parents' id, in the parents' rows.
    empty : HTTP statuses that mean “no rows”.
    file : the answer is a file with this ending, which is kept as it comes.
    job : the stream is a report that is ordered first.
    stages : where the rows tell a record's stage.
    utc : its days are those of UTC, whatever the zone of the source.
    aside : the rows are no data of their own but explain others (the names of stages): no reader sees them.
    uses : streams set aside that this one's `shape` finds in `Ask.lookups`.
    default : whether it is fetched where the workbook names no streams.
    """

    name: str
    request: Callable[[Ask], Request]
    every: Every = "whole"
    paging: Paging = field(default_factory=Single)
    select: str = "$"
    shape: Callable[[list[Row], Any, Ask], list[Row]] = lambda rows, _answer, _ask: rows
    key: str | None = None
    overlap: timedelta = DAY
    of: str | None = None
    parents: str = "id"
    empty: frozenset[int] = frozenset([204])
    file: str | None = None
    job: Job | None = None
    stages: Stages | None = None
    utc: bool = False
    aside: bool = False
    uses: tuple[str, ...] = ()
    default: bool = True


@dataclass(frozen=True)
class Api:
    """A system's REST interface.

    Parameters
    ----------
    system : the name of the system.
    server : the address that paths are relative to; a workbook may name another (its region's).
    auth : the credentials.
    streams : what can be fetched.
    fault : reads an answer of status 200 and says what is wrong with it, None where nothing is.
    pause : seconds between two calls, so that the system's limits are not reached.
    options : the options that a workbook may give, each with what it means.
    title : the interface as its maker calls it.
    sure : what was confirmed from where, and what was not.
    """

    system: str
    server: str
    auth: Auth
    streams: tuple[Stream, ...]
    fault: Callable[[Any], str | None] = lambda _answer: None
    pause: float = 0.0
    options: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    sure: str = ""


@dataclass(frozen=True)
class Several:
    """The interfaces of a kind of source that several systems give; the workbook's `api.system` names one."""

    apis: tuple[Api, ...]

    @property
    def title(self) -> str:
        """What their makers call them."""
        return "; ".join(f"{api.system}: {api.title}" for api in self.apis)

    @property
    def sure(self) -> str:
        """What was confirmed of each."""
        return " ".join(f"{api.system}: {api.sure}" for api in self.apis)


def code_fault(code: str, text: str, *good: object) -> Callable[[Any], str | None]:
    """Read an answer that says at `code` (number or text) whether it went well: `good` are those that did."""
    allowed = {str(value) for value in good}

    def fault(answer: Any) -> str | None:
        if not isinstance(answer, dict) or code not in answer or str(answer[code]) in allowed:
            return None
        return f"{code} {answer[code]}: {answer.get(text)}"

    return fault
