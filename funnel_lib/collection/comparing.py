"""How a collection differs from the one before it: columns that came or went, and rows that came in late.

To collect the same files again is no new collection: what was told of them stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pandas as pd

from funnel_lib.collection import headings
from funnel_lib.collection.shelf import File
from funnel_lib.collection.stage import Stage, archive_of
from funnel_lib.collection.store import Facts, Store
from funnel_lib.collection.trends import drift
from funnel_lib.errors import DataError
from funnel_lib.schema import SOURCE

_MOST_DAYS = 50


def compared(
    stage: Stage, store: Store, state: str, *, files: Mapping[str, Sequence[File]], late_after: timedelta
) -> Facts:
    """Return what a collection that is about to be written has new, as `Store.facts` holds it.

    That is: `schema`, `schema_before`, `drift` and `collected` (of the tables' columns), `headings` and `changes` (of
    the files' own columns), `arrived` (rows that came in late).

    Parameters
    ----------
    store : holds the collection before, if there was one.
    state : what the tables follow from.
    files : source -> its files.
    late_after : see `arrived_late`.
    """
    last = _last(store)
    before = last.get("schema_before") if last.get("collected") == state else last.get("schema")
    now = stage.columns()
    known = {(one[SOURCE], one["file"], one["sha256"]) for one in last.get("inputs", [])}
    new = {(source, *file) for source, found in files.items() for file in found} - known
    held = {place: headings.sheets(found) for place, found in sorted(stage.headings.items())}
    if known and new:
        names = frozenset(file for source, file, _ in new)
        there = frozenset(
            file for found in stage.headings.values() for file in found if archive_of(file, names.__contains__) in names
        )
        changes = headings.changes(last.get("headings", {}), held, there)
        arrived = _arrived(store.coverage(), stage.coverage(), late_after)
    else:
        changes, arrived = last.get("changes", []), last.get("arrived", {"late": 0, "rows": 0, "days": []})
    return {
        "schema": now, "schema_before": before, "drift": drift(before, now), "collected": state,
        "headings": held, "changes": changes, "arrived": arrived,
    }  # fmt: skip


def arrived_late(before: pd.DataFrame, now: pd.DataFrame, *, after: timedelta) -> tuple[int, pd.DataFrame]:
    """Return what came in since the last collection for days that its source had already gone far beyond.

    The time of loading is that of the newest day that a source had when it was last collected; no clock is asked.

    Parameters
    ----------
    before, now : `source`, `day`, `rows` kept, in the collection before and in this one.
    after : a day that lies farther than this behind the newest one was thought to be complete.

    Returns
    -------
    All rows that came in for sources that were known, and the late ones by `source` and `day`: `rows`.
    """
    keys = [SOURCE, "day"]
    newest = before.groupby(SOURCE)["day"].max()
    both = now[now[SOURCE].isin(newest.index)].merge(before, on=keys, how="left", suffixes=("", "_before"))
    came = (both["rows"] - both["rows_before"].fillna(0)).clip(lower=0).astype("int64")
    latest = both[[SOURCE]].merge(newest.rename("latest").reset_index(), on=SOURCE, how="left")["latest"]
    late = (came > 0) & (both["day"] < latest - after)
    return int(came.sum()), both.assign(rows=came).loc[late, [*keys, "rows"]].reset_index(drop=True)


def _arrived(before: pd.DataFrame, now: pd.DataFrame, after: timedelta) -> Facts:
    rows, late = arrived_late(before, now, after=after)
    most = late.sort_values("rows", ascending=False, kind="stable").head(_MOST_DAYS)
    days = [
        {SOURCE: source, "day": f"{day:%Y-%m-%d}", "rows": count}
        for source, day, count in most.itertuples(index=False, name=None)
    ]
    return {"late": int(late["rows"].sum()), "rows": rows, "days": days}


def _last(store: Store) -> Facts:
    """Return the facts of the collection before; none where there was none."""
    try:
        return store.facts()
    except DataError:
        return {}
