"""Other definitions of a funnel: one thing changed at a time, and what has no meaning."""

import pandas as pd
import pytest

from funnel_lib.conversion.variants import BASE, Variant, length, variants
from funnel_lib.definition import Exclusion, Funnel, Step
from funnel_lib.errors import ConfigError

STEPS = [Step(name, event=name) for name in "ABC"]
ABC = Funnel(steps=STEPS, window="4d")


def made(funnel, **varied):
    found, refused = variants(Variant(BASE, "", "", funnel), varied)
    return {variant.name: variant.funnel for variant in found}, refused


def test_one_thing_is_changed_at_a_time():
    found, refused = made(ABC)
    assert refused == {}
    assert list(found) == [
        "base", "window 2d", "window 8d", "window unbounded", "order strict", "order any", "counting entries",
        "ties increasing", "attempts first", "preset clickhouse", "preset posthog", "preset mixpanel",
        "preset mixpanel_reentry", "preset amplitude", "preset ga4", "preset hubspot_any",
    ]  # fmt: skip
    # hubspot_all is a funnel without a window, which is there already.
    assert found["preset hubspot_any"].window is None
    assert found["preset mixpanel"].window == ABC.window
    assert found["preset ga4"].window is None
    assert {step.within for step in found["preset ga4"].steps[1:]} == {ABC.window}
    assert len({funnel.fingerprint for funnel in found.values()}) == len(found)


def test_what_a_preset_decides_is_left_to_it():
    funnel = Funnel(steps=STEPS, window="4d", exclusions=[Exclusion("X")], policy="drop_unit")
    found, refused = made(funnel, presets=["mixpanel", "hubspot_any"])
    assert found["preset mixpanel"].policy == "drop_off"
    assert found["preset mixpanel"].matching.attempts == "first"
    assert "preset hubspot_any" in refused  # an open funnel knows no exclusions


def test_combinations_without_meaning_are_named():
    funnel = Funnel(steps=[STEPS[0], Step("B", event="B", within="1d"), STEPS[2]], window="4d")
    found, refused = made(funnel)
    assert "order any" in refused
    assert "within" in refused["order any"]
    assert "order any" not in found


def test_the_base_may_be_anything():
    funnel = Funnel(steps=STEPS, order="any", counting="entries", matching={"attempts": "first"})
    found, _ = made(funnel, presets=())
    assert list(found) == [
        "base", "order ordered", "order strict", "counting units", "ties increasing", "attempts all",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "varied", [{"windows": ["4 apples"]}, {"orders": ["strickt"]}, {"presets": ["mixpannel"]}, {"windows": ["-1d"]}]
)
def test_what_cannot_be_read(varied):
    with pytest.raises(ConfigError) as error:
        made(ABC, **varied)
    assert error.value.allowed


def test_lengths_are_written_as_in_a_workbook():
    written = [length(pd.Timedelta(text).to_pytimedelta()) for text in ("14D", "36h", "90min", "45s", "500ms")]
    assert written == ["14d", "36h", "90min", "45s", "0.5s"]
