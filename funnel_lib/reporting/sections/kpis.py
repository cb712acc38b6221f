"""The board of key figures: by stage, with their change, their owner, and what is missing and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.kpis.board import board as made
from funnel_lib.conversion.kpis.board import coverage
from funnel_lib.conversion.kpis.catalogue import stages
from funnel_lib.notation import text
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Cell, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Money, Points, Rate, Ratio
from funnel_lib.reporting.labels import Name, PeriodName
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.missing import cannot, unknown, why
from funnel_lib.reporting.sections.page import level_of
from funnel_lib.reporting.tables import Column, Record, Table
from funnel_lib.reporting.values import Value
from funnel_lib.reporting.wording import Say, Sentence
from funnel_lib.scorecard import Kpi

SHOWN = 10


def board(scope: Scope, people: Journeys | None = None) -> Block:
    """Show all key figures by stage; `people` are the journeys of the scope, needed in the report of a segment."""
    say = Say(scope.language)
    kicker = say("Key figures by stage")
    mine = people if scope.split_group is not None else None
    found = made(scope, people=mine)
    if found.empty:
        return unknown("board", kicker, cannot(say, say("The key figures"), "no_figures"))
    titled = _titled(say, scope, found)
    if found["value"].isna().all():
        finding = cannot(say, say("The key figures"), "none_in_data")
        return section("board", kicker=kicker, finding=finding, parts=[_missing(say, titled)])
    finding = board_finding(say, scope, found)
    missing = titled["value"].isna() & (titled["reason"] != "too_few")
    parts: list[Part] = [_table(say, scope, titled[~missing].reset_index(drop=True))]
    if missing.any():
        parts.append(_missing(say, titled[missing]))
    if (picture := _picture(say, scope, titled, finding)) is not None:
        parts.insert(0, picture)
    parts.append(SoWhat(say("So what"), _notes(say, scope, titled)))
    sub = say("What each stage is judged by, who answers for it, and what this data does not hold", key="kpis")
    return section("board", kicker=kicker, finding=finding, sub=sub, parts=parts)


def board_finding(say: Say, scope: Scope, found: pd.DataFrame) -> Sentence:
    """Say how many figures are known, and how many are clearly better or worse than before."""
    known, total = coverage(found)
    better, worse = (int((found["better"] == good).sum()) for good in (True, False))
    if found["before"].isna().all() or scope.previous is None:
        return say("{known} of {all} key figures can be told from this data", key="kpis", known=known, all=total)
    told: dict[str, Any] = {
        "key": "kpis", "known": known, "all": total, "period": PeriodName(scope.previous.period, year=False)
    }  # fmt: skip
    if not better and not worse:
        return say("{known} of {all} key figures can be told from this data; none is clearly better or worse than in "
                   "{period}", **told)  # fmt: skip
    if not worse:
        return say("{known} of {all} key figures can be told from this data; compared with {period}, {better} clearly "
                   "improved and none got worse", better=better, **told)  # fmt: skip
    if not better:
        return say("{known} of {all} key figures can be told from this data; compared with {period}, {worse} clearly "
                   "got worse and none improved", worse=worse, **told)  # fmt: skip
    return say("{known} of {all} key figures can be told from this data; compared with {period}, {worse} clearly got "
               "worse and {better} improved", worse=worse, better=better, **told)  # fmt: skip


def _titled(say: Say, scope: Scope, found: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the titles of stages and figures, and their definitions."""
    held = stages(scope.workbook.kpis)
    rows = records(found)
    kpis = [held[row.stage].kpis[row.kpi] for row in rows]
    heads = [text(held[row.stage].title, scope.language, row.stage) for row in rows]
    return found.assign(
        figure=[_title(say, scope, row, kpi) for row, kpi in zip(rows, kpis, strict=True)],
        head=heads,
        source=[text(kpi.source, scope.language) for kpi in kpis],
    )


def _title(say: Say, scope: Scope, row: Any, kpi: Kpi) -> str:
    title = text(kpi.title, scope.language, row.kpi)
    if row.group:
        split = next((name for name, one in scope.workbook.segments.items() if one.by == kpi.by), None)
        title = say.text("{figure}: {group}", figure=Name(title), group=Name(scope.group_title(split, row.group)))
    made = kpi.formula
    timed = made.share or (made.reached if made.reached is not None and made.reached.among else None)
    if timed is None or not timed.within or math.isnan(row.value):
        return title
    return say.text("{figure} (within {days})", figure=Name(title), days=Days(timed.within / timedelta(days=1)))


def _value(scope: Scope, row: Any, value: float, low: float, high: float, *, signed: bool = False) -> Value | None:
    """Return a figure, or a difference of two, as its unit is written; nothing where it is not known."""
    if math.isnan(value):
        return None
    level = scope.workbook.rules.level
    ends: tuple[float, float | None, float | None] = (value, *(None if math.isnan(e) else e for e in (low, high)))  # type: ignore[assignment]
    if row.unit == "share":
        return Points(*ends, unit="pp", level=level) if signed else Rate(*ends, level=level)
    if row.unit == "points":
        return Points(*ends, unit="score", signed=signed or value < 0, level=level)
    if row.unit == "money":
        return Money(value, scope.workbook.currency, *ends[1:], signed=signed, level=level)
    if row.unit == "days":
        return Days(*ends, signed=signed, level=level)
    if row.unit == "number":
        return Ratio(*ends, signed=signed, level=level)
    return Count(*ends, signed=signed, level=level)


def _change(scope: Scope, row: Any) -> Cell | None:
    """Return the change since the period before with its mark; only figures with an interval are judged."""
    judged = not math.isnan(row.diff_low)
    value = _value(scope, row, row.difference, row.diff_low, row.diff_high, signed=True)
    if value is None:
        return None
    symbol = "" if not judged else "●" if not row.clear else "▲" if row.difference > 0 else "▼"
    better = row.better
    tone: Any = "" if not judged else "noise" if not row.clear or better is None else "good" if better else "bad"
    return Cell(value, symbol=symbol, tone=tone)


def _table(say: Say, scope: Scope, found: pd.DataFrame) -> Table:
    owners = {"marketing": say.text("Marketing"), "sales": say.text("Sales"), "service": say.text("Service"),
              "product": say.text("Product")}  # fmt: skip
    rows = records(found)
    frame = found.assign(
        shown=_objects(_value(scope, row, row.value, row.low, row.high) for row in rows),
        change=_objects(_change(scope, row) for row in rows), owner=[owners.get(row.owner, row.owner) for row in rows],
    )  # fmt: skip
    columns = [
        Column("figure", say("Figure")),
        Column("head", say("Stage"), left=True),
        Column("shown", say("Value")),
        Column("change", say("Since the period before")),
        Column("owner", say("Owner"), left=True),
    ]
    few: Callable[[Record], Sentence | None] = lambda row: say("too few") if row["reason"] else None  # noqa: E731
    caption = say(
        "Key figures by stage, with {level} intervals; totals are counted and have none", level=level_of(scope)
    )
    return Table(frame, columns, caption, name="kpis", few=few, look="seg")


def _objects(values: Iterable[object]) -> pd.Series[Any]:
    return pd.Series(list(values), dtype=object)


def _missing(say: Say, found: pd.DataFrame) -> Table:
    """List the figures that this data cannot give, with the source that would."""
    frame = found.assign(why=[why(say, row.reason).text for row in records(found)])
    columns = [
        Column("figure", say("Figures that are missing")),
        Column("why", say("Because"), left=True),
        Column("source", say("Would come from"), left=True),
    ]
    return Table(frame, columns, say("Key figures that this data cannot give"), name="missing_kpis")


def _picture(say: Say, scope: Scope, found: pd.DataFrame, finding: Sentence) -> Figure | None:
    """Draw how the shares changed, those that changed most first; None where nothing can be compared."""
    judged = found[(found["unit"] == "share") & (found["good"] == "higher") & found["diff_low"].notna()]
    if judged.empty or scope.previous is None:
        return None
    order = judged["difference"].abs().sort_values(ascending=False).index
    chosen = judged.loc[order].sort_values("clear", ascending=False, kind="stable").head(SHOWN)
    frame = pd.DataFrame({
        "label": chosen["figure"], "estimate": chosen["difference"], "low": chosen["diff_low"],
        "high": chosen["diff_high"], "clear": chosen["clear"],
    })  # fmt: skip
    svgs = plots.figure(
        lambda ax, width: plots.differences(frame, plots.Words(scope.language), ax=ax, width=width), alt=finding.text,
        widths=(700, 328),
    )  # fmt: skip
    caption = say(
        "Change of the shares since {period} in percentage points, {level} intervals. ▲ ▼ = clear; ● = within noise.",
        period=PeriodName(scope.previous.period), level=level_of(scope),
    )  # fmt: skip
    return Figure(svgs, finding, caption=caption)


def _notes(say: Say, scope: Scope, found: pd.DataFrame) -> list[Sentence]:
    """Name the clear changes for the worse with their owners, and say what the marks do not tell."""
    notes = []
    for row in records(found[found["better"] == False]):  # noqa: E712 - missing is neither
        change = _value(scope, row, row.difference, row.diff_low, row.diff_high, signed=True)
        if change is None:
            continue
        notes.append(say("{figure}: {change}.", key=f"kpis.{row.kpi}{'.' + row.group if row.group else ''}",
                         figure=Name(row.figure), change=change))  # fmt: skip
    notes.append(say("These are many figures: of those that did not change, about one in twenty looks as if it did."))
    return notes
