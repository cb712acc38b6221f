"""Is the data good enough? Checks on what was collected, a grade, and what the data covers."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

import duckdb
import pandas as pd

from funnel_lib.collection import trends
from funnel_lib.collection.batch import NO_FAULT
from funnel_lib.collection.store import Facts, Store
from funnel_lib.config import Workbook
from funnel_lib.errors import ConfigError, choices
from funnel_lib.schema import AMOUNT, CURRENCY, EVENT, SOURCE, TableName

_NEVER = float("inf")
LIMITS: dict[str, tuple[float, float, float]] = {
    "quarantined_share": (0.02, 0.05, _NEVER),
    "duplicates_share": (0.02, 0.10, _NEVER),
    "late_share": (0.01, 0.05, _NEVER),
    "future_rows": (0, 100, _NEVER),
    "cut_off_files": (0, 0, _NEVER),
    "test_and_bot_share": (0.10, 0.50, _NEVER),
    "days_without_data": (0, 2, _NEVER),
    "volume_breaks": (0, 5, _NEVER),
    "emptied_columns": (0, 3, _NEVER),
    "changed_events": (0, 5, _NEVER),
    "unit_breaks": (0, 0, _NEVER),
    "schema_drift": (0, 5, _NEVER),
    "oversize_identities": (0, 10, _NEVER),
    "other_currency_share": (0, 0.01, _NEVER),
    "negative_amounts_share": (0.01, 0.05, _NEVER),
    "unclassified_share": (0.10, 0.30, _NEVER),
    "sources_gone_quiet": (0, _NEVER, _NEVER),
}
"""Up to which value a check passes, is a minor, and is a major fault; beyond that it is fatal."""
LEAST: dict[str, tuple[float, float, float]] = {"rows_kept": (1, 1, 1), "join_rate": (0.9, 0.5, -_NEVER)}
"""The same for checks of the least that there must be."""
_REFUND = "refund|return|退款|退货|chargeback"
_MOST_NAMED = 5
_BUSY = 12
"""A day without rows means something only where a source has this many rows on a usual day of this weekday: by chance
alone (Poisson), such a day comes once in 450 years."""
_QUIET = timedelta(days=7)
_INSTANT = "datetime64[us, UTC]"
_FILE_DAY = r"(?<![0-9])(?P<year>20[0-9]{2})-?(?P<month>[01][0-9])-?(?P<date>[0-3][0-9])(?![0-9])"
_Found = tuple[float, list[str]]
"""The value that a check found, and where."""
_REACH = """
SELECT event, count(*) AS rows, count(DISTINCT user_id) AS people, min(ts) AS first_ts, max(ts) AS last_ts
FROM read_parquet(?) GROUP BY event ORDER BY people DESC, rows DESC, event
"""


def checks(store: Store, workbook: Workbook) -> pd.DataFrame:
    """Return what was checked: `check, found, allowed, passed, severity, places, waived`.

    `severity` is how bad the value found is (minor, major, fatal), and the least of them where the check passed.
    `places` names where to look; `waived` is the workbook's written reason for letting the check fail (empty: none).
    Shares are fractions. `quarantined_share` leaves out bots, test accounts and empty rows, which are set aside
    as intended; a file with more than `Cleaning.worst_share` of them is never published. Checks that a workbook's
    sources cannot answer are left out.

    Raises
    ------
    ConfigError : the workbook sets a limit of a check that there is not, or waives it.
    DataError : nothing was collected yet.
    """
    _known(workbook)
    facts = store.facts()
    found = {**_of_rows(store, facts), **_of_money(store, workbook), **_over_time(store, workbook, facts)}
    found["oversize_identities"] = (facts["people"]["oversize"], _refused(facts))
    if "channels" in facts:
        found["unclassified_share"] = _unclassified(facts)
    if facts["people"]["registered"]:
        found["join_rate"] = (facts["people"]["with_record"] / facts["people"]["registered"], [])
    rows = []
    for name in (*LIMITS, *LEAST):
        if name in found:
            value, places = found[name]
            limits = _limits(name, workbook)
            told = ", ".join(places[:_MOST_NAMED]) + ", …" * (len(places) > _MOST_NAMED)
            waived = workbook.quality.waive.get(name, "")
            rows.append((name, float(value), limits[0], *_judge(name, value, limits), told, waived))
    return pd.DataFrame(rows, columns=["check", "found", "allowed", "passed", "severity", "places", "waived"])


def grade(checks: pd.DataFrame) -> Literal["A", "B", "C", "fail"]:
    """Return the grade of the data: fail with a fatal fault, C with a major one, B with a minor one, else A.

    Waived faults do not count.

    Parameters
    ----------
    checks : columns `passed` and `severity`, and `waived` where there is one.
    """
    counts = ~checks["passed"].astype(bool)
    if "waived" in checks:
        counts &= checks["waived"].astype("str") == ""
    failed = set(checks.loc[counts, "severity"])
    return "fail" if "fatal" in failed else "C" if "major" in failed else "B" if "minor" in failed else "A"


def by_rule(store: Store) -> pd.DataFrame:
    """Return for each rule and source how many rows it set aside, and the first case of each.

    Columns `rule, source, rows, share` (of the source's rows), `file, line, reason`; most rows first.

    Raises
    ------
    DataError : nothing was collected yet.
    """
    aside, tally = store.read("quarantine"), store.tally()
    read = tally[tally["outcome"] == "read"].groupby(SOURCE)["rows"].sum()
    grouped = aside.groupby(["rule", SOURCE], sort=True).agg(
        rows=("line", "size"), file=("file", "first"), line=("line", "first"), reason=("reason", "first")
    )
    frame = grouped.reset_index().sort_values("rows", ascending=False, kind="stable", ignore_index=True)
    frame["share"] = frame["rows"] / frame[SOURCE].map(read.to_dict()).astype("float64")
    return frame[["rule", SOURCE, "rows", "share", "file", "line", "reason"]]


def by_day(store: Store) -> pd.DataFrame:
    """Return for each source and day how many rows came in and were set aside: `source, day, read, aside, rule`.

    The day is that in the name of the file (``events_20260301``); files without one are left out. `rule` is the
    one that set most rows aside, missing where none did.

    Raises
    ------
    DataError : nothing was collected yet.
    """
    tally = store.tally()
    parts = tally["file"].str.extract(_FILE_DAY)
    text = parts["year"] + "-" + parts["month"] + "-" + parts["date"]
    dated = tally.assign(day=pd.to_datetime(text, errors="coerce").astype("datetime64[us]")).dropna(subset=["day"])
    keys = [SOURCE, "day"]
    read = dated[dated["outcome"] == "read"].groupby(keys)["rows"].sum().rename("read")
    aside = dated[dated["outcome"] == "quarantined"].groupby([*keys, "rule"])["rows"].sum().reset_index()
    total = aside.groupby(keys)["rows"].sum().rename("aside")
    most = aside.sort_values("rows", ascending=False, kind="stable").drop_duplicates(keys).set_index(keys)["rule"]
    found = pd.concat([read, total, most], axis=1).reset_index().sort_values(keys, ignore_index=True)
    return found.astype({"read": "int64"}).assign(aside=found["aside"].fillna(0).astype("int64"))


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


def _known(workbook: Workbook) -> None:
    names = [*LIMITS, *LEAST]
    for part in ("limits", "waive"):
        stray = next((name for name in getattr(workbook.quality, part) if name not in names), None)
        if stray is not None:
            raise ConfigError(
                "There is no such check of quality.", where=f"quality.{part}", found=stray,
                allowed=choices(names, stray), do="Correct its name, or remove it.",
            )  # fmt: skip


def _limits(name: str, workbook: Workbook) -> tuple[float, float, float]:
    usual = {**LIMITS, **LEAST}[name]
    own = workbook.quality.limits.get(name)
    if own is None:
        return usual
    told = (own.allowed, own.minor, own.major)
    allowed, minor, major = (mine if mine is not None else theirs for mine, theirs in zip(told, usual, strict=True))
    return allowed, minor, major


def _judge(name: str, value: float, limits: tuple[float, float, float]) -> tuple[bool, str]:
    sign = -1 if name in LEAST else 1
    allowed, minor, major = (sign * limit for limit in limits)
    severity = "minor" if sign * value <= max(minor, allowed) else "major" if sign * value <= major else "fatal"
    return sign * value <= allowed, severity if sign * value > allowed or name not in LEAST else _least(limits)


def _least(limits: tuple[float, float, float]) -> str:
    """Return the mildest fault that a check of the least could have found."""
    return "fatal" if limits[0] == limits[1] == limits[2] else "minor"


def _of_rows(store: Store, facts: Facts) -> dict[str, _Found]:
    tally = store.tally()
    read = max(int(tally.loc[tally["outcome"] == "read", "rows"].sum()), 1)
    kept = int(tally.loc[tally["outcome"] == "kept", "rows"].sum())
    aside = tally[tally["outcome"] == "quarantined"].groupby("rule")["rows"].sum()
    merged = tally[tally["outcome"] == "merged"].groupby("rule")["rows"].sum()
    late = sum(remark["rows"] for remark in facts["remarks"] if remark["rule"] == "late")
    faulty = aside.drop([*NO_FAULT], errors="ignore").sort_values(ascending=False, kind="stable")
    again = merged[merged.index.str.startswith("duplicate") | (merged.index == "near_duplicate")]
    cut = tally[(tally["outcome"] == "quarantined") & (tally["rule"] == "cut_off")]
    return {
        "quarantined_share": (faulty.sum() / read, [f"{rule} {rows:,}" for rule, rows in faulty.items()]),
        "duplicates_share": (again.sum() / read, []),
        "late_share": (late / read, []),
        "future_rows": (aside.get("future", 0), []),
        "cut_off_files": (cut["file"].nunique(), [str(file) for file in cut["file"].unique()]),
        "test_and_bot_share": (aside.reindex(["bot", "test_account"]).sum() / read, []),
        "rows_kept": (kept, []),
    }


def _of_money(store: Store, workbook: Workbook) -> dict[str, _Found]:
    priced: tuple[tuple[TableName, str], ...] = (("events", AMOUNT), ("spend", "cost"), ("deals", AMOUNT))
    frames = []
    for name, amount in priced:
        extra = [EVENT] if name == "events" else []
        rows = store.read(name, [amount, CURRENCY, *extra]).rename(columns={amount: AMOUNT})
        frames.append(rows.dropna(subset=[AMOUNT]))
    rows = pd.concat(frames, ignore_index=True)
    named = rows[CURRENCY].dropna()
    other = named[named != workbook.currency].value_counts()
    refund = rows[EVENT].astype("str").str.contains(_REFUND, case=False, regex=True).fillna(value=False)
    negative = (rows[AMOUNT] < 0) & ~refund
    return {
        "other_currency_share": (other.sum() / max(len(named), 1), [f"{name} {n:,}" for name, n in other.items()]),
        "negative_amounts_share": (float(negative.mean()) if len(rows) else 0.0, []),
    }


def _over_time(store: Store, workbook: Workbook, facts: Facts) -> dict[str, _Found]:
    days, measures = coverage(store, workbook), store.daily()
    gaps, breaks = _days_without(days), trends.volume_breaks(days)
    quiet = _gone_quiet(facts["newest"])
    lost = facts.get("drift", [])
    empty, changed, units = (look(measures) for look in (trends.emptied, trends.changed_events, trends.unit_breaks))
    return {
        "days_without_data": (len(gaps), _named(gaps)),
        "volume_breaks": (len(breaks), _named(breaks)),
        "emptied_columns": (len(empty), _named(empty, "name")),
        "changed_events": (len(changed), [f"{row.name} {row.change}" for row in changed.itertuples(index=False)]),
        "unit_breaks": (len(units), _named(units, "name")),
        "schema_drift": (len(lost), [f"{one['place']}: {one['column']} {one['change']}" for one in lost]),
        "sources_gone_quiet": (len(quiet), quiet),
    }


def _named(frame: pd.DataFrame, *columns: str) -> list[str]:
    days = pd.to_datetime(frame["day"]).dt.strftime("%Y-%m-%d")
    parts = [frame[SOURCE], *(frame[name] for name in columns), days]
    return [" ".join(map(str, row)) for row in zip(*parts, strict=True)]


def _refused(facts: Facts) -> list[str]:
    return [f"{row['kind']} {row['values']:,}" for row in facts.get("refused", []) if row["rule"] != "split"]


def _unclassified(facts: Facts) -> _Found:
    told = facts["channels"]
    names = [f"{row['from'] or '?'} / {row['medium'] or '?'} {row['rows']:,}" for row in told["unclassified"]]
    return told["unclassified_rows"] / max(facts["tables"].get("events", {}).get("rows", 0), 1), names


def _days_without(days: pd.DataFrame) -> pd.DataFrame:
    """Return the days on which a source has no row though that weekday is usually busy."""
    if days.empty:
        return days
    usual = days.groupby([SOURCE, days["day"].dt.day_of_week])["rows"].transform("median")
    return days[(days["rows"] == 0) & (usual >= _BUSY)]


def _gone_quiet(newest: dict[str, str]) -> list[str]:
    """Return the sources whose newest row is more than a week older than the newest of all."""
    last = {source: date.fromisoformat(day) for source, day in newest.items()}
    return [source for source, day in last.items() if max(last.values()) - day > _QUIET]
