"""How the funnel was counted, in words: order, window, exclusions and every switch that is not the default."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from funnel_lib.collection.scope import Scope
from funnel_lib.definition import Exclusion, Matching
from funnel_lib.presets import PRESETS
from funnel_lib.reporting.estimates import Days
from funnel_lib.reporting.labels import Name, Names
from funnel_lib.reporting.wording import Say, Sentence


def semantics(say: Say, scope: Scope) -> list[Sentence]:
    """Return the rules by which events became journeys, most general first."""
    funnel = scope.funnel
    fingerprint = Name(funnel.fingerprint)
    if funnel.snapshot is not None:
        return [
            say(
                "The source tells how far each person got, not every event; a later step implies the earlier ones. "
                "Definition {fingerprint}.",
                fingerprint=fingerprint,
            )
        ]
    return [_order(say, scope), *_switches(say, scope), say("Definition {fingerprint}.", fingerprint=fingerprint)]


def sequence(say: Say, scope: Scope) -> Sentence:
    """Say in one short sentence how the steps may follow one another."""
    if scope.funnel.order == "strict":
        return say("Steps directly one after the other: any other event of the person ends the attempt.")
    if scope.funnel.order == "any":
        return say("Steps in any sequence.")
    return say("Steps in order; other events in between are allowed.")


def _order(say: Say, scope: Scope) -> Sentence:
    """Say which chain of events is a person's journey."""
    funnel = scope.funnel
    if funnel.order == "any":
        return say(
            "Steps in any sequence, within one window that starts at the earliest of them; of the deepest chains the "
            "one completed first counts."
        )
    first = say("Ordered steps.") if funnel.order == "ordered" else sequence(say, scope)
    if funnel.matching.attempts == "first":
        return say("{order} Only the first entry of a person starts a chain.", order=first)
    if funnel.matching.best == "entered_first":
        return say(
            "{order} Any first-step event may start a chain; of the deepest chains the one that entered first counts.",
            order=first,
        )
    return say(
        "{order} Any first-step event may start a chain; of the deepest chains the one completed first counts, and of "
        "those the one entered last.",
        order=first,
    )


def _switches(say: Say, scope: Scope) -> Iterator[Sentence]:
    """Yield one sentence for each thing that differs from the plain funnel."""
    funnel = scope.funnel
    if skipped := [scope.step_title(step.name) for step in funnel.steps if step.optional]:
        yield say("May be skipped: {steps}.", steps=Names(skipped))
    for step in funnel.steps:
        if step.within is not None:
            yield say(
                "{step} within {days} of the step before.", step=scope.step_title(step.name),
                days=Days(step.within / timedelta(days=1)),
            )  # fmt: skip
    for exclusion in funnel.exclusions:
        yield _excluded(say, scope, exclusion)
    if funnel.hold_constant:
        yield say("All steps of a journey have the same {names}.", names=Names(funnel.hold_constant))
    if funnel.open:
        yield say("People may enter at any step; a step counts everybody who took it.")
    if funnel.preset != "reference":
        yield say("What is not said otherwise is counted as {system} does.", system=Name(PRESETS[funnel.preset].title))
    elif funnel.matching != Matching():
        yield say("The workbook changes how events are matched to steps; see matching in its funnel.")


def _excluded(say: Say, scope: Scope, exclusion: Exclusion) -> Sentence:
    names = scope.funnel.names
    event = Names(exclusion.events or ["*"])
    after = scope.step_title(names[exclusion.after])
    before = scope.step_title(names[-1 if exclusion.before is None else exclusion.before])
    if scope.funnel.order == "any":
        return say("{event} clears what was reached before it.", event=event)
    if (exclusion.policy or scope.funnel.policy) == "drop_off":
        return say(
            "{event} between {after} and {before} ends a person's journey there.", event=event, after=after,
            before=before,
        )  # fmt: skip
    return say(
        "People with {event} between {after} and {before} are left out, unless another attempt is as deep without it.",
        event=event, after=after, before=before,
    )  # fmt: skip
