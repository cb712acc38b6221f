"""Whether rows meet a `where` mapping: looked up in columns first, then in the JSON column `properties`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from funnel_lib.errors import DataError, choices
from funnel_lib.notation import Where
from funnel_lib.schema import PROPERTIES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


def meets(frame: pd.DataFrame, where: Where) -> npt.NDArray[np.bool_]:
    """Return for each row whether all conditions hold.

    A missing value is not equal to anything: `eq`, `in`, `contains` and the comparisons are false for it, `ne`
    and `not_in` are true, `is_null` tells it.

    Parameters
    ----------
    frame : any columns; names that are no column are looked up in `properties` (a JSON object per row).
    where : column -> {operator: value}, as in a workbook.

    Raises
    ------
    DataError : a name is neither a column nor can it be a property, or a value cannot be compared.
    """
    import numpy as np

    held = np.ones(len(frame), dtype=bool)
    for name, condition in where.items():
        values = lookup(frame, name)
        for operator, operand in condition.items():
            held &= _compare(values, operator, operand, name)
    return held


def lookup(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return the values of column `name`, or of the property `name` where there is no such column.

    Raises
    ------
    DataError : `frame` has neither the column nor properties.
    """
    import numpy as np
    import pandas as pd

    if name in frame:
        return frame[name]
    if PROPERTIES not in frame:
        raise DataError(
            f"There is no column {name!r} to check a condition on.", found=name,
            allowed=choices(map(str, frame.columns), name), do="Correct the name, or collect this column.",
        )  # fmt: skip
    texts = frame[PROPERTIES]
    if not isinstance(texts.dtype, pd.StringDtype):
        return pd.Series([_property(text, name) for text in texts], index=frame.index, dtype=object)
    codes, distinct = pd.factorize(texts)
    found: npt.NDArray[np.object_] = np.full(len(distinct) + 1, None, dtype=object)
    for place, text in enumerate(distinct):
        found[place] = _property(text, name)
    return pd.Series(found[codes], index=frame.index, dtype=object)


def told(values: pd.Series[Any], judge: Callable[[object], bool]) -> npt.NDArray[np.bool_]:
    """Return for each row what `judge` says of its value, asked once of equal ones; false where it is missing."""
    import numpy as np
    import pandas as pd

    missing = values.isna().to_numpy(dtype=bool)
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) != "string":
        # 1, 1.0 and True are equal, yet not written alike; lists cannot be told apart by a hash.
        return np.array([judge(value) for value in values], dtype=bool).reshape(len(values)) & ~missing
    codes, distinct = pd.factorize(values)
    return np.array([*map(judge, distinct), False], dtype=bool)[codes] & ~missing


def columns(wheres: Iterable[Where]) -> set[str]:
    """Return all names that the conditions look at.

    >>> sorted(columns([{"device": {"eq": "mobile"}}, {"amount": {"gt": 0}}]))
    ['amount', 'device']
    """
    return {name for where in wheres for name in where}


def _compare(values: pd.Series[Any], operator: str, operand: Any, name: str) -> npt.NDArray[np.bool_]:
    import numpy as np

    missing = values.isna().to_numpy(dtype=bool)
    if operator == "is_null":
        return missing if operand else ~missing
    if operator in ("in", "not_in"):
        wanted = {str(item) for item in (operand if isinstance(operand, list) else [operand])}
        inside = told(values, lambda value: plain(value) in wanted)
        return inside if operator == "in" else ~inside
    if operator == "contains":
        found = values.astype("str").str.contains(str(operand), regex=False, case=False).to_numpy(dtype=bool)
        return np.asarray(found & ~missing)
    if operator in ("eq", "ne"):
        same = told(values, lambda value: plain(value) == plain(operand))
        return same if operator == "eq" else ~same
    try:
        ordered, limit = _ordered(values, operand)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"The column {name!r} cannot be compared with {operator}.",
            found=f"{operand!r} against {str(error)[:80]}",
            allowed="numbers against a number, or times against a time", do="Use eq, in or contains for texts.",
        ) from error  # fmt: skip
    compared = {"gt": ordered.gt, "ge": ordered.ge, "lt": ordered.lt, "le": ordered.le}[operator](limit)
    return np.asarray(compared.fillna(False), dtype=bool) & ~missing


def _ordered(values: pd.Series[Any], operand: Any) -> tuple[pd.Series[Any], Any]:
    """Return the values and the operand as numbers, or as times where the operand is no number."""
    import pandas as pd

    try:
        limit = float(operand)
    except ValueError:
        if pd.api.types.is_numeric_dtype(values.dtype):
            raise TypeError("a column of numbers") from None
        time = pd.Timestamp(operand)
        times = pd.to_datetime(values, utc=True, format="ISO8601")
        return times, time.tz_localize("UTC") if time.tzinfo is None else time
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        raise TypeError("a column of times")
    return pd.to_numeric(values), limit


def _property(text: object, name: str) -> Any:
    if not isinstance(text, str) or not text:
        return None
    try:
        properties = json.loads(text)
    except ValueError as error:
        raise DataError(
            "The column properties does not hold JSON.", found=text[:80],
            allowed="a JSON object in each row, or nothing",
            do="Correct the export, or map this column to another name.",
        ) from error  # fmt: skip
    return properties.get(name) if isinstance(properties, dict) else None


def plain(value: object) -> str:
    """Write 1, 1.0 and "1" alike, and booleans as exports do."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
