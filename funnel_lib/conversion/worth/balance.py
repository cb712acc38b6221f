"""Conversion against value: which groups convert well but bring little, and the reverse."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import adjust, closed_only, compare
from funnel_lib.conversion.worth.intervals import UNKNOWN, Floats, least_amounts, ratio_interval
from funnel_lib.conversion.worth.orders import Orders
from funnel_lib.schema import AMOUNT, TS

HIGH_RATE, HIGH_VALUE = "high_rate_low_value", "low_rate_high_value"
_COLUMNS = [
    "group", "entered", "converted", "rate", "low", "high", "value", "value_low", "value_high", "per_person",
    "per_person_low", "per_person_high", "rate_clear", "value_clear", "kind", "level", "reason",
]  # fmt: skip


def balance(
    journeys: Journeys,
    by: str,
    orders: Orders,
    *,
    margin: float,
    within: timedelta,
    rules: Rules,
) -> pd.DataFrame:
    """Return for each group how many convert and what those who do bring, so that neither is chased alone.

    Parameters
    ----------
    journeys : see `Journeys`; mature ones only, as in `rates`, and only units whose time for orders is over.
    by : column with the groups.
    orders : of the journeys' units.
    margin : the share of the amount that remains.
    within : orders count from a unit's first entry for so long: the same for all.
    rules : level, least numbers and correction.

    Returns
    -------
    Frame `group, entered, converted, rate, low, high, value, value_low, value_high, per_person, per_person_low,
    per_person_high, rate_clear, value_clear, kind, level, reason`, largest group first. `rate` is of the last step,
    with Wilson's interval; `value` the margin per unit that converted, `per_person` per unit that entered (both as of
    `ratio_interval`): the second is what a group is worth for each that it sends. `rate_clear` and `value_clear`
    compare with all other units (see `compare`; Welch's test for values), corrected for the number of groups. `kind` is
    `high_rate_low_value` or `low_rate_high_value` where both are clear and point apart, else empty. `reason`:
    `too_few`.
    """
    window = journeys.funnel.window or timedelta(0)
    seen = journeys
    if journeys.as_of is not None:  # the time for orders may be longer than the window
        entered = pd.DatetimeIndex(journeys.frame["first_entry"])
        seen = journeys.select(entered + max(within, window) <= pd.Timestamp(journeys.as_of))
    rated = compare(seen, by, step=len(seen.funnel.steps), base="first", rules=rules)
    depth = seen.frame["mature_depth" if closed_only(seen, rules) else "depth"].to_numpy()
    names, codes = seen.groups(by)
    brought = margin * _brought(seen, orders, within)
    bought = depth >= len(seen.funnel.steps)
    rows = [_row(brought[codes == place], bought[codes == place], depth[codes == place] > 0, rules)
            for place in range(len(names))]  # fmt: skip
    money = pd.DataFrame(rows, columns=_COLUMNS[6:12]).assign(group=pd.Series(names, dtype="str"))
    p = np.array([_welch(brought, bought, codes == place, rules) for place in range(len(names))])
    adjusted = p if len(names) == 2 else adjust(p, rules.correction)
    rest = [_mean(brought[bought & (codes != place)]) for place in range(len(names))]
    money = money.assign(value_clear=adjusted < 1 - rules.level, rest=rest)
    table = rated.rename(columns={"clear": "rate_clear", "numerator": "converted", "denominator": "entered"})
    table = table.merge(money, on="group", how="left")
    both = (table["rate_clear"] & table["value_clear"]).to_numpy()
    more_often = (table["difference"] > 0).to_numpy()
    more_money = (table["value"] > table["rest"]).to_numpy()
    kind = np.select([both & more_often & ~more_money, both & ~more_often & more_money], [HIGH_RATE, HIGH_VALUE], "")
    return table.assign(kind=pd.Series(kind, dtype="str"), level=rules.level)[_COLUMNS]


def _brought(journeys: Journeys, orders: Orders, within: timedelta) -> Floats:
    """Return the amount of the orders of each unit from its first entry on (less the funnel's grace), for so long."""
    grace, wait = (
        (part or timedelta(0)) // timedelta(microseconds=1) for part in (journeys.funnel.matching.grace, within)
    )
    place, at = orders.places(journeys.frame["unit"]), pd.DatetimeIndex(orders.frame[TS]).as_unit("us").asi8
    mine = place >= 0
    place, since = place[mine], journeys.moments("first_entry")[place[mine]]
    inside = (at[mine] >= since - grace) & (at[mine] <= since + wait)
    amounts = orders.frame[AMOUNT].to_numpy(dtype=np.float64)[mine]
    return np.bincount(place[inside], amounts[inside], minlength=len(journeys.frame)).astype(np.float64)


def _row(brought: Floats, bought: Any, entered: Any, rules: Rules) -> tuple[float, ...]:
    value = each = UNKNOWN
    if bought.sum() >= least_amounts(rules):
        value = ratio_interval(brought[bought], level=rules.level)
    if bought.sum() >= max(rules.min_events, 2) and entered.sum() >= rules.min_units:
        each = ratio_interval(np.where(bought, brought, 0.0)[entered], level=rules.level)
    return (*value, *each)


def _welch(brought: Floats, bought: Any, mine: Any, rules: Rules) -> float:
    """Return the p-value of Welch's test: the group's converters against all others."""
    from scipy.stats import ttest_ind

    own, others = brought[bought & mine], brought[bought & ~mine]
    if min(len(own), len(others)) < max(rules.min_events, 2) or own.std() + others.std() == 0:
        return float("nan")
    return float(ttest_ind(own, others, equal_var=False).pvalue)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
