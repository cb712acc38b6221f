"""Which channels conversions came by: seven rules side by side, and how far they disagree."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.keeping.arranging import Ints
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.rates import closed_only
from funnel_lib.conversion.reasons.attribution import MODELS, UNTOUCHED, attribute, disagreement
from funnel_lib.conversion.reasons.paths import Paths, paths
from funnel_lib.conversion.reasons.touches import touches
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Rate
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.chance import chance
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.sections.page import level_of
from funnel_lib.reporting.sections.passing import window_of
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence
from funnel_lib.schema import TS, USER_ID

LOOKBACK, PAUSE, DRAWS, SHOWN = timedelta(days=30), timedelta(minutes=30), 400, 8


def channels(scope: Scope, journeys: Journeys) -> Block | None:
    """Show each channel's share of the conversions by seven rules; None where the source tells no events."""
    if scope.funnel.snapshot is not None or scope.funnel.unit != USER_ID or (log := EventLog.of(scope)) is None:
        return None
    say = Say(scope.language)
    kicker = say("Which channels deserve the credit")
    what = say("The credit of channels")
    people, horizon = _settled(scope, journeys), min(LOOKBACK, scope.funnel.window or LOOKBACK)
    begin, end = scope.period.start - LOOKBACK, scope.period.end + (scope.funnel.window or LOOKBACK)
    persons, least = log.persons(people.frame["unit"]), scope.workbook.rules.min_units
    met = touches(log, since=begin, before=end, until=scope.as_of, people=persons, least=least)
    if met is None or not met.channels:
        return unknown("attribution", kicker, cannot(say, what, "no_channels"))
    led = _conversions(people, persons)
    made = paths(met, led, lookback=LOOKBACK, pause=PAUSE, as_of=scope.as_of, horizon=horizon)
    found = attribute(made, rules=scope.workbook.rules, rng=chance(scope, "attribution"), draws=DRAWS)
    if found["share"].isna().all():
        return unknown("attribution", kicker, cannot(say, what, str(found["reason"].iloc[0])))
    finding = credit_finding(say, scope, found)
    sub = say(
        "Share of {n} conversions by channel, by seven rules; a visit counts for {days} before the conversion, and "
        "paths that led to none are included", key="attribution", n=Count(made.total),
        days=Days(LOOKBACK / timedelta(days=1)),
    )  # fmt: skip
    parts: list[Part] = [_picture(say, scope, found, finding), SoWhat(say("So what"), _notes(say, scope, made, found))]
    return section("attribution", kicker=kicker, finding=finding, sub=sub, parts=parts)


def _settled(scope: Scope, journeys: Journeys) -> Journeys:
    """Return those whose window is over, as far as their closed windows tell: of the others only the fast convert."""
    if not closed_only(journeys, scope.workbook.rules):
        return journeys
    mature = journeys.frame["mature_depth"]
    if mature.equals(journeys.frame["depth"]):
        return journeys
    times = [f"t_{step}" for step in range(1, len(scope.funnel.steps) + 1)]
    frame = journeys.frame.loc[mature > 0, ["unit", "mature_depth", *times]]
    return replace(journeys, frame=frame.rename(columns={"mature_depth": "depth"}).reset_index(drop=True))


def _conversions(journeys: Journeys, persons: Ints) -> pd.DataFrame:
    """Return when each of the people converted; `persons` are their places in the log."""
    size = len(journeys.funnel.steps)
    converted = (journeys.frame["depth"] == size) & journeys.frame[f"t_{size}"].notna()
    done = journeys.frame[converted]
    # With a grace the last step may stand before an earlier one; the funnel is done with the latest of them.
    moments = done[[f"t_{number}" for number in range(1, size + 1)]].max(axis=1)
    return pd.DataFrame({USER_ID: persons[converted.to_numpy()], TS: moments})


def _titles(scope: Scope, say: Say) -> dict[str, str]:
    """Return what readers call channels and rules."""
    return scope.channel_titles() | {
        "other": say.text("other channels"), UNTOUCHED: say.text("no visit in time"),
        "first": say.text("first touch"), "last": say.text("last touch"),
        "linear": say.text("all touches alike"), "position": say.text("first and last most"),
        "decay": say.text("recent touches most"), "markov": say.text("removal effect"),
        "shapley": say.text("channels alike"),
    }  # fmt: skip


def credit_finding(say: Say, scope: Scope, found: pd.DataFrame) -> Sentence:
    """Say for which channel the choice of the rule matters most, or which leads by all of them."""
    titles, apart = _titles(scope, say), disagreement(found[found["channel"] != UNTOUCHED])
    leaders = found.dropna(subset="share").sort_values("share").groupby("model")["channel"].last().unique()
    chosen = apart[apart["channel"] == leaders[0]] if len(leaders) == 1 else apart
    if chosen.empty:
        return say("Most conversions had no visit with a channel in time", key="attribution")
    most = records(chosen)[0]
    words: dict[str, Any] = {
        "channel": titles.get(most.channel, most.channel), "least": _share(found, most.channel, most.lowest_model),
        "most": _share(found, most.channel, most.highest_model),
    }  # fmt: skip
    if len(leaders) == 1 and words["least"].format(scope.language) == words["most"].format(scope.language):
        return say("{channel} leads by every rule, with {most:value} {most:ci} of the conversions",
                   key="attribution", **words)  # fmt: skip
    if len(leaders) == 1:
        return say(
            "{channel} leads by every rule, with {least:value} {least:ci} to {most:value} {most:ci} of the conversions",
            key="attribution", **words,
        )  # fmt: skip
    return say(
        "The rule decides: {channel} gets {least:value} {least:ci} of the conversions by {low}, {most:value} {most:ci} "
        "by {high}", key="attribution", low=titles[most.lowest_model], high=titles[most.highest_model], **words,
    )  # fmt: skip


def _share(found: pd.DataFrame, channel: str, model: str) -> Rate:
    """Return a channel's share by one rule, with its interval."""
    row = records(found[(found["channel"] == channel) & (found["model"] == model)])[0]
    return Rate(row.share, row.low, row.high)


def _picture(say: Say, scope: Scope, found: pd.DataFrame, finding: Sentence) -> Figure:
    titles = _titles(scope, say)
    words = plots.Words(scope.language, titles)
    order = found.groupby("channel")["share"].max().sort_values(ascending=False)
    shown = found[found["channel"].isin(order.index[:SHOWN])]
    svgs = plots.figure(
        lambda ax, width: plots.shares(shown, words, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    wide = found.assign(channel=found["channel"].astype("str")).pivot_table(
        index="channel", columns="model", values=["share", "low", "high"], observed=True
    )  # fmt: skip
    frame = pd.DataFrame({"channel": [titles.get(str(name), str(name)) for name in wide.index]})
    columns = [Column("channel", say("Channel"))]
    for model in [model for model in MODELS if ("share", model) in wide]:
        for part in ("share", "low", "high"):
            frame[f"{model}_{part}"] = wide[part, model].to_numpy()
        columns.append(Column(f"{model}_share", titles[model], Rate, low=f"{model}_low", high=f"{model}_high"))
    caption = say(
        "▶ = first touch, ■ = last touch, ◆ = removal effect (Markov) with {level} interval; ○ = the other rules. "
        "Right: the least and the most, and which rules say so.", level=level_of(scope),
    )  # fmt: skip
    return Figure(svgs, finding, caption=caption, table=Table(frame, columns, say("Credit by rule"), name="credit"))


def _notes(say: Say, scope: Scope, made: Paths, found: pd.DataFrame) -> list[Sentence]:
    """Say what the rules are worth, and where the data is too short for the look-back."""
    notes = [
        say(
            "{paths} paths led to none, {n} to a conversion; {untouched} conversions had no visit in time.",
            key="attribution.paths", paths=Count(float(made.nulls.sum())), n=Count(float(made.conversions.sum())),
            untouched=Count(made.untouched),
        ),
        say("No rule says what a channel caused. Hold one back from a random part of the people to learn that."),
    ]  # fmt: skip
    if scope.provisional and scope.funnel.window is not None and scope.workbook.rules.mature_only:
        span = window_of(scope) or Days(0)
        notes.insert(1, say("Only people who have had their full {window} count, as in the rates.", window=span))
    if still := made.set_aside.get("open", 0):
        notes.insert(1, say(
            "{n} more paths are not counted: they ended so lately that they may still lead to one. The removal effect "
            "knows only the paths that are counted.", key="attribution.open", n=still,
        ))  # fmt: skip
    first: Any = scope.store.facts()["first_day"]
    if first is not None and pd.Timestamp(first).date() > (scope.period.start - LOOKBACK).date():
        notes.append(say("The data begins less than one look-back before the period, so early visits are missing."))
    missing = found[found["share"].isna()].drop_duplicates("model")
    titles = _titles(scope, say)
    notes += [cannot(say, titles[str(row.model)], str(row.reason)) for row in records(missing)]
    return notes
