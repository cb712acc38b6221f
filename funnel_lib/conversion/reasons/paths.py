"""Paths: which channels a person met, and whether a conversion followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.keeping.arranging import Ints
from funnel_lib.conversion.reasons.touches import Touches
from funnel_lib.conversion.reasons.walks import Limits, Rows, Sold, walked
from funnel_lib.errors import ConfigError, DataError
from funnel_lib.schema import CHANNEL, TS, USER_ID

Floats = npt.NDArray[np.float64]


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
    touches: pd.DataFrame | Touches,
    conversions: pd.DataFrame,
    *,
    lookback: timedelta = timedelta(days=30),
    pause: timedelta | None = None,
    as_of: datetime | None = None,
    horizon: timedelta | None = None,
) -> Paths:
    """Join touches to the conversions that they may have led to.

    A touch belongs to the next conversion of the same person, if that comes within the look-back window (both ends
    included); so no touch serves two conversions. All other touches led to none: they make non-converting paths, cut
    where a person pauses for longer than the window. A path that ended less than the horizon before `as_of` may still
    convert and is set aside (`open`, in paths), not counted as a failure.

    Parameters
    ----------
    touches : `user_id, channel, ts`: visits or clicks. Events do as well, with a `pause`; those of a log as of
        `touches`.
    conversions : `user_id, ts`, and `value` where it is known. Those of one person at one instant are one path. With
        touches of a log, `user_id` is the place in its `units`, -1 for who is not in it.
    lookback : how long a touch may have an effect.
    pause : rows of a person in one channel that follow each other at most this closely are one touch.
    as_of : what is known: later rows are not looked at. Default: the newest row.
    horizon : how long after its last touch a path may still convert, where something else ends it sooner than the
        look-back window, such as a funnel's. Default: that window.

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
    bought = _usable(conversions, [USER_ID, TS], aside, "conversions")
    touched = touches if isinstance(touches, Touches) else _usable(touches, [USER_ID, CHANNEL, TS], aside, "touches")
    known = _newest(touched, bought) if as_of is None else microseconds(as_of)
    moment = pd.Timestamp(known, unit="us", tz="UTC")
    frames = [part for part in (touched, bought) if isinstance(part, pd.DataFrame)]
    aside["later"] = sum(int((part[TS] > moment).sum()) for part in frames)
    bought = bought[bought[TS] <= moment]
    if isinstance(touched, Touches):
        met, person = touched, touched.places(bought[USER_ID].to_numpy())
    else:
        met, person = _numbered(touched[touched[TS] <= moment], bought)
    if "value" in bought:
        aside["no_value"] = int(bought["value"].isna().sum())
    microsecond = timedelta(microseconds=1)
    wait, gap = (lookback if horizon is None else horizon) // microsecond, -1 if pause is None else pause // microsecond
    there = person >= 0
    sold = _sold(bought[there], person[there], len(met.rows.low))
    limits = Limits(met.first, min(met.last, known), known, lookback // microsecond, wait, gap)
    cut = walked(met.rows, sold, limits)
    aside["open"] = int(cut.open[0])
    stray = bought.loc[~there, "value"].fillna(0).sum() if "value" in bought else 0.0  # of people without any event
    return Paths(
        met.channels, cut.channel, np.append(0, cut.length.cumsum()), cut.conversions, cut.value,
        (cut.conversions == 0).astype(np.float64), cut.age, float(cut.untouched[0] + (~there).sum()),
        float(cut.untouched[1] + stray), {reason: rows for reason, rows in aside.items() if rows},
    )  # fmt: skip


def _newest(touched: pd.DataFrame | Touches, bought: pd.DataFrame) -> int:
    """Return the moment of the newest row; 0 where there is none."""
    frames = [part for part in (touched, bought) if isinstance(part, pd.DataFrame) and len(part)]
    ends = [int(pd.DatetimeIndex(part[TS]).asi8.max()) for part in frames]
    return max([*ends, *([touched.newest] if isinstance(touched, Touches) else [])], default=0)


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


def _numbered(touched: pd.DataFrame, bought: pd.DataFrame) -> tuple[Touches, Ints]:
    """Return the rows of a frame of touches in order, and whose each conversion is.

    One integer per row (user, time, channel) sorts ten times as fast as three keys.
    """
    codes, names = pd.factorize(touched[CHANNEL].astype("str"), sort=True)
    users, people = pd.factorize(pd.concat([touched[USER_ID], bought[USER_ID]], ignore_index=True))
    moments, moment = np.unique(pd.DatetimeIndex(touched[TS]).asi8, return_inverse=True)
    wide, code_bits = len(moments).bit_length(), len(names).bit_length()
    if wide + code_bits + len(users).bit_length() > 63:
        raise DataError("These are too many touches at once.", found=len(users), do="Take a shorter time.")
    own = users[: len(touched)].astype(np.int64)
    key = np.sort(((own << wide | moment) << code_bits) | codes)
    bounds = np.append(0, np.bincount(own, minlength=len(people)).cumsum())
    at, kind = moments[key >> code_bits & (1 << wide) - 1], key & (1 << code_bits) - 1
    rows = Rows(at, kind, np.append(np.arange(len(names)), -1), bounds[:-1], bounds[1:])
    first, last = (int(moments[end]) if len(moments) else 0 for end in (0, -1))
    return Touches(tuple(map(str, names)), rows, None, first, last), users[len(touched) :]


def _sold(bought: pd.DataFrame, person: Ints, people: int) -> Sold:
    """Return the conversions of each person in order of time."""
    at = pd.DatetimeIndex(bought[TS]).asi8
    value = bought["value"].fillna(0).to_numpy(dtype=np.float64) if "value" in bought else np.full(len(at), np.nan)
    order = np.lexsort((at, person))
    begin = np.append(0, np.bincount(person, minlength=people).cumsum())
    return Sold(at[order], value[order], begin)
