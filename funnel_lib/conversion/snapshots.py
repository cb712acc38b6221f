"""Journeys from a snapshot: one row per unit, and per step a yes/no, a time or a furthest stage."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.conditions import plain
from funnel_lib.conversion.engine.plan import MISSING
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.journeys import Journeys, UnmatchedStep, as_times, refuse_own
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError, DataError, choices, nearest
from funnel_lib.periods import Period

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
YES, NO = ("yes", "true", "1", "y"), ("no", "false", "0", "n", "")
_DAY = 86_400_000_000


@dataclass(frozen=True)
class _Reached:
    """What a step's column says: who reached it, when (MISSING: not known), whether it is timed at all."""

    yes: Bools
    at: Ints
    timed: bool


def snapshot_journeys(
    rows: pd.DataFrame,
    funnel: Funnel,
    *,
    by: Sequence[str] = (),
    period: Period | None = None,
    as_of: datetime | None = None,
) -> Journeys:
    """Return how far each row of a snapshot went.

    A row's depth is the furthest step that it reached: a later step implies the earlier ones, also where they
    are not recorded (`implied` counts such rows). Step 1 is every row, unless it names a column or a stage.

    - `column` with yes/no (yes, true, 1, y; no, false, 0, n, nothing): reached, time not known.
    - `column` with times: reached at that time. Later than `as_of`, or later than the window after the entry,
      counts as not reached.
    - `stage`: reached if the value of the `furthest` column is among this step's or a later step's stages.

    Parameters
    ----------
    rows : one row per unit: the funnel's unit, the columns that it names and those of `by`. A time without
        zone is UTC.
    by : columns to bring along.
    period : only rows that entered inside it (by the `entered` column); `all` also keeps rows without a time.
    as_of : what is known; default: the newest time in the rows.

    Returns
    -------
    See `Journeys`. `set_aside` counts rows without unit (`no_unit`), without entry where one is needed
    (`no_entry`), and with a step before its predecessor (`out_of_order`). `window_closed` is True only if
    there is a window and all steps have times; otherwise `mature_depth` is `depth`.

    Raises
    ------
    DataError : a column is missing, is neither yes/no nor times, or the units are not unique.
    ConfigError : a period is asked for, but the funnel has no times of entry.
    """
    refuse_own(by)
    _check(rows, funnel, by)
    has_unit = (rows[funnel.unit].notna() & (rows[funnel.unit].astype("str") != "")).to_numpy(dtype=bool)
    kept = rows[has_unit].reset_index(drop=True)
    _unique(kept[funnel.unit])
    steps = [_reached(kept, step, place, funnel) for place, step in enumerate(funnel.steps)]
    entry = steps[0].at if funnel.entered is None else moments(kept[funnel.entered])
    timed = (funnel.entered is not None or steps[0].timed) and all(step.timed for step in steps[1:])
    known = _newest(entry, steps) if as_of is None else as_of
    times, yes = _journey(steps, entry, funnel, known, period)
    chosen, set_aside = _chosen(times, entry, funnel, period, known)
    depth = np.where(yes, np.arange(1, len(steps) + 1), 0).max(axis=1)
    implied = int(((yes.sum(axis=1) < depth) & chosen).sum())
    closed = timed and funnel.window is not None and known is not None
    frame = _frame(kept, funnel, depth, times, known if closed else None).assign(**{n: kept[n] for n in by})
    frame = frame[chosen & (depth > 0)].sort_values("unit", kind="stable").reset_index(drop=True)
    absent = _absent(kept, funnel)
    for name, guess in absent.items():
        hint = f" (did you mean the stage {guess}?)" if guess else ""
        warnings.warn(f"The step {name!r} matches no row{hint}.", UnmatchedStep, stacklevel=2)
    set_aside = {"no_unit": int((~has_unit).sum()), **set_aside}
    return Journeys(funnel, frame, period, known, closed, set_aside, absent, implied)


def _check(rows: pd.DataFrame, funnel: Funnel, by: Sequence[str]) -> None:
    named = [funnel.unit, funnel.entered, funnel.furthest, *(step.column for step in funnel.steps), *by]
    missing = next((name for name in named if name is not None and name not in rows), None)
    if missing is not None:
        raise DataError(
            f"The snapshot has no column {missing!r}.", allowed=choices(map(str, rows), missing),
            do="Correct the name, or collect this column.",
        )  # fmt: skip


def _unique(units: pd.Series[Any]) -> None:
    twice = units[units.duplicated()]
    if len(twice):
        raise DataError(
            "A snapshot has one row per unit, but some units have several.", where=units.name,
            found=f"{plain(twice.iloc[0])} (and {len(twice) - 1} more)", allowed="unique values",
            do="Name the column that is unique as the funnel's unit, such as record_id for deals.",
        )  # fmt: skip


def _reached(rows: pd.DataFrame, step: Step, place: int, funnel: Funnel) -> _Reached:
    """Read what the snapshot says of one step."""
    unknown = np.full(len(rows), MISSING, dtype=np.int64)
    if step.column is not None:
        return _column(rows[step.column])
    if step.stage and funnel.furthest is not None:
        stages = [stage for later in funnel.steps[place:] for stage in later.stage or []]
        return _Reached(rows[funnel.furthest].map(plain).isin(stages).to_numpy(dtype=bool), unknown, timed=False)
    return _Reached(np.ones(len(rows), dtype=bool), unknown, timed=False)


def _column(values: pd.Series[Any]) -> _Reached:
    """Read a column of yes and no, or of times."""
    texts = values.map(plain, na_action="ignore").astype("str").fillna("").str.strip().str.lower()
    if not pd.api.types.is_datetime64_any_dtype(values):
        if texts.isin([*YES, *NO]).all():
            return _Reached(texts.isin(YES).to_numpy(), np.full(len(values), MISSING, dtype=np.int64), timed=False)
        if pd.api.types.is_numeric_dtype(values):
            _refuse(values, texts[~texts.isin([*YES, *NO])].iloc[0])
    at = moments(values)
    unread = (at == MISSING) & (texts != "").to_numpy() & values.notna().to_numpy()
    if unread.any():
        _refuse(values, values[unread].iloc[0])
    return _Reached(at != MISSING, at, timed=True)


def _refuse(values: pd.Series[Any], found: object) -> None:
    raise DataError(
        "The column of a step is neither yes/no nor times.", where=values.name, found=found,
        allowed=f"{', '.join(YES)} / no, false, 0, n or nothing; or times such as 2026-05-31",
        do="Rewrite the values where the source is described.",
    )  # fmt: skip


def moments(values: pd.Series[Any]) -> Ints:
    """Return microseconds since 1970, UTC; what is missing or cannot be read is the smallest integer.

    A time without a zone is UTC; text is read as ISO 8601.
    """
    read = values
    if not pd.api.types.is_datetime64_any_dtype(values):
        read = pd.to_datetime(values.astype("str"), format="ISO8601", utc=True, errors="coerce")
    index = pd.DatetimeIndex(read)
    index = index.tz_localize(UTC) if index.tz is None else index.tz_convert(UTC)
    return np.asarray(index.as_unit("us").asi8)


def _newest(entry: Ints, steps: Sequence[_Reached]) -> datetime | None:
    last = max((int(at.max(initial=MISSING)) for at in (entry, *(step.at for step in steps))), default=MISSING)
    return None if last == MISSING else pd.Timestamp(last, unit="us", tz=UTC).to_pydatetime()


def _journey(
    steps: Sequence[_Reached], entry: Ints, funnel: Funnel, as_of: datetime | None, period: Period | None
) -> tuple[Ints, Bools]:
    """Return the times of all steps and who reached them, as known at `as_of` and within the window."""
    times = np.column_stack([entry, *(step.at for step in steps[1:])])
    yes = np.column_stack([step.yes for step in steps])
    for place in range(1, len(steps)):
        at = times[:, place]
        both = (at != MISSING) & (entry != MISSING)
        if _whole_days(at, period):
            # A date says no time of day: a step on the day of the entry is not before the entry.
            times[both & (at < entry) & (at > entry - _DAY), place] = entry[both & (at < entry) & (at > entry - _DAY)]
        if funnel.window_us is not None:
            yes[both, place] &= at[both] - entry[both] <= funnel.window_us
        if as_of is not None:
            yes[:, place] &= at <= microseconds(as_of)
    times[:, 1:][~yes[:, 1:]] = MISSING
    return times, yes


def _whole_days(at: Ints, period: Period | None) -> bool:
    """Return whether all known times are midnights, in UTC or in the business zone."""
    known = pd.DatetimeIndex(at[at != MISSING].view("datetime64[us]")).tz_localize(UTC)
    zones = [UTC] if period is None else [UTC, period.start.tzinfo]
    return len(known) > 0 and any(bool((local == local.normalize()).all()) for local in map(known.tz_convert, zones))


def _chosen(
    times: Ints, entry: Ints, funnel: Funnel, period: Period | None, as_of: datetime | None
) -> tuple[Bools, dict[str, int]]:
    """Return which rows count, and how many of the others were set aside and why."""
    dated = entry != MISSING
    chosen = np.ones(len(entry), dtype=bool) if as_of is None else ~dated | (entry <= microseconds(as_of))
    no_entry = np.zeros(len(entry), dtype=bool)
    if period is not None:
        inside = (entry >= microseconds(period.start)) & (entry < microseconds(period.end))
        if period.kind != "all":
            if funnel.entered is None and not dated.any():
                raise ConfigError(
                    "This snapshot does not say when its units entered.", where="period", found=period.name,
                    allowed="all", do="Name the column with the time of the first step: entered: COLUMN",
                )  # fmt: skip
            no_entry = ~dated
        chosen &= np.where(dated, inside, period.kind == "all")
    known = np.where(times == MISSING, np.iinfo(np.int64).min, times)
    before = np.maximum.accumulate(known, axis=1)[:, :-1]
    disordered = ((times[:, 1:] != MISSING) & (times[:, 1:] < before)).any(axis=1) & chosen
    return chosen & ~disordered, {"no_entry": int(no_entry.sum()), "out_of_order": int(disordered.sum())}


def _frame(rows: pd.DataFrame, funnel: Funnel, depth: Ints, times: Ints, closed_at: datetime | None) -> pd.DataFrame:
    """Return the journeys' own columns; `closed_at` is None where nothing can be said about windows."""
    entry, size = times[:, 0], len(funnel.steps)
    over = np.ones(len(rows), dtype=bool)
    if closed_at is not None and funnel.window is not None:
        over = (entry != MISSING) & (entry <= microseconds(closed_at - funnel.window))
    short = depth.astype(np.int8)
    dated = {f"t_{k + 1}": as_times(times[:, k]) for k in range(size)}
    return pd.DataFrame(
        {
            "unit": rows[funnel.unit],
            "depth": short,
            "mature_depth": np.where(over, short, np.int8(0)),
            "first_depth": short,
            **dated,
            "first_entry": dated["t_1"],
            "last_entry": dated["t_1"],
            "matured": (depth == size) | (over & (closed_at is not None)),
        }
    )


def _absent(rows: pd.DataFrame, funnel: Funnel) -> dict[str, str | None]:
    """Return the steps none of whose stages occur, each with the stage that was perhaps meant."""
    if funnel.furthest is None or rows.empty:
        return {}
    found = sorted(set(rows[funnel.furthest].dropna().map(plain)))
    never = [step for step in funnel.steps if step.stage and step.column is None and not {*step.stage} & {*found}]
    return {step.name: nearest((step.stage or [""])[0], found) for step in never}
