"""Where those went who stopped: what they did next, which earlier step they went back to, and who they are.

Who stopped is told as in mature rates: by chains whose window has closed (without a window: all units that have come no
further so far). Whether a unit came back later, or entered anew, makes no difference.
"""

from __future__ import annotations

import csv
import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import OWN, Journeys
from funnel_lib.conversion.rates import with_rates
from funnel_lib.conversion.reasons.afterwards import first_event, first_step
from funnel_lib.conversion.reasons.stopping import Stopped, check_step, closed, stopped
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError
from funnel_lib.notation import guarded, in_microseconds

NOTHING, OTHER, LEFT = "(nothing)", "(other)", "(left)"
KEY = "FUNNEL_KEY"
# What a spreadsheet takes for the beginning of a formula, also in its full-width form.
_NOT_BY = (*OWN, "session", "entry", "reached", "mature_reached", "passed", "mature_passed")
_RULES = Rules()


@dataclass(frozen=True)
class Dropped:
    """Who stopped: `unit` (a pseudonym), `last_step`, `last_time` (UTC), `days_since`, and what was brought along."""

    frame: pd.DataFrame

    def to_csv(self, path: str | Path) -> Path:
        """Write the list for spreadsheets (UTF-8 with a mark, so that Excel reads Chinese) and return its path.

        A text that a spreadsheet would take for a formula gets an apostrophe in front; missing values are empty.
        """
        target = Path(path)
        with target.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow([guarded(str(name)) for name in self.frame])
            writer.writerows(zip(*(_texts(self.frame[name]) for name in self.frame), strict=True))
        return target


def after_drop(
    events: Any, journeys: Journeys, step: int, *, top: int = 10, rules: Rules = _RULES, who: Stopped | None = None
) -> pd.DataFrame:
    """Return the first thing that units did after they stopped at a step.

    Looked up strictly after the last step and up to the end of the window of the same attempt: the time in which
    they could still have gone on, the same for all (without a window: up to `as_of`). Every row of the log counts,
    whether the funnel knows its event or not; of several at one instant the first by name.

    Parameters
    ----------
    events : what the journeys were made from, or its log in numbers (`EventLog`): the fastest where it is there.
    journeys : see `Journeys`; with an `as_of`, nothing later is looked at.
    step : the step at which they stopped, counted from 1; not the last.
    top : so many events have a row of their own.
    rules : level and least numbers.
    who : those who stopped there, where `stopping.stopped` has told them already.

    Returns
    -------
    Frame `event, units, denominator, share, low, high, level, median_wait_days, reason`: the events by units (most
    first, then by name), `(other)` if there are more, `(nothing)` last; the units add up to the denominator.
    Wilson intervals; with too few units the shares and medians are NaN, `reason` is `too_few`.

    Raises
    ------
    ConfigError : there is no such step, `top` is negative, or the journeys come from a snapshot.
    DataError : the events cannot be read.
    """
    if top < 0:
        raise ConfigError("The number of rows cannot be negative.", where="top", found=top, allowed="0 or more")
    who = stopped(events, journeys, step) if who is None else who
    found = first_event(events, who, journeys.funnel.unit, _resolution(journeys))
    codes, names = pd.factorize(found["what"])
    texts, sizes = [str(name) for name in names], np.bincount(codes[codes >= 0], minlength=len(names))
    order = sorted(range(len(texts)), key=lambda code: (-sizes[code], texts[code]))
    labels = [*(texts[code] for code in order[:top]), *([OTHER] if len(order) > top else []), NOTHING]
    places = np.full(len(texts) + 1, len(labels) - 1)
    places[order] = np.minimum(np.arange(len(order)), top)
    return _shares(places[codes], found["days"], pd.DataFrame({"event": pd.Series(labels, dtype="str")}), rules)


def back_to(
    events: Any, journeys: Journeys, step: int, *, rules: Rules = _RULES, who: Stopped | None = None
) -> pd.DataFrame:
    """Return to which earlier step units went back after they stopped at a step.

    The first event of an earlier step, in the same time as in `after_drop`; of several steps at one instant the
    furthest. Whoever did no earlier step is `(left)`, also if it repeated the one at which it stopped.

    Parameters
    ----------
    events, journeys, rules, who : as in `after_drop`.
    step : the step at which they stopped, counted from 1; from the second to the last but one.

    Returns
    -------
    Frame `step, name, units, denominator, share, low, high, level, median_wait_days, reason`: the earlier steps in
    order, then `(left)` with step 0; the units add up to the denominator.

    Raises
    ------
    ConfigError, DataError : as in `after_drop`.
    """
    check_step(journeys, step, 2)
    who = stopped(events, journeys, step) if who is None else who
    earlier = Funnel(steps=journeys.funnel.steps[: step - 1], unit=journeys.funnel.unit)
    found = first_step(events, who, earlier, _resolution(journeys))
    names = pd.Series([*journeys.funnel.names[: step - 1], LEFT], dtype="str")
    rows = pd.DataFrame({"step": [*range(1, step), 0], "name": names})
    places = (found["what"].to_numpy(dtype=np.int64) - 1) % len(rows)  # 0, no step, is the last row
    return _shares(places, found["days"], rows, rules)


def dropped(journeys: Journeys, step: int, *, secret: str | bytes | None = None) -> Dropped:
    """Return who stopped at a step and has come no further since, under pseudonyms.

    Whose journey may still go on (its window has not closed) is not in the list.
    The pseudonym is the HMAC-SHA256 of the unit (as text) in hexadecimal digits, so the same key always gives the
    same one, and only who holds the key can find the person.

    Parameters
    ----------
    journeys : see `Journeys`; every column that was brought along is in the list. Bring along nothing that names
        a person.
    step : the step at which they stopped, counted from 1; not the last.
    secret : the key; by default that in the environment variable FUNNEL_KEY.

    Returns
    -------
    `Dropped`, ordered by `last_time` (newest first), then by pseudonym. `days_since` counts up to `as_of`; both
    are missing where the source has no times.

    Raises
    ------
    ConfigError : there is no key, or no such step.
    """
    key = secret if secret is not None else os.environ.get(KEY, "")
    key = key.encode() if isinstance(key, str) else key
    if not key:
        raise ConfigError(
            "A list of people needs a key for their pseudonyms.", where=f"secret, or the variable {KEY}",
            found="nothing", allowed="any text that is kept secret", do=f"Set {KEY}; keep it: it makes lists agree.",
        )  # fmt: skip
    check_step(journeys, step, 1)
    ended = (journeys.frame["depth"] == step).to_numpy(dtype=bool)
    left = journeys.select(ended & closed(journeys))
    frame, last = left.frame, np.max([left.moments(f"t_{number + 1}") for number in range(step)], axis=0)
    times = pd.Series(pd.array(last, dtype="datetime64[us, UTC]"))
    since = (pd.Timestamp(journeys.as_of) - times).dt.total_seconds() / 86400 if journeys.as_of else np.nan
    listed = pd.DataFrame(
        {
            "unit": pd.Series(
                [hmac.digest(key, str(unit).encode(), "sha256").hex() for unit in frame["unit"]], dtype="str"
            ),
            "last_step": pd.Series(journeys.funnel.names[step - 1], index=range(len(frame)), dtype="str"),
            "last_time": times,
            "days_since": since,
        }
    )
    for name in frame:
        if name not in _NOT_BY and not str(name).removeprefix("t_").isdigit():
            listed[name] = frame[name].to_numpy()
    ordered = listed.sort_values(["last_time", "unit"], ascending=[False, True], na_position="last")
    return Dropped(ordered.reset_index(drop=True))


def _texts(column: pd.Series[Any]) -> list[str]:
    plain = column.astype("str").where(column.notna(), "")
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    return list(plain) if is_number else [guarded(text) for text in plain]


def _resolution(journeys: Journeys) -> int:
    return in_microseconds(journeys.funnel.matching.resolution) or 1


def _shares(places: npt.NDArray[np.int64], days: pd.Series[float], rows: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Return `rows` with how many units each has (`places` names a unit's row), their share and median of `days`."""
    counts = {"numerator": np.bincount(places, minlength=len(rows)), "denominator": len(places)}
    judged = with_rates(rows.join(pd.DataFrame(counts)), rules)
    medians = days.groupby(places).median().reindex(range(len(rows))).to_numpy(dtype=float)
    judged["median_wait_days"] = np.where(judged["reason"] == "", medians, np.nan)
    judged = judged.rename(columns={"numerator": "units", "rate": "share"})
    return judged[[*rows, "units", "denominator", "share", "low", "high", "level", "median_wait_days", "reason"]]
