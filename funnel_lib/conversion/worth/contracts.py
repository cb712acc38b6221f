"""What contracts bring: how long they last, the margin of each month until they end, and what may be expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW, wilson
from funnel_lib.conversion.worth.lifetime import Contract, contract_value
from funnel_lib.conversion.worth.margins import MarginCurve
from funnel_lib.conversion.worth.resampling import UNKNOWN, Floats, Interval, Rng, bagged, redrawn
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


def contracts(scope: Scope, *, people: frozenset[str] | None = None, rng: Rng) -> Contracts | None:
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
    return worth_of(found, margin=value.margin, as_of=scope.as_of, rules=scope.workbook.rules, rng=rng)


def worth_of(
    rows: pd.DataFrame, *, margin: float, as_of: datetime, rules: Rules, rng: Rng, draws: int = 1000
) -> Contracts:
    """Return how long contracts last and what they bring.

    A contract pays its price at its start and after every month that it has outlived. The share that leaves in a month
    is of those who ran until it and can be followed to its end; the shares that stay are multiplied (the life table,
    without withdrawals inside a month), and the margin of each month is that product by the mean price of those who
    pay then. It assumes that contracts made lately last as older ones did. The intervals of the shares are Wilson's for
    the number that Greenwood's variance stands for (Cutler and Ederer 1958), those of money percentiles of a bootstrap
    of contracts, expanded for small numbers (Hesterberg 2015).

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
    parts = _parts(lasted, followed, gone, kept["price"].to_numpy(dtype=np.float64))
    months = int((parts.risk.sum(axis=0) >= rules.min_units).sum())  # they never grow with age
    left = int(parts.left[:, :months].sum())
    if not months or left < max(rules.min_events, 1):
        return _unknown(TOO_FEW, rules, aside, running=int((~gone).sum()), ended=int(gone.sum()))
    whole = bagged(np.column_stack([part[:, :months] for part in parts.all]), rng)
    sums, drawn = _sums(whole.sum(axis=0)[None], months), _sums(redrawn(whole, rng, draws), months)
    stays, brought = _worth(sums, margin)
    brought_drawn = _worth(drawn, margin)[1]
    tails = _tails(float(sums.risk.min()), rules.level)
    low, high = _limits(sums, stays, rules.level)
    table = pd.DataFrame({
        "month": np.arange(1, months + 1), "customers": parts.risk[:, :months].sum(axis=0).astype(np.int64),
        "left": parts.left[:, :months].sum(axis=0).astype(np.int64), "kept": stays[0], "low": low, "high": high,
        "level": rules.level,
    })[_COLUMNS]  # fmt: skip
    price = _of_draws(sums.price[:, 0] / sums.paid[:, 0], drawn.price[:, 0] / drawn.paid[:, 0], tails)
    churn = _of_draws(_churn(sums), _churn(drawn), tails)
    forecast = contract_value(
        margin * price.value, left=left, customer_months=int(table["customers"].sum()), months=MOST_MONTHS, rules=rules
    )
    curve = _curve(brought[0], brought_drawn, table["customers"], tails, rules)
    return Contracts(table, curve, forecast, churn, price, int((~gone).sum()), int(gone.sum()), aside)


@dataclass(frozen=True)
class _Parts:
    """By contract (or draw) and month: at risk of leaving, left, paying at its beginning, and how much."""

    risk: Floats
    left: Floats
    paid: Floats
    price: Floats

    @property
    def all(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.risk, self.left, self.paid, self.price


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


def _parts(lasted: Floats, followed: Floats, gone: npt.NDArray[np.bool_], price: Floats) -> _Parts:
    month = np.arange(MOST_MONTHS)
    runs = np.where(gone[:, None], lasted[:, None] > month, followed[:, None] >= month) | (month == 0)
    risk = runs & (followed[:, None] >= month + 1)
    left = risk & gone[:, None] & (lasted[:, None] <= month + 1)
    paid = runs & (followed[:, None] >= month)
    return _Parts(*(part.astype(np.float64) for part in (risk, left, paid, paid * price[:, None])))


def _sums(sums: Floats, months: int) -> _Parts:
    return _Parts(*(sums[:, place * months : (place + 1) * months] for place in range(4)))


def _worth(sums: _Parts, margin: float) -> tuple[Floats, Floats]:
    """Return the share that still runs after each month, and the margin brought by its beginning, added up."""
    with np.errstate(invalid="ignore", divide="ignore"):
        stays = np.cumprod(1 - sums.left / sums.risk, axis=1)
        mean = sums.price / sums.paid
    runs = np.column_stack([np.ones(len(stays)), stays[:, :-1]])
    return stays.astype(np.float64), np.cumsum(margin * runs * mean, axis=1).astype(np.float64)


def _limits(sums: _Parts, stays: Floats, level: float) -> tuple[Floats, Floats]:
    """Return Wilson's limits of the shares that stay, for as many contracts as Greenwood's variance stands for."""
    risk, left, kept = sums.risk[0], sums.left[0], stays[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.cumsum(left / (risk * (risk - left)))
        size = np.where(spread > 0, (1 - kept) / (kept * spread), risk)
    size = np.where(np.isfinite(size) & (size > 0), size, risk)
    low, high = wilson(kept * size, size, level)
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)


def _tails(count: float, level: float) -> list[float]:
    """Return the shares at which draws are cut: wider for few, as Student's quantiles are (Hesterberg 2015)."""
    from scipy.stats import norm, t

    tail = float(norm.cdf(-math.sqrt(count / (count - 1)) * t.ppf((1 + level) / 2, count - 1))) if count > 1 else 0.0
    return [tail, 1 - tail]


def _churn(sums: _Parts) -> Floats:
    return np.asarray(sums.left.sum(axis=1) / sums.risk.sum(axis=1), dtype=np.float64)


def _of_draws(found: Floats, drawn: Floats, tails: list[float]) -> Interval:
    low, high = np.nanquantile(drawn, tails)
    return Interval(float(found[0]), float(low), float(high))


def _curve(brought: Floats, drawn: Floats, customers: pd.Series[int], tails: list[float], rules: Rules) -> MarginCurve:
    """Return the margin by age: the price of a month is brought at its beginning."""
    ages, (low, high) = np.arange(len(brought)), np.nanquantile(drawn, tails, axis=0)
    table = pd.DataFrame({
        "age": ages, "day": ages * MONTH_DAYS, "customers": customers.to_numpy(), "margin": brought, "low": low,
        "high": high, "level": rules.level, "reason": pd.Series("", range(len(brought)), "str"),
    })  # fmt: skip
    return MarginCurve(table, drawn)


def _unknown(
    reason: str, rules: Rules, aside: Mapping[str, int] | None = None, *, running: int = 0, ended: int = 0
) -> Contracts:
    table = pd.DataFrame(columns=_COLUMNS)
    row = {"age": 0, "day": 0.0, "customers": running + ended, "margin": math.nan, "low": math.nan, "high": math.nan,
           "level": rules.level, "reason": reason}  # fmt: skip
    curve = MarginCurve(pd.DataFrame([row]).astype({"reason": "str"}), np.zeros((0, 0)), reason)
    nothing = Contract(math.nan, math.nan, math.nan, rules.level, math.nan, MOST_MONTHS, reason)
    return Contracts(table, curve, nothing, UNKNOWN, UNKNOWN, running, ended, aside or {}, reason)
