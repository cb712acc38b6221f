"""Attributes as the columns of a model: values pooled where they are rare, set apart where they say everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.conditions import plain
from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import OTHER, UNKNOWN
from funnel_lib.conversion.rates import TOO_FEW

SEPARATED, COLLINEAR, ONE_GROUP = "separated", "collinear", "one_group"
MOST_EXPLAINED = 0.9
_MOST_NUMBERS = 6
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Design:
    """The columns of a model: one per value beside its attribute's reference.

    `rows` has one row per value: `attribute, value, reference, units, converted, rate, column, reason`; `column` is -1
    where the value has none, and then there is a `reason`. `blocks` gives for each column the columns of its attribute.
    `kept` are the units in the model, one row of `columns` each.
    """

    columns: npt.NDArray[np.float64]
    blocks: Sequence[slice]
    rows: pd.DataFrame
    kept: Bools


def design(people: pd.DataFrame, attributes: Sequence[str], converted: Bools, rules: Rules) -> Design:
    """Return the attributes as columns of a model of who converted.

    A value of fewer than `min_units` units becomes `other`. A value whose units all convert, or all do not
    (`separated`), or of which fewer than twice `min_events` do or do not (`too_few`; half of the units are to be enough
    to check it), has no finite or no useful estimate: its units leave the model. An attribute that is told nearly (R²
    above 0.9) by those before it is `collinear`.
    """
    texts = {name: _texts(people[name], rules.min_units) for name in attributes}
    kept, reasons = _usable(texts, converted, rules)
    parts: list[npt.NDArray[np.float64]] = []
    blocks: list[slice] = []
    rows: list[dict[str, Any]] = []
    for name, values in texts.items():
        present = values[kept].value_counts()
        order = sorted(present.index, key=lambda value: (-present[value], value))
        block = np.column_stack([values[kept] == value for value in order[1:]] or [np.zeros((int(kept.sum()), 0))])
        reason = ONE_GROUP if len(order) < 2 else COLLINEAR if _explained(block, parts) else ""
        reference = order[0] if order else ""
        start = len(blocks)
        all_values = values.value_counts().index.sort_values()
        for value in all_values:
            if value == reference and len(all_values) > 1:
                continue
            own = (values == value).to_numpy(dtype=bool)
            column = start + order.index(value) - 1 if not reason and value in order else -1
            left = value in order or reason == COLLINEAR
            why = "" if column >= 0 else reasons.get((name, str(value)), reason if left else TOO_FEW)
            rows.append(_row(name, str(value), reference, own, converted) | {"column": column, "reason": why})
        if not reason:
            parts.append(block.astype(np.float64))
            blocks += [slice(start, start + block.shape[1])] * block.shape[1]
    names = ["attribute", "value", "reference", "units", "converted", "rate", "column", "reason"]
    columns = np.column_stack(parts) if parts else np.zeros((int(kept.sum()), 0))
    return Design(columns, blocks, pd.DataFrame(rows, columns=names).astype({"reason": "str"}), kept)


def _row(name: str, value: str, reference: str, own: Bools, converted: Bools) -> dict[str, Any]:
    units, bought = int(own.sum()), int((own & converted).sum())
    rate = bought / units if units else np.nan
    return {
        "attribute": name, "value": value, "reference": reference, "units": units, "converted": bought, "rate": rate,
    }  # fmt: skip


def _texts(values: pd.Series[Any], least: int) -> pd.Series[str]:
    """Return the values as texts: numbers of many kinds in thirds, missing ones `unknown`, rare ones `other`."""
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if is_number and values.nunique() > _MOST_NUMBERS:
        values = pd.qcut(values, 3, duplicates="drop", precision=0)
    codes, distinct = pd.factorize(values)
    names = np.array([*(plain(value) for value in distinct), UNKNOWN], dtype=object)
    texts = pd.Series(np.where(names[codes] == "", UNKNOWN, names[codes]), dtype="str")
    counts = texts.value_counts()
    return texts.where(texts.map(counts) >= least, OTHER)


def _usable(
    texts: dict[str, pd.Series[str]], converted: Bools, rules: Rules
) -> tuple[Bools, dict[tuple[str, str], str]]:
    """Return which units can be in a model, and why those with some values cannot.

    Leaving out units can make another value useless, so it goes on until nothing changes.
    """
    kept, reasons = np.ones(len(converted), dtype=bool), dict[tuple[str, str], str]()
    least, changed = max(2 * rules.min_events, 1), True
    while changed:
        changed = False
        for name, values in texts.items():
            counts = pd.crosstab(values[kept], converted[kept]).reindex(columns=[False, True], fill_value=0)
            if len(counts) < 2:
                continue
            for value, (no, yes) in zip(counts.index, counts.to_numpy(), strict=True):
                if min(no, yes) >= least and no + yes >= rules.min_units:
                    continue
                reasons[name, str(value)] = SEPARATED if min(no, yes) == 0 and no + yes >= rules.min_units else TOO_FEW
                kept &= (values != value).to_numpy(dtype=bool)
                changed = True
    return kept, reasons


def _explained(block: npt.NDArray[Any], before: Sequence[npt.NDArray[np.float64]]) -> bool:
    """Return whether some column of the block is told nearly by those before it."""
    if not before or not block.shape[1]:
        return False
    x = np.column_stack([np.ones(len(block)), *before])
    y = block.astype(np.float64)
    shared = x.T @ y  # sums of products: small, however many units there are
    told = np.einsum("ij,ij->j", shared, np.linalg.pinv(x.T @ x) @ shared)
    squares = (y**2).sum(axis=0)
    left, spread = squares - told, squares - len(y) * y.mean(axis=0) ** 2
    return bool((left < (1 - MOST_EXPLAINED) * spread).any())
