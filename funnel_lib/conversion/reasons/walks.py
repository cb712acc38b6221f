"""Each person's touches and conversions in order of time, cut into paths: plain Python that numba compiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funnel_lib.conversion.engine.compiling import jit, worth_compiling
from funnel_lib.conversion.keeping.arranging import Ints

Floats = npt.NDArray[np.float64]
_ROWS_AT_ONCE = 2_000_000
_DAY_US = 86_400_000_000


class Rows(NamedTuple):
    """What people did: rows `low[p]:high[p]` are those of person p, in order of time.

    `at` : when (microseconds since 1970). `kind` : what each row is, and `meaning` : the channel of each kind. A kind
    of -1 is none; its meaning, like that of kinds that name no channel, is -1 and stands last.
    """

    at: Ints
    kind: Ints
    meaning: Ints
    low: Ints
    high: Ints


class Sold(NamedTuple):
    """Conversions: `begin[p]:begin[p + 1]` are those of person p, in order of time; when each was, and its value."""

    at: Ints
    value: Floats
    begin: Ints


class Limits(NamedTuple):
    """In microseconds: the first and last moment of touches, what is known, look-back, horizon, pause (-1: none)."""

    first: int
    last: int
    known: int
    lookback: int
    horizon: int
    pause: int


class Cut(NamedTuple):
    """Paths: the channels of the touches, their days before the path's end; per path its length, conversions, value.

    `open` : how many paths are open; `untouched` : how many conversions have no touch, and their value.
    """

    channel: Ints
    age: Floats
    length: Ints
    conversions: Floats
    value: Floats
    open: Ints
    untouched: Floats


def walked(rows: Rows, sold: Sold, limits: Limits) -> Cut:
    """Return the paths of all people, one person after the other, each one's in order of time."""
    sizes = np.asarray(rows.high - rows.low)
    people, total = len(sizes), int(sizes.sum())
    if not worth_compiling(len(rows.at)):
        part = _room(rows, (0, people))
        lists = Rows(*(values.tolist() for values in rows)), Sold(*(values.tolist() for values in sold))
        return _trimmed(part, walk(*lists, limits, (0, people), _scratch(sizes, lists=True), part))
    code, blocks = _compiled()["walk"], total // _ROWS_AT_ONCE + 1
    given = _still(rows), Sold(*map(_still_one, sold))

    def run(span: tuple[int, int]) -> Cut:
        part = _room(rows, span)
        return _trimmed(part, code(*given, limits, span, _scratch(sizes[slice(*span)]), part))

    with ThreadPoolExecutor(min(os.cpu_count() or 1, blocks)) as pool:
        parts = list(pool.map(run, pairwise(people * block // blocks for block in range(blocks + 1))))
    whole = [np.concatenate(values) for values in zip(*parts, strict=True)]
    return Cut(*whole)._replace(
        open=np.sum([part.open for part in parts], axis=0), untouched=np.sum([part.untouched for part in parts], axis=0)
    )


def reached(rows: Rows, first: int, last: int) -> Ints:
    """Return how many people came by each kind, between two moments (both included)."""
    people, before = np.zeros(len(rows.meaning), dtype=np.int64), np.full(len(rows.meaning), -1, dtype=np.int64)
    if worth_compiling(len(rows.at)):
        _compiled()["reach"](_still(rows), first, last, people, before)
    else:
        reach(Rows(*(values.tolist() for values in rows)), first, last, people, before)
    return people


def reach(rows: Rows, first: int, last: int, people: Ints, before: Ints) -> None:
    """Count the people of each kind; `before` is the person who came by it last (numba compiles it)."""
    for person in range(len(rows.low)):
        for row in range(rows.low[person], rows.high[person]):
            kind = rows.kind[row]
            if kind >= 0 and before[kind] != person and first <= rows.at[row] <= last:
                before[kind] = person
                people[kind] += 1


def walk(
    rows: Rows, sold: Sold, limits: Limits, span: tuple[int, int], scratch: Sequence[Any], out: Cut
) -> tuple[int, int]:
    """Fill in the paths of the people of a span; return how many touches and paths there are (numba compiles it)."""
    at, kind, meaning, channels, times, instant = rows.at, rows.kind, rows.meaning, scratch[0], scratch[1], scratch[2]
    size = 0, 0
    for person in range(span[0], span[1]):
        row, high = rows.low[person], rows.high[person]
        sale, end = sold.begin[person], sold.begin[person + 1]
        while row < high and at[row] < limits.first:
            row += 1
        while high > row and at[high - 1] > limits.last:
            high -= 1
        held, previous, latest = 0, -1, 0  # touches since the last conversion; the row before
        while row < high or sale < end:
            if row < high and (sale == end or at[row] <= sold.at[sale]):
                now, count = at[row], 0
                while row < high and at[row] == now:
                    count = put(meaning[kind[row]], instant, count)
                    row += 1
                for place in range(count):
                    if instant[place] != previous or now - latest > limits.pause:
                        channels[held], times[held] = instant[place], now
                        held += 1
                    previous, latest = instant[place], now
                continue
            now, count, value = sold.at[sale], 0, 0.0
            while sale < end and sold.at[sale] == now:
                count, value, sale = count + 1, value + sold.value[sale], sale + 1
            led = 0
            while led < held and now - times[led] > limits.lookback:
                led += 1
            size = lost(channels, times, led, limits, size, out)
            if led < held:
                size = leave(channels, times, (led, held), (now, count, value), size, out)
            else:
                out.untouched[0] += count
                out.untouched[1] += value
            held, previous = 0, -1
        size = lost(channels, times, held, limits, size, out)
    return size


def put(channel: int, instant: Ints, count: int) -> int:
    """Put a channel in its place among the `count` ones of an instant; return how many there are then."""
    if channel < 0:
        return count
    place = count
    while place > 0 and instant[place - 1] > channel:
        instant[place] = instant[place - 1]
        place -= 1
    instant[place] = channel
    return count + 1


def lost(channels: Ints, times: Ints, end: int, limits: Limits, size: tuple[int, int], out: Cut) -> tuple[int, int]:
    """Cut the touches up to `end`, which led to nothing, where somebody paused; the newest may be open."""
    start = 0
    for place in range(end):
        if place + 1 == end or times[place + 1] - times[place] > limits.lookback:
            if times[place] + limits.horizon > limits.known:
                out.open[0] += 1
            else:
                size = leave(channels, times, (start, place + 1), (times[place], 0, 0.0), size, out)
            start = place + 1
    return size


def leave(
    channels: Ints, times: Ints, span: tuple[int, int], end: tuple[int, int, float], size: tuple[int, int], out: Cut
) -> tuple[int, int]:
    """Write down a path: the touches of a span, and when it ended, with how many conversions, of what value."""
    touches, paths = size
    for place in range(span[0], span[1]):
        out.channel[touches], out.age[touches] = channels[place], (end[0] - times[place]) / _DAY_US
        touches += 1
    out.length[paths], out.conversions[paths], out.value[paths] = span[1] - span[0], end[1], end[2]
    return touches, paths + 1


def _room(rows: Rows, span: tuple[int, int]) -> Cut:
    """Return room for the paths of the people of a span: at most one for each of their rows."""
    size = int((rows.high[slice(*span)] - rows.low[slice(*span)]).sum())
    channel, length, still = (np.empty(part, dtype=np.int64) for part in (size, size, 1))
    age, conversions, value = (np.empty(size, dtype=np.float64) for _ in range(3))
    return Cut(channel, age, length, conversions, value, np.zeros_like(still), np.zeros(2, dtype=np.float64))


def _still(rows: Rows) -> Rows:
    """Return the rows as numba has them compiled: mapped files cannot be written to, so nothing is, and kinds fit."""
    return Rows(*map(_still_one, rows._replace(kind=rows.kind.astype(np.int32, copy=False))))


def _still_one(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    seen = values.view(np.ndarray)
    seen.flags.writeable = False
    return seen


def _scratch(sizes: Ints, *, lists: bool = False) -> tuple[Any, ...]:
    made = tuple(np.zeros(int(sizes.max(initial=0)), dtype=np.int64) for _ in range(3))
    return tuple(part.tolist() for part in made) if lists else made


def _trimmed(part: Cut, size: tuple[int, int]) -> Cut:
    """Return the part of the room that was filled, so that the rest is given back."""
    touches, paths = size
    return part._replace(
        channel=part.channel[:touches].copy(), age=part.age[:touches].copy(), length=part.length[:paths].copy(),
        conversions=part.conversions[:paths].copy(), value=part.value[:paths].copy(),
    )  # fmt: skip


@cache
def _compiled() -> dict[str, Callable[..., Any]]:
    return jit(reach, put, leave, lost, walk, names=globals())
