"""The section on conversion against value: for which groups a high rate is worth little, and the reverse."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.worth.balance import HIGH_RATE, HIGH_VALUE, balance
from funnel_lib.conversion.worth.customers import AGAIN_DAYS
from funnel_lib.conversion.worth.orders import orders
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, section
from funnel_lib.reporting.estimates import Count, Days, Money, Rate
from funnel_lib.reporting.labels import Name, Names
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.sections.mix import splits_of
from funnel_lib.reporting.sections.page import chart_words, level_of
from funnel_lib.reporting.sections.time import known
from funnel_lib.reporting.sections.value import money
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence


def balanced(scope: Scope, journeys: Journeys, by: str) -> Block | None:
    """Show for each group of a split how many convert beside what those who do bring.

    Where the workbook has no such split, its first one is shown. None where there are no orders, as `value.figures`
    says.
    """
    say, split = Say(scope.language), known(scope, by) or next(iter(splits_of(scope)), None)
    kicker = say("Conversion against value")
    what = say("Conversion against value")
    sold = orders(scope)
    if sold.reason:
        return None
    if journeys.frame["first_entry"].isna().any():
        return unknown("balance", kicker, cannot(say, what, "no_times"))
    if split is None or split not in journeys.frame:
        return unknown("balance", kicker, cannot(say, what, "one_group"))
    within = scope.funnel.window or timedelta(days=AGAIN_DAYS)
    found = balance(
        journeys, split, sold, margin=scope.workbook.value.margin, within=within, rules=scope.workbook.rules,
    )  # fmt: skip
    if found["value"].isna().all():
        return unknown("balance", kicker, cannot(say, what, "too_few"))
    finding = balance_finding(say, scope, found, split)
    last = scope.step_title(scope.funnel.names[-1])
    headings = say.text("Share that reaches {last}", last=last), say.text("Margin of those who do")
    picture, currency = _sides(found), scope.workbook.currency
    svgs = plots.figure(
        lambda ax, width: plots.balance(
            picture, chart_words(scope, split), spell=lambda amount: Money(amount, currency).format(scope.language),
            headings=headings, ax=ax, width=width,
        ), alt=finding.text, widths=(700, 328),
    )  # fmt: skip
    caption = say(
        "Whiskers = {level} intervals. ▲ ▼ = clearly above or below all others, corrected.", level=level_of(scope)
    )
    table = _balance_table(say, scope, found, split)
    sub = say("By {split}; orders within {days} of the first entry", split=scope.split_title(split),
              days=Days(within / timedelta(days=1)))  # fmt: skip
    parts: list[Part] = [Figure(svgs, finding, caption=caption, table=table)]
    return section("balance", kicker=kicker, finding=finding, sub=sub, parts=parts)


def balance_finding(say: Say, scope: Scope, found: pd.DataFrame, split: str) -> Sentence:
    """Name the groups that convert well but bring little, or the reverse; else the one worth most for each person."""
    key = "balance.finding"
    for kind in (HIGH_RATE, HIGH_VALUE):
        groups = found.loc[found["kind"] == kind, "group"]
        if len(groups):
            names = Names([scope.group_title(split, str(name)) for name in groups])
            if kind == HIGH_RATE:
                return say("{groups}: more convert than elsewhere, but each brings less", key=key, groups=names)
            return say("{groups}: fewer convert than elsewhere, but each brings more", key=key, groups=names)
    known = found[found["per_person"].notna()]
    # The two that lie furthest apart for sure: the highest mean may be that of a small group, of which little is known.
    most = records(known.sort_values("per_person_low"))[-1]
    least = records(known.sort_values("per_person_high"))[0]
    if most.per_person_low <= least.per_person_high:
        return say("No group trades rate against value, and none is clearly worth more per person who enters", key=key)
    most_worth, least_worth = (
        money(scope, (row.per_person, row.per_person_low, row.per_person_high)) for row in (most, least)
    )
    return say(
        "Per person who enters, {best} is worth {most:value} {most:ci}, {worst} {least:value} {least:ci}", key=key,
        best=Name(scope.group_title(split, most.group)), most=most_worth, least=least_worth,
        worst=Name(scope.group_title(split, least.group)),
    )  # fmt: skip


def _sides(found: pd.DataFrame) -> pd.DataFrame:
    """Return the groups with the side on which their rate and value lie of all others."""
    total = found["converted"].sum() / found["entered"].sum()
    weight = found["converted"].where(found["value"].notna(), 0)
    mean = float((found["value"].fillna(0) * weight).sum() / max(weight.sum(), 1))
    sides = {
        "rate_side": np.where(~found["rate_clear"], "within", np.where(found["rate"] > total, "above", "below")),
        "value_side": np.where(~found["value_clear"], "within", np.where(found["value"] > mean, "above", "below")),
    }
    return found.assign(**sides)


def _balance_table(say: Say, scope: Scope, found: pd.DataFrame, split: str) -> Table:
    titled = found.assign(group=[scope.group_title(split, str(name)) for name in found["group"]])
    columns = [
        Column("group", scope.split_title(split)),
        Column("entered", say("People"), Count),
        Column("rate", say("Share that converts"), Rate, low="low", high="high"),
        Column("value", say("Margin per conversion"), lambda *ends: money(scope, ends), low="value_low",
               high="value_high"),
        Column("per_person", say("Margin per person"), lambda *ends: money(scope, ends), low="per_person_low",
               high="per_person_high"),
    ]  # fmt: skip
    return Table(
        titled, columns, say("Conversion and value by {split}", split=scope.split_title(split)), name="balance"
    )
