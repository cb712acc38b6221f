"""What a row tells of who is who: ids of other systems, addresses, numbers and click ids beside the row's own id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from funnel_lib.collection.batch import FILE
from funnel_lib.collection.files import Export
from funnel_lib.collection.keys import ANONYMOUS, CLICKS, EMAIL, HASHED, LOGIN, PHONE, hashed
from funnel_lib.schema import FIRST_SEEN, SOURCE, TABLES, USER_ID

Keys = Mapping[str, "list[pd.Series[Any]]"]
_STAND_IN = (EMAIL, PHONE)
"""Kinds that name a person where a row has no other id, after those that the workbook lists."""


def names(export: Export) -> set[str]:
    """Return the columns that tell ids beside `user_id`, in any table of people."""
    return {*HASHED, *CLICKS, *_own_kinds(export)}


def keys(rows: pd.DataFrame, export: Export) -> Keys:
    """Return for each kind of id the columns of ids that the text columns hold, hashed where that must be.

    An id of a kind that the workbook lists, or a click id, is written as ``kind:id``, so that equal ids of
    different kinds stay apart.
    """
    rules = export.workbook.identity
    found: dict[str, list[pd.Series[Any]]] = {}
    for name in _own_kinds(export):
        if name in rows:
            found.setdefault(name, []).append(f"{name}:" + _filled(rows[name], export.source.missing))
    for name, kind in HASHED.items():
        if name in rows:
            ids = hashed(rows[name].astype("str"), name, country=rules.country, roles=frozenset(rules.roles))
            found.setdefault(kind, []).append(ids)
    for name in CLICKS:
        if name in rows:
            found.setdefault(name, []).append(f"{name}:" + _filled(rows[name], export.source.missing))
    return found


def owned(rows: pd.DataFrame, table: str, found: Keys, export: Export) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Return the rows with a `user_id` wherever one of their ids can stand for it, and of what kind each id is."""
    nobody = pd.Series(None, index=rows.index, dtype="str")
    if USER_ID not in TABLES[table].columns or (not found and USER_ID not in rows):
        return rows, nobody
    own = _filled(rows[USER_ID], export.source.missing) if USER_ID in rows else nobody
    owner = pd.Series(LOGIN, index=rows.index, dtype="str").where(own.notna())
    for kind in (*_own_kinds(export), *_STAND_IN):
        for ids in found.get(kind, ()):
            new = own.isna() & ids.notna()
            own, owner = own.mask(new, ids), owner.mask(new, kind)
    return (rows.assign(**{USER_ID: own}) if found else rows), owner


def links(kept: pd.DataFrame, found: Keys, owner: pd.Series[Any], at: str | None, export: Export) -> pd.DataFrame:
    """Return the links (user_id, value, kind, holder, first_seen, source, FILE) of rows that were kept, each once.

    Parameters
    ----------
    found : ids of the same rows.
    owner : the kind of each row's `user_id`.
    at : the column that tells when; None where the table has none.
    """
    never = pd.Series(pd.NaT, index=kept.index, dtype="datetime64[us, UTC]")
    seen = kept[at] if at is not None and at in kept else never
    parts = [
        pd.DataFrame({
            USER_ID: kept[USER_ID], "value": ids.to_numpy(), "kind": kind, "holder": owner.to_numpy(),
            FIRST_SEEN: seen.astype("datetime64[us, UTC]"), SOURCE: export.name, FILE: kept[FILE],
        })
        for kind, columns in found.items()
        for ids in columns
    ]  # fmt: skip
    if not parts or USER_ID not in kept:
        return pd.DataFrame()
    both = pd.concat(parts, ignore_index=True)
    both = both[both[USER_ID].notna() & both["value"].notna() & (both[USER_ID] != both["value"])]
    each = [USER_ID, "value", "kind", "holder", SOURCE, FILE]
    first = both.groupby(each, sort=True)[FIRST_SEEN].min().reset_index()
    return first.astype(dict.fromkeys(each, "str"))


def _own_kinds(export: Export) -> list[str]:
    return [kind for kind in export.workbook.identity.join if kind not in (ANONYMOUS, EMAIL, PHONE, LOGIN, *CLICKS)]


def _filled(text: pd.Series[Any], missing: Sequence[str]) -> pd.Series[Any]:
    """Return the texts trimmed, those that mean “no value” missing."""
    trimmed: pd.Series[Any] = text.astype("str").str.strip()
    return trimmed.mask(trimmed.isin(["", *(word.strip() for word in missing)]))
