"""Attributes as the columns of a model: values pooled where they are rare, set apart where they say everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.conditions import plain
from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import OTHER, UNKNOWN
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.reasons.spans import kinds

SEPARATED, COLLINEAR, ONE_GROUP = "separated", "collinear", "one_group"
MOST_EXPLAINED = 0.9
_MOST_NUMBERS = 6
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]


class Values(NamedTuple):
    """An attribute: each unit's place among its values, which are texts in order."""

    codes: Codes
    names: list[str]


@dataclass(frozen=True)
class Design:
    """The columns of a model: one per value beside its attribute's reference.

    Units that are alike in all attributes and in their outcome are of one kind: many units cost no more than few.
    `columns` has one row for each kind of units in the model, `converted` says whether these did. `kept` are the units
    in the model, and `kind` gives for each of them its row. `blocks` gives for each column those of its attribute.
    `rows` has one row per value: `attribute, value, reference, units, converted, rate, column, reason`; `column` is -1
    where the value has none, and then there is a `reason`.
    """

    columns: npt.NDArray[np.float64]
    converted: Bools
    kept: Bools
    kind: Codes
    blocks: Sequence[slice]
    rows: pd.DataFrame


@dataclass(frozen=True)
class _Kinds:
    """Kinds of units: their values, how many there are of each, and whether they converted."""

    told: dict[str, Values]
    units: Floats
    converted: Bools

    def counts(self, name: str, chosen: Bools) -> Floats:
        """Return how many units of the chosen kinds have each value of an attribute."""
        codes, names = self.told[name]
        return np.bincount(codes[chosen], self.units[chosen], minlength=len(names)).astype(np.float64)


def design(people: pd.DataFrame, attributes: Sequence[str], converted: Bools, rules: Rules) -> Design:
    """Return the attributes as columns of a model of who converted.

    A value of fewer than `min_units` units becomes `other`. A value whose units all convert, or all do not
    (`separated`), or of which fewer than twice `min_events` do or do not (`too_few`; half of the units are to be enough
    to check it), has no finite or no useful estimate: its units leave the model. An attribute that is told nearly (R²
    above 0.9) by those before it is `collinear`.
    """
    values = {name: coded(people[name], rules.min_units) for name in attributes}
    kind, first = kinds([*(one.codes for one in values.values()), converted.astype(np.int8)], len(people))
    found = _Kinds(
        {name: Values(one.codes[first], one.names) for name, one in values.items()},
        np.bincount(kind, minlength=len(first)).astype(np.float64), converted[first],
    )  # fmt: skip
    left, reasons = _usable(found, rules)
    parts: list[Floats] = []
    blocks: list[slice] = []
    rows: list[dict[str, Any]] = []
    for name, (codes, names) in found.told.items():
        present = found.counts(name, left)
        order = sorted(np.flatnonzero(present).tolist(), key=lambda code: (-present[code], names[code]))
        block = (codes[left, None] == np.array(order[1:], dtype=codes.dtype)).astype(np.float64)
        reason = ONE_GROUP if len(order) < 2 else COLLINEAR if _explained(block, parts, found.units[left]) else ""
        start = len(blocks)
        for code, value in enumerate(names):
            if order and code == order[0] and len(names) > 1:
                continue
            column = start + order.index(code) - 1 if not reason and code in order else -1
            otherwise = reasons.get((name, code), reason if code in order or reason == COLLINEAR else TOO_FEW)
            told = {"attribute": name, "value": value, "reference": names[order[0]] if order else ""}
            rows.append(told | _row(found, name, code) | {"column": column, "reason": "" if column >= 0 else otherwise})
        if not reason:
            parts.append(block)
            blocks += [slice(start, start + block.shape[1])] * block.shape[1]
    titles = ["attribute", "value", "reference", "units", "converted", "rate", "column", "reason"]
    columns = np.column_stack(parts) if parts else np.zeros((int(left.sum()), 0))
    kept = left[kind]
    return Design(
        columns, found.converted[left], kept, (np.cumsum(left) - 1)[kind[kept]], blocks,
        pd.DataFrame(rows, columns=titles).astype({"reason": "str"}),
    )  # fmt: skip


def _row(found: _Kinds, name: str, code: int) -> dict[str, Any]:
    own = found.told[name].codes == code
    units, bought = int(found.units[own].sum()), int(found.units[own & found.converted].sum())
    return {"units": units, "converted": bought, "rate": bought / units if units else np.nan}


def coded(values: pd.Series[Any], least: int) -> Values:
    """Return values as texts: numbers of many kinds in thirds, missing ones `unknown`, rare ones `other`."""
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if is_number and values.nunique() > _MOST_NUMBERS:
        values = pd.qcut(values, 3, duplicates="drop", precision=0)
    codes, distinct = _factorized(values)
    codes = np.where(codes < 0, len(distinct), codes)
    texts = np.array([*(plain(value) or UNKNOWN for value in distinct), UNKNOWN], dtype=object)
    counts = pd.Series(np.bincount(codes, minlength=len(texts))).groupby(texts).sum()
    kept = {name: str(name) if count >= least else OTHER for name, count in counts.items() if count}
    names = sorted({*kept.values()})
    place = {name: names.index(title) for name, title in kept.items()}
    return Values(np.array([place.get(text, 0) for text in texts], dtype=np.int32)[codes], names)


def _factorized(values: pd.Series[Any]) -> tuple[Codes, Sequence[Any]]:
    """Return each value's place among all, -1 where it is missing, and these; some may not occur."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.codes.to_numpy(), list(values.cat.categories)
    if values.dtype == bool:
        return values.to_numpy().astype(np.int8), [False, True]
    codes, distinct = pd.factorize(values)
    return codes, list(distinct)


def _usable(found: _Kinds, rules: Rules) -> tuple[Bools, dict[tuple[str, int], str]]:
    """Return which kinds of units can be in a model, and why those with some values cannot.

    Leaving out units can make another value useless, so it goes on until nothing changes.
    """
    left, reasons = np.ones(len(found.units), dtype=bool), dict[tuple[str, int], str]()
    least, changed = max(2 * rules.min_events, 1), True
    while changed:
        changed = False
        for name, (codes, _) in found.told.items():
            every, bought = found.counts(name, left), found.counts(name, left & found.converted)
            if np.count_nonzero(every) < 2:
                continue
            for code in np.flatnonzero(every):
                rarer, enough = min(bought[code], every[code] - bought[code]), every[code] >= rules.min_units
                if rarer >= least and enough:
                    continue
                reasons[name, int(code)] = SEPARATED if rarer == 0 and enough else TOO_FEW
                left &= codes != code
                changed = True
    return left, reasons


def _explained(block: Floats, before: Sequence[Floats], units: Floats) -> bool:
    """Return whether some column of the block is told nearly by those before it; each row stands for some units."""
    if not before or not block.shape[1]:
        return False
    x = np.column_stack([np.ones(len(block)), *before])
    weighted = x.T * units
    shared = weighted @ block  # sums of products: small, however many units there are
    told = np.einsum("ij,ij->j", shared, np.linalg.pinv(weighted @ x) @ shared)
    squares = units @ block  # of zeros and ones
    spread = squares - squares**2 / units.sum()
    return bool((squares - told < (1 - MOST_EXPLAINED) * spread).any())
