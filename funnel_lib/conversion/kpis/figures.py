"""A key figure as it was found: its value with its interval, or why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy.typing as npt

from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.intervals import ratio_interval
from funnel_lib.conversion.worth.opinions import Opinion, share

Unit = Literal["count", "share", "money", "days", "points", "number"]
NO_DATA, NO_COLUMN, NO_SPEND, NO_CURRENCY = "not_in_data", "no_such_column", "no_spend", "other_currency"
NO_SURVEY, NO_DEALS, NO_AMOUNT, NOBODY, OPEN = "not_asked", "no_deals", "no_amount", "nobody_there", "open"
TOO_RECENT, ONLY_WON, NO_DATE = "deals_too_recent", "only_won", "no_date_column"
NOT_CREATED, NOT_CLOSED = "not_created", "not_closed"
NO_REFERRER, REFERRERS_UNKNOWN = "no_referrer", "referrers_unknown"


@dataclass(frozen=True)
class Measured:
    """A figure: its value in `unit` (shares as fractions, points of 100 as fractions), interval, `n` it is made of.

    `group` is the value of the column that divides it, empty for all. Totals have no interval: they are counted, not
    estimated. NaN with a `reason` where it is not known.
    """

    unit: Unit
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    reason: str = ""
    group: str = ""


def opinion(found: Opinion, unit: Unit, group: str = "") -> Measured:
    """Return what answers give, or a share of anything, as a figure."""
    return Measured(unit, found.value, float(found.low), float(found.high), found.answers, found.reason, group)


def part(count: int, of: int, *, group: str = "", rules: Rules) -> Measured:
    """Return a share with Wilson's interval, or that there are too few."""
    return opinion(share(count, of, rules=rules), "share", group)


def mean(values: npt.ArrayLike, unit: Unit, *, rules: Rules) -> Measured:
    """Return the mean of independent values with its interval, or that there are too few of them."""
    n = len(values)  # type: ignore[arg-type]
    if n < rules.min_units:
        return Measured(unit, n=n, reason=TOO_FEW if n else NOBODY)
    return Measured(unit, *ratio_interval(values, level=rules.level), n=n)
