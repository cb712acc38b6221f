"""Bottlenecks in money: each step held against its bar, and what it would bring if it reached it."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.movement.incidents import weekly
from funnel_lib.conversion.worth.benchmarks import bars, benchmarks
from funnel_lib.conversion.worth.bottlenecks import Worth, bottlenecks
from funnel_lib.conversion.worth.orders import orders as all_orders
from funnel_lib.optimisation.orders import OrderValue, deal_value, order_value
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, Loss, Ranked, SoWhat, section
from funnel_lib.reporting.estimates import Count, Money, Points, Rate, Share
from funnel_lib.reporting.labels import Name
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.chance import chance
from funnel_lib.reporting.sections.missing import cannot, unknown, why
from funnel_lib.reporting.sections.page import chart_words, level_of
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence


def rank(scope: Scope, journeys: Journeys, whole: Journeys) -> pd.DataFrame:
    """Return `bottlenecks` of a scope: against targets, else the own past in `whole`, else the workbook's benchmarks.

    A column `label` names the benchmark or counts the weeks of the past.
    """
    rules, asked = scope.workbook.rules, scope.workbook.benchmarks
    file = None if asked.file is None else scope.workbook.root / "params" / asked.file
    table = benchmarks(file) if asked.steps or asked.file else None
    held = bars(
        journeys, rules=rules, targets=scope.workbook.targets, history=_past(scope, whole), chosen=asked.steps,
        table=table, as_of=_as_of(scope, table),
    )  # fmt: skip
    worth = worth_of(scope, journeys).worth
    value = Worth(worth.value, worth.low, worth.high)
    found = bottlenecks(journeys, held, worth=value, rules=rules, rng=chance(scope, "bottlenecks"))
    return found.merge(held[["step", "bar_high", "label"]], on="step")


def _past(scope: Scope, whole: Journeys) -> pd.DataFrame | None:
    """Return each step's counts in the finished weeks before the period, oldest first; None without times."""
    if whole.frame["first_entry"].isna().all():
        return None
    weeks = weekly(whole, rules=scope.workbook.rules, zone=scope.workbook.zone)
    past = weeks[weeks["final"] & np.array([start < scope.period.first_day for start in weeks["start"]], dtype=bool)]
    return past.sort_values("start")[["name", "numerator", "denominator"]]


def _as_of(scope: Scope, table: pd.DataFrame | None) -> date:
    """Return the day by which a benchmark may be stale: that of the data, else of the newest benchmark."""
    if scope.as_of is not None:
        return scope.as_of.date()
    read = "1970-01" if table is None else str(table["last_verified"].dropna().max())
    return date.fromisoformat(f"{read}-01")


def worth_of(scope: Scope, journeys: Journeys) -> OrderValue:
    """Return what a conversion of these people is worth; its `reason` says why that is not known."""
    book = scope.workbook
    key = ("worth", str(scope.events), repr(book.value), book.currency, repr(book.rules))
    return journeys.once(key, lambda: _worth(scope, journeys))


def _worth(scope: Scope, journeys: Journeys) -> OrderValue:
    frame = journeys.frame
    people = pd.DataFrame({
        "unit": frame["unit"], "entered": frame["first_entry"], "converted": frame["depth"] == len(scope.funnel.steps),
    })  # fmt: skip
    if scope.workbook.value.deals:
        return deal_value(people, scope.workbook, all_orders(scope))
    if scope.workbook.value.event is not None and (not scope.events.exists() or people["entered"].isna().any()):
        return OrderValue(math.nan, math.nan, math.nan, 0, 1.0, "none", reason="no_events")
    log = EventLog.of(scope) if scope.workbook.value.event is not None else None
    return order_value(people, scope.workbook, scope.events if log is None else log)


def money(scope: Scope, journeys: Journeys, found: pd.DataFrame) -> Block:
    """Rank the steps by what they would bring at their bar; `found` is `rank(scope, journeys, whole)`."""
    say = Say(scope.language)
    kicker = say("Bottlenecks in money")
    if found["bar"].isna().all():
        return unknown("losses", kicker, cannot(say, say("What each step could bring"), str(found["reason"].iloc[0])))
    finding = money_finding(say, scope, found)
    sub = say(
        "What one step would bring if it reached its bar, as many people came to it, and those won went on like the "
        "others; {level} intervals. Values do not add up", level=level_of(scope),
    )  # fmt: skip
    parts: list[Part] = [Ranked([_item(say, scope, row, place) for place, row in enumerate(records(found), start=1)])]
    worth = worth_of(scope, journeys)
    parts += [_bullets(say, scope, worth, found, finding), SoWhat(say("So what"), _notes(say, scope, worth, found))]
    return section("losses", kicker=kicker, finding=finding, sub=sub, parts=parts)


def money_finding(say: Say, scope: Scope, found: pd.DataFrame) -> Sentence:
    """Say which step below its bar would bring most; only one whose whole interval lies below counts."""
    low = found[(found["light"] == "below") & ~found["conversions"].le(0)]
    key, least = "losses.finding", scope.workbook.rules.min_units
    if found["light"].eq("grey").all():
        return cannot(say, say("Which step is below its bar"), str(found["reason"].iloc[0]))
    if low.empty:
        stuck = records(found[(found["reason"] == "too_few") & found["bar"].notna() & found["units"].ge(least)])
        if stuck:
            return say(
                "No step is clearly below its bar; {step} cannot be judged, because too few of {units} people went on",
                key=key, step=scope.step_title(stuck[0].name), units=stuck[0].units,
            )  # fmt: skip
        return say("No step is clearly below its bar", key=key)
    most = records(low)[0]
    step, orders = scope.step_title(most.name), _orders(most)
    if math.isnan(most.conversions):
        return say("{step} is clearly below its bar: {rate:value} {rate:ci} against {bar}", key=key, step=step,
                   rate=Rate(most.rate, most.low, most.high), bar=_bar(say, most))  # fmt: skip
    if math.isnan(most.money):
        return say("{step} is clearly below its bar; there it would bring {orders:value} more {last} {orders:ci}",
                   key=key, step=step, orders=orders, last=scope.step_title(scope.funnel.names[-1]))  # fmt: skip
    return say(
        "{step} is clearly below its bar; there it would bring {money:value} {money:ci} more", key=key, step=step,
        money=_money(scope, most),
    )  # fmt: skip


def _orders(row: Any) -> Count:
    return Count(row.conversions, row.conversions_low, row.conversions_high)


def _money(scope: Scope, row: Any) -> Money:
    return Money(row.money, scope.workbook.currency, row.money_low, row.money_high)


def _bar(say: Say, row: Any) -> Sentence:
    """Say what the bar of a step is."""
    if row.origin == "target":
        return say("target {bar}", bar=Share(row.bar, 1))
    if row.origin == "history":
        return say("median of the {n} weeks before, {bar}", n=int(row.label), bar=Share(row.bar, 1))
    if row.origin == "benchmark":
        return say("benchmark {name}, {bar}", name=Name(str(row.label)), bar=Share(row.bar, 1))
    return say("no bar")


def _item(say: Say, scope: Scope, row: Any, place: int) -> Loss:
    title = scope.step_title(row.name)
    key, rate = f"losses.{row.name}", Rate(row.rate, row.low, row.high)
    against = say("{rate} against {bar}", key=key, rate=rate, bar=_bar(say, row))
    if row.light == "grey":
        return Loss(title, against, value=say("not judged"), check=why(say, row.reason), owner=False, rank="–")
    if row.light == "above" or row.conversions == 0:
        keep = say("Keep watching; no action suggested.")
        return Loss(title, against, value=say("at or above its bar"), check=keep, owner=False, rank="–")
    clear = row.light == "below"
    if math.isnan(row.conversions):
        unpriced = say("what it would bring is not known")
        return Loss(title, against, value=unpriced, check=why(say, row.reason), owner=clear, rank="–")
    check = say("Clearly below its bar. Look first at who is lost here, in the segments below.")
    if not clear:
        check = say("Within noise of its bar; wait for more data.")
    gained = say("{orders} more at the end", key=key, orders=_orders(row))
    if not math.isnan(row.money):
        gained = say("{money}, from {orders:value} more at the end", key=key, money=_money(scope, row),
                     orders=_orders(row))  # fmt: skip
    return Loss(title, against, value=gained, check=check, owner=clear, rank=str(place))


def _bullets(say: Say, scope: Scope, worth: OrderValue, found: pd.DataFrame, finding: Sentence) -> Figure:
    shown = found.sort_values("step")
    each = shown["onward"] * worth.worth.value
    frame = shown.assign(label=shown["name"], each=each, note=[_bar(say, row).text for row in records(shown)])
    words = chart_words(scope)
    svgs = plots.figure(
        lambda ax, width: plots.bullets(frame, words, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    columns = [
        Column("title", say("Step")),
        Column("rate", say("Share of previous step"), Rate, low="low", high="high"),
        Column("note", say("Bar"), left=True),
        Column("gap", say("To the bar, pp"), lambda value: Points(value, unit="")),
        Column("units", say("People before it"), Count),
        Column("onward", say("Who took it reach the end"), Rate),
        Column("each", say("Worth of one who took it"), lambda value: Money(value, scope.workbook.currency)),
        Column("conversions", say("More at the end"), Count, low="conversions_low", high="conversions_high"),
        Column("money", say("Worth"), lambda *ends: Money(ends[0], scope.workbook.currency, *ends[1:]),
               low="money_low", high="money_high"),
    ]  # fmt: skip
    titled = frame.assign(title=[scope.step_title(str(name)) for name in frame["name"]])
    table = Table(titled, columns, say("Steps against their bars"), name="bottlenecks")
    caption = say(
        "Bar = share of the step before, whisker = {level} interval, thick tick = its bar. ▲ ▼ = clearly above or "
        "below; ● = within noise; ○ = cannot be judged.", level=level_of(scope),
    )  # fmt: skip
    return Figure(svgs, finding, caption=caption, table=table)


def _notes(say: Say, scope: Scope, worth: OrderValue, found: pd.DataFrame) -> list[Sentence]:
    """Say what a conversion is worth, and what the amounts assume."""
    last = scope.step_title(scope.funnel.names[-1])
    notes = [
        say("People won by an easier step often go on less than the others, so each amount is the most that a step "
            "can bring.")
    ]  # fmt: skip
    if math.isnan(worth.mean):
        return [cannot(say, say("Money"), worth.reason or "no_value"), *notes]
    amount = Money(worth.worth.value, scope.workbook.currency, worth.worth.low, worth.worth.high)
    told = say("One {last} is worth {amount} in margin, which is {margin} of what is paid.", key="losses.worth",
               last=last, amount=amount, margin=Share(worth.margin))  # fmt: skip
    origin = found["origin"].eq("benchmark").any()
    return [told, *notes, *([say("Benchmarks come from other businesses; see where they stand before acting.")]
                            if origin else [])]  # fmt: skip


def published(scope: Scope) -> Block | None:
    """List what others published about the industry that the workbook names; None where it names none."""
    if scope.workbook.benchmarks.industry is None:
        return None
    say, asked = Say(scope.language), scope.workbook.benchmarks
    table = benchmarks(None if asked.file is None else scope.workbook.root / "params" / asked.file)
    wanted = asked.industry or ""
    own = table[table["industry"].str.lower().isin([wanted.lower(), "all"]) & (table["unit"] == "share")]
    kicker = say("Published figures")
    if own.empty:
        return unknown("published", kicker, say("No figures are known for the industry {name}", name=Name(wanted)))
    finding = say("{n} published figures for {name}, none of them a target", key="published", n=len(own),
                  name=Name(wanted))  # fmt: skip
    frame = own.assign(year=[str(int(year)) if year == year else "–" for year in own["year"]],
                       stale=[say.text("too old") if old else "" for old in own["stale"]])  # fmt: skip
    columns = [
        Column("step", say("Step")),
        Column("model", say("Kind of business"), left=True),
        Column("value", say("Value"), Rate),
        Column("statistic", say("Statistic"), left=True),
        Column("year", say("Year")),
        Column("source", say("Source"), left=True),
        Column("quality", say("Quality")),
        Column("stale", say("Remark"), left=True),
    ]
    parts: list[Part] = [Table(frame, columns, say("Published figures"), name="benchmarks", look="seg")]
    return section("published", kicker=kicker, finding=finding, parts=parts)
