"""In words: why a unit counts as it does (and, from `verdicts`, whether a finding hangs on the definition)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pandas as pd

from funnel_lib.conversion.explain import Explanation
from funnel_lib.notation import Language
from funnel_lib.reporting.estimates import Count, Days
from funnel_lib.reporting.labels import Day, Name, Names, PeriodName
from funnel_lib.reporting.values import Value
from funnel_lib.reporting.verdicts import title, variant_title, verdict
from funnel_lib.reporting.wording import Say, Sentence

__all__ = ["Moment", "sentences", "tell", "title", "variant_title", "verdict"]

Record = Mapping[str, Any]
MOST_ATTEMPTS = 6
_SHORT = timedelta(minutes=1)


@dataclass(frozen=True)
class Moment(Value):
    """A moment: ``1 May 2026, 14:05``, in Chinese ``2026年5月1日14:05``; seconds where there are any."""

    at: datetime

    def short(self, language: Language) -> str:
        """Return the day and the time of day, in the moment's own zone."""
        day, clock = Day(self.at.date(), "full").short(language), f"{self.at:%H:%M:%S}".removesuffix(":00")
        return f"{day}, {clock}" if language == "en" else f"{day}{clock}"


def tell(explanation: Explanation, language: Language, *, zone: tzinfo | None = None) -> list[str]:
    """Return in sentences why a unit counts as it does; the numbers behind them are those of `sentences`.

    Parameters
    ----------
    explanation : of `explain`.
    language : `en` or `zh`.
    zone : of the times; by default that of the period, else UTC.
    """
    return [sentence.text for sentence in sentences(explanation, language, zone=zone)]


def sentences(explanation: Explanation, language: Language, *, zone: tzinfo | None = None) -> list[Sentence]:
    """Return why a unit counts as it does: first the outcome, then each attempt (the first few, and those that count).

    Parameters and languages are those of `tell`.
    """
    period = explanation.period
    teller = _Teller(Say(language), explanation, zone or (period.start.tzinfo if period else None) or UTC)
    said = [teller.outcome()]
    records = [{str(key): value for key, value in row.items()} for row in explanation.attempts.to_dict("records")]
    shown = [row for place, row in enumerate(records) if place < MOST_ATTEMPTS or row["chosen"]][: 2 * MOST_ATTEMPTS]
    log = None
    for row in shown:
        if row["log"] != log and (heading := teller.heading(row)):
            said.append(heading)
        log = row["log"]
        said.append(teller.attempt(row))
    if len(shown) < len(records):
        left = len(records) - len(shown)
        said.append(teller.say.plural(left, "{n} more attempt is in the table.", "{n} more attempts are in the table."))
    if shown:
        said.append(teller.say("All times are in {zone}.", zone=Name(str(teller.zone))))
    return said


@dataclass(frozen=True)
class _Teller:
    """Says things about one unit."""

    say: Say
    told: Explanation
    zone: tzinfo

    @property
    def whichever(self) -> bool:
        """Whether the number of steps counts, whichever they are."""
        return self.told.funnel.order == "any" and self.told.funnel.matching.any_of == "most_steps"

    def step(self, name: str) -> Name:
        """Return what readers call a step."""
        return Name(title(self.told.funnel, name, self.say.language))

    def place(self, number: int) -> Name:
        """Return what readers call the step of this number, counted from 1."""
        return self.step(self.told.funnel.names[number - 1])

    def moment(self, at: pd.Timestamp) -> Moment:
        """Return a time in the zone of the reader."""
        return Moment(at.to_pydatetime().astimezone(self.zone))

    def outcome(self) -> Sentence:
        """Say whether and how far the unit counts."""
        say, told = self.say, self.told
        unit, steps = Name(told.unit), len(told.funnel.steps)
        if not told.counted:
            return self.not_counted(unit)
        if told.funnel.counting != "units":
            return say.plural(
                told.counted, "{unit} counts {n} time; its best attempt has {depth} of {all} steps.",
                "{unit} counts {n} times; its best attempt has {depth} of {all} steps.",
                key="explain", unit=unit, depth=told.depth, all=steps,
            )  # fmt: skip
        if told.depth == steps and not self.whichever:
            return say(
                "{unit} counts as converted: it came to the last of {n} steps.", key="explain", unit=unit, n=steps
            )
        if self.whichever:
            return say("{unit} counts with {depth} of {n} steps.", key="explain", unit=unit, depth=told.depth, n=steps)
        return say(
            "{unit} counts up to {step}, step {depth} of {n}.", key="explain", unit=unit, step=self.place(told.depth),
            depth=told.depth, n=steps,
        )  # fmt: skip

    def not_counted(self, unit: Name) -> Sentence:
        """Say why the unit does not count."""
        say, told = self.say, self.told
        first, events = self.place(1), len(told.events)
        period = PeriodName(told.period) if told.period is not None else Name("")
        columns = Names(told.funnel.hold_constant or ["session_id"])
        known: dict[str, Callable[[], Sentence]] = {
            "no_events": lambda: say("{unit} does not count: the data holds no event of it.", unit=unit),
            "no_entry": lambda: say.plural(
                events, "{unit} does not count: its only event does not match {step}, where the funnel begins.",
                "{unit} does not count: none of its {n} events matches {step}, where the funnel begins.",
                key="explain", unit=unit, step=first),
            "no_log": lambda: say(
                "{unit} does not count: its events that could begin the funnel have no value of {columns}.",
                unit=unit, columns=columns),
            "no_entry_in_period": lambda: say(
                "{unit} does not count: it did not enter the funnel in {period}, only before or after.",
                unit=unit, period=period),
            "no_first_step": lambda: say(
                "{unit} does not count: {step} does not lie in the time that any of its entries leaves.",
                unit=unit, step=first),
            "spoilt": lambda: say(
                "{unit} does not count: an event that the funnel excludes spoilt whatever came furthest.", unit=unit),
        }  # fmt: skip
        return known[told.reason]()

    def heading(self, row: Record) -> Sentence | None:
        """Say which of the unit's logs the next attempts are of; None where it has one log."""
        funnel = self.told.funnel
        if not row["log"]:
            return None
        if funnel.counting == "sessions":
            return self.say("In session {name}:", name=Name(row["log"]))
        return self.say("With {value} as {columns}:", value=Name(row["log"]), columns=Names(funnel.hold_constant))

    def attempt(self, row: Record) -> Sentence:
        """Say what came of an attempt, why it went no further, and whether it counts."""
        return self.say(
            "{made} {ended} {verdict}", made=self.made(row), ended=self.ended(row), verdict=self.verdict(row)
        )

    def made(self, row: Record) -> Sentence:
        """Say when an attempt began and how far it came."""
        say, key = self.say, f"explain.attempt.{row['attempt']}"
        entry, number = self.moment(row["entry"]), Count(row["attempt"])
        step = self.place(row["depth"])
        times = [row[f"t_{place}"] for place in range(1, len(self.told.funnel.steps) + 1)]
        last = max(time for time in times if time is not pd.NaT)
        if self.whichever:
            return say(
                "Attempt {n}, from {entry}, took {depth} of {all} steps, the last on {time}.", key=key, n=number,
                entry=entry, depth=row["depth"], all=len(self.told.funnel.steps), time=self.moment(last),
            )  # fmt: skip
        if last == row["entry"]:
            return say("Attempt {n}, from {entry}, stayed at {step}.", key=key, n=number, entry=entry, step=step)
        return say(
            "Attempt {n}, from {entry}, came to {step} on {time}.", key=key, n=number, entry=entry, step=step,
            time=self.moment(last),
        )  # fmt: skip

    def ended(self, row: Record) -> Sentence:
        """Say why an attempt went no further."""
        say, at = self.say, row["ended_at"]
        step = self.step(row["next_step"]) if isinstance(row["next_step"], str) else Name("")
        if row["ended"] == "converted":
            return say("That is the whole way.")
        if row["ended"] == "excluded":
            return say(
                "{event} on {time}, which the funnel excludes, ended it.",
                event=Name(row["excluded_by"] or "?"), time=self.moment(at),
            )  # fmt: skip
        if row["ended"] == "broken":
            return say(
                "Another event on {time} broke it: {step} did not follow at once.", time=self.moment(at), step=step
            )
        if row["ended"] == "timed_out":
            return self.too_late(row, step)
        if row["until"] is pd.NaT:
            return say("It may still go on; there is no time limit.")
        return say("It may still go on until {time}.", time=self.moment(row["until"]))

    def too_late(self, row: Record, step: Name) -> Sentence:
        """Say what came after the time was over, or that nothing did."""
        say, over, came = self.say, row["ended_at"], row["next_at"]
        if came is pd.NaT or came <= over:
            return say("Its time was over on {time}, without {step}.", time=self.moment(over), step=step)
        late = (came - over).to_pytimedelta()
        if late < _SHORT:
            return say("{step} on {time} came just after its time was over.", step=step, time=self.moment(came))
        return say(
            "{step} on {time} came {late} after its time was over.", key=f"explain.attempt.{row['attempt']}",
            step=step, time=self.moment(came), late=Days(late / timedelta(days=1)),
        )  # fmt: skip

    def verdict(self, row: Record) -> Sentence:
        """Say whether an attempt counts, and if not, which rule is against it."""
        say, funnel = self.say, self.told.funnel
        if row["chosen"]:
            return say("It counts.")
        if row["why_not"] == "less_deep" and not self.told.counted:
            return say("It does not count, because what came further was spoilt.")
        known = {
            "spoilt": lambda: say("So it does not count."),
            "less_deep": lambda: say("It does not count, because another came further."),
            "later_step": lambda: say("It does not count, because another entered at an earlier step."),
            "completed_later": lambda: say("It does not count, because another came as far and was there earlier."),
            "entered_earlier": lambda: say("It does not count, because another came as far by then and entered later."),
            "entered_later": lambda: say("It does not count, because another came as far and entered earlier."),
            "other_log": lambda: say(
                "It does not count, because another value of {columns} does.", columns=Names(funnel.hold_constant)),
        }  # fmt: skip
        return known[row["why_not"]]()
