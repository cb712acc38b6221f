"""The section on returns: what came back for the money of each channel, by a named rule of credit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.worth.costs import UNASSIGNED
from funnel_lib.conversion.worth.customers import SEGMENT, CustomerValue
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Money, Rate, Ratio
from funnel_lib.reporting.labels import Name
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.sections.page import level_of
from funnel_lib.reporting.sections.value import lagged
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence

RULE = "last"


def channels(scope: Scope, found: CustomerValue | None) -> Block | None:
    """Show what came back for the money of each channel, by a named rule of credit.

    None where nothing is known of orders, as `value.figures` says.
    """
    if found is None or found.reason:
        return None
    say = Say(scope.language)
    kicker = say("What comes back for the money")
    what = say("The return of channels")
    if found.returns.empty:
        return unknown("returns", kicker, cannot(say, what, found.acquisition.reason or "no_channels"))
    shown = found.returns[(found.returns["model"].isin([RULE, SEGMENT])) & (found.returns["reason"] == "")]
    if shown.empty:
        reason = found.acquisition.reason or str(found.returns["reason"].iloc[0])
        return unknown("returns", kicker, cannot(say, what, reason))
    if scope.split_group is not None:
        return _of_segment(say, scope, found, shown)
    finding, titles = returns_finding(say, scope, shown), scope.channel_titles()
    frame = pd.DataFrame({
        "label": [titles.get(name, name) for name in shown["channel"]], "estimate": shown["roi"],
        "low": shown["roi_low"], "high": shown["roi_high"], "clear": (shown["roi_low"] > 0) | (shown["roi_high"] < 0),
    })  # fmt: skip
    svgs = plots.figure(
        lambda ax, width: plots.differences(frame, plots.Words(scope.language),
                                            spell=lambda part: _signed(part, scope), ax=ax, width=width),
        alt=finding.text, widths=(700, 328),
    )  # fmt: skip
    sub = say("(Margin − cost) ÷ cost of each channel with costs; credit by the last touch, {costs}",
              costs=lagged(say, found.acquisition.lag_days))  # fmt: skip
    caption = say(
        "Whiskers = {level} intervals of chance alone; other rules of credit are in the table.", level=level_of(scope)
    )
    parts: list[Part] = [Figure(svgs, finding, caption=caption, table=_returns_table(say, scope, found, titles))]
    parts.append(SoWhat(say("So what"), [
        say("Credit is not cause: some of these people would have come anyway. Hold a channel back from a part of the "
            "people to know.")
    ]))  # fmt: skip
    return section("returns", kicker=kicker, finding=finding, sub=sub, parts=parts)


def _of_segment(say: Say, scope: Scope, found: CustomerValue, shown: pd.DataFrame) -> Block:
    """Show what the orders of a segment by channel brought back for its channel's costs."""
    row, split = records(shown)[0], scope.split_group
    back, name = Rate(row.roi, row.roi_low, row.roi_high, digits=0), scope.group_title(*split) if split else ""
    key = "returns.finding"
    if row.roi_low > 0:
        finding = say("{group} brings back more than its channel costs: return {back:value} {back:ci}", key=key,
                      group=Name(name), back=back)  # fmt: skip
    elif row.roi_high < 0:
        finding = say("{group} does not bring back what its channel costs: return {back:value} {back:ci}", key=key,
                      group=Name(name), back=back)  # fmt: skip
    else:
        finding = say("It is not clear whether {group} brings back what its channel costs: return {back:value} "
                      "{back:ci}", key=key, group=Name(name), back=back)  # fmt: skip
    sub = say("(Margin − cost) ÷ cost; credit for all orders of these people, {costs}",
              costs=lagged(say, found.acquisition.lag_days))  # fmt: skip
    notes = SoWhat(say("So what"), [
        say("Only costs that are assigned to the channel count; those of the whole business, such as its team, come on "
            "top.")
    ])  # fmt: skip
    table = _returns_table(say, scope, found, {row.channel: name})
    kicker = say("What comes back for the money")
    return section("returns", kicker=kicker, finding=finding, sub=sub, parts=[table, notes])


def returns_finding(say: Say, scope: Scope, shown: pd.DataFrame) -> Sentence:
    """Say which channels clearly do not bring back their cost, whether all do, or that it is not clear."""
    titles, key = scope.channel_titles(), "returns.finding"
    rows = records(shown.sort_values("roi"))
    least, most = rows[0], rows[-1]
    back = Rate(least.roi, least.roi_low, least.roi_high, digits=0)
    channel = Name(titles.get(least.channel, least.channel))
    if least.roi_high < 0:
        return say("{channel} does not bring back its cost: return {back:value} {back:ci} by the last touch", key=key,
                   channel=channel, back=back)  # fmt: skip
    if all(row.roi_low > 0 for row in rows):
        if len(rows) == 1:
            return say("{channel} brings back more than it costs: return {back:value} {back:ci} by the last touch",
                       key=key, channel=channel, back=back)  # fmt: skip
        return say(
            "Each of the {n} channels with costs brings back more than it costs, from {channel} with {back:value} "
            "{back:ci} to {best} with {most:value} {most:ci}, by the last touch", key=key, n=len(rows), back=back,
            channel=channel, most=Rate(most.roi, most.roi_low, most.roi_high, digits=0),
            best=Name(titles.get(most.channel, most.channel)),
        )  # fmt: skip
    return say("It is not clear whether {channel} brings back its cost: return {back:value} {back:ci} by the last "
               "touch", key=key, channel=channel, back=back)  # fmt: skip


def _signed(part: float, scope: Scope) -> str:
    return ("+" if part > 0 else "") + Rate(part, digits=0).format(scope.language)


def _returns_table(say: Say, scope: Scope, found: CustomerValue, titles: dict[str, str]) -> Table:
    rules = {"first": say.text("first touch"), "last": say.text("last touch"),
             "linear": say.text("all touches alike"), "markov": say.text("removal effect"),
             SEGMENT: say.text("orders of these people")}  # fmt: skip
    rows = found.returns[found.returns["cost"].notna()]
    whole = np.isclose(rows["conversions"], rows["conversions"].round()).all()
    frame = rows.assign(
        channel=[
            say.text("no channel named") if name == UNASSIGNED else titles.get(name, name) for name in rows["channel"]
        ],
        rule=[rules[name] for name in rows["model"]],
    )
    columns = [
        Column("channel", say("Channel")),
        Column("rule", say("Rule of credit"), left=True),
        Column("conversions", say("Orders"), Count if whole else lambda value: Ratio(value, digits=1)),
        Column("revenue", say("Revenue"), lambda value: Money(value, scope.workbook.currency)),
        Column("cost", say("Cost"), lambda value: Money(value, scope.workbook.currency)),
        Column("roas", say("Revenue by cost (ROAS)"), lambda *ends: Ratio(*ends, digits=2), low="roas_low",
               high="roas_high"),
        Column("roi", say("Return (ROI)"), lambda *ends: Rate(*ends, digits=0), low="roi_low", high="roi_high"),
    ]  # fmt: skip
    return Table(frame, columns, say("Return by channel and rule"), name="returns")
