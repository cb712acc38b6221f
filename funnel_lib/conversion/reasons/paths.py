"""Paths: which channels a person met, and whether a conversion followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.errors import ConfigError, DataError
from funnel_lib.schema import CHANNEL, TS, USER_ID

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Paths:
    """The touches before each conversion, and those that led to none, in compact form.

    Path p holds the channels `channels[code]` of `touches[bounds[p]:bounds[p + 1]]`, oldest first, and stands for
    `conversions[p]` conversions worth `value[p]` and `nulls[p]` times of no conversion; `ages` are days before the
    path's end, None where no times are known. `untouched` and `untouched_value` count conversions without any touch in
    the look-back window. `set_aside` counts what could not be used, by reason.
    """

    channels: tuple[str, ...]
    touches: Ints
    bounds: Ints
    conversions: Floats
    value: Floats
    nulls: Floats
    ages: Floats | None = None
    untouched: float = 0.0
    untouched_value: float = 0.0
    set_aside: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """All conversions, those without a touch included."""
        return float(self.conversions.sum()) + self.untouched

    @property
    def owner(self) -> Ints:
        """The path of each touch."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))


def paths(
    touches: pd.DataFrame,
    conversions: pd.DataFrame,
    *,
    lookback: timedelta = timedelta(days=30),
    pause: timedelta | None = None,
    as_of: datetime | None = None,
) -> Paths:
    """Join touches to the conversions that they may have led to.

    A touch belongs to the next conversion of the same person, if that comes within the look-back window (both ends
    included); so no touch serves two conversions. All other touches led to none: they make non-converting paths, cut
    where a person pauses for longer than the window. A path that ended less than a window before `as_of` may still
    convert and is set aside (`open`, in paths), not counted as a failure.

    Parameters
    ----------
    touches : `user_id, channel, ts`: visits or clicks. Events do as well, with a `pause`.
    conversions : `user_id, ts`, and `value` where it is known. Those of one person at one instant are one path.
    lookback : how long a touch may have an effect.
    pause : rows of a person in one channel that follow each other at most this closely are one touch.
    as_of : what is known: later rows are not looked at. Default: the newest row.

    Returns
    -------
    See `Paths`. `set_aside`: `no_channel`, `no_time`, `no_user` (rows), `later` (rows after `as_of`), `open` (paths),
    `no_value` (conversions; they count with value 0 where others have one).

    Raises
    ------
    DataError : a column is missing.
    ConfigError : the look-back window is not positive.
    """
    if lookback <= timedelta(0):
        raise ConfigError("The look-back window is longer than nothing.", where="lookback", found=lookback)
    aside: dict[str, int] = {}
    touched = _usable(touches, [USER_ID, CHANNEL, TS], aside, "touches")
    bought = _usable(conversions, [USER_ID, TS], aside, "conversions")
    newest = [part[TS].max() for part in (touched, bought) if len(part)]
    known = pd.Timestamp(as_of) if as_of is not None else max(newest, default=pd.Timestamp(0, tz="UTC"))
    aside["later"] = sum(int((part[TS] > known).sum()) for part in (touched, bought))
    touched, bought = (part[part[TS] <= known] for part in (touched, bought))
    codes, names = pd.factorize(touched[CHANNEL].astype("str"), sort=True)
    log = _sorted(touched, bought, codes.astype(np.int64), len(names), aside)
    if pause is not None:
        log = _merged(log, pause // timedelta(microseconds=1), len(names))
    microsecond = timedelta(microseconds=1)
    return _joined(
        log,
        tuple(map(str, names)),
        lookback // microsecond,
        int(known.as_unit("us").to_numpy().astype(np.int64)),
        aside,
    )


def read_paths(table: pd.DataFrame, *, separator: str = ">") -> Paths:
    """Take paths that were put together elsewhere, such as an export of counted paths.

    Parameters
    ----------
    table : `path` (channels, joined by `separator`, oldest first), `conversions`; where known `nulls` (how often the
        path led to none) and `value` (of all its conversions). An empty path counts as conversions without a touch.

    Raises
    ------
    DataError : a column is missing, or a count is negative or missing.
    """
    _need(table, ["path", "conversions"], "table")
    counts = table.reindex(columns=["conversions", "nulls"], fill_value=0).astype("float64").to_numpy()
    if not (counts >= 0).all():
        raise DataError("A path has no count, or a negative one.", where="conversions, nulls", allowed="0 or more")
    value = table["value"].to_numpy(dtype=np.float64) if "value" in table else np.full(len(table), np.nan)
    steps = table["path"].astype("str").fillna("").reset_index(drop=True).str.split(separator, regex=False).explode()
    steps = steps.str.strip()
    steps = steps[steps != ""]
    codes, names = pd.factorize(steps, sort=True)
    lengths = np.bincount(steps.index.to_numpy(dtype=np.int64), minlength=len(table))
    there = lengths > 0
    return Paths(
        tuple(map(str, names)), codes.astype(np.int64), np.append(0, lengths[there].cumsum()), counts[there, 0],
        value[there], counts[there, 1], None, float(counts[~there, 0].sum()), float(value[~there].sum()),
    )  # fmt: skip


@dataclass(frozen=True)
class _Log:
    """Touches and conversions in one sequence, by user and time; of one instant, touches come first."""

    user: Ints
    ts: Ints
    code: Ints  # of the channel; the number of channels stands for a conversion
    value: Floats

    def keep(self, mask: npt.NDArray[np.bool_]) -> _Log:
        return _Log(self.user[mask], self.ts[mask], self.code[mask], self.value[mask])


def _need(frame: pd.DataFrame, columns: list[str], where: str) -> None:
    missing = [name for name in columns if name not in frame]
    if missing:
        raise DataError(
            "A column is missing.", where=where, found=", ".join(map(str, frame)), allowed=", ".join(columns),
            do="Rename the columns, or add what is missing.",
        )  # fmt: skip


def _usable(frame: pd.DataFrame, columns: list[str], aside: dict[str, int], where: str) -> pd.DataFrame:
    """Return the rows that have a user, a channel and a time (UTC); the others are counted."""
    _need(frame, columns, where)
    kept = frame[[*columns, *(["value"] if "value" in frame and CHANNEL not in columns else [])]]
    kept = kept.assign(**{TS: pd.to_datetime(kept[TS], utc=True).dt.as_unit("us")})
    for name, reason in ((USER_ID, "no_user"), (CHANNEL, "no_channel"), (TS, "no_time")):
        if name in columns:
            there = kept[name].notna()
            aside[reason] = aside.get(reason, 0) + int((~there).sum())
            kept = kept[there] if not there.all() else kept
    return kept


def _sorted(touched: pd.DataFrame, bought: pd.DataFrame, codes: Ints, channels: int, aside: dict[str, int]) -> _Log:
    """Return both in one sequence. One integer per row (user, time, code) sorts ten times as fast as three keys."""
    user = pd.factorize(pd.concat([touched[USER_ID], bought[USER_ID]], ignore_index=True))[0].astype(np.int64)
    moments, moment = np.unique(
        np.concatenate([pd.DatetimeIndex(part[TS]).asi8 for part in (touched, bought)]), return_inverse=True
    )
    wide, code_bits = len(moments).bit_length(), int(channels).bit_length()
    if wide + code_bits + len(user).bit_length() > 63:
        raise DataError("These are too many touches at once.", found=len(user), do="Take a shorter time.")
    key = ((user << wide | moment) << code_bits) | np.concatenate([codes, np.full(len(bought), channels)])
    worth = np.full(len(bought), np.nan)
    if "value" in bought:
        aside["no_value"] = int(bought["value"].isna().sum())
        worth = bought["value"].fillna(0).to_numpy(dtype=np.float64)
    worth = worth[np.argsort(key[len(touched) :], kind="stable")]
    key.sort()
    code, moment = key & (1 << code_bits) - 1, key >> code_bits & (1 << wide) - 1
    value = np.zeros(len(key))
    value[code == channels] = worth
    return _Log(key >> wide + code_bits, moments[moment], code, value)


def _merged(log: _Log, pause_us: int, conversion: int) -> _Log:
    """Return the log without touches that only go on with the one just before."""
    again = (np.diff(log.user) == 0) & (np.diff(log.code) == 0) & (np.diff(log.ts) <= pause_us)
    return log.keep(~np.append(False, again) | (log.code == conversion))


def _joined(log: _Log, names: tuple[str, ...], lookback_us: int, known_us: int, aside: dict[str, int]) -> Paths:
    """Cut the touches into paths and give each what it led to."""
    bought = log.code == len(names)
    repeated = bought & np.append(False, (np.diff(log.user) == 0) & (np.diff(log.ts) == 0) & bought[:-1])[: len(bought)]
    head = np.flatnonzero(bought & ~repeated)
    place = np.cumsum(bought & ~repeated)  # for a touch: the number of the next conversion in the whole log
    count = np.bincount(place[bought] - 1, minlength=len(head)).astype(np.float64)
    worth = np.bincount(place[bought] - 1, log.value[bought], minlength=len(head))
    touch, following = log.keep(~bought), place[~bought]
    there = np.append(head, -1)[following]  # -1: no conversion comes; any row will do, as the user or time is wrong
    soon = log.ts[there] - touch.ts <= lookback_us
    led = (following < len(head)) & (log.user[there] == touch.user) & soon
    late = np.diff(touch.ts) > lookback_us
    cut = (np.diff(touch.user) != 0) | (np.diff(following) != 0) | (led[1:] != led[:-1]) | (~led[1:] & late)
    starts = np.flatnonzero(np.append(True, cut)[: len(led)])
    bounds = np.append(starts, len(led))
    success, last = led[starts], touch.ts[bounds[1:] - 1]
    still_open = ~success & (last + lookback_us > known_us)
    aside["open"] = int(still_open.sum())
    closed = np.repeat(~still_open, np.diff(bounds))
    end = np.where(success, log.ts[there[starts]], last)
    ages = (np.repeat(end, np.diff(bounds)) - touch.ts)[closed] / 86_400_000_000
    success, number = success[~still_open], following[starts][~still_open]
    gained, value = (np.where(success, np.append(what, 0)[number], 0.0) for what in (count, worth))
    lengths = np.append(0, np.diff(bounds)[~still_open].cumsum())
    reasons = {reason: rows for reason, rows in aside.items() if rows}
    return Paths(
        names, touch.code[closed], lengths, gained, value, (~success).astype(np.float64), ages,
        float(count.sum() - gained.sum()), float(worth.sum() - value.sum()), reasons,
    )  # fmt: skip
