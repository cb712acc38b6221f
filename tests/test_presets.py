"""Presets fill in what a definition leaves open, and nothing else."""

from dataclasses import fields
from datetime import timedelta
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from funnel_lib.definition import Funnel, Matching, Step, parse_duration
from funnel_lib.errors import ConfigError
from funnel_lib.presets import PRESETS, PresetName

STEPS = [Step("A", event="A"), Step("B", event="B"), Step("C", event="C", within="1h")]
FUNNEL = TypeAdapter(Funnel)


def test_every_name_has_a_preset_and_every_preset_a_note():
    assert list(PRESETS) == list(get_args(PresetName))
    assert all(preset.note.endswith(".") for preset in PRESETS.values())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_switches_what_it_says_and_leaves_the_rest(name: str):
    preset, plain, made = PRESETS[name], Funnel(steps=STEPS), Funnel(steps=STEPS, preset=name)
    for field in fields(Matching):
        value = preset.matching.get(field.name, getattr(plain.matching, field.name))
        is_length = field.name in ("resolution", "grace") and value is not None
        assert getattr(made.matching, field.name) == (parse_duration(value) if is_length else value)
    for field in fields(Funnel):
        if field.name not in ("matching", "preset"):
            value = preset.fields.get(field.name, getattr(plain, field.name))
            is_length = field.name == "window" and value is not None
            assert getattr(made, field.name) == (parse_duration(value) if is_length else value)


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_named_beside_a_preset_wins(name: str):
    named = {"policy": "drop_off", "open": False, "counting": "entries"}
    made = Funnel(steps=STEPS, preset=name, **named)
    assert {field: getattr(made, field) for field in named} == named
    assert Funnel(steps=STEPS, preset=name, policy="drop_unit").policy == "drop_unit"
    assert Funnel(steps=STEPS, preset=name, window=None).window is None


def test_a_matching_that_is_named_in_part_keeps_the_rest_of_the_preset():
    made = Funnel(steps=STEPS, preset="amplitude", matching={"resolution": None})
    assert made.matching == Matching(best="entered_first", any_of="most_steps", anchored=True)


def test_a_matching_that_is_named_wholly_wins_wholly():
    made = Funnel(steps=STEPS, preset="amplitude", matching=Matching(distinct=False))
    assert made.matching == Matching(distinct=False)


def test_a_switch_that_cannot_go_with_an_order_can_be_named_away():
    """Mixpanel's grace means nothing in strict order."""
    with pytest.raises(ConfigError, match=r"grace with another order.*the preset mixpanel brings the grace"):
        Funnel(steps=STEPS, preset="mixpanel", order="strict")
    made = Funnel(steps=STEPS, preset="mixpanel", order="strict", matching={"grace": None})
    assert made.matching == Matching(attempts="first")


@pytest.mark.parametrize(
    "made",
    [
        Funnel(STEPS, "7d", preset="ga4"),
        Funnel(steps=STEPS, window=timedelta(days=7), preset="ga4"),
        FUNNEL.validate_python(
            {
                "steps": [
                    {"name": "A", "event": "A"},
                    {"name": "B", "event": "B"},
                    {"name": "C", "event": "C", "within": "1h"},
                ],
                "window": "7d",
                "preset": "ga4",
            }
        ),
    ],
    ids=["by place", "by name", "from a workbook"],
)
def test_the_window_of_ga4_is_that_of_each_step_from_the_one_before(made: Funnel):
    assert made.window is None
    assert [step.within for step in made.steps] == [None, timedelta(days=7), timedelta(hours=1)]


def test_ga4_without_a_window_has_none_for_its_steps():
    made = Funnel(steps=STEPS[:2], preset="ga4")
    assert [step.within for step in made.steps] == [None, None]


def test_the_steps_that_were_given_are_not_changed():
    steps: list[Any] = [{"name": "A", "event": "A"}, {"name": "B", "event": "B"}]
    Funnel(steps=steps, window="7d", preset="ga4")
    assert steps == [{"name": "A", "event": "A"}, {"name": "B", "event": "B"}]


def test_a_wrong_window_is_refused_where_it_is_moved_to_the_steps():
    with pytest.raises(ConfigError, match="duration"):
        Funnel(steps=STEPS, window="soon", preset="ga4")


def test_an_unknown_preset_is_refused():
    with pytest.raises(ConfigError, match="'reference', 'clickhouse'"):
        Funnel(steps=STEPS, preset="adobe")


def test_an_unknown_switch_beside_a_preset_is_refused():
    with pytest.raises(ConfigError, match="unique"):
        Funnel(steps=STEPS, preset="posthog", matching={"unique": True})


def test_the_fingerprint_is_that_of_the_switches():
    by_hand = Funnel(steps=STEPS, matching=Matching(distinct=False))
    assert Funnel(steps=STEPS, preset="clickhouse").fingerprint == by_hand.fingerprint
    different = {Funnel(steps=STEPS, window="7d", preset=name).fingerprint for name in PRESETS}
    assert len(different) == len(PRESETS) - 1  # hubspot_all is the reference, but without a window by default


@pytest.mark.parametrize("name", PRESETS)
def test_a_funnel_with_a_preset_survives_being_written_and_read(name: str):
    made = Funnel(steps=STEPS, window="7d", preset=name)
    assert FUNNEL.validate_python(FUNNEL.dump_python(made)) == made
