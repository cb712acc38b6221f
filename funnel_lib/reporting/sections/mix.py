"""Sections on who came: the groups' shares of all people, and how they moved since the period before."""

from __future__ import annotations

from datetime import date

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement import change
from funnel_lib.periods import Period
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, section
from funnel_lib.reporting.estimates import Count, Days, Points, PValue, Rate
from funnel_lib.reporting.labels import PeriodName
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.missing import cannot
from funnel_lib.reporting.sections.page import chart_words, level_of, slug
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence

RESIDUAL, PAST_DAYS = ("other", "unknown"), 28
"""Groups of what is left; and how long a past tells what people did before."""


def splits_of(scope: Scope) -> list[str]:
    """Return the workbook's splits that can divide the scope's people: not the one that its segment is a group of."""
    own = scope.split_group[0] if scope.split_group else None
    return [split for split in scope.workbook.segments if split != own]


def titled(scope: Scope, frame: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return a frame with the titles of its groups in place of their names."""
    return frame.assign(group=[scope.group_title(split, str(group)) for group in frame["group"]])


def points(value: float, low: float, high: float) -> Points:
    """Return a difference in points whose unit stands in the heading."""
    return Points(value, low, high, unit="")


def who(scope: Scope, now: Journeys, before: Journeys | None, split: str) -> Block:
    """Show the groups' shares of all people, beside the period before where there is one."""
    say, title = Say(scope.language), scope.split_title(split)
    kicker = say("{split}: mix", split=title)
    if before is None or before.period is None:
        found = say("{n} people entered; there is no earlier period to compare their mix with", n=len(now.frame))
        return section(f"{slug(split)}-mix", kicker=kicker, finding=found, parts=[_shares(say, scope, now, split)])
    moved = change.mix(now, before, split, rules=scope.workbook.rules)
    if (moved["reason"] != "").all():
        found = cannot(say, say("A change of the mix by {split}", split=title), str(moved["reason"].iloc[0]))
        return section(f"{slug(split)}-mix", kicker=kicker, finding=found, parts=[_mix_table(say, scope, moved, split)])
    finding, words = shifted(say, scope, moved, split), chart_words(scope, split)
    svgs = plots.figure(
        lambda ax, width: plots.mix(moved, words, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    caption = say("Open mark = before, full mark = now. ▲ ▼ = a clear change after correction; ● = within noise.")
    figure = Figure(svgs, finding, caption=caption, table=_mix_table(say, scope, moved, split))
    sub = say(
        "Share of all people who entered, by {split}; {now} beside {before}, {level} interval of the change",
        split=title,
        now=PeriodName(scope.period), before=PeriodName(before.period), level=level_of(scope),
    )  # fmt: skip
    parts: list[Part] = [figure, *_young(say, scope, before.period, split)]
    return section(f"{slug(split)}-mix", kicker=kicker, finding=finding, sub=sub, parts=parts)


def _young(say: Say, scope: Scope, earlier: Period, split: str) -> list[Sentence]:
    """Warn where groups go by what people did before, and the data holds little of that for the earlier period."""
    first: str | None = scope.store.facts()["first_day"]
    if first is None or not any(group.did for group in scope.workbook.segments[split].groups.values()):
        return []
    held = (earlier.first_day - date.fromisoformat(first)).days
    if held >= PAST_DAYS:
        return []
    return [
        say(
            "These groups go by what people did before, and of the time before the earlier period the data holds "
            "{days}: who came later had longer to do it, which alone may move the shares.", key=f"{split}.mix.young",
            days=Days(float(held)),
        )
    ]  # fmt: skip


def _shares(say: Say, scope: Scope, now: Journeys, split: str) -> Table:
    """Return how many people of each group entered."""
    counts = now.counts(by=split)
    frame = titled(scope, counts[counts["step"] == 1], split)
    columns = [Column("group", scope.split_title(split)), Column("units", say("People"), Count)]
    return Table(
        frame,
        columns,
        say("People by {split}", split=scope.split_title(split)),
        name=f"{split}_mix",
        look="seg",
    )


def traffic(scope: Scope, now: Journeys, before: Journeys | None) -> Block:
    """Show the split whose mix moved most, or the first one where none moved clearly."""
    splits = splits_of(scope)
    if not splits:
        say = Say(scope.language)
        none = say("This workbook divides people into no segments, so nothing can be said about the mix")
        return section("mix", kicker=say("Who came"), finding=none)
    return who(scope, now, before, widest(scope, now, before) or splits[0])


def widest(scope: Scope, now: Journeys, before: Journeys | None) -> str | None:
    """Return the split with the largest clear change of a share since the period before, None without one."""
    reach: dict[str, float] = {}
    for split in splits_of(scope) if before is not None else ():
        moved = change.mix(now, before, split, rules=scope.workbook.rules) if before is not None else pd.DataFrame()
        clear = moved.loc[moved["clear"], "difference"].abs()
        if len(clear):
            reach[split] = float(clear.max())
    return max(reach, key=lambda split: reach[split]) if reach else None


def shifted(say: Say, scope: Scope, moved: pd.DataFrame, split: str) -> Sentence:
    """Say which group's share moved most, if any moved clearly."""
    key, clear = f"{split}.mix", moved[moved["clear"] & ~moved["group"].isin(RESIDUAL)]
    if clear.empty:
        return say("The mix by {split} did not shift clearly", key=key, split=scope.split_title(split))
    row = records(clear.loc[[clear["difference"].abs().idxmax()]])[0]
    title, share = scope.group_title(split, row.group), Rate(row.share_now)
    points = Points(row.difference, row.low, row.high, signed=False)
    if row.difference > 0:
        return say(
            "{group}: {share:value} of all people, up by {points:value} {points:ci}", key=key, group=title, share=share,
            points=points,
        )  # fmt: skip
    return say(
        "{group}: {share:value} of all people, down by {points:value} {points:ci}", key=key, group=title, share=share,
        points=points,
    )  # fmt: skip


def _mix_table(say: Say, scope: Scope, moved: pd.DataFrame, split: str) -> Table:
    columns = [
        Column("group", scope.split_title(split)),
        Column("before", say("People before"), Count),
        Column("now", say("People now"), Count),
    ]
    if (moved["reason"] == "").any():
        columns += [
            Column("share_before", say("Share before"), Rate),
            Column("share_now", say("Share now"), Rate),
            Column("difference", say("Change, pp"), points, low="low", high="high"),
            Column("p_adjusted", say("Corrected test"), PValue),
        ]
    caption = say("Shares by {split}", split=scope.split_title(split))
    return Table(titled(scope, moved, split), columns, caption, name=f"{split}_mix")
