"""Whether the findings hang on a setting: the same period under other definitions."""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import UnmatchedStep
from funnel_lib.conversion.keeping.shelves import Shelf
from funnel_lib.conversion.sensitivity import Sensitivity, sensitivity
from funnel_lib.presets import PresetName
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Points, Rate, plain_points
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.page import level_of
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.telling import variant_title, verdict
from funnel_lib.reporting.wording import Say, Sentence

SYSTEMS: tuple[PresetName, ...] = ("posthog", "mixpanel", "amplitude", "ga4")


def definitions(scope: Scope) -> Block | None:
    """Show the overall rate under other windows, orders, tie rules and systems.

    Only in the report on everybody: the definition is that of the whole funnel. None elsewhere, and where the source
    has no events that could be counted otherwise.
    """
    if scope.split_group is not None or scope.funnel.snapshot is not None or not scope.events.exists():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnmatchedStep)  # refused when the journeys were made, or allowed
        found = sensitivity(
            scope.events, scope.funnel, period=scope.period, as_of=scope.as_of, rules=scope.workbook.rules,
            presets=SYSTEMS, shelf=Shelf.of(scope),
        )  # fmt: skip
    say, told = Say(scope.language), verdict(found, scope.language)
    kicker = say("Other definitions")
    shown = _rows(say, found)
    if shown["rate"].isna().all():
        return section("robustness", kicker=kicker, finding=say("Too few people to compare definitions"))
    finding = robust_finding(say, shown)
    svgs = plots.figure(
        lambda ax, width: plots.answers(shown, plots.Words(scope.language), ax=ax, width=width), alt=finding.text,
        widths=(700, 328),
    )  # fmt: skip
    caption = say(
        "Whiskers = {level} Wilson interval. One change at a time; differences in the table are of the same people.",
        level=level_of(scope),
    )
    figure = Figure(svgs, finding, caption=caption, table=_table(say, shown))
    sub = say("Share of people who came through the whole funnel, if it were defined otherwise", key="robustness")
    notes = SoWhat(say("So what"), told[1:])
    return section("robustness", kicker=kicker, finding=finding, sub=sub, parts=[figure, notes])


def _rows(say: Say, found: Sensitivity) -> pd.DataFrame:
    """Return the rate of the last step under each definition (`answer, group, rate, low, high, ...`)."""
    titles = {variant.name: variant_title(say, variant).text for variant in found.variants}
    last: pd.DataFrame = found.frame[found.frame["step"] == found.frame["step"].max()]
    return last.assign(answer=[_capital(titles[str(name)]) for name in last["variant"]], group="all")


def robust_finding(say: Say, shown: pd.DataFrame) -> Sentence:
    """Say how far other definitions lie from the workbook's, of the same people."""
    own = records(shown[shown["difference"].isna() & shown["rate"].notna()])
    others = shown[shown["difference"].notna() & shown["rate"].notna()]
    if not own or others.empty:
        return say("No other definition can be compared with the workbook's", key="robustness")
    rate = Rate(own[0].rate, own[0].low, own[0].high)
    least, most = records(others.sort_values("difference").iloc[[0, -1]])
    down, up = (Points(row.difference, row.diff_low, row.diff_high, signed=False) for row in (least, most))
    words: dict[str, Any] = {"key": "robustness", "rate": rate}
    if not (least.difference < 0 or most.difference > 0):
        return say("The definition makes no difference: {rate:value} {rate:ci} come through", **words)
    if not least.difference < 0:
        return say("{rate:value} {rate:ci} come through; defined otherwise, up to {up:value} {up:ci} more", up=up,
                   **words)  # fmt: skip
    if not most.difference > 0:
        return say("{rate:value} {rate:ci} come through; defined otherwise, up to {down:value} {down:ci} less",
                   down=down, **words)  # fmt: skip
    return say(
        "{rate:value} {rate:ci} come through; defined otherwise, up to {down:value} {down:ci} less or {up:value} "
        "{up:ci} more", down=down, up=up, **words,
    )  # fmt: skip


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _table(say: Say, shown: pd.DataFrame) -> Table:
    columns = [
        Column("answer", say("Definition")),
        Column("entered", say("People"), Count),
        Column("converted", say("Converted"), Count),
        Column("rate", say("Share"), Rate, low="low", high="high"),
        Column("difference", say("Difference, pp"), plain_points, low="diff_low", high="diff_high"),
    ]
    return Table(shown, columns, say("The funnel under other definitions"), name="definitions")
