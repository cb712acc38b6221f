"""Golden sequences: what each system makes of the same log, by its own rules.

A log is written `A@0 B@6d X@6d12h`: the steps (or the exclusion, X) that a row matches, and when. An answer is written
`6d 8d`: the times of the steps, `-` for one that was not taken; the empty text means that the unit is not counted.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import pytest

from funnel_lib.conversion.engine.following import follow
from funnel_lib.conversion.engine.grouping import group
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.definition import Exclusion, Funnel
from funnel_lib.errors import ConfigError
from funnel_lib.presets import PresetName
from tests.conversion.engine import oracle
from tests.conversion.engine.oracle import Row
from tests.conversion.engine.strategies import Case, as_table, by_unit, length, lettered, times, written

PRESETS = get_args(PresetName)
REFUSED = "refused"


class Sequence(NamedTuple):
    """A log, the funnel's steps, and what each preset makes of it; presets not named do as `others`."""

    name: str
    steps: str
    log: str
    others: str
    answers: Mapping[str, str] = MappingProxyType({})
    window: str | None = "7d"  # HubSpot has none
    fields: Mapping[str, Any] = MappingProxyType({})


ANY, STRICT = {"order": "any"}, {"order": "strict"}
EXCLUDING = {"exclusions": [Exclusion(event="X", after=0, before=1)]}
GRACE_IS_ORDERED = {"mixpanel": REFUSED, "mixpanel_reentry": REFUSED}
OPEN_IS_NOT_ANY = {"hubspot_any": REFUSED}

SEQUENCES = [
    # The first entry expires on day 7, the second has B two days later. Mixpanel looks at the first only; its optimised
    # re-entry, and all others, at the second too. HubSpot has no window: both reach B, the later one gives the times.
    Sequence("expired and entered again", "A B", "A@0 A@6d B@8d", "6d 8d", {"mixpanel": "0"}),
    # Both entries reach the same B. Timed from the last one before it; Mixpanel never starts anew, and Amplitude
    # takes the earliest of the longest.
    Sequence("entered twice", "A B", "A@0 A@1d B@2d", "1d 2d", {"mixpanel": "0 2d", "amplitude": "0 2d"}),
    # All agree on what was completed first.
    Sequence("converted twice", "A B", "A@0 B@1d A@2d B@3d", "0 1d"),
    # The later B does not matter: a step takes its first instance.
    Sequence(
        "a step twice", "A B C", "A@0 A@1d B@2d B@3d C@4d", "1d 2d 4d",
        {"mixpanel": "0 2d 4d", "amplitude": "0 2d 4d"},
    ),
    # The window includes its end, and not a microsecond more.
    Sequence("at the end of the window", "A B", "A@0 B@7d", "0 7d"),
    # C comes 12 days after A, but 6 after B: GA4's window is that of each step. HubSpot has none.
    Sequence(
        "each step in time, the whole not", "A B C", "A@0 B@6d C@12d", "0 6d",
        {"ga4": "0 6d 12d", "hubspot_any": "0 6d 12d", "hubspot_all": "0 6d 12d"},
    ),
    # X between A and B spoils the first attempt; the second is clean and as deep. Mixpanel's only attempt ends at X.
    Sequence(
        "excluded, then clean", "A B", "A@0 X@1d A@2d B@3d", "2d 3d",
        {"mixpanel": "0"} | OPEN_IS_NOT_ANY, fields=EXCLUDING,
    ),
    # There is no clean attempt: the unit leaves the whole funnel; in Mixpanel it stays at the step before.
    Sequence(
        "excluded", "A B", "A@0 X@1d B@2d", "",
        {"mixpanel": "0", "mixpanel_reentry": "0"} | OPEN_IS_NOT_ANY, fields=EXCLUDING,
    ),
    # X at the very instant of A is not between A and B.
    Sequence("excluded at the instant of a step", "A B", "A@0 X@0 B@2d", "0 2d", OPEN_IS_NOT_ANY, fields=EXCLUDING),
    # Nobody has reached B, and X came in the window: spoilt all the same; without a window, at any time. Mixpanel
    # keeps the entry.
    Sequence(
        "excluded before anything else", "A B", "A@0 X@1d", "",
        {"mixpanel": "0", "mixpanel_reentry": "0"} | OPEN_IS_NOT_ANY, fields=EXCLUDING,
    ),
    # X comes after the window. GA4's funnel as a whole has no window, nor has HubSpot's: there it is not too late.
    Sequence(
        "excluded after the window", "A B", "A@0 X@8d", "0",
        {"ga4": "", "hubspot_all": ""} | OPEN_IS_NOT_ANY, fields=EXCLUDING,
    ),
    # Strict: nothing may lie between. The second B breaks the chain after A, B; PostHog forgives repeats.
    # The open funnel goes on from the second B to C, and that is deepest.
    Sequence(
        "strict with a repeat", "A B C", "A@0 B@1d B@2d C@3d", "0 1d",
        {"posthog": "0 1d 3d", "hubspot_any": "- 2d 3d"} | GRACE_IS_ORDERED, fields=STRICT,
    ),
    # Another event breaks it for all.
    Sequence(
        "strict with something between", "A B", "A@0 Z@1d B@2d", "0",
        {"hubspot_any": "- 2d"} | GRACE_IS_ORDERED, fields=STRICT,
    ),
    # Something else at the very instant of B: it can be put after B, but then it lies before C. PostHog does not look
    # at strictness within an instant. The open funnel starts at B, with the other event put before.
    Sequence(
        "strict with something at the same instant", "A B C", "A@0 B@1d Z@1d C@2d", "0 1d",
        {"posthog": "0 1d 2d", "hubspot_any": "- 1d 2d"} | GRACE_IS_ORDERED, fields=STRICT,
    ),
    # One instant counts as in order, however the rows are written. In the open funnel, too.
    Sequence("one instant", "A B", "B@0 A@0", "0 0"),
    # B is two seconds early: in order for Mixpanel, which counts from A. For the others B comes too early: only A
    # is left, and for the open funnel only B, the deeper step.
    Sequence(
        "two seconds early", "A B", "B@0 A@2s", "2s",
        {"mixpanel": "2s 0", "mixpanel_reentry": "2s 0", "hubspot_any": "- 0"},
    ),
    Sequence("more than two seconds early", "A B", "B@0 A@2001ms", "2001ms", {"amplitude": "2s", "hubspot_any": "- 0"}),
    # Both are cut to second 0, where Amplitude knows no order; Mixpanel has its grace.
    Sequence(
        "within one second", "A B", "B@100ms A@900ms", "900ms",
        {
            "amplitude": "0 0", "mixpanel": "900ms 100ms", "mixpanel_reentry": "900ms 100ms",
            "hubspot_any": "- 100ms",
        },
    ),
    # 0.2 s apart, but in two seconds: 0 and 1. The order counts for Amplitude.
    Sequence(
        "in two seconds", "A B", "B@900ms A@1100ms", "1100ms",
        {
            "amplitude": "1s", "mixpanel": "1100ms 900ms", "mixpanel_reentry": "1100ms 900ms",
            "hubspot_any": "- 900ms",
        },
    ),
    # One row that is both steps serves one; ClickHouse lets it serve both. The open funnel may as well begin with B.
    Sequence("one event, two steps", "A B", "AB@0", "0", {"clickhouse": "0 0", "hubspot_any": "- 0"}),
    # Two rows serve two steps: the first is A, the second B. ClickHouse completes with the first alone.
    Sequence("two events, two steps", "A B", "AB@0 AB@1d", "0 1d", {"clickhouse": "0 0", "hubspot_any": "0 1d"}),
    # The same step three times needs three events. ClickHouse takes one for all of them.
    Sequence("the same step again", "A A A", "A@0 A@1d", "0 1d", {"clickhouse": "0 0 0", "hubspot_any": "- 0 1d"}),
    # Any order: B, then A. PostHog counts different steps, at the times at which there were one and two of them;
    # Amplitude needs A first, and nothing comes after it.
    Sequence(
        "any order, backwards", "A B", "B@0 A@1d", "1d 0",
        {"posthog": "0 1d", "amplitude": "1d", "ga4": REFUSED} | GRACE_IS_ORDERED | OPEN_IS_NOT_ANY, fields=ANY,
    ),
    # B and C, but never A: two different steps for PostHog; nothing for all that need A.
    Sequence(
        "any order without the first step", "A B C", "B@0 C@1d", "",
        {"posthog": "0 1d", "ga4": REFUSED} | GRACE_IS_ORDERED | OPEN_IS_NOT_ANY, fields=ANY,
    ),
    # A and C, but never B: step 1 only, or two different steps.
    Sequence(
        "any order with a gap", "A B C", "A@0 C@1d", "0",
        {"posthog": "0 1d", "amplitude": "0 1d", "ga4": REFUSED} | GRACE_IS_ORDERED | OPEN_IS_NOT_ANY, fields=ANY,
    ),
    # B and A are 8 days apart, A and C one: never all within a window. A to C is not "the first two" where B is
    # missing. HubSpot has no window. PostHog: 2 different ones, A and C, when C comes. Amplitude too, from A.
    Sequence(
        "any order, too far apart", "A B C", "B@0 A@8d C@9d", "8d",
        {"posthog": "8d 9d", "amplitude": "8d 9d", "ga4": REFUSED, "hubspot_all": "8d 0 9d"}
        | GRACE_IS_ORDERED | OPEN_IS_NOT_ANY, fields=ANY,
    ),
    # A stage was skipped: counting stops there; "any stages" counts C, from A or not.
    Sequence("a skipped stage", "A B C", "A@0 C@1d", "0", {"hubspot_any": "- - 1d"}),
    # Order does not matter for "any stages".
    Sequence("stages backwards", "A B", "B@0 A@1d", "1d", {"hubspot_any": "- 0"}),
    # Nobody entered at A; "any stages" counts B.
    Sequence("entered in the middle", "A B", "B@0", "", {"hubspot_any": "- 0"}),
]  # fmt: skip


def measured(made: Funnel, log: list[Row]) -> dict[str, Any]:
    """Return the journey of one unit, which has to be that of the definition, too; {} where there is none."""
    case = Case(Plan(made), [log])
    journeys = by_unit(follow(group(as_table(case), case.plan), case.plan)).get(0, [])
    assert journeys == oracle.journeys(log, case.plan)
    return journeys[0] if journeys else {}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.name)
def test_golden_sequences(sequence: Sequence, preset: str):
    answer = sequence.answers.get(preset, sequence.others)
    window = {} if preset.startswith("hubspot") else {"window": sequence.window}
    if answer == REFUSED:
        with pytest.raises(ConfigError, match="has no meaning here"):
            lettered(sequence.steps, preset=preset, **window, **sequence.fields)
        return
    made = lettered(sequence.steps, preset=preset, **window, **sequence.fields)
    journey = measured(made, written(sequence.log, sequence.steps))
    assert times(journey) == [length(time) for time in answer.split()]


def test_golden_sequences_name_only_presets():
    assert {name for sequence in SEQUENCES for name in sequence.answers} <= set(PRESETS)


# The last moment at which B still follows A at 0, and one at which it does not. Amplitude cuts times to the second.
DEFAULTS = {
    "posthog": ("14d", "14d1ms"),
    "mixpanel": ("7d", "7d1ms"),
    "mixpanel_reentry": ("7d", "7d1ms"),
    "amplitude": ("1d999ms", "1d1s"),
    "reference": ("9999d", None),
    "clickhouse": ("9999d", None),
    "ga4": ("9999d", None),
    "hubspot_any": ("9999d", None),
    "hubspot_all": ("9999d", None),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_window_where_none_is_named(preset: str):
    in_time, too_late = DEFAULTS[preset]
    made = lettered("A B", preset=preset)
    assert measured(made, written(f"A@0 B@{in_time}", "A B"))["depth"] == 2
    if too_late is not None:
        assert measured(made, written(f"A@0 B@{too_late}", "A B"))["depth"] == 1


@pytest.mark.parametrize(
    ("log", "any_stages", "all_stages"),
    [
        ("A@0 C@1d", {1, 3}, {1}),  # skipped B
        ("C@0 B@1d A@2d", {1, 2, 3}, {1}),  # backwards
        ("B@0 C@1d", {2, 3}, set()),  # never in A
        ("A@0 B@1d C@2d", {1, 2, 3}, {1, 2, 3}),
    ],
)
def test_hubspot_counts_any_stages_or_all_stages(log: str, any_stages: set[int], all_stages: set[int]):
    reached = measured(lettered("A B C", preset="hubspot_any"), written(log, "A B C"))["reached"]
    assert {k for k in (1, 2, 3) if reached >> (k - 1) & 1} == any_stages
    depth = measured(lettered("A B C", preset="hubspot_all"), written(log, "A B C")).get("depth", 0)
    assert set(range(1, depth + 1)) == all_stages


def test_mixpanel_counts_totals_anew_only_after_an_exit():
    """The first attempt converts on day 2; the next enters on day 3 and times out on day 10."""
    made = lettered("A B", preset="mixpanel_reentry", counting="entries")
    case = Case(Plan(made), [written("A@0 A@1d B@2d A@3d A@4d A@11d", "A B")])
    found = by_unit(follow(group(as_table(case), case.plan), case.plan))[0]
    expected = [["0", "2d"], ["3d"], ["11d"]]
    assert [times(row) for row in found] == [[length(time) for time in each] for each in expected]
