"""Which group a unit belongs to: the workbook's splits, applied to units.

Every split puts every unit in exactly one group, so the counts of its groups add up to the total.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.conditions import columns, lookup, meets, plain, told
from funnel_lib.config import Did, Group, Split, Workbook
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.schema import EVENT, PROPERTIES, TS, USER_ID

OTHER, UNKNOWN = "other", "unknown"
UNIT, FIRST_ENTRY = "unit", "first_entry"
_Events = Path | pd.DataFrame


def assign(units: pd.DataFrame, split: Split, *, events: _Events | None = None) -> pd.Series[str]:
    """Return the group of each unit; every unit is in exactly one.

    With `by`: the value as text; a missing or empty one is `unknown`, those beyond the `top` largest (ties by
    name) are `other`. With `groups`: the first group, in the workbook's order, whose conditions all hold;
    otherwise `unknown` where everything that the rules ask for is missing, else `other`.

    Parameters
    ----------
    units : one row per unit, with the columns that the split names; for `did` also `unit` and `first_entry`.
    split : the split, as in a workbook.
    events : the canonical events, needed only where a group asks what units `did`.

    Raises
    ------
    DataError : a column that the split names is not there, or `did` is asked and there are no events.
    """
    if split.by is not None:
        return _by_value(_column(units, split.by), split.top)
    names = [*split.groups, OTHER, UNKNOWN]
    codes = np.full(len(units), len(names) - 2)
    free, known = np.ones(len(units), dtype=bool), np.zeros(len(units), dtype=bool)
    for place, group in enumerate(split.groups.values()):
        held, seen = _judge(units, group, events)
        codes[free & held] = place
        free &= ~held
        known |= seen
    codes[free & ~known] = len(names) - 1
    return _named(names, codes, units.index)


def behaviour(events: _Events, units: pd.DataFrame, did: Did, *, unit: str = USER_ID) -> pd.Series[int]:
    """Return how many matching events each unit had from its beginning until `first_entry + did.within`.

    The end counts. Because it is measured from each unit's own entry, all units have had the same exposure.

    Parameters
    ----------
    events : the canonical events (Parquet, or a frame): `unit`, `event`, `ts` and what `did.where` names.
    units : `unit`, `first_entry` (UTC); a unit may appear more than once, with different entries.
    did : which events count, and until when.
    unit : the events' column that names the unit.

    Returns
    -------
    Counts (Int64, 0 where there was no such event), missing where `first_entry` is.
    """
    until = pd.to_datetime(units[FIRST_ENTRY], utc=True).dt.as_unit("us") + did.within
    limits = pd.DataFrame({"row": np.arange(len(units)), "unit": units[UNIT].astype("str").to_numpy()})
    limits["until"] = until.to_numpy(dtype="datetime64[us]").astype("int64")
    found = _matching(events, limits[until.notna().to_numpy()], did, unit)
    held = found["row"].to_numpy(dtype="int64")[meets(found, did.where)]
    counts = pd.Series(np.bincount(held, minlength=len(units)), index=units.index, dtype="Int64")
    return counts.mask(until.isna())


def attach(units: pd.DataFrame, scope_users: pd.DataFrame, workbook: Workbook, events: Path | None) -> pd.DataFrame:
    """Return `units` with the attributes of their users and one column per split, named as the split.

    Attributes are joined where `unit` is a `user_id`; a column that `units` already has wins. One that a
    source of the workbook maps but that was not collected (an optional source) is missing for everybody. All
    splits are worked out before any is attached; a split replaces an attribute of the same name.

    Parameters
    ----------
    units : `unit`, `first_entry` and any further columns, such as those of journeys.
    scope_users : the canonical users.
    workbook : its `segments` are attached.
    events : the canonical events (Parquet), needed only where a group asks what units `did`.

    Raises
    ------
    ConfigError : a split is called like a column that describes the journey itself.
    DataError : a column that a split names is not there.
    """
    taken = next((name for name in workbook.segments if _describes_journey(name)), None)
    if taken is not None:
        raise ConfigError(
            "A split cannot be called like a column of the journeys.", where=f"segments.{taken}", found=taken,
            allowed="any other name", do="Rename the split.",
        )  # fmt: skip
    more = scope_users[[name for name in scope_users if name != USER_ID and name not in units]]
    more = more.set_axis(range(len(more))).reindex(places(units[UNIT], scope_users[USER_ID]))
    known = pd.concat([units, more.set_axis(units.index)], axis=1)
    mapped = {name for source in workbook.sources.values() for name in (*source.columns, *source.constants)}
    known = known.assign(**dict.fromkeys(_asked(workbook) & mapped - {*known.columns}, None))
    groups = {name: assign(known, split, events=events) for name, split in workbook.segments.items()}
    return known.assign(**groups)


def places(units: pd.Series[Any], users: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """Return the (first) row of each unit among the users, -1 where there is none."""
    wanted, held = (pa.array(part.astype("str"), type=pa.large_string()) for part in (units, users))
    if len(wanted) * 2 > len(held) or len(pc.unique(wanted)) < len(wanted):
        return _looked_up(wanted, held)
    found = _looked_up(held, wanted)  # few units among many users: the smaller list is put into the hash table
    rows, there = np.full(len(wanted), -1), np.flatnonzero(found >= 0)[::-1]
    rows[found[there]] = there
    return rows


def _looked_up(wanted: pa.Array, held: pa.Array) -> npt.NDArray[np.int64]:
    """Return the first place of each text in a list of texts, -1 where it is not in it."""
    found = pc.fill_null(pc.index_in(wanted, value_set=held), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


def _asked(workbook: Workbook) -> set[str]:
    """Return the columns that the workbook's splits ask for."""
    splits = workbook.segments.values()
    by = {split.by for split in splits if split.by is not None}
    return by | columns(group.where for split in splits for group in split.groups.values())


def members(units: pd.DataFrame, split: Split, *, events: _Events | None = None) -> pd.DataFrame:
    """Return the groups of a split with their number of units and share of all.

    Rules' groups come in the workbook's order, also empty ones; values come largest first; then `other` and
    `unknown`, where any unit is in them.

    Returns
    -------
    Frame `group, units, share` (share of all units; NaN where there are none).
    """
    counts = assign(units, split, events=events).value_counts()
    rest = [name for name in (OTHER, UNKNOWN) if name in counts.index]
    named = list(split.groups) or _largest_first(counts.drop(rest))
    table = pd.DataFrame({"group": pd.Series([*named, *rest], dtype="str")})
    table["units"] = counts.reindex(table["group"], fill_value=0).to_numpy(dtype="int64")
    return table.assign(share=table["units"] / len(units) if len(units) else np.nan)


def _by_value(values: pd.Series[Any], top: int) -> pd.Series[str]:
    codes, distinct = pd.factorize(values)
    names = [UNKNOWN if not (text := plain(value)).strip() else text for value in distinct]
    sizes = pd.Series(np.bincount(codes[codes >= 0], minlength=len(names)), index=pd.Index(names, dtype="str"))
    counts = sizes.groupby(level=0).sum().drop([OTHER, UNKNOWN], errors="ignore")
    shown = {*_largest_first(counts)[:top], UNKNOWN}
    return _named([*(name if name in shown else OTHER for name in names), UNKNOWN], codes, values.index)


def _named(names: list[str], codes: npt.NDArray[np.int64], index: pd.Index[Any]) -> pd.Series[str]:
    """Return the name of each code; -1 is the last one's."""
    return pd.Series(pd.array(names, dtype="str").take(codes % len(names)), index=index)


def _largest_first(counts: pd.Series[int]) -> list[str]:
    return [str(name) for name in sorted(counts.index, key=lambda name: (-counts[name], name))]


def _judge(
    units: pd.DataFrame, group: Group, events: _Events | None
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return for each unit whether all of the group's conditions hold, and whether any value was there."""
    asked = {name: _column(units, name) for name in columns([group.where])}
    held = meets(units, group.where)
    known = np.zeros(len(units), dtype=bool)
    for values in asked.values():
        known |= told(values, lambda value: str(value).strip() != "")
    for did in group.did:
        if events is None:
            raise DataError(
                "A group asks what its units did, but there are no events to look at.", found="did",
                allowed="where, on columns of the units", do="Collect events, or divide by attributes.",
            )  # fmt: skip
        counts = behaviour(events, units, did)
        held &= meets(counts.to_frame("count"), {"count": did.count})
        known |= counts.notna().to_numpy(dtype=bool)
    return held, known


def _matching(events: _Events, limits: pd.DataFrame, did: Did, unit: str) -> pd.DataFrame:
    """Return one row per counted event: the `row` of its unit and what `did.where` looks at."""
    with duckdb.connect() as connection:
        connection.register("limits", limits)
        log = connection.read_parquet(str(events)) if isinstance(events, Path) else connection.from_df(events)
        wanted = columns([did.where])
        if wanted - {*log.columns}:
            wanted |= {PROPERTIES}
        names = [name for name in log.columns if name in wanted]
        kept = "".join(f', log."{name}"' for name in names)
        named = [did.event] if isinstance(did.event, str) else did.event
        query = (
            f'SELECT limits."row"{kept} FROM log JOIN limits ON CAST(log."{unit}" AS VARCHAR) = limits.unit '  # noqa: S608
            f"WHERE epoch_us(log.{TS}) <= limits.until "
            f"AND ($names IS NULL OR list_contains($names, log.{EVENT}))"
        )
        log.create_view("log")
        found: pd.DataFrame = connection.sql(query, params={"names": named}).to_arrow_table().to_pandas()
    return found


def _column(units: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name in units or PROPERTIES in units:
        return lookup(units, name)
    raise DataError(
        f"There is no column {name!r} to divide units by.", found=name,
        allowed=choices(map(str, units.columns), name), do="Correct the split, or collect this attribute.",
    )  # fmt: skip


def _describes_journey(name: str) -> bool:
    own = (
        UNIT, "session", "entry", "depth", "mature_depth", "first_depth", FIRST_ENTRY, "last_entry", "matured",
        "reached", "mature_reached", "passed", "mature_passed",
    )  # fmt: skip
    return name in own or (name.startswith("t_") and name[2:].isdigit())
