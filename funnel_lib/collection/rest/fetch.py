"""`fetch`: what the workbook's sources offer over REST, brought into raw files that are read like any export.

A source says with `api` that it can be fetched. Each stream lands in ``data/raw/<workbook>/<source>/api/<stream>/``,
what only explains others in ``api/.lookup/<stream>/``; see `landing` for the files. Nothing is written but whole
files, and the credentials appear nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from glob import glob
from pathlib import Path
from zoneinfo import ZoneInfo

from funnel_lib.collection.files import Export
from funnel_lib.collection.rest import credentials
from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.calls import Ask, Row, member
from funnel_lib.collection.rest.client import Client
from funnel_lib.collection.rest.landing import LINES, Landing, lines, locked
from funnel_lib.collection.rest.stages import write_history
from funnel_lib.collection.rest.systems import INTERFACES
from funnel_lib.config import Workbook
from funnel_lib.errors import ConfigError, FunnelError, NothingToDo, choices
from funnel_lib.settings import Fetching

Tell = Callable[[str, float], None]
FOLDER, ASIDE = "api", ".lookup"


@dataclass(frozen=True)
class World:
    """What fetching needs of the world: the environment's variables, the clock (UTC) and a way to wait."""

    environ: Mapping[str, str]
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]


@dataclass(frozen=True)
class Fetched:
    """What came of one stream: rows (files, where the system answers with files) and the raw files written."""

    source: str
    stream: str
    rows: int
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of all streams, the errors of the sources that failed, and files that no source reads."""

    fetched: tuple[Fetched, ...]
    faults: tuple[FunnelError, ...] = ()
    unread: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Visit:
    """The fetch of one source."""

    export: Export
    asked: Fetching
    api: Api
    client: Client
    now: datetime
    since: date | None
    lookups: dict[str, list[Row]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.export.workbook.raw / self.export.name / FOLDER

    def zone(self, stream: Stream) -> ZoneInfo:
        return ZoneInfo("UTC") if stream.utc else self.export.zone

    def day(self, stream: Stream) -> date:
        return self.now.astimezone(self.zone(stream)).date()

    def landing(self, stream: Stream) -> Landing:
        folder = self.folder / ASIDE if stream.aside else self.folder
        return Landing(folder / stream.name, self.now, stream.file or LINES)

    def overlap(self, stream: Stream) -> timedelta:
        return stream.overlap if self.asked.overlap is None else self.asked.overlap

    def ask(self, landing: Landing, stream: Stream) -> Ask:
        """Ask for everything, or for what changed since the last fetch, some of it again."""
        start = self.since or self.asked.since
        since = datetime.combine(start, time.min, tzinfo=self.zone(stream)).astimezone(UTC)
        fetched = landing.since()
        if self.since is None and fetched is not None:
            since = max(since, fetched - self.overlap(stream))
        return Ask(self.asked.options, start, self.day(stream), since, lookups=self.lookups)


def fetch(
    workbook: Workbook, world: World, *, source: str | None = None, since: date | None = None, tell: Tell | None = None,
) -> Outcome:  # fmt: skip
    """Fetch the sources of a workbook that have `api`; a source that fails does not stop the others.

    Only what is new comes: days and months that are missing or may have got late rows, and rows changed since the
    last fetch. Fetching again after a stop, whatever its cause, loses nothing and doubles nothing.

    Parameters
    ----------
    workbook : its `raw` folder is written.
    world : environment, clock and waiting.
    source : only this source.
    since : everything from this day on anew.
    tell : is told what is being done and the share done.

    Raises
    ------
    ConfigError : there is no such source, or it has no interface.
    NothingToDo : no source has `api`.
    """
    names = _sources(workbook, source)
    found: list[Fetched] = []
    faults: list[FunnelError] = []
    for place, name in enumerate(names):
        export = Export(name, workbook.sources[name], workbook)
        try:
            for one in _streams(_visit(export, world, since), partial(_tell, tell, place / len(names))):
                found.append(one)  # noqa: PERF402 - what came before a fault counts
        except FunnelError as fault:
            faults.append(fault)
        except OSError as error:
            faults.append(
                FunnelError(
                    "The raw files cannot be written.", where=workbook.raw / name, found=error.strerror or error,
                    do="Make room, or choose a folder that you may write to; then fetch again.",
                )
            )  # fmt: skip
    return Outcome(tuple(found), tuple(faults), _unread(workbook, found))


def _tell(tell: Tell | None, share: float, what: str) -> None:
    if tell is not None:
        tell(what, share)


def _sources(workbook: Workbook, source: str | None) -> list[str]:
    able = [name for name, one in workbook.sources.items() if one.api is not None]
    if source is None:
        if not able:
            raise NothingToDo(
                "No source of the workbook is fetched over an interface.", where="sources",
                allowed="a source with api", do="Add api to a source; docs/collect-from-apis.md tells how.",
            )  # fmt: skip
        return able
    if source not in able:
        raise ConfigError(
            "There is no such source with api.", where="source", found=source,
            allowed=choices(able, source) or "none: no source has api", do="Correct its name, or add api to it.",
        )  # fmt: skip
    return [source]


def interface(export: Export) -> Api:
    """Return the interface of a source.

    Raises
    ------
    ConfigError : the system has none.
    """
    asked = export.source.api
    system = (asked and asked.system) or export.source.system
    if system not in INTERFACES:
        raise ConfigError(
            f"Nothing is known of an interface of {system}.", where=f"{export.where}.api.system", found=system,
            allowed=choices(INTERFACES, system), do="Name the system, or put its exports into the folder by hand.",
        )  # fmt: skip
    return INTERFACES[system]


def _visit(export: Export, world: World, since: date | None) -> _Visit:
    asked, api = export.source.api, interface(export)
    if asked is None:
        raise ConfigError("The source has no api.", where=export.where, do="Add api to it.")
    for name in asked.options:
        if name not in api.options:
            raise ConfigError(
                "The interface has no such option.", where=f"{export.where}.api.options", found=name,
                allowed=choices(api.options, name), do="Correct its name, or remove it.",
            )  # fmt: skip
    needs, root = api.auth.needs, export.workbook.root
    secrets = credentials.load(export.name, needs, api.auth.optional, environ=world.environ, root=root)
    hidden = credentials.Hidden(secrets)
    client = Client(api, hidden, asked.options, server=asked.server, sleep=world.sleep, clock=world.clock)
    return _Visit(export, asked, api, client, world.clock(), since)


def _streams(visit: _Visit, tell: Callable[[str], None]) -> Iterator[Fetched]:
    """Yield what came of each stream; a stream that belongs to another comes with it."""
    chosen = _chosen(visit)
    with locked(visit.folder):
        for stream in chosen:
            visit.landing(stream).recover()
        for stream in chosen:
            if stream.of is not None:
                continue
            tell(f"Fetching {visit.export.name}: {stream.name}")
            children = [one for one in chosen if one.of == stream.name]
            if stream.every in ("day", "month"):
                yield _fetch_slices(visit, stream)
            else:
                yield from _fetch_list(visit, stream, children)
            for one in (stream, *children):
                if one.stages is not None:
                    write_history(visit.landing(one), one.stages, visit.asked.options, visit.folder.parent)


def _chosen(visit: _Visit) -> list[Stream]:
    streams = {stream.name: stream for stream in visit.api.streams}
    names = visit.asked.streams or [name for name, stream in streams.items() if stream.default]
    for name in names:
        if name not in streams:
            raise ConfigError(
                "The interface has no such stream.", where=f"{visit.export.where}.api.streams", found=name,
                allowed=choices(streams, name), do="Correct its name, or remove it.",
            )  # fmt: skip
    parents = [parent for name in names if (parent := streams[name].of) is not None]
    wanted = {*names, *parents, *(used for name in names for used in streams[name].uses)}
    return [stream for stream in visit.api.streams if stream.name in wanted]


def _fetch_slices(visit: _Visit, stream: Stream) -> Fetched:
    landing, files, rows = visit.landing(stream), [], 0
    first, last = visit.since or visit.asked.since, visit.day(stream) - timedelta(days=1)
    overlap = timedelta(days=36500) if visit.since is not None else visit.overlap(stream)
    for days in landing.due(stream.every, first, last, overlap=overlap, zone=visit.zone(stream)):
        ask = Ask(visit.asked.options, *days, lookups=visit.lookups)
        if stream.file is not None:
            count = int(visit.client.download(stream, ask, landing.part))
        else:
            count = landing.write(visit.client.pages(stream, ask))
        kept = landing.keep_slice(days, count)
        rows += count
        files += [kept] if kept is not None else []
    return Fetched(visit.export.name, stream.name, rows, tuple(files))


def _fetch_list(visit: _Visit, stream: Stream, children: list[Stream]) -> Iterator[Fetched]:
    """Fetch all rows or the changed ones, and what belongs to them; these come first into place.

    So a fetch that is stopped between the two asks for the same rows again.
    """
    landing = visit.landing(stream)
    ask = visit.ask(landing, stream)
    count = landing.write(visit.client.pages(stream, ask))
    for child in children:
        yield _fetch_children(visit, child, stream, landing.part, ask)
    if stream.every == "whole":
        kept = landing.keep_whole(count)
    else:
        kept = landing.keep_changes(str(stream.key)) if count else None
    if any(stream.name in one.uses for one in visit.api.streams):
        visit.lookups[stream.name] = [json.loads(line) for path in landing.files() for line in lines(path)]
    yield Fetched(visit.export.name, stream.name, count, () if kept is None else (kept,))


def _fetch_children(visit: _Visit, child: Stream, parent: Stream, part: Path, ask: Ask) -> Fetched:
    landing = visit.landing(child)
    parents: set[str] = set()

    def pages() -> Iterator[list[Row]]:
        for line in lines(part):
            row = json.loads(line)
            parents.add(str(member(row, child.parents)))
            yield from visit.client.pages(child, replace(ask, parent=row))

    count = landing.write(pages())
    if parent.every == "whole":
        kept = landing.keep_whole(count)
    else:
        kept = landing.keep_changes(str(child.key), parents) if parents else None
    return Fetched(visit.export.name, child.name, count, () if kept is None else (kept,))


def _unread(workbook: Workbook, found: list[Fetched]) -> tuple[Path, ...]:
    """Return the files that no source's pattern matches."""
    raw = workbook.raw
    patterns = [source.files for source in workbook.sources.values()] if found else []
    read = {raw / name for pattern in patterns for name in glob(pattern, root_dir=raw, recursive=True)}
    written = [path for one in found for path in one.files if ASIDE not in path.parts]
    return tuple(path for path in written if path.exists() and path not in read)
