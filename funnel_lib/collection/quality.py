"""Is the data good enough? Checks on what was collected, a grade, and what the data covers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Literal

import duckdb
import pandas as pd

from funnel_lib.collection import contents, trends
from funnel_lib.collection.batch import NO_FAULT
from funnel_lib.collection.contents import Found
from funnel_lib.collection.store import Facts, Store
from funnel_lib.collection.values import days
from funnel_lib.config import Workbook
from funnel_lib.errors import ConfigError, choices
from funnel_lib.schema import EVENT, SOURCE, TS

_NEVER = float("inf")
LIMITS: dict[str, tuple[float, float, float]] = {
    "quarantined_share": (0.02, 0.05, _NEVER),
    "duplicates_share": (0.02, 0.10, _NEVER),
    "near_duplicates_share": (0.01, 0.05, _NEVER),
    "late_share": (0.01, 0.05, _NEVER),
    "late_arrivals_share": (0.05, _NEVER, _NEVER),
    "similar_deals_share": (0.01, 0.05, _NEVER),
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
_MOST_NAMED = 5
_BUSY = 12
"""A day without rows means something only where a source has this many rows on a usual day of this weekday: by chance
alone (Poisson), such a day comes once in 450 years."""
_QUIET = timedelta(days=7)
_INSTANT: Literal["datetime64[us, UTC]"] = "datetime64[us, UTC]"
_UNBELIEVED = ("ancient", "future", "clock_skew")
"""Rules whose rows do not tell when they happened."""
_FILE_DAY = r"(?<![0-9])(?P<year>20[0-9]{2})-?(?P<month>[01][0-9])-?(?P<date>[0-3][0-9])(?![0-9])"
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
    found = {**_of_rows(store, facts), **contents.money(store, workbook), **_over_time(store, workbook, facts)}
    found["late_arrivals_share"] = _arrived(facts)
    found["oversize_identities"] = (facts["people"]["oversize"], _refused(facts))
    alike = contents.deals_alike(store)
    if alike is not None:
        found["similar_deals_share"] = alike
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


def by_day(store: Store, workbook: Workbook) -> pd.DataFrame:
    """Return for each source and day how many rows were kept or set aside: `source, day, read, aside, rule`.

    The day (business zone, naive) is that on which a row happened; where that cannot be read or believed, the one in
    the name of its file (``events_20260301``). Rows of neither are left out, and rows that were merged with others.
    `rule` is the one that set most rows aside, missing where none did.

    Raises
    ------
    DataError : nothing was collected yet.
    """
    kept, aside = store.coverage(), store.read("quarantine")
    keys = [SOURCE, "day"]
    happened = aside[TS] if TS in aside else pd.Series(pd.NaT, index=aside.index, dtype=_INSTANT)
    own = days(happened.mask(aside["rule"].isin(_UNBELIEVED)), workbook.zone)
    dated = aside.assign(day=own.fillna(_file_day(aside["file"]))).dropna(subset=["day"])
    counted = dated.groupby([*keys, "rule"]).size().rename("rows").reset_index()
    total = counted.groupby(keys)["rows"].sum().rename("aside")
    most = counted.sort_values("rows", ascending=False, kind="stable").drop_duplicates(keys).set_index(keys)["rule"]
    found = pd.concat([kept.groupby(keys)["rows"].sum().rename("read"), total, most], axis=1).reset_index()
    found = found.fillna({"read": 0, "aside": 0}).astype({"read": "int64", "aside": "int64"})
    found = found.assign(read=found["read"] + found["aside"])
    return found.sort_values(keys, ignore_index=True)[[*keys, "read", "aside", "rule"]]


def _file_day(files: pd.Series[Any]) -> pd.Series[Any]:
    parts = files.astype("str").str.extract(_FILE_DAY)
    text = parts["year"] + "-" + parts["month"] + "-" + parts["date"]
    return pd.to_datetime(text, errors="coerce").astype("datetime64[us]")


def event_reach(store: Store) -> pd.DataFrame:
    """Return every event's `rows` and `people` and its `first_ts` and `last_ts` (UTC), the widest reach first.

    Raises
    ------
    DataError : nothing was collected yet.
    """
    kinds = {EVENT: "str", "rows": "int64", "people": "int64", "first_ts": _INSTANT, "last_ts": _INSTANT}
    if not store.facts()["tables"].get("events", {}).get("rows"):
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


def _of_rows(store: Store, facts: Facts) -> dict[str, Found]:
    tally = store.tally()
    read = max(int(tally.loc[tally["outcome"] == "read", "rows"].sum()), 1)
    kept = int(tally.loc[tally["outcome"] == "kept", "rows"].sum())
    aside = tally[tally["outcome"] == "quarantined"].groupby("rule")["rows"].sum()
    merged = tally[tally["outcome"] == "merged"].groupby("rule")["rows"].sum()
    late, alike = ({one["file"]: int(one["rows"]) for one in facts["remarks"] if one["rule"] == rule}
                   for rule in ("late", "near_duplicate"))  # fmt: skip
    faulty = aside.drop([*NO_FAULT], errors="ignore").sort_values(ascending=False, kind="stable")
    again = merged[merged.index.str.startswith("duplicate") | (merged.index == "near_duplicate")]
    cut = tally[(tally["outcome"] == "quarantined") & (tally["rule"] == "cut_off")]
    return {
        "quarantined_share": (faulty.sum() / read, [f"{rule} {rows:,}" for rule, rows in faulty.items()]),
        "duplicates_share": (again.sum() / read, []),
        "near_duplicates_share": (sum(alike.values()) / read, _largest(alike)),
        "late_share": (sum(late.values()) / read, _largest(late)),
        "future_rows": (aside.get("future", 0), []),
        "cut_off_files": (cut["file"].nunique(), [str(file) for file in cut["file"].unique()]),
        "test_and_bot_share": (aside.reindex(["bot", "test_account"]).sum() / read, []),
        "rows_kept": (kept, []),
    }


def _largest(rows: Mapping[str, int]) -> list[str]:
    """Return the files of rows, those with most rows first."""
    return [f"{file} {count:,}" for file, count in sorted(rows.items(), key=lambda item: (-item[1], item[0]))]


def _over_time(store: Store, workbook: Workbook, facts: Facts) -> dict[str, Found]:
    covered, measures = coverage(store, workbook), store.daily()
    gaps, breaks = days_without(covered), trends.volume_breaks(covered)
    quiet = _gone_quiet(facts["newest"])
    drifted = changes(facts)
    empty, changed, units = (look(measures) for look in (trends.emptied, trends.changed_events, trends.unit_breaks))
    return {
        "days_without_data": (len(gaps), _named(gaps)),
        "volume_breaks": (len(breaks), _named(breaks)),
        "emptied_columns": (len(empty), _named(empty, "name")),
        "changed_events": (len(changed), [f"{row.name} {row.change}" for row in changed.itertuples(index=False)]),
        "unit_breaks": (len(units), _named(units, "name")),
        "schema_drift": (len(drifted), [_change(*row) for row in drifted.itertuples(index=False, name=None)]),
        "sources_gone_quiet": (len(quiet), quiet),
    }


def changes(facts: Facts) -> pd.DataFrame:
    """Return how the columns of exports differ from the collection before: `place, column, change, to, file`.

    `change` is new, lost, renamed (so it looks: to the name `to`) or kind (from number, time or text to another: `to`
    has both). Where a system's reader does not tell the columns of the files, they are those of the tables.
    """
    told = facts.get("headings", {})
    tables = [one for one in facts.get("drift", []) if one["place"] not in told]
    columns = ["place", "column", "change", "to", "file"]
    found = [[one.get(name, "") for name in columns] for one in (*facts.get("changes", []), *tables)]
    return pd.DataFrame(found, columns=columns)


def _change(place: str, column: str, change: str, to: str, file: str) -> str:
    become = {"renamed": f"looks renamed to {to}", "kind": f"is now of another kind ({to})"}.get(change, change)
    return f"{place}: {column} {become}" + (f" in {file}" if file else "")


def _arrived(facts: Facts) -> Found:
    told = facts.get("arrived") or {"late": 0, "rows": 0, "days": []}
    places = [f"{one[SOURCE]} {one['day']} {one['rows']:,}" for one in told["days"]]
    return told["late"] / max(told["rows"], 1), places


def _named(frame: pd.DataFrame, *columns: str) -> list[str]:
    days = pd.to_datetime(frame["day"]).dt.strftime("%Y-%m-%d")
    parts = [frame[SOURCE], *(frame[name] for name in columns), days]
    return [" ".join(map(str, row)) for row in zip(*parts, strict=True)]


def _refused(facts: Facts) -> list[str]:
    return [f"{row['kind']} {row['values']:,}" for row in facts.get("refused", []) if row["rule"] != "split"]


def _unclassified(facts: Facts) -> Found:
    told = facts["channels"]
    names = [f"{row['from'] or '?'} / {row['medium'] or '?'} {row['rows']:,}" for row in told["unclassified"]]
    return told["unclassified_rows"] / max(facts["tables"].get("events", {}).get("rows", 0), 1), names


def days_without(days: pd.DataFrame) -> pd.DataFrame:
    """Return the days on which a source has no row though that weekday is usually busy.

    Parameters
    ----------
    days : `source, day, rows` for every day between the first and the last of each source.
    """
    if days.empty:
        return days
    usual = days.groupby([SOURCE, days["day"].dt.day_of_week])["rows"].transform("median")
    return days[(days["rows"] == 0) & (usual >= _BUSY)]


def _gone_quiet(newest: dict[str, str]) -> list[str]:
    """Return the sources whose newest row is more than a week older than the newest of all."""
    last = {source: date.fromisoformat(day) for source, day in newest.items()}
    return [source for source, day in last.items() if max(last.values()) - day > _QUIET]
