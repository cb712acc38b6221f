"""How further pages follow, said in data, and the paginator of dlt that carries it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from funnel_lib.collection.rest.calls import Row, member


@dataclass(frozen=True)
class Single:
    """The first answer is the only one."""


@dataclass(frozen=True)
class Cursor:
    """The answer holds at `path` what the next call sends as `param`.

    `while_path` : where a further page follows only while there is something at this place, too.
    """

    path: str
    param: str
    while_path: str | None = None


@dataclass(frozen=True)
class Offset:
    """Rows are numbered; the next call begins after those received. `total` is where the answer counts all rows."""

    limit: int
    offset_param: str = "offset"
    limit_param: str = "limit"
    total: str | None = None
    in_body: bool = False


@dataclass(frozen=True)
class Numbered:
    """Pages are numbered from `first`; `total` is where the answer says how many there are."""

    param: str = "page"
    first: int = 1
    total: str | None = None
    in_body: bool = False


@dataclass(frozen=True)
class Link:
    """The answer holds at `path` the address of the next page, on the same server."""

    path: str


@dataclass(frozen=True)
class Follow:
    """`next` sees the answer, its rows and the parameters that were sent (or the body's fields).

    It says which of them the next call changes; None where there is no further page.
    """

    next: Callable[[Any, Sequence[Row], Mapping[str, Any]], Mapping[str, Any] | None]
    in_body: bool = False


Paging = Single | Cursor | Offset | Numbered | Link | Follow


def paginator(paging: Paging, made: Any) -> Any:
    """Return the paginator for `paging`; `made` is dlt's module of paginators."""
    match paging:
        case Cursor(path, param, None):
            return made.JSONResponseCursorPaginator(cursor_path=path, cursor_param=param)
        case Cursor(path, param, condition):
            return _Following(Follow(_while(path, param, str(condition))))
        case Offset(limit, offset, size, total, in_body):
            kind = "body_path" if in_body else "param"
            places = {f"offset_{kind}": offset, f"limit_{kind}": size}
            return made.OffsetPaginator(limit=limit, total_path=total, **places)
        case Numbered(param, first, total, in_body):
            place = {"page_body_path" if in_body else "page_param": param}
            return made.PageNumberPaginator(base_page=first, total_path=total, **place)
        case Link(path):
            return made.JSONLinkPaginator(next_url_path=path)
        case Follow():
            return _Following(paging)
    return made.SinglePagePaginator()


class _Following:
    """A paginator, as dlt calls it, around a function that knows what the next call changes."""

    def __init__(self, paging: Follow) -> None:
        self._paging = paging
        self._sent: Mapping[str, Any] = {}
        self._changes: Mapping[str, Any] | None = {}

    @property
    def has_next_page(self) -> bool:
        return self._changes is not None

    @property
    def _part(self) -> str:
        return "json" if self._paging.in_body else "params"

    def init_request(self, request: Any) -> None:
        self._sent = getattr(request, self._part) or {}

    def update_state(self, response: Any, data: Sequence[Row] | None = None) -> None:
        self._changes = self._paging.next(response.json(), data or [], self._sent)

    def update_request(self, request: Any) -> None:
        if self._changes is not None:
            self._sent = {**self._sent, **self._changes}
            setattr(request, self._part, dict(self._sent))


def _while(path: str, param: str, condition: str) -> Callable[[Any, Sequence[Row], Mapping[str, Any]], Any]:
    """Return what goes on with a cursor while there is something at `condition`."""

    def changes(answer: Any, _rows: Sequence[Row], _sent: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return {param: member(answer, path)} if member(answer, condition) and member(answer, path) else None

    return changes
