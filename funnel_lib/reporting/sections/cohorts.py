"""Cohorts: who entered in which week converted by which age, what the young will come to, who comes back."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, cast

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import Rules
from funnel_lib.conversion.durations.cohorts import back_test, nowcast, triangle
from funnel_lib.conversion.durations.returning import repurchase, retention
from funnel_lib.conversion.durations.timing import NO_TIMES
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.movement.change import Every
from funnel_lib.conversion.rates import newcombe, wilson
from funnel_lib.conversion.worth.customers import AGAIN_DAYS
from funnel_lib.reporting.blocks import Block, Key, KeyEntry, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Points, PValue, Rate
from funnel_lib.reporting.labels import Day
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.tables import Cell, Column, Table
from funnel_lib.reporting.wording import Say, Sentence
from funnel_lib.schema import TS, USER_ID

SHOWN, AGAIN, LONG_DAYS = 12, 8, 200
"""The newest cohorts and the ages that are shown; the days beyond which cohorts are months."""
COMPARED = 3
"""Cohorts that an age needs to be compared at."""
AGAIN_REASONS = {"no_conversions": "no_repeat_orders"}


def entries(scope: Scope, whole: Journeys) -> Block:
    """Show by cohort and age who converted, with the unfinished hatched; `whole` is `history(scope)`."""
    say, rules, every = Say(scope.language), scope.workbook.rules, _every(whole, scope.workbook.rules)
    kicker = say("Cohorts by week") if every == "week" else say("Cohorts by month")
    found = triangle(whole, every=every, rules=rules)
    if found["cohort"].isna().any() or not found["rate"].notna().any():
        what, reason = say("Conversion by cohort"), str(found["reason"].iloc[0])
        return unknown("cohorts", kicker, cannot(say, what, reason or NO_TIMES))
    told = nowcast(found, rules=rules)
    finding = _finding(say, found, every)
    tested = _tested(say, back_test(found, rules=rules))
    notes = [*_expected(say, told), *_unsteady(say, told, rules), tested, *_same_age(say)]
    last = scope.step_title(scope.funnel.names[-1])
    sub = say(
        "Share of each cohort that reached {last} by its age in weeks; hatched = not everybody is so old yet",
        last=last,
    ) if every == "week" else say(
        "Share of each cohort that reached {last} by its age in months of thirty days; hatched = not everybody is so "
        "old yet", last=last,
    )  # fmt: skip
    parts: list[Part] = [_key(say), _heat(say, found, told, every), SoWhat(say("So what"), notes)]
    return section("cohorts", kicker=kicker, finding=finding, sub=sub, parts=parts)


def _every(whole: Journeys, rules: Rules) -> Every:
    """Return weeks, or months where there are many, or where a week has too few people for a rate."""
    if whole.period is None:
        return "week"
    long = whole.period.days > LONG_DAYS or len(whole.frame) < rules.min_units * whole.period.days / 7
    return "month" if long else "week"


def _key(say: Say, *, few: bool = False) -> Key:
    marks = [KeyEntry(say("darker = more"), "ramp"), KeyEntry(say("not finished"), "open")]
    return Key([*marks, KeyEntry(say("too few"), "·")] if few else marks)


def _finding(say: Say, found: pd.DataFrame, every: Every) -> Sentence:
    """Say how the newest cohort did that is finished at an age, against those before it of the same age.

    The age is the greatest that enough cohorts have reached to be compared.
    """
    known = found[found["finished"] & found["rate"].notna()]
    sizes = known.groupby("age").size()
    age = sizes[sizes >= COMPARED].index.max()
    done = known[known["age"] == age]
    if done.empty:
        return say("Too few cohorts are finished to compare them", key="cohorts")
    new, old = records(done)[-1], done.iloc[:-1]
    k, n = int(old["converted"].sum()), int(old["observed"].sum())
    gap = newcombe(int(new.converted), int(new.observed), k, n, new.level)
    points = Points(gap.estimate, gap.low, gap.high, signed=False)
    words: dict[str, Any] = {
        "day": Day(new.cohort.date(), "day"), "rate": Rate(new.rate, new.low, new.high), "points": points,
        "age": _age(say, int(age), every),
    }  # fmt: skip
    if gap.low <= 0 <= gap.high:
        return say(
            "The newest cohort finished at {age}, from {day}: {rate:value} {rate:ci}, within noise of those before it",
            key="cohorts", day=words["day"], rate=words["rate"], age=words["age"],
        )  # fmt: skip
    if gap.estimate > 0:
        return say(
            "The newest cohort finished at {age}, from {day}: {rate:value}, {points:value} {points:ci} above those "
            "before it",
            key="cohorts", **words,
        )  # fmt: skip
    return say(
        "The newest cohort finished at {age}, from {day}: {rate:value}, {points:value} {points:ci} below those "
        "before it",
        key="cohorts", **words,
    )  # fmt: skip


def _expected(say: Say, told: pd.DataFrame) -> list[Sentence]:
    """Say what the unfinished cohorts are expected to come to."""
    young = told[~told["finished"] & told["expected"].notna()].tail(2)
    return [
        say(
            "The cohort from {day} is not finished: {seen} of {n} so far, {expected:value} {expected:ci} expected in "
            "the end.", key=f"cohorts.{row.cohort.date()}", day=Day(row.cohort.date(), "day"), seen=int(row.seen),
            n=int(row.entered), expected=Rate(row.expected, row.low, row.high),
        )
        for row in records(young)
    ]  # fmt: skip


def _unsteady(say: Say, told: pd.DataFrame, rules: Rules) -> list[Sentence]:
    """Warn where delays differ between cohorts, so that the past is a poorer guide."""
    p = float(told["p"].iloc[0])
    if math.isnan(p) or p >= 1 - rules.level or not (~told["finished"] & told["expected"].notna()).any():
        return []
    return [say(
        "Cohorts differ in how long they take, by more than chance ({p}): the intervals of what is expected are wider "
        "for it, and a cohort unlike all before it may still miss them.", key="cohorts.delays", p=PValue(p),
    )]  # fmt: skip


def _tested(say: Say, past: Any) -> Sentence:
    """Say how good such forecasts were so far."""
    if past.reason:
        return say("No such forecast of the past can be checked yet.")
    return say(
        "Of {n} such forecasts made in the past, {held} held what came within their interval; on average they were "
        "{error:value} off.", key="cohorts.back_test", n=past.nowcasts, held=Rate(past.held, digits=0),
        error=Points(past.absolute_error, signed=False),
    )  # fmt: skip


def _same_age(say: Say) -> list[Sentence]:
    return [say("Compare cohorts down a column: only at the same age are they alike.")]


def _heat(say: Say, found: pd.DataFrame, told: pd.DataFrame, every: Every) -> Table:
    """Return the triangle as a heat map: newest cohorts last, ages across, what is expected at the end."""
    frame, ages = _wide(found, SHOWN)
    final = {row.cohort: _told(row) for row in records(told)}
    final_only = not any(final[day] for day in frame["start"])
    frame = frame.assign(expected=pd.Series([final[day] for day in frame["start"]], dtype="object"))
    columns = [Column("cohort", say("From")), Column("n", say("People"), Count)]
    columns += [Column(f"age_{age}", _age(say, int(age), every), Rate, shade=True, open=f"open_{age}") for age in ages]
    if not final_only:
        columns.append(Column("expected", say("In the end, expected")))
    return Table(frame, columns, say("Conversion by cohort and age"), name="cohorts", look="heat")


def _wide(found: pd.DataFrame, most: int) -> tuple[pd.DataFrame, list[int]]:
    """Return one row per cohort, the newest ones, with `age_N` and `open_N` for the youngest ages, and those ages."""
    ages = [int(age) for age in sorted(found["age"].unique()) if age <= most]
    newest = sorted(found["cohort"].unique())[-SHOWN:]
    rows = found[found["cohort"].isin(newest)].set_index(["age", "cohort"])
    frame = rows.loc[ages[0], ["entered"]].reset_index().rename(columns={"cohort": "start", "entered": "n"})
    named: list[Any] = [Day(day.date(), "day") for day in frame["start"]]
    frame["cohort"] = pd.Series(named, dtype="object")
    for age in ages:
        cells = rows.loc[age].reindex(frame["start"])
        frame[f"age_{age}"] = cells["rate"].to_numpy(dtype=float)
        frame[f"open_{age}"] = ~cells["finished"].to_numpy(dtype=bool)
    return frame, ages


def _told(row: Any) -> Cell | None:
    if math.isnan(row.expected) or row.finished:
        return None
    return Cell(Rate(row.expected, row.low, row.high), tone="open")


def _age(say: Say, age: int, every: Every) -> Sentence:
    return say("week {n}", n=age) if every == "week" else say("month {n}", n=age)


def retained(scope: Scope) -> Block | None:
    """Show which share of new people was active again in later weeks.

    Only in the report on everybody: the events are not divided by segment. None elsewhere, and without events.
    """
    log = EventLog.of(scope, USER_ID) if scope.split_group is None and scope.as_of is not None else None
    if log is None or scope.as_of is None:
        return None
    say, zone = Say(scope.language), scope.workbook.zone
    found = retention(log, every="week", as_of=scope.as_of, rules=scope.workbook.rules, zone=zone)
    found = found[found["cohort"].isna() | (found["cohort"] <= pd.Timestamp(scope.period.last_day))]
    kicker = say("Who comes back")
    if not found["rate"].notna().any():
        return unknown("retention", kicker, cannot(say, say("How many come back"), str(found["reason"].iloc[0])))
    second = found[(found["age"] == 1) & found["observed"].gt(0)]
    k, n = int(second["active"].sum()), int(second["observed"].sum())
    finding = say(
        "{share:value} {share:ci} of new people are active again in the week after their first", key="retention",
        share=Rate(k / n, *wilson(k, n, scope.workbook.rules.level)),
    )  # fmt: skip
    sub = say("Share of each cohort that did anything in a later week of its own; only people whose week is over count")
    notes = [say("To be active is any event; who is not seen again may still buy elsewhere or come back later.")]
    if scope.workbook.value.event is not None:
        notes.insert(0, _bought(say, scope, log))
    parts: list[Part] = [_key(say, few=True), _again(say, found), SoWhat(say("So what"), notes)]
    return section("retention", kicker=kicker, finding=finding, sub=sub, parts=parts)


def _bought(say: Say, scope: Scope, log: EventLog) -> Sentence:
    """Say which share of buyers ordered again in time, from all of them, each followed as long as it was."""
    found, times = log.find([str(scope.workbook.value.event)]).places, log.at
    orders = pd.DataFrame({USER_ID: log.person[found], TS: pd.array(times[found], dtype="datetime64[us, UTC]")})
    as_of, days = cast(datetime, scope.as_of), Days(AGAIN_DAYS)
    row = records(repurchase(orders, within_days=AGAIN_DAYS, as_of=as_of, rules=scope.workbook.rules))[-1]
    if math.isnan(row.rate):
        return cannot(
            say, say("The share that orders again within {days}", days=days), AGAIN_REASONS.get(row.reason, row.reason)
        )
    return say(
        "{rate:value} {rate:ci} of {n} buyers order again within {days} of their first order.", key="repurchase",
        rate=Rate(row.rate, row.low, row.high), n=int(row.customers), days=days,
    )  # fmt: skip


def _again(say: Say, found: pd.DataFrame) -> Table:
    frame, ages = _wide(found[found["age"].isin(found.loc[found["rate"].notna(), "age"])], AGAIN)
    columns = [Column("cohort", say("From")), Column("n", say("People"), Count)]
    columns += [
        Column(f"age_{age}", say("week {n}", n=int(age) + 1), Rate, shade=True, open=f"open_{age}") for age in ages
    ]
    return Table(frame, columns, say("Active again, by cohort and week"), name="retention", look="heat")
