"""Why a number is missing and what cannot be claimed, in words: one sentence for every key of the analysis."""

from __future__ import annotations

from collections.abc import Callable

from funnel_lib.optimisation.case import Caveat, ChangeResult
from funnel_lib.reporting.estimates import Count, Days, Money, Points, Rate
from funnel_lib.reporting.labels import Name
from funnel_lib.reporting.wording import Say, Sentence


def evidence(say: Say, change: ChangeResult) -> Sentence:
    """Return the kind of evidence in words."""
    kinds = {
        "randomised": say("randomised trial"),
        "comparison": say("comparison with another group"),
        "before_after": say("before and after"),
    }
    return kinds[change.effect.evidence]


def why_not(say: Say, title: str, reason: str) -> Sentence:
    """Say why the effect of a change is not shown."""
    change = Name(title)
    known = {
        "too_few": say("{change}: too few people or conversions to show an effect", change=change),
        "sample_ratio": say("{change}: withheld, because people were not split as planned", change=change),
        "no_exposures": say("{change}: no exposures to this experiment were collected", change=change),
        "arm_missing": say("{change}: one side of the experiment has no people", change=change),
        "outside_data": say("{change}: the data holds only one side of its date", change=change),
        "no_units": say("{change}: nobody entered the steps that it is about", change=change),
    }
    return known.get(reason, say("{change}: not shown ({reason})", change=change, reason=reason))


def caveat(say: Say, item: Caveat, title: str, currency: str) -> Sentence:
    """Say one thing that the results do not show."""
    change, numbers, key = (
        Name(title),
        item.numbers,
        f"limits.{item.key}" + (f".{item.change}" if item.change else ""),
    )

    def points(name: str) -> Points:
        return Points(numbers[name], numbers["low"], numbers["high"])

    known: dict[str, Callable[[], Sentence]] = {
        "one_of_several_changes": lambda: say(
            "{n} changes were made. What only their coming together did is not told apart.",
            key=key, n=Count(numbers["changes"])),
        "short_follow_up": lambda: say(
            "People were watched for {days:value}. Whether they stay, buy again or ask for their money back is not "
            "known.",
            key=key, days=Days(numbers["days"])),
        "order_value_unknown": lambda: say("What an order brings is not known well enough, so no money is claimed."),
        "margin_not_included": lambda: say("No margin is set in the workbook; amounts are revenue, not profit."),
        "not_clear": lambda: say(
            "{change}: its interval reaches from {low:value} to {high:value}, so neither no effect nor a larger one "
            "is ruled out.",
            key=key, change=change, low=Points(numbers["low"]), high=Points(numbers["high"])),
        "both_arms": lambda: say(
            "{change}: {units} people saw both sides and were left out.",
            key=key, change=change, units=Count(numbers["units"])),
        "placebo_clear": lambda: say(
            "{change}: the groups also moved apart at a false date, {points:value} {points:ci}; part of the effect "
            "may not be due to the change.",
            key=key, change=change, points=points("estimate")),
        "placebo_not_clear": lambda: say(
            "{change}: no clear difference at a false date, {points:value} {points:ci}; that supports the comparison "
            "but does not prove it.",
            key=key, change=change, points=points("estimate")),
        "no_placebo": lambda: say("{change}: there were too few people before it to test a false date.", change=change),
        "lower_price_on_other_orders": lambda: say(
            "{change}: orders that would have come anyway were also cheaper, by {money:value} {money:ci} in all; this "
            "is deducted from the margin.",
            key=key, change=change, money=Money(numbers["given_away"], currency, numbers["low"], numbers["high"])),
        "before_after_only": lambda: say(
            "{change}: only before and after can be compared, so other causes of the same weeks are included.",
            change=change),
        "after_dip": lambda: say(
            "{change}: it followed a poor time; part of the rise may be a return to normal.",
            change=change),
        "crossed": lambda: say(
            "{change}: {units} people of the time before finished after the change and may have met it; that makes "
            "the effect look smaller.",
            key=key, change=change, units=Count(numbers["units"])),
        "onward_rate_assumed": lambda: say(
            "{change}: its orders assume that the added people go on at the usual rate, {rate:value} {rate:ci}; "
            "people won by an easier step often go on less.",
            key=key, change=change, rate=Rate(numbers["rate"], numbers["low"], numbers["high"])),
    }  # fmt: skip
    if item.key in known:
        return known[item.key]()
    return why_not(say, title, item.key)
