"""Stage history out of snapshots: for systems that tell in which stage a record is, but not in which it was."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

SEEN, CHANGED, CREATED = "seen_at", "changed_at", "created_at"
RECORD, STAGE, ENTERED, LEFT = "record_id", "stage", "entered_at", "left_at"
AFTER, KNOWN = "entered_after", "known"
COLUMNS = [RECORD, STAGE, ENTERED, LEFT, AFTER, KNOWN]
TAKING = pd.Timedelta(days=1)
"""A snapshot is dated by its beginning; what changed while it was taken may be in it."""
TOLD, BETWEEN, FIRST_SIGHT = "told", "between", "first_sight"


def stage_history(versions: pd.DataFrame) -> pd.DataFrame:
    """Return the stays in stages that follow from dated snapshots of the same records.

    A snapshot may hold all records or only those that changed since the one before: a record that is not in it
    stayed as it was. A stage that was entered and left between two snapshots is not seen, and not made up.

    Parameters
    ----------
    versions : one row for each record in each snapshot: `record_id`, `stage`, `seen_at` (when the snapshot was
        taken); where the system tells them, `changed_at` (when the stage was entered) and `created_at`. Times are
        aware (UTC). Rows without record or stage are passed over.

    Returns
    -------
    Rows by record and time: `record_id`, `stage`, `entered_at`, `left_at` (missing: still there), and how sure the
    entry is. `known` is ``told`` (by the system: exact), ``between`` (it lies after `entered_after` and not after
    `entered_at`, which is when it was first seen) or ``first_sight`` (the record was there before the first
    snapshot: `entered_at` is only when it was first seen).
    """
    rows = _typed(versions)
    if rows.empty:
        return rows.assign(**dict.fromkeys(COLUMNS)).astype(_KINDS)[COLUMNS]
    taken = np.sort(rows[SEEN].unique())
    before = np.searchsorted(taken, rows[SEEN].to_numpy())
    rows["previous"] = pd.Series(taken).shift().reindex(before).set_axis(rows.index)
    told = rows[CHANGED].where(rows[CHANGED] <= rows[SEEN] + TAKING)
    same = rows[RECORD].eq(rows[RECORD].shift())
    moved = told.notna() & told.gt(told.groupby(rows[RECORD]).ffill().groupby(rows[RECORD]).shift())
    entries = rows[~same | rows[STAGE].ne(rows[STAGE].shift()) | moved].copy()
    entries["told"] = told
    first = ~entries[RECORD].duplicated()
    # A stage cannot be entered before the stage before it.
    earlier = entries["told"].groupby(entries[RECORD]).cummax().groupby(entries[RECORD]).shift()
    exact = entries["told"].notna() & ~(entries["told"] < earlier)
    entries[ENTERED] = entries["told"].where(exact, entries[SEEN])
    created = entries[CREATED].where(entries[CREATED] <= entries[SEEN])
    after = entries["previous"].where(~first, created.where(created > entries["previous"]))
    entries[AFTER] = after.mask(exact)
    entries[KNOWN] = np.select([exact, after.notna()], [TOLD, BETWEEN], FIRST_SIGHT)
    entries[ENTERED] = entries.groupby(RECORD)[ENTERED].cummax()
    entries[LEFT] = entries.groupby(RECORD)[ENTERED].shift(-1)
    return entries[COLUMNS].astype(_KINDS).reset_index(drop=True)


_TIME: Literal["datetime64[us, UTC]"] = "datetime64[us, UTC]"
_KINDS = {RECORD: "str", STAGE: "str", ENTERED: _TIME, LEFT: _TIME, AFTER: _TIME, KNOWN: "str"}


def _typed(versions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that can be used, by record and time, with all columns."""
    rows = versions.dropna(subset=[RECORD, STAGE, SEEN]).reset_index(drop=True)
    for name in (SEEN, CHANGED, CREATED):
        rows[name] = (
            pd.to_datetime(rows[name], utc=True).astype(_TIME) if name in rows else pd.Series(pd.NaT, dtype=_TIME)
        )
    rows = rows.astype({RECORD: "str", STAGE: "str"})
    return rows.sort_values([RECORD, SEEN, CHANGED], kind="stable").reset_index(drop=True)
