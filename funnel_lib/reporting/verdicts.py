"""In words: whether a finding hangs on how the funnel is defined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.sensitivity import Sensitivity
from funnel_lib.conversion.variants import BASE, UNBOUNDED, Variant
from funnel_lib.definition import Funnel
from funnel_lib.notation import Language, parse_duration, text
from funnel_lib.presets import PRESETS
from funnel_lib.reporting.estimates import Days, Rate
from funnel_lib.reporting.labels import Name
from funnel_lib.reporting.wording import Say, Sentence

Record = Mapping[str, Any]


def title(funnel: Funnel, name: str, language: Language) -> str:
    """Return what readers call the step `name`."""
    step = next(step for step in funnel.steps if step.name == name)
    return text(step.title, language, name)


def verdict(found: Sensitivity, language: Language) -> list[Sentence]:
    """Return in sentences what stays the same under other definitions, and what does not.

    Parameters
    ----------
    found : of `sensitivity`.
    language : `en` or `zh`.
    """
    say, kept = Say(language), found.conclusion
    said = [*_spread(say, found), _bottleneck(say, found)]
    if kept.same_ranking is not None:
        said.append(_ranking(say, found))
    if found.refused:
        said.append(
            say.plural(
                len(found.refused), "{n} definition has no meaning for this funnel and was left out.",
                "{n} definitions have no meaning for this funnel and were left out.", key="sensitivity.refused",
            )
        )  # fmt: skip
    return said


def _spread(say: Say, found: Sensitivity) -> list[Sentence]:
    """Say between which rates the definitions lie; nothing where none can be shown."""
    low, high, funnel = found.conclusion.lowest, found.conclusion.highest, found.variants[0].funnel
    last = found.frame[found.frame["step"] == len(funnel.steps)].set_index("variant")
    numbers: dict[str, Record] = {
        str(name): {str(key): value for key, value in row.items()} for name, row in last.iterrows()
    }
    if low is None or high is None or numbers[BASE]["reason"] == TOO_FEW:
        return []

    def rate(name: str) -> Rate:
        row = numbers[name]
        return Rate(row["rate"], row["low"], row["high"], level=row["level"])

    few = [name for name, row in numbers.items() if row["reason"] == TOO_FEW]
    if numbers[low]["rate"] == numbers[high]["rate"]:
        said = say(
            "{base:value} {base:ci} come through, the same under {n} definitions.", key="sensitivity", base=rate(BASE),
            n=len(numbers) - len(few),
        )  # fmt: skip
    else:
        said = say(
            "{base:value} {base:ci} come through as defined; under {n} definitions it is {low:value} ({lowest}) to "
            "{high:value} ({highest}).",
            key="sensitivity", base=rate(BASE), n=len(numbers) - len(few), low=rate(low), high=rate(high),
            lowest=variant_title(say, _variant(found, low)), highest=variant_title(say, _variant(found, high)),
        )  # fmt: skip
    if not few:
        return [said]
    left = say.plural(
        len(few), "Under {n} definition too few come through for a rate: {variant}.",
        "Under {n} definitions too few come through for a rate, such as: {variant}.",
        key="sensitivity.few", variant=variant_title(say, _variant(found, few[0])),
    )  # fmt: skip
    return [said, left]


def _bottleneck(say: Say, found: Sensitivity) -> Sentence:
    kept, funnel = found.conclusion, found.variants[0].funnel
    if kept.bottleneck is None:
        return say("No step can be said to lose the most.")
    step = Name(title(funnel, kept.bottleneck, say.language))
    if kept.same_bottleneck:
        return say("{step} is where the largest share is lost, under every definition.", step=step)
    name, other = next(iter(kept.bottleneck_moves.items()))
    return say.plural(
        len(kept.bottleneck_moves),
        "As defined, {step} is where the largest share is lost; under {n} of {all} definitions it is another step: "
        "{other} ({variant}).",
        "As defined, {step} is where the largest share is lost; under {n} of {all} definitions it is another step, "
        "such as {other} ({variant}).",
        key="sensitivity.bottleneck", step=step, all=len(found.variants),
        other=Name(title(funnel, other, say.language)), variant=variant_title(say, _variant(found, name)),
    )  # fmt: skip


def _ranking(say: Say, found: Sensitivity) -> Sentence:
    turns = found.conclusion.ranking_turns
    if not turns:
        return say("No two groups that are clearly apart change places under any definition.")
    name, pairs = next(iter(turns.items()))
    return say.plural(
        len(turns),
        "The order of the groups hangs on the definition: {first} is above {second} as defined, but below it with "
        "{variant}; that is the only definition that turns groups round.",
        "The order of the groups hangs on the definition: {first} is above {second} as defined, but below it with "
        "{variant}; {n} definitions turn groups round.",
        key="sensitivity.ranking", first=Name(pairs[0][0]), second=Name(pairs[0][1]),
        variant=variant_title(say, _variant(found, name)),
    )  # fmt: skip


def _variant(found: Sensitivity, name: str) -> Variant:
    return next(variant for variant in found.variants if variant.name == name)


def variant_title(say: Say, variant: Variant) -> Sentence:
    """Return what readers call a definition, such as ``a window of 3.5 days``."""
    value = variant.value
    if variant.changed == "window" and value != UNBOUNDED:
        return say("a window of {days}", days=Days(parse_duration(value) / timedelta(days=1)))
    known: dict[str, Callable[[], Sentence]] = {
        "": lambda: say("as defined"),
        f"window {UNBOUNDED}": lambda: say("no time limit"),
        "order ordered": lambda: say("other events may lie between"),
        "order strict": lambda: say("no other event between"),
        "order any": lambda: say("steps in any sequence"),
        "counting units": lambda: say("each person once"),
        "counting entries": lambda: say("every entry counted"),
        "ties in_order": lambda: say("steps of one instant count as in order"),
        "ties increasing": lambda: say("each step later than the one before"),
        "attempts all": lambda: say("every entry may start"),
        "attempts first": lambda: say("only the first entry"),
    }
    if variant.changed == "preset":
        return say("the rules of {name}", name=Name(PRESETS[variant.funnel.preset].title))
    if variant.changed == "unit":
        return say("counted by {name}", name=Name(value))
    return known[f"{variant.changed} {value}".strip()]()
