"""Members of JSON objects in whole columns: texts are put together, and only what collides is taken apart."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def merged(own: pd.Series[Any], further: Mapping[str, pd.Series[Any]]) -> pd.Series[Any]:
    """Return the objects with further members, those without a value left out; missing where there is no member.

    Parameters
    ----------
    own : JSON objects as texts; missing ones have no members.
    further : for each member its texts, missing allowed; where an object has a member of this name, it is replaced.
    """
    held = own.fillna("{}")
    more = _joined([_member(name, column) for name, column in further.items()], own.index)
    plain = held.str.startswith("{") & held.str.endswith("}") & ~_names(held, further)
    empty, none = held == "{}", more == ""
    both = held.str.slice(0, -1) + ", " + more + "}"
    found = both.mask(empty, "{" + more + "}").mask(none, held).mask(empty & none)
    for place in np.flatnonzero(~plain.to_numpy(dtype=bool) & ~none.to_numpy(dtype=bool)).tolist():
        values = {name: column.iloc[place] for name, column in further.items() if not pd.isna(column.iloc[place])}
        found.iloc[place] = json.dumps({**json.loads(held.iloc[place]), **values}, ensure_ascii=False)
    return found


def without(objects: pd.Series[Any], names: Collection[str]) -> pd.Series[Any]:
    """Return the objects without the members of these names in any case of letters; missing where none is left.

    What is no object is missing too.

    Parameters
    ----------
    objects : JSON as texts, missing allowed.
    """
    plain = objects.str.startswith("{") & objects.str.endswith("}")
    asked = objects.notna() & (~plain.fillna(value=False) | _names(objects.fillna(""), names))
    rare = {text: _without(text, names) for text in objects[asked].unique()}
    found = objects.mask(objects == "{}")
    found[asked] = objects[asked].map(rare).astype("str")
    return found


def _without(text: str, names: Collection[str]) -> str | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    members = {name: value for name, value in found.items() if name.lower() not in names}
    return json.dumps(members, ensure_ascii=False) if members else None


def _names(objects: pd.Series[Any], names: Collection[str]) -> pd.Series[Any]:
    """Tell which texts may hold a member of one of these names: as it is, or written with escapes."""
    words = "|".join(re.escape(name) for name in names if name.isascii())
    odd = r"\\" if all(name.isascii() for name in names) else r"\\|[^\x00-\x7f]"
    pattern = rf'(?i)"(?:{words})"\s*:|{odd}' if words else odd
    texts = _texts(objects)
    return pd.Series(pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False), index=objects.index)


def _texts(column: pd.Series[Any]) -> pa.Array:
    """Return a column of texts in one piece; pandas gives some of them in several."""
    found = pa.array(column, pa.string())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _joined(parts: Sequence[pa.Array], index: pd.Index[Any]) -> pd.Series[Any]:
    """Return what there is in each row, by commas; rows without anything are joined apart: pyarrow drops them."""
    found = pd.Series("", index=index, dtype="str")
    there = np.logical_or.reduce([part.is_valid().to_numpy(zero_copy_only=False) for part in parts])
    joined = pc.binary_join_element_wise(*(part.filter(pa.array(there)) for part in parts), ", ", null_handling="skip")
    found[there] = joined.to_pandas().to_numpy()
    return found


def _member(name: str, column: pd.Series[Any]) -> pa.Array:
    """Return ``"name": "text"`` for each text; missing where it is."""
    coded = pc.dictionary_encode(_texts(column))
    known = [f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(t, ensure_ascii=False)}"
             for t in coded.dictionary.to_pylist()]  # fmt: skip
    return pa.array(known, pa.string()).take(coded.indices)
