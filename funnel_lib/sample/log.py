"""`write_events`: large logs of canonical events for benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from funnel_lib.errors import ConfigError
from funnel_lib.sample.plan import CHANNELS, DAY, EPOCH, Draws, Ints

NAMES = ("page_view", "scroll", "sign_up", "trial_lesson", "begin_checkout", "purchase")
SPAN_DAYS = 180
USERS_PER_PART = 250_000
OWN, RETURNS = 8, 2
"""Rows of a person's own visit, and rows per person that come from anybody who came before."""
_REACH = np.array([0.45, 0.55, 0.5, 0.8])
"""Share that takes each step after the visit, given the step before."""


def write_events(
    folder: Path, *, events: int, seed: int, ids: Literal["number", "text"] = "number",
    progress: Callable[[str, float], None] | None = None,
) -> list[Path]:  # fmt: skip
    """Write exactly `events` canonical events as Parquet parts below `folder` and return their paths.

    Columns: `user_id` (int64, or text with `ids="text"`), `event`, `ts` (µs, UTC), `channel`. A part holds,
    in order of time, the people who arrive in one stretch of the half year: eight rows each over up to three
    weeks, and as a fifth of the part return visits of anybody who came before. Memory is bounded by one part
    (2.5 million rows).

    Raises
    ------
    ConfigError : `events` is below 1, or `ids` is unknown.

    """
    if events < 1 or ids not in ("number", "text"):
        raise ConfigError(
            "These events cannot be written.", where="events, ids", found=f"{events}, {ids}",
            allowed="1 event or more; ids number or text", do="Correct the argument.",
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    users = -(-events // (OWN + RETURNS))
    paths = []
    for part, first in enumerate(range(0, users, USERS_PER_PART)):
        size = min(USERS_PER_PART, users - first)
        rows = min(size * (OWN + RETURNS), events - first * (OWN + RETURNS))
        table = _part(Draws(seed, 9, part), first, size, users, ids).slice(0, rows)
        paths.append(folder / f"part-{part:05d}.parquet")
        texts = ["event", "channel"]  # written as plain text columns with a dictionary inside
        pq.write_table(table, paths[-1], store_schema=False, row_group_size=500_000, use_dictionary=texts)
        if progress:
            progress("writing events", (first + size) / users)
    return paths


def _part(draws: Draws, first: int, size: int, users: int, ids: str) -> pa.Table:
    """Return the rows of the people numbered `first` and up, in order of time."""
    span = SPAN_DAYS * DAY * 1_000_000
    begin, end = first * span // users, (first + size) * span // users
    event, offset = _visits(draws, size)
    arrived = begin + draws.below(size, max(end - begin, 1))
    channel = draws.pick(size, [c.before for c in CHANNELS]).astype(np.int8)
    back = draws.below(size * RETURNS, first + size)
    ts = np.concatenate([(arrived[:, None] + offset).ravel(), begin + draws.below(len(back), max(end - begin, 1))])
    user = np.concatenate([np.repeat(first + np.arange(size), OWN), back])
    names = np.concatenate([event.ravel(), np.zeros(len(back), np.int8)])
    # A return visit's channel is its own: it need not be that of the first visit.
    channels = np.concatenate(
        [np.repeat(channel, OWN), draws.pick(len(back), [c.after for c in CHANNELS]).astype(np.int8)]
    )
    order = np.argsort(ts, kind="stable")
    user_id = pa.array(user[order])
    if ids == "text":
        user_id = pc.binary_join_element_wise("u", pc.cast(user_id, pa.string()), "")
    return pa.table(
        {
            "user_id": user_id,
            "event": pa.DictionaryArray.from_arrays(names[order], list(NAMES)),
            "ts": pa.array(ts[order] + EPOCH * 1_000_000).cast(pa.timestamp("us", "UTC")),
            "channel": pa.DictionaryArray.from_arrays(channels[order], [c.name for c in CHANNELS]),
        }
    )


def _visits(draws: Draws, size: int) -> tuple[npt.NDArray[np.int8], Ints]:
    """Return event codes and µs after arrival, both people x OWN: two looks, the steps, then looks."""
    event = np.zeros((size, OWN), np.int8)
    offset = np.zeros((size, OWN), np.int64)
    event[:, 1], offset[:, 1] = 1, 5_000_000 + draws.below(size, 20_000_000)
    alive = np.ones(size, bool)
    for column, share in enumerate(_REACH, 2):
        alive &= draws.share(size) < share
        # Two draws multiplied: most steps follow within hours, some within days.
        wait = 30_000_000 + draws.below(size, 1 << 20) * draws.below(size, 1 << 19)
        event[:, column] = np.where(alive, column, column % 2)
        offset[:, column] = offset[:, column - 1] + wait
    for column in (6, 7):
        event[:, column] = column % 2
        offset[:, column] = draws.below(size, 20 * DAY * 1_000_000)
    return event, offset
