"""How other systems count a funnel: what each preset switches, so that an analyst can reconcile numbers.

A preset only fills in what a definition leaves open; whatever is named beside it wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

PresetName = Literal[
    "reference", "clickhouse", "posthog", "mixpanel", "mixpanel_reentry", "amplitude", "ga4", "hubspot_any",
    "hubspot_all",
]  # fmt: skip


class Preset(NamedTuple):
    """Values for fields of `Funnel` and of its `matching`; `note` says what differs from `reference`.

    `title` is what readers call the system. `window_from_prior`: a window given for the whole funnel is that of
    each step, from the step before.
    """

    title: str
    note: str
    fields: Mapping[str, Any] = MappingProxyType({})
    matching: Mapping[str, Any] = MappingProxyType({})
    window_from_prior: bool = False


PRESETS: Mapping[PresetName, Preset] = {
    "reference": Preset(
        "reference",
        "Any entry may start a chain; of the deepest chains the one completed first, then the one entered last, "
        "gives the times. One event serves one step. Events of one instant count as in order."
    ),
    "clickhouse": Preset(
        "ClickHouse",
        "As windowFunnel without modes: one event may serve several steps.", matching={"distinct": False}
    ),
    "posthog": Preset(
        "PostHog",
        "Window of 14 days. A unit with an exclusion leaves the funnel unless a clean attempt is as deep. In strict "
        "order a repeat of the step, or another event of the same instant, breaks nothing. In any order the number "
        "of different steps counts, whichever they are.",
        fields={"window": "14d", "policy": "drop_unit"}, matching={"repeats": True, "any_of": "most_steps"},
    ),
    "mixpanel": Preset(
        "Mixpanel",
        "Window of 7 days from the first entry, which alone counts: a later one does not start anew. Two events up "
        "to 2 seconds apart count as in order, either way. A unit with an exclusion stays up to the step before.",
        fields={"window": "7d", "policy": "drop_off"}, matching={"attempts": "first", "grace": "2s"},
    ),
    "mixpanel_reentry": Preset(
        "Mixpanel (re-entry)",
        "As mixpanel, but every entry may start an attempt, and the best one counts.",
        fields={"window": "7d", "policy": "drop_off"}, matching={"grace": "2s"},
    ),
    "amplitude": Preset(
        "Amplitude",
        "Window of 1 day. Times are cut to the second, either order within one. Of the deepest attempts the "
        "earliest counts. In any order the first step must come first, and the number of different steps counts.",
        fields={"window": "1d"},
        matching={"resolution": "1s", "best": "entered_first", "any_of": "most_steps", "anchored": True},
    ),
    "ga4": Preset(
        "Google Analytics 4",
        "No window for the whole; a window counts for each step, from the step before (as within does).",
        window_from_prior=True,
    ),
    "hubspot_any": Preset(
        "HubSpot (any stages)",
        "Each step counts the records that were ever in it, whatever else they did.", fields={"open": True}
    ),
    "hubspot_all": Preset(
        "HubSpot (all stages)",
        "No window; a record counts for a step only after all steps before it: counting stops at a skipped one."
    ),
}  # fmt: skip
