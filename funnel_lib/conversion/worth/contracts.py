"""What contracts bring: how long they last, the margin of each month until they end, and what may be expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW, wilson
from funnel_lib.conversion.worth.intervals import UNKNOWN, Floats, Interval, product, ratio_interval, skewed_interval
from funnel_lib.conversion.worth.lifetime import Contract, contract_value
from funnel_lib.conversion.worth.margins import MarginCurve
from funnel_lib.schema import USER_ID

MONTH_DAYS, MOST_MONTHS = 365.25 / 12, 36
NO_CONTRACTS, NO_COLUMNS = "no_contracts", "no_contract_columns"
_COLUMNS = ["month", "customers", "left", "kept", "low", "high", "level"]


@dataclass(frozen=True)
class Contracts:
    """How long contracts last and what they bring.

    `table`: `month, customers, left, kept, low, high, level`: of the contracts that ran for `month` months and could be
    followed for one more (`customers`), how many `left` in it; `kept` is the share of all that still runs at its end.
    `curve` is the margin that a contract has brought by each age (its `day`), as of `margin_curve`. `forecast` goes on
    to three years with the churn rate of all months. `churn` is that rate per month, `price` the mean price of a month.
    `set_aside` counts rows by reason: `no_start`, `no_price`, `ends_before_start`, `later`. `reason`: `no_contracts`,
    `too_few` of them (or of departures), `no_contract_columns`.
    """

    table: pd.DataFrame
    curve: MarginCurve
    forecast: Contract
    churn: Interval
    price: Interval
    running: int
    ended: int
    set_aside: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""


def contracts(scope: Scope, *, people: frozenset[str] | None = None) -> Contracts | None:
    """Return what the contracts of a workbook bring (see `worth_of`); None where it names none, or knows no times.

    Parameters
    ----------
    people : only theirs, in the report of a segment.
    """
    told = scope.workbook.value.contract
    if told is None or scope.as_of is None:
        return None
    rows = scope.store.read(told.table)
    names = [told.start, told.end, *([told.per_month] if isinstance(told.per_month, str) else [])]
    timed = [isinstance(rows[name].dtype, pd.DatetimeTZDtype) for name in names[:2] if name in rows]
    if len(timed) < 2 or not all(timed) or any(name not in rows for name in names):
        return _unknown(NO_COLUMNS, scope.workbook.rules)
    if people is not None:
        rows = rows[rows[USER_ID].isin(people)] if USER_ID in rows else rows[:0]
    price = rows[told.per_month] if isinstance(told.per_month, str) else told.per_month
    found = pd.DataFrame({"start": rows[told.start], "end": rows[told.end], "price": price})
    found = found[found["start"].notna() | found["end"].notna()]  # everybody else has no contract
    value = scope.workbook.value
    return worth_of(found, margin=value.margin, as_of=scope.as_of, rules=scope.workbook.rules)


def worth_of(rows: pd.DataFrame, *, margin: float, as_of: datetime, rules: Rules) -> Contracts:
    """Return how long contracts last and what they bring.

    A contract pays its price at its start and after every month that it has outlived. The share that leaves in a month
    is of those who ran until it and can be followed to its end; the shares that stay are multiplied (the life table,
    without withdrawals inside a month), and the margin of each month is that product by the mean price of those who
    pay then. It assumes that contracts made lately last as older ones did. The intervals of the shares are Wilson's for
    the number that Greenwood's variance stands for (Cutler and Ederer 1958), those of money and of the churn rate
    follow the skewness of each contract's part of them (`skewed_interval`; linearised).

    Parameters
    ----------
    rows : `start, end` (UTC; an end that is missing or lies ahead: it runs), `price` of a month.
    margin : the share of the price that remains.
    as_of : what is known.
    rules : level, least number of contracts (`min_units`) in a month, and of departures (`min_events`) in all.
    """
    kept, aside = _usable(rows, pd.Timestamp(as_of))
    if len(kept) < max(rules.min_units, 1):
        return _unknown(TOO_FEW if len(kept) else NO_CONTRACTS, rules, aside)
    lasted, followed, gone = _months(kept, pd.Timestamp(as_of))
    price = kept["price"].to_numpy(dtype=np.float64)
    running, ended = int((~gone).sum()), int(gone.sum())
    months, rows_of_age, left, at_risk = _followed(lasted, followed, gone, price * margin, rules)
    if not months or left.sum() < max(rules.min_events, 1):
        return _unknown(TOO_FEW, rules, aside, running=running, ended=ended)
    curve = MarginCurve(
        pd.DataFrame(rows_of_age, columns=["age", "customers", "margin", "low", "high"]).assign(
            day=lambda table: table["age"] * MONTH_DAYS, level=rules.level,
            reason=pd.Series("", range(len(months)), "str"),
        )[["age", "day", "customers", "margin", "low", "high", "level", "reason"]]
    )  # fmt: skip
    month, churn = ratio_interval(price, level=rules.level), ratio_interval(left, at_risk, level=rules.level)
    forecast = _expected(month, margin, left, at_risk, rules)
    return Contracts(_table(months, rules), curve, forecast, churn, month, running, ended, aside)


def _followed(
    lasted: Floats, followed: Floats, gone: npt.NDArray[np.bool_], brings: Floats, rules: Rules
) -> tuple[list[tuple[int, int]], list[tuple[float, ...]], Floats, Floats]:
    """Return month by month how many could leave and did, and the margin brought by its beginning; and by contract.

    A contract's part of the margin is that of the means of the months, and that of the shares that stayed until then:
    the logarithm of a product of shares is a sum, to which each contract adds its own.
    """
    stays, brought, parts, part_of_log = 1.0, 0.0, np.zeros(len(gone)), np.zeros(len(gone))
    left, at_risk = np.zeros(len(gone)), np.zeros(len(gone))
    counts: list[tuple[int, int]] = []
    ages: list[tuple[float, ...]] = []
    for month in range(MOST_MONTHS):
        runs = np.where(gone, lasted > month, followed >= month) | (month == 0)
        risk, paid = runs & (followed >= month + 1), runs & (followed >= month)
        if (size := int(risk.sum())) < max(rules.min_units, 1):
            break
        ends = risk & gone & (lasted <= month + 1)
        mean = float(brings[paid].mean())
        brought += stays * mean
        parts += stays * (np.where(paid, brings - mean, 0.0) / max(int(paid.sum()) - 1, 1) + mean * part_of_log)
        found = skewed_interval(brought, parts, level=rules.level)
        ages.append((month, size, brought, max(found.low, 0.0), found.high))
        counts.append((size, int(ends.sum())))
        share = counts[-1][1] / size
        if share < 1:
            part_of_log -= (ends - share * risk) / max(size - 1, 1) / (1 - share)
        stays *= 1 - share
        left, at_risk = left + ends, at_risk + risk
    return counts, ages, left, at_risk


def _expected(month: Interval, margin: float, left: Floats, at_risk: Floats, rules: Rules) -> Contract:
    """Return what a contract may bring, with the doubt of the churn rate and of the mean price together."""
    found = contract_value(
        margin, left=int(left.sum()), customer_months=int(at_risk.sum()), months=MOST_MONTHS, rules=rules
    )
    whole = product(Interval(found.value, found.low, found.high), month)
    return replace(found, value=whole.value, low=whole.low, high=whole.high)


def _table(months: list[tuple[int, int]], rules: Rules) -> pd.DataFrame:
    """Return the life table, with Wilson's limits for as many contracts as Greenwood's variance stands for."""
    risk, left = np.array(months, dtype=np.float64).T
    kept = np.cumprod(1 - left / risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.cumsum(left / (risk * (risk - left)))
        size = np.where(spread > 0, (1 - kept) / (kept * spread), risk)
    size = np.where(np.isfinite(size) & (size > 0), size, risk)
    low, high = wilson(kept * size, size, rules.level)
    counted = {"customers": risk.astype(np.int64), "left": left.astype(np.int64)}
    return pd.DataFrame({
        "month": np.arange(1, len(months) + 1), **counted, "kept": kept, "low": low, "high": high, "level": rules.level,
    })[_COLUMNS]  # fmt: skip


def _usable(rows: pd.DataFrame, known: pd.Timestamp) -> tuple[pd.DataFrame, dict[str, int]]:
    table = rows.assign(price=pd.to_numeric(rows["price"], errors="coerce"))
    faults = {
        "no_start": table["start"].isna(), "later": table["start"] > known,
        "ends_before_start": table["end"] < table["start"], "no_price": ~(table["price"] >= 0),
    }  # fmt: skip
    usable, aside = pd.Series(True, index=table.index), {}
    for reason, faulty in faults.items():
        aside[reason] = int((usable & faulty).sum())
        usable &= ~faulty
    return table[usable], {reason: count for reason, count in aside.items() if count}


def _months(rows: pd.DataFrame, known: pd.Timestamp) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return how many months each contract has lasted, how many it could be followed, and whether it ended."""
    gone = (rows["end"] <= known).to_numpy(dtype=bool)
    until = rows["end"].where(pd.Series(gone, index=rows.index), known)
    lasted, followed = (
        (pd.Series(end - rows["start"]).dt.total_seconds() / (86_400 * MONTH_DAYS)).to_numpy(dtype=np.float64)
        for end in (until, known)
    )
    return lasted, followed, gone


def _unknown(
    reason: str, rules: Rules, aside: Mapping[str, int] | None = None, *, running: int = 0, ended: int = 0
) -> Contracts:
    table = pd.DataFrame(columns=_COLUMNS)
    row = {"age": 0, "day": 0.0, "customers": running + ended, "margin": math.nan, "low": math.nan, "high": math.nan,
           "level": rules.level, "reason": reason}  # fmt: skip
    curve = MarginCurve(pd.DataFrame([row]).astype({"reason": "str"}), reason)
    nothing = Contract(math.nan, math.nan, math.nan, rules.level, math.nan, MOST_MONTHS, reason)
    return Contracts(table, curve, nothing, UNKNOWN, UNKNOWN, running, ended, aside or {}, reason)
