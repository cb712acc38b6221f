"""What customers say: net promoter score, satisfaction, and how many came through others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW, wilson
from funnel_lib.conversion.worth.intervals import z_of
from funnel_lib.errors import ConfigError
from funnel_lib.schema import TS, USER_ID

NO_ANSWERS, MORE_ANSWERS = "no_answers", 3


@dataclass(frozen=True)
class Opinion:
    """A figure of answers: `value` (a fraction; a score of 20 is 0.2) with its interval, of `answers`.

    `set_aside` answers have no score, or one outside the scale. NaN with a `reason`: `no_answers`, `too_few`.
    """

    value: float
    low: float
    high: float
    level: float
    answers: int
    set_aside: int = 0
    reason: str = ""


def latest(surveys: pd.DataFrame, question: str) -> pd.DataFrame:
    """Return the answers to a question, the last one of each person; answers without a person all count."""
    asked = surveys[surveys["question"] == question].sort_values(TS, kind="stable")
    named = asked[USER_ID].notna() if USER_ID in asked else pd.Series(False, index=asked.index)
    return pd.concat([asked[named].drop_duplicates(USER_ID, keep="last"), asked[~named]], ignore_index=True)


def net_promoters(scores: npt.ArrayLike, *, rules: Rules) -> Opinion:
    """Return the net promoter score: the share of 9 and 10 less the share of 0 to 6.

    The interval is that of the mean of -1, 0 and 1, `± z sqrt((p + d - (p - d)²) / n)`, after three more answers: half
    of them neither, a quarter each for and against (adjusted Wald; Rocks 2016). Without them it is much too narrow
    where nearly all answers are alike. It always holds the score found. Answers of another way of asking (another
    channel, another moment) are not comparable, and who answers is not everybody.
    """
    kept, aside = _within(scores, 0, 10)
    n = len(kept)
    if n < rules.min_units or not n:
        return _few(n, aside, rules)
    promoters, detractors = int((kept >= 9).sum()), int((kept <= 6).sum())
    value, sure = (promoters - detractors) / n, n + MORE_ANSWERS
    middle, told = (promoters - detractors) / sure, (promoters + detractors + MORE_ANSWERS / 2) / sure
    half = z_of(rules.level) * math.sqrt((told - middle**2) / sure)
    low, high = max(min(middle - half, value), -1.0), min(max(middle + half, value), 1.0)
    return Opinion(value, low, high, rules.level, n, aside)


def satisfied(scores: npt.ArrayLike, *, scale: tuple[float, float] = (1, 5), least: float = 4, rules: Rules) -> Opinion:
    """Return the share of answers of at least `least` on a scale (customer satisfaction), with Wilson's interval.

    Raises
    ------
    ConfigError : `least` is not on the scale.
    """
    if not scale[0] < least <= scale[1]:
        raise ConfigError(
            "This score is not on the scale.", where="least", found=least, allowed=f"above {scale[0]}, to {scale[1]}"
        )
    kept, aside = _within(scores, *scale)
    return share(int((kept >= least).sum()), len(kept), set_aside=aside, rules=rules)


def referred(firsts: pd.DataFrame, channels: Sequence[str] = ("referral",), *, rules: Rules) -> Opinion:
    """Return the share of new customers who came through others: whose first order has one of these channels.

    Only customers count whose channel is known. Wilson's interval.

    Parameters
    ----------
    firsts : every customer's first order, `channel`, as of `first_orders`.
    """
    known = firsts["channel"].dropna()
    return share(int(known.isin(list(channels)).sum()), len(known), set_aside=len(firsts) - len(known), rules=rules)


def share(count: int, of: int, *, set_aside: int = 0, rules: Rules) -> Opinion:
    """Return a share with Wilson's interval, or why there is none."""
    if of < rules.min_units or not of:
        return _few(of, set_aside, rules)
    low, high = wilson(count, of, rules.level)
    return Opinion(count / of, low, high, rules.level, of, set_aside)


def _within(scores: npt.ArrayLike, low: float, high: float) -> tuple[npt.NDArray[np.float64], int]:
    given = np.asarray(scores, dtype=np.float64)
    kept = given[(given >= low) & (given <= high)]
    return kept, len(given) - len(kept)


def _few(answers: int, aside: int, rules: Rules) -> Opinion:
    reason = TOO_FEW if answers else NO_ANSWERS
    return Opinion(math.nan, math.nan, math.nan, rules.level, answers, aside, reason)
