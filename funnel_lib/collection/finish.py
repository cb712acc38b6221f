"""From staged rows to the canonical tables: what only shows when all files lie side by side.

Duplicates, people under several ids, test accounts, times that stand far apart from all others. While a row
is judged its rule is an empty text; a rule of `MERGED` means that it went into another row, any other one
that it is set aside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from funnel_lib import schema
from funnel_lib.collection.batch import LINE, ROW
from funnel_lib.collection.clean import MAIN_TIME, TEST, before
from funnel_lib.collection.files import Export
from funnel_lib.collection.stage import DERIVED, ORIGIN, POS, SEQ, Stage, quoted, text
from funnel_lib.collection.values import days
from funnel_lib.collection.who import Resolved
from funnel_lib.config import Workbook
from funnel_lib.schema import AMOUNT, CAMPAIGN, CURRENCY, DTYPES, SOURCE, TS, USER_ID, TableName, table

WORK = [SEQ, LINE, POS, ROW, DERIVED, ORIGIN, TEST]
MERGED = frozenset(
    [
        "duplicate_row",
        "duplicate_event",
        "near_duplicate",
        "same_user",
        "same_person",
        "same_record",
        "same_stay",
        "same_exposure",
        "added_up",
    ]
)
SMALL: tuple[TableName, ...] = ("deals", "stage_history", "spend", "surveys", "exposures")
_SPEND_KEY = ["date", "platform", CAMPAIGN]
_GAP = pd.Timedelta(days=366)
_DAY = "INTERVAL 1 DAY - INTERVAL 1 MICROSECOND"
Rule = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]


def horizon(days: pd.Series[Any]) -> pd.Timestamp | None:
    """Return the end of the newest plausible day, where a few rows stand more than a year after all others.

    No clock is asked: whether an export reaches into the future shows in the export itself. At most 1% of the
    rows (one in any case) may lie behind the gap, and there must be ten rows at least; otherwise None.

    Parameters
    ----------
    days : rows per day, its index the days in order.
    """
    total = int(days.sum())
    behind = total - days.cumsum()
    gap = pd.Series(days.index, index=days.index).diff().shift(-1) > _GAP
    far = gap & (behind <= max(1, total // 100))
    if total < 10 or not far.any():
        return None
    return pd.Timestamp(days.index[int(far.to_numpy().argmax())]) + pd.Timedelta(days=1)


def small(name: TableName, stage: Stage, resolved: Resolved, people: Path | None) -> pd.DataFrame:
    """Return one of the tables `SMALL`: duplicates out, people under one id, sorted by its key.

    Parameters
    ----------
    people : the users that sources of people know (Parquet), for the order of times against their attributes.
    """
    rows = stage.read(name)
    if rows.empty:
        return schema.empty(name)
    unit = "unit_id" if name == "exposures" else USER_ID
    own = rows[unit] if unit in rows else pd.Series(None, index=rows.index, dtype="str")
    rows = rows.assign(**{unit: resolved.person(own)}) if unit in rows else rows
    rows = _converted(_named(rows, name, resolved.workbook), name, resolved.workbook)
    rule = _common_rules(rows, own, name, resolved)
    rule[wrong_order(rows, name, _attributes(people, name, resolved.workbook), resolved.workbook) & (rule == "")] = (
        "not_before"
    )
    rows = _KEYED[name](rows, rule) if name in _KEYED else rows
    left = _settle(stage, rows, rule, name, resolved)
    kept = left.drop(columns=[column for column in WORK if column in left])
    order = {"stage_history": ["record_id", SOURCE, "entered_at"], "exposures": ["unit_id", "experiment", "variant"]}
    checked = schema.check(name, complete(name, kept))
    return checked.sort_values(order.get(name, list(table(name).key)), kind="stable", ignore_index=True)


def _named(rows: pd.DataFrame, name: str, workbook: Workbook) -> pd.DataFrame:
    """Return the rows of a table whose ids are those of a system with the `source` that they belong to.

    It is what the export or the source's constants say: exports of one system may come as several sources.
    """
    if SOURCE not in table(name).columns:
        return rows
    told = {source: str(one.constants.get(SOURCE, source)) for source, one in workbook.sources.items()}
    usual = rows[ORIGIN].map(told).astype("str")
    return rows.assign(**{SOURCE: rows[SOURCE].fillna(usual) if SOURCE in rows else usual})


def _converted(rows: pd.DataFrame, name: str, workbook: Workbook) -> pd.DataFrame:
    """Return the rows with amounts of the currencies in the workbook's `rates` in its own currency."""
    money = "cost" if name == "spend" else AMOUNT
    if not workbook.rates or money not in rows or CURRENCY not in rows:
        return rows
    rate = rows[CURRENCY].map(workbook.rates).astype("float64")
    converted = {money: rows[money] * rate.fillna(1), CURRENCY: rows[CURRENCY].mask(rate.notna(), workbook.currency)}
    return rows.assign(**converted)


def complete(name: TableName, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with every column of its table, the absent ones empty."""
    absent = {
        column: pd.Series(None, index=frame.index, dtype=DTYPES[spec.kind])
        for column, spec in table(name).columns.items()
        if column not in frame
    }
    return frame.assign(**absent)


def wrong_order(rows: pd.DataFrame, name: str, people: pd.DataFrame, workbook: Workbook) -> Mask:
    """Tell which rows have a time before an attribute of their person that it must not precede.

    Parameters
    ----------
    rows : `user_id`, ORIGIN and the times that the sources' `not_before` name.
    people : `user_id` and attributes.
    """
    wrong = np.zeros(len(rows), dtype=bool)
    for source_name, source in workbook.sources.items():
        for later, earlier in source.not_before.items() if source.table == name else ():
            if later in rows and earlier in people and USER_ID in rows:
                attribute = rows[USER_ID].map(people.set_index(USER_ID)[earlier])
                zone = Export(source_name, source, workbook).zone
                wrong |= before(rows[later], attribute, zone) & (rows[ORIGIN] == source_name).to_numpy()
    return wrong


def wrong_order_sql(connection: duckdb.DuckDBPyConnection, name: str, people: Path | None, workbook: Workbook) -> str:
    """Return a query for POS of the rows of `staged` that `wrong_order` would find; `ids` tells their people.

    Parameters
    ----------
    people : the users that sources of people know (Parquet).
    """
    nobody = f"SELECT NULL::BIGINT AS {POS} WHERE false"
    if people is None or not people.is_file():
        return nobody
    connection.read_parquet(str(people)).create_view("attributes", replace=True)
    there, known = connection.view("staged").columns, connection.view("attributes").columns
    found = []
    for source_name, source in workbook.sources.items():
        for later, earlier in source.not_before.items() if source.table == name else ():
            if later in there and earlier in known:
                zone = Export(source_name, source, workbook).zone
                at = f"s.{quoted(later)}"
                local = f"{at} AT TIME ZONE '{zone}'"
                end = f"CASE WHEN date_trunc('day', {local}) = {local} THEN {at} + {_DAY} ELSE {at} END"
                found.append(
                    f"SELECT s.{POS} FROM staged AS s LEFT JOIN ids ON ids.value = s.user_id "  # noqa: S608
                    f"JOIN attributes AS a ON a.user_id = coalesce(ids.user_id, s.user_id) "
                    f"WHERE s.{ORIGIN} = {text(source_name)} AND {end} < a.{quoted(earlier)}"
                )
    return " UNION ".join(found) or nobody


def _attributes(people: Path | None, name: str, workbook: Workbook) -> pd.DataFrame:
    """Return the attributes of people that times of the table `name` must not precede."""
    asked = {earlier for s in workbook.sources.values() if s.table == name for earlier in s.not_before.values()}
    if people is None or not asked:
        return pd.DataFrame({USER_ID: pd.Series(dtype="str")})
    known = [column for column in pq.read_schema(people).names if column in asked]
    return pd.read_parquet(people, columns=[USER_ID, *known])


def order_reasons(workbook: Workbook) -> dict[str, str]:
    """Return for each source what its rule `not_before` says."""
    told = {name: source.not_before.items() for name, source in workbook.sources.items()}
    return {name: " or ".join(f"{a} lies before {b}" for a, b in pairs) + "." for name, pairs in told.items()}


def _common_rules(rows: pd.DataFrame, own: pd.Series[Any], name: str, resolved: Resolved) -> Rule:
    """Return a rule for rows of test accounts, far in the future, or equal to an earlier row of their source."""
    rule: Rule = np.full(len(rows), "", dtype=object)
    rule[own.isin(resolved.tests).to_numpy()] = "test_account"
    if TEST in rows:
        rule[rows[TEST].to_numpy(dtype=bool)] = "test_account"
    if MAIN_TIME[name] in rows:
        times = rows[MAIN_TIME[name]]
        for source in rows[ORIGIN].unique():
            here = rows[ORIGIN] == source
            limit = horizon(times[here].dropna().dt.floor("D").value_counts().sort_index())
            if limit is not None:
                rule[(here & (times >= limit)).to_numpy(dtype=bool) & (rule == "")] = "future"
    live = rows[(rule == "") & ~rows[DERIVED].to_numpy(dtype=bool)]
    rule[live.index[live.duplicated([ORIGIN, ROW])]] = "duplicate_row"
    return rule


def _settle(stage: Stage, rows: pd.DataFrame, rule: Rule, name: str, resolved: Resolved) -> pd.DataFrame:
    """Count every row that is not derived as kept, merged or set aside; return the rows that stay."""
    counted = ~rows[DERIVED].to_numpy(dtype=bool)
    fate = rows.assign(rule=rule)[counted]
    merged = fate["rule"].isin(MERGED)
    stage.merge(fate[merged])
    aside = fate[~merged & (fate["rule"] != "")]
    order = aside[ORIGIN].map(order_reasons(resolved.workbook))
    stage.set_aside(aside.assign(reason=order.where(aside["rule"] == "not_before")))
    kept = fate[fate["rule"] == ""]
    stage.keep(kept[SEQ].value_counts())
    if MAIN_TIME[name] in kept:
        times = kept[MAIN_TIME[name]].dropna()
        day = days(times, resolved.workbook.zone) if name != "spend" else times
        stage.covered.append(pd.DataFrame({SOURCE: kept.loc[day.index, ORIGIN], "day": day, "rows": 1}))
    return rows[np.asarray(rule == "", dtype=bool)]


def _deals(rows: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    """Let the newest row of a deal tell how it stands; deals of two systems may have the same id."""
    live = rows[rule == ""]
    rule[live.index[live.duplicated([SOURCE, "record_id"], keep="last")]] = "same_record"
    return rows


def _stays(rows: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    """Count each entry into a stage once: a history's own row before what a deal's row proves, an ended stay first."""
    live = rows[rule == ""]
    derived, ended = live[DERIVED], live["left_at"].notna() if "left_at" in live else False
    live = live.assign(**{DERIVED: derived.astype(bool), "_ended": ended}).sort_values(
        [DERIVED, "_ended"], ascending=[True, False], kind="stable"
    )
    rule[live.index[live.duplicated([SOURCE, "record_id", "stage", "entered_at"])]] = "same_stay"
    return rows


def _surveys(rows: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    live = rows[rule == ""]
    rule[live.index[live.duplicated([SOURCE, "response_id", "question"])]] = "duplicate_key"
    return rows


def _exposures(rows: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    """Keep the first time that a unit saw a variant."""
    live = rows[rule == ""].sort_values([TS, SEQ, LINE], kind="stable")
    rule[live.index[live.duplicated(["unit_id", "experiment", "variant"])]] = "same_exposure"
    return rows


def _spend(rows: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    """Add up rows of one day and campaign, within a file and over sources (accounts).

    Two files of one source with other numbers for the same day contradict each other: nobody can tell whether
    one restates the other or both are true.
    """
    live = rows[rule == ""]
    groups = live.groupby(_SPEND_KEY)
    other_file = live[SEQ] != live.groupby([ORIGIN, *_SPEND_KEY])[SEQ].transform("min")
    other_money = live[CURRENCY] != groups[CURRENCY].transform("first")
    rule[live.index[other_file | other_money]] = "duplicate_key"
    live = rows[rule == ""]
    figures = ["impressions", "clicks", "cost"]
    rule[live.index[live.duplicated(_SPEND_KEY)]] = "added_up"
    sums = live.groupby(_SPEND_KEY)[figures].transform("sum")
    return rows.assign(**{name: sums[name].reindex(rows.index).fillna(rows[name]) for name in figures})


_KEYED: Mapping[str, Callable[[pd.DataFrame, Rule], pd.DataFrame]] = {
    "deals": _deals, "stage_history": _stays, "surveys": _surveys, "exposures": _exposures, "spend": _spend,
}  # fmt: skip
