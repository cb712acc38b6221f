"""The case study: what was found about a group, what its survey says, and what cannot be claimed."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import CaseStudy
from funnel_lib.notation import text
from funnel_lib.optimisation.case import CaseResult
from funnel_lib.optimisation.finding import OTHERS
from funnel_lib.reporting import blocks, plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Points, PValue, Rate, plain_points
from funnel_lib.reporting.labels import Day, Span
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.plots.words import Words
from funnel_lib.reporting.sections.changes import change_title, short_effect, study_of, total_finding, window
from funnel_lib.reporting.sections.page import chart_words, level_of
from funnel_lib.reporting.sections.reasons import caveat
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence


def finding(scope: Scope, case: CaseResult) -> Block:
    """Show the group's steps beside everybody else's and name the weakest."""
    say, group = Say(scope.language), group_title(scope, case)
    found, gaps = bottleneck(say, scope, case), case.finding.gaps
    alt = say("{finding}. Share of the previous step, {group} beside all others.", finding=found.text, group=group)
    figure = Figure(
        _pictured(scope, case, two_sided(gaps, "name", case.group), alt),
        alt,
        caption=_finding_caption(say, scope, case),
        table=_gap_table(say, scope, case, gaps, "name", say("Step")),
    )  # fmt: skip
    sub = say(
        "Share of the previous step, {group} beside everybody else; people who reached {first}, seen for {window} each",
        group=group, first=scope.step_title(case.steps[0]), window=window(case),
    )  # fmt: skip
    short = [row for row in records(gaps) if row.clear and row.difference < 0]
    notes = [
        say(
            "{step}: {points:value} {points:ci} below the others.", key=f"finding.{row.name}",
            step=scope.step_title(row.name), points=Points(row.difference, row.diff_low, row.diff_high, signed=False),
        )
        for row in short
    ] or [say("No step of this group is clearly below the others.")]  # fmt: skip
    return section(
        "finding",
        kicker=say("What was found"),
        finding=found,
        sub=sub,
        parts=[figure, SoWhat(say("So what"), notes)],
    )


def _finding_caption(say: Say, scope: Scope, case: CaseResult) -> Sentence:
    level, until = level_of(scope), case.finding.until
    if until is None:
        return say(
            "Whiskers = {level} interval. Only people whose {window} are over.",
            level=level,
            window=window(case),
        )
    day = Day(until.astimezone(scope.workbook.zone).date(), "full")
    return say(
        "Whiskers = {level} interval. Only people whose {window} were over before the first change to these steps, on "
        "{day}.",
        level=level,
        window=window(case),
        day=day,
    )


def bottleneck(say: Say, scope: Scope, case: CaseResult) -> Sentence:
    """Say at which step the group falls furthest behind, as far as that is clear."""
    group, step = group_title(scope, case), case.finding.bottleneck
    if step is None:
        return say("{group}: no step is clearly below the others", key="finding", group=group)
    row = next(row for row in records(case.finding.gaps) if row.name == step)
    return say(
        "{group}: furthest behind at {step}, where **{rate:value}** {rate:ci} go on, against {rest:value} {rest:ci} of "
        "the others", key="finding", group=group, step=scope.step_title(step),
        rate=Rate(row.rate, row.low, row.high), rest=Rate(row.rest_rate, row.rest_low, row.rest_high),
    )  # fmt: skip


def answers(scope: Scope, case: CaseResult) -> Block:
    """Show what the group answered in the survey beside everybody else."""
    say, told, study = Say(scope.language), case.finding.answers, study_of(scope)
    kicker = say("What they say")
    if study.survey is None or told.empty:
        return section("answers", kicker=kicker, finding=say("There is no survey that this case could use"))
    found = answers_finding(say, scope, case)
    figure = Figure(
        _pictured(scope, case, two_sided(told, "answer", case.group), found),
        found,
        caption=say(
            "Whiskers = {level} interval. Each person’s last answer; a survey speaks for those who answered.",
            level=level_of(scope),
        ),
        table=_gap_table(say, scope, case, told, "answer", say("Answer")),
    )  # fmt: skip
    question = text(study.question, scope.language, study.survey)
    sub = say(
        "Answers to “{question}”, share of those who answered, {group} beside everybody else", question=question,
        group=group_title(scope, case),
    )  # fmt: skip
    return section("answers", kicker=kicker, finding=found, sub=sub, parts=[figure])


def answers_finding(say: Say, scope: Scope, case: CaseResult) -> Sentence:
    """Say which answer the group gives more often than the others, as far as that is clear."""
    told, group = case.finding.answers, group_title(scope, case)
    more = records(told[told["clear"] & (told["difference"] > 0)].sort_values("difference", ascending=False))
    if not more:
        return say("{group}: no answer is clearly more frequent than among the others", key="answers", group=group)
    row = more[0]
    return say(
        "{group}: “{answer}” is named more often, by {rate:value} {rate:ci} against {rest:value} {rest:ci}",
        key="answers",
        group=group, answer=words_of(scope, case).title(row.answer), rate=Rate(row.rate, row.low, row.high),
        rest=Rate(row.rest_rate, row.rest_low, row.rest_high),
    )  # fmt: skip


def limits(scope: Scope, case: CaseResult) -> Block:
    """List what the results do not allow to be claimed."""
    say, currency = Say(scope.language), scope.workbook.currency
    said = [caveat(say, item, change_title(scope, item.change), currency) for item in case.cannot_claim]
    found = say("Nothing that could be checked here stands against these numbers")
    if said:
        found = say.plural(
            len(said), "One thing that these numbers do not show", "{n} things that these numbers do not show"
        )
    parts = [SoWhat(say("Keep in mind"), said)] if said else []
    return section("limits", kicker=say("What cannot be claimed"), finding=found, parts=parts)


def summarise(scope: Scope, case: CaseResult) -> Block:
    """Open with the finding, then what each change did and what they are worth together."""
    say = Say(scope.language)
    points = [(change_title(scope, change.name), short_effect(say, scope, case, change)) for change in case.changes]
    return blocks.summary(
        bottleneck(say, scope, case),
        [*points, (say.text("Worth"), total_finding(say, scope, case.total.strong))],
    )


def definitions(scope: Scope, case: CaseResult) -> Block:
    """Say what the words of this report mean."""
    say, group, length = Say(scope.language), group_title(scope, case), window(case)
    first, last = (scope.step_title(step) for step in case.steps)
    days = Span(case.first_day, case.last_day, year=True)
    terms = [
        (
            say("People of this case"),
            say(
                "{group} who reached {first} on {days}; each counts once, from the first time. Only those whose "
                "{window} "
                "are over are compared.", group=group, first=first, days=days, window=length,
            ),
        ),
        (say("Converted"), say("Reached {last} within {window} of {first}.", last=last, window=length, first=first)),
        (
            say("Randomised trial"),
            say("Chance decided who met the change, so other causes are alike on both sides. The strongest evidence."),
        ),
        (
            say("Comparison"),
            say(
                "How much more the group that met the change moved than a group that did not. It assumes that both "
                "would "
                "have moved alike."
            ),
        ),
        (
            say("Before and after"),
            say(
                "The same measure before and since, at equal age. Everything else that changed is in it: weaker "
                "evidence."),
        ),
        (say("Margin"), say("Orders × mean amount of an order × margin, with the uncertainty of each.")),
    ]  # fmt: skip
    return blocks.definitions(terms)


def group_title(scope: Scope, case: CaseResult) -> str:
    """Return what readers call the group of the case."""
    return scope.group_title(case.split, case.group)


def words_of(scope: Scope, case: CaseResult) -> Words:
    """Return the words of the case's pictures: steps, both sides, answers."""
    say = Say(scope.language)
    sides = {case.group: group_title(scope, case), OTHERS: say.text("All others")}
    return chart_words(scope).titled({**sides, **_answer_titles(say, study_of(scope))})


def _answer_titles(say: Say, study: CaseStudy) -> Mapping[str, str]:
    titles = {name: text(title, say.language, name) for name, title in study.answers.items()}
    return {"other": say.text("Other"), "unknown": say.text("Not given"), **titles}


def two_sided(gaps: pd.DataFrame, label: str, group: str) -> pd.DataFrame:
    """Return the group's and the others' rates below each other (`answer, group, rate, low, high`), for a picture."""
    one = gaps[[label, "rate", "low", "high"]].assign(group=group)
    rest = gaps[[label]].assign(rate=gaps["rest_rate"], low=gaps["rest_low"], high=gaps["rest_high"], group=OTHERS)
    both = pd.concat([one, rest], ignore_index=True).rename(columns={label: "answer"})
    return both.astype(dict.fromkeys(("rate", "low", "high"), "float64"))


def _pictured(scope: Scope, case: CaseResult, rows: pd.DataFrame, alt: Sentence) -> dict[int, str]:
    words = words_of(scope, case)
    return plots.figure(
        lambda ax, width: plots.answers(rows, words, ax=ax, width=width), alt=alt.text, widths=(700, 328)
    )


def _gap_table(
    say: Say, scope: Scope, case: CaseResult, gaps: pd.DataFrame, label: str, title: Sentence
) -> Table:  # fmt: skip
    words, group = words_of(scope, case), group_title(scope, case)
    columns = [
        Column(label, title),
        Column("denominator", say("People"), Count),
        Column("rate", group, Rate, low="low", high="high"),
        Column("rest_denominator", say("Others"), Count),
        Column("rest_rate", say("All others"), Rate, low="rest_low", high="rest_high"),
        Column("difference", say("Difference, pp"), plain_points, low="diff_low", high="diff_high"),
        Column("p_adjusted", say("Corrected test"), PValue),
    ]
    frame = gaps.assign(**{label: gaps[label].map(words.title)})
    return Table(frame, columns, say("{group} beside all others", group=group), name=f"gaps_{label}")
