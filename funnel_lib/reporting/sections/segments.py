"""Sections on groups: which groups get to the end more often, and at which step they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.change import mix
from funnel_lib.conversion.rates import compare, rates
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, Key, KeyEntry, Panels, TooFew, section, summary
from funnel_lib.reporting.estimates import Count, PValue, Rate
from funnel_lib.reporting.labels import Names, Span
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.sections.mix import RESIDUAL, points, shifted, splits_of, titled, widest
from funnel_lib.reporting.sections.page import chart_words, level_of, slug
from funnel_lib.reporting.sections.passing import mature_span, overall, passes
from funnel_lib.reporting.tables import Column, Record, Table
from funnel_lib.reporting.wording import Say, Sentence


def each(scope: Scope, show: Callable[..., Block], *results: object) -> None:
    """Display `show(scope, *results, split)` for every split of the workbook."""
    from IPython.display import display

    for split in splits_of(scope):
        display(show(scope, *results, split))  # type: ignore[no-untyped-call]


def comparisons(scope: Scope, journeys: Journeys, split: str) -> pd.DataFrame:
    """Return `compare` for every step of the split, with a column `step`; step 0 is the overall rate."""
    rules, last = scope.workbook.rules, len(scope.funnel.steps)
    frames = [compare(journeys, split, step=last, base="first", rules=rules).assign(step=0)]
    frames += [compare(journeys, split, step=step, rules=rules).assign(step=step) for step in range(2, last + 1)]
    return pd.concat(frames, ignore_index=True)


def panels(scope: Scope, journeys: Journeys, split: str) -> Block:
    """Show the step rates of each group of `split` beside everybody's."""
    say, title, rules = Say(scope.language), scope.split_title(split), scope.workbook.rules
    steps, everyone = rates(journeys, by=split, rules=rules), rates(journeys, rules=rules)
    against = comparisons(scope, journeys, split)
    if not everyone["denominator"].any():
        what = say("The rate of each step")
        return unknown(f"{slug(split)}-steps", say("{split}: steps", split=title), cannot(say, what, "open"))
    order = against[against["step"] == 0].sort_values("rate", ascending=False, na_position="last")["group"]
    entries = [
        KeyEntry(say("everyone"), mark="line"),
        KeyEntry(say("clearly above the others"), mark="▲", tone="good"),
        KeyEntry(say("clearly below the others"), mark="▼", tone="bad"),
        KeyEntry(say("not clear of noise"), mark="●", tone="noise"),
    ]
    shown = [_panel(scope, steps, everyone, against[against["group"] == group], split, str(group)) for group in order]
    caption = say(
        "Same scale in all panels. Each group is compared with all others; {n} comparisons, corrected for their "
        "number.",
        key=f"{split}.panels", n=int((against["step"] > 0).sum()),
    )  # fmt: skip
    sub = say("Share of the previous step by {split}, all people; sorted by overall rate", split=title)
    if scope.as_of is not None:
        sub = say(
            "Share of the previous step by {split}, people who entered {days}; sorted by overall rate",
            split=title,
            days=mature_span(scope, journeys),
        )
    parts: list[Part] = [Key(entries), Panels(shown, caption=caption, table=_step_table(say, scope, steps, split))]
    return section(
        f"{slug(split)}-steps", kicker=say("{split}: steps", split=title), finding=behind(say, scope, against, split),
        sub=sub, parts=parts,
    )  # fmt: skip


def behind(say: Say, scope: Scope, against: pd.DataFrame, split: str) -> Sentence:
    """Say which group falls furthest behind, and at which steps it is behind or ahead of the others."""
    key = f"{split}.finding"
    clear = against[~against["group"].isin(RESIDUAL) & against["clear"]]
    low = clear[clear["difference"] < 0].sort_values("difference")
    if not against["p"].notna().any():
        reason = "one_group" if against["group"].nunique() < 2 else "too_few"
        return cannot(say, say("A comparison of the groups"), reason)
    if low.empty:
        return _ahead(say, scope, clear, split)
    group = str(low.iloc[0]["group"])
    own = clear[(clear["group"] == group) & (clear["step"] > 0)]
    down, up = (
        [scope.step_title(scope.funnel.names[step - 1]) for step in own.loc[side, "step"]]
        for side in (own["difference"] < 0, own["difference"] > 0)
    )
    title = scope.group_title(split, group)
    if down and up:
        return say("{group}: ahead at {high}, behind at {low}", key=key, group=title, high=Names(up), low=Names(down))
    if down:
        return say("{group}: behind at {low}", key=key, group=title, low=Names(down))
    return say("{group}: behind from first step to last, though clearly at no single one", key=key, group=title)


def _ahead(say: Say, scope: Scope, clear: pd.DataFrame, split: str) -> Sentence:
    """Say which group is furthest ahead, where none that has a name is behind."""
    key, high = f"{split}.finding", clear[clear["difference"] > 0].sort_values("difference", ascending=False)
    if high.empty:
        return say("No group is clearly behind the others", key=key)
    group = str(high.iloc[0]["group"])
    own = clear[(clear["group"] == group) & (clear["step"] > 0)]
    title, steps = scope.group_title(split, group), own.loc[own["difference"] > 0, "step"]
    if len(steps):
        at = Names([scope.step_title(scope.funnel.names[step - 1]) for step in steps])
        return say("{group}: ahead at {high}", key=key, group=title, high=at)
    return say("{group}: ahead from first step to last, though clearly at no single one", key=key, group=title)


def _panel(
    scope: Scope, steps: pd.DataFrame, everyone: pd.DataFrame, against: pd.DataFrame, split: str, group: str
) -> Figure | TooFew:  # fmt: skip
    say, rules, key = Say(scope.language), scope.workbook.rules, f"{split}.{group}"
    title, row, own = (
        scope.group_title(split, group),
        overall(scope, steps, group),
        steps[steps["group"] == group],
    )
    found = passes(scope, steps, group)
    if all(step.few for step in found):
        reason = say(
            "{people} people, {reached} reached the last step. A rate needs at least {units} people and {events} "
            "conversions. These people are included in the total.", key=key, people=row.entering,
            reached=row.passed, units=rules.min_units, events=rules.min_events,
        )  # fmt: skip
        return TooFew(title, reason)
    words, marks = chart_words(scope), against[against["step"] > 0]
    alt = say("{group}: {steps}", group=title, steps=Names([step.told(scope.language) for step in found]))
    svg = plots.svg(lambda ax, width: plots.panel(own, everyone, marks, words, ax=ax, width=width), 328, None, alt.text)
    value = say("too few")
    if not row.few:
        value = say("{rate:value} {rate:ci}", key=key, rate=row.value)
    return Figure({328: svg}, alt, title=title, value=value, note=say("{n} people", key=key, n=row.entering))


def _step_table(say: Say, scope: Scope, steps: pd.DataFrame, split: str) -> Table:
    """Return the step rates of all groups, one row per group."""
    first = steps[steps["base"] == "first"]
    frame = first[first["step"] == len(scope.funnel.steps)].set_index("group")[["denominator", "rate", "low", "high"]]
    columns = [Column("group", scope.split_title(split)), Column("denominator", say("People"), Count)]
    for name in scope.funnel.names[1:]:
        own = steps[(steps["base"] == "previous") & (steps["name"] == name)].set_index("group")
        names = {"rate": name, "low": f"{name}_low", "high": f"{name}_high"}
        frame = frame.join(own[["rate", "low", "high"]].rename(columns=names))
        columns.append(Column(name, scope.step_title(name), Rate, low=f"{name}_low", high=f"{name}_high"))
    columns.append(Column("rate", say("Overall"), Rate, low="low", high="high", sorted="descending"))
    frame = titled(scope, frame.reset_index(), split).sort_values("rate", ascending=False, na_position="last")
    caption = say("Share of the previous step by {split}", split=scope.split_title(split))
    return Table(frame, columns, caption, name=f"{split}_steps", few=_few(say, scope))


def _few(say: Say, scope: Scope) -> Callable[[Record], Sentence | None]:
    least = scope.workbook.rules.min_units
    return lambda record: say("too few for rates") if record["denominator"] < least else None


def ranking(scope: Scope, journeys: Journeys, split: str) -> Block:
    """Rank the groups of `split` by their overall rate, with intervals and a corrected test against the others."""
    say, title, rules = Say(scope.language), scope.split_title(split), scope.workbook.rules
    found = compare(journeys, split, step=len(scope.funnel.steps), base="first", rules=rules)
    everyone = overall(scope, rates(journeys, rules=rules)).rate
    finding, words = best_and_worst(say, scope, found, split), chart_words(scope, split)
    frame = found.assign(
        n=found["denominator"], direction=found["difference"].gt(0).map({True: "above", False: "below"})
    )
    told = [
        f"{scope.group_title(split, row.group)} {Rate(row.rate, row.low, row.high).format(scope.language)}"
        for row in records(found) if not pd.isna(row.rate)
    ]  # fmt: skip
    alt = say("{finding}. {groups}", finding=finding.text, groups=Names(told))
    svgs = plots.figure(
        lambda ax, width: plots.ranked(frame, words, total=everyone, ax=ax, width=width),
        alt=alt.text,
        widths=(700, 328),
    )
    caption = say("Line = everyone. ▲ ▼ = clearly above or below all others after correction; ● = not clear of noise.")
    first, last = (scope.step_title(scope.funnel.names[end]) for end in (0, -1))
    sub = say(
        "Share of people who got from {first} to {last}, by {split}; all people, {level} interval",
        split=title,
        first=first,
        last=last,
        level=level_of(scope),
    )
    if scope.as_of is not None:
        sub = say(
            "Share of people who got from {first} to {last}, by {split}; people who entered {days}, {level} interval",
            split=title,
            first=first,
            last=last,
            days=mature_span(scope, journeys),
            level=level_of(scope),
        )
    figure = Figure(svgs, alt, caption=caption, table=_compare_table(say, scope, found, split))
    return section(f"{slug(split)}-ranking", kicker=title, finding=finding, sub=sub, parts=[figure])


def best_and_worst(say: Say, scope: Scope, found: pd.DataFrame, split: str) -> Sentence:
    """Say which group converts best and which worst, as far as that is clear."""
    key, clear = (
        f"{split}.ranking",
        found[found["clear"] & ~found["group"].isin(RESIDUAL)].sort_values("rate"),
    )
    low, high = records(clear[clear["difference"] < 0]), records(clear[clear["difference"] > 0])
    titles = {row.group: scope.group_title(split, row.group) for row in (*low, *high)}
    values = {row.group: Rate(row.rate, row.low, row.high) for row in (*low, *high)}
    if low and high:
        best, worst = high[-1].group, low[0].group
        return say(
            "Highest: {best}, {best_rate}; lowest: {worst}, {worst_rate}", key=key, best=titles[best],
            best_rate=values[best], worst=titles[worst], worst_rate=values[worst],
        )  # fmt: skip
    if high:
        best = high[-1].group
        return say("Highest: {best}, {best_rate}", key=key, best=titles[best], best_rate=values[best])
    if low:
        worst = low[0].group
        return say("Lowest: {worst}, {worst_rate}", key=key, worst=titles[worst], worst_rate=values[worst])
    if found["difference"].isna().all():
        return cannot(say, say("A comparison of the groups"), "too_few" if len(found) > 1 else "one_group")
    return say("No difference by {split} is clear of noise", key=key, split=scope.split_title(split))


def _compare_table(say: Say, scope: Scope, found: pd.DataFrame, split: str) -> Table:
    columns = [
        Column("group", scope.split_title(split)),
        Column("denominator", say("People"), Count),
        Column("numerator", say("Converted"), Count),
        Column("rate", say("Overall"), Rate, low="low", high="high", sorted="descending"),
        Column("difference", say("Against the others, pp"), points, low="diff_low", high="diff_high"),
        Column("p_adjusted", say("Corrected test"), PValue),
    ]
    frame = titled(scope, found, split).sort_values("rate", ascending=False, na_position="last")
    caption = say("Overall rate by {split}", split=scope.split_title(split))
    return Table(frame, columns, caption, name=f"{split}_ranking", few=_few(say, scope))


def summarise(scope: Scope, now: Journeys, before: Journeys | None) -> Block:
    """Open with how many people came, then the differences of each split and how its mix moved."""
    say, entered = Say(scope.language), Count(len(now.frame))
    days = Span(scope.period.first_day, scope.period.last_day)
    if scope.as_of is None:
        lead = say("**{n}** people are in this source.", key="summary", n=entered)
    elif before is None:
        lead = say("**{n}** people entered on {days}.", key="summary", n=entered, days=days)
    else:
        lead = say(
            "**{n}** people entered on {days}, {before} in the period before.",
            key="summary",
            n=entered,
            days=days,
            before=len(before.frame),
        )
    return summary(lead, list(_points_of(say, scope, now, before)))


def _points_of(
    say: Say, scope: Scope, now: Journeys, before: Journeys | None
) -> Iterator[tuple[str | Sentence, Sentence]]:
    rules = scope.workbook.rules
    for split in splits_of(scope):
        found = compare(now, split, step=len(scope.funnel.steps), base="first", rules=rules)
        yield scope.split_title(split), best_and_worst(say, scope, found, split)
    split_moved = widest(scope, now, before)
    if split_moved is not None and before is not None:
        moved = mix(now, before, split_moved, rules=rules)
        yield say("Who came"), shifted(say, scope, moved, split_moved)
