"""Is the data good enough? Checks on what was collected, a grade, and what the data covers."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

import duckdb
import pandas as pd

from funnel_lib.collection.batch import NO_FAULT
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.schema import AMOUNT, CURRENCY, EVENT, SOURCE, TableName

_NEVER = float("inf")
_LIMITS: dict[str, tuple[float, float, float]] = {
    "quarantined_share": (0.02, 0.05, _NEVER),
    "duplicates_share": (0.02, 0.10, _NEVER),
    "late_share": (0.01, 0.05, _NEVER),
    "future_rows": (0, 100, _NEVER),
    "test_and_bot_share": (0.10, 0.50, _NEVER),
    "days_without_data": (0, 2, _NEVER),
    "oversize_identities": (0, 10, _NEVER),
    "other_currency_share": (0, 0.01, _NEVER),
    "sources_gone_quiet": (0, _NEVER, _NEVER),
}
"""Up to which value a check passes, is a minor, and is a major fault; beyond that it is fatal."""
_BUSY = 20
"""A day without rows means something only where a source has this many rows on a usual day of this weekday."""
_QUIET = timedelta(days=7)
_LEAST_JOINED, _FAR_TOO_FEW = 0.9, 0.5
_INSTANT = "datetime64[us, UTC]"
_REACH = """
SELECT event, count(*) AS rows, count(DISTINCT user_id) AS people, min(ts) AS first_ts, max(ts) AS last_ts
FROM read_parquet(?) GROUP BY event ORDER BY people DESC, rows DESC, event
"""


def checks(store: Store, workbook: Workbook) -> pd.DataFrame:
    """Return what was checked: `check, found, allowed, passed, severity`.

    `severity` is how bad the value found is (minor, major, fatal), and the least of them where the check passed.
    Shares are fractions. `quarantined_share` leaves out bots, test accounts and empty rows, which are set aside
    as intended; a file with more than `Cleaning.worst_share` of them is never published. Checks that a workbook's
    sources cannot answer are left out.

    Raises
    ------
    DataError : nothing was collected yet.
    """
    tally, facts = store.tally(), store.facts()
    read = max(int(tally.loc[tally["outcome"] == "read", "rows"].sum()), 1)
    kept = int(tally.loc[tally["outcome"] == "kept", "rows"].sum())
    aside = tally[tally["outcome"] == "quarantined"].groupby("rule")["rows"].sum()
    merged = tally[tally["outcome"] == "merged"].groupby("rule")["rows"].sum()
    late = sum(remark["rows"] for remark in facts["remarks"] if remark["rule"] == "late")
    found: dict[str, float] = {
        "quarantined_share": aside.drop([*NO_FAULT], errors="ignore").sum() / read,
        "duplicates_share": merged[merged.index.str.startswith("duplicate")].sum() / read,
        "late_share": late / read,
        "future_rows": aside.get("future", 0),
        "test_and_bot_share": aside.reindex(["bot", "test_account"]).sum() / read,
        "days_without_data": _days_without(coverage(store, workbook)),
        "oversize_identities": facts["people"]["oversize"],
        "other_currency_share": _other_currency(store, workbook),
        "sources_gone_quiet": _gone_quiet(facts["newest"]),
    }
    rows = [(name, float(value), _LIMITS[name][0], *_judge(value, _LIMITS[name])) for name, value in found.items()]
    rows.append(("rows_kept", kept, 1, kept > 0, "fatal"))
    if facts["people"]["registered"]:
        joined = facts["people"]["with_record"] / facts["people"]["registered"]
        severity = "minor" if joined >= _FAR_TOO_FEW else "major"
        rows.append(("join_rate", joined, _LEAST_JOINED, joined >= _LEAST_JOINED, severity))
    return pd.DataFrame(rows, columns=["check", "found", "allowed", "passed", "severity"])


def grade(checks: pd.DataFrame) -> Literal["A", "B", "C", "fail"]:
    """Return the grade of the data: fail with a fatal fault, C with a major one, B with a minor one, else A.

    Parameters
    ----------
    checks : columns `passed` and `severity`.
    """
    failed = set(checks.loc[~checks["passed"].astype(bool), "severity"])
    return "fail" if "fatal" in failed else "C" if "major" in failed else "B" if "minor" in failed else "A"


def event_reach(store: Store) -> pd.DataFrame:
    """Return every event's `rows` and `people` and its `first_ts` and `last_ts` (UTC), the widest reach first.

    Raises
    ------
    DataError : nothing was collected yet.
    """
    kinds = {EVENT: "str", "rows": "int64", "people": "int64", "first_ts": _INSTANT, "last_ts": _INSTANT}
    if not len(store.read("events", [EVENT])):
        return pd.DataFrame(columns=list(kinds)).astype(kinds)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        reach = connection.sql(_REACH, params=[str(store.path("events"))])
        found: pd.DataFrame = reach.to_arrow_table().to_pandas()
    return found.astype(kinds)


def coverage(store: Store, workbook: Workbook) -> pd.DataFrame:
    """Return how many rows each `source` has on each `day` (naive, business zone), days without rows included.

    Sources come in the workbook's order; the days of each reach from its first to the newest of all.

    Raises
    ------
    DataError : nothing was collected yet.
    """
    found = store.coverage()
    if found.empty:
        return found
    parts = []
    for source in workbook.sources:
        rows = found[found[SOURCE] == source]
        if rows.empty:
            continue
        days = pd.date_range(rows["day"].min(), found["day"].max(), unit="us")
        counts = rows.set_index("day")["rows"].reindex(days, fill_value=0)
        parts.append(pd.DataFrame({SOURCE: source, "day": days, "rows": counts.to_numpy()}))
    return pd.concat(parts, ignore_index=True).astype(found.dtypes.to_dict())


def _judge(value: float, limits: tuple[float, float, float]) -> tuple[bool, str]:
    minor, major, fatal = limits
    return value <= minor, "minor" if value <= major else "major" if value <= fatal else "fatal"


def _days_without(days: pd.DataFrame) -> int:
    """Count the days on which a source has no row though that weekday is usually busy."""
    if days.empty:
        return 0
    usual = days.groupby([SOURCE, days["day"].dt.day_of_week])["rows"].transform("median")
    return int(((days["rows"] == 0) & (usual >= _BUSY)).sum())


def _gone_quiet(newest: dict[str, str]) -> int:
    """Count the sources whose newest row is more than a week older than the newest of all."""
    last = [date.fromisoformat(day) for day in newest.values()]
    return sum(max(last) - day > _QUIET for day in last)


def _other_currency(store: Store, workbook: Workbook) -> float:
    """Return the share of amounts that are not in the workbook's currency: such amounts must not be added up."""
    priced: tuple[tuple[TableName, str], ...] = (("events", AMOUNT), ("spend", "cost"), ("deals", AMOUNT))
    tables = [store.read(name, [amount, CURRENCY]).dropna() for name, amount in priced]
    currencies: pd.Series[Any] = pd.concat([table[CURRENCY] for table in tables])
    return float((currencies != workbook.currency).mean()) if len(currencies) else 0.0
