"""Which group is behind or ahead, from hand-made comparisons."""

from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.sections import segments
from funnel_lib.reporting.wording import Say

SCOPE = SimpleNamespace(
    group_title=lambda _split, group: group.title(),
    step_title=lambda name: name.title(),
    funnel=SimpleNamespace(names=["visit", "cart", "pay"]),
)


def against(*rows: tuple[str, int, float, bool]) -> pd.DataFrame:
    """Return comparisons: group, step (0: overall), difference, clear; NaN stands for one that was not made."""
    frame = pd.DataFrame(rows, columns=["group", "step", "difference", "clear"])
    return frame.assign(p=frame["difference"].abs())


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("a", 2, -0.1, True), ("b", 2, 0.1, True)], "A: behind at Cart"),
        ([("a", 2, -0.1, True), ("a", 3, 0.1, True)], "A: ahead at Pay, behind at Cart"),
        # The rest has no name; that the group with one is ahead is what can be said.
        ([("a", 3, 0.1, True), ("other", 3, -0.1, True)], "A: ahead at Pay"),
        (
            [("a", 0, 0.1, True), ("b", 2, 0.1, False)],
            "A: ahead from first step to last, though clearly at no single one",
        ),
        ([("a", 2, -0.1, False), ("b", 2, 0.1, False)], "No group is clearly behind the others"),
    ],
)
def test_the_finding_names_who_is_clearly_apart(rows, words: str):
    assert segments.behind(Say("en"), SCOPE, against(*rows), "plan").text == words


def test_what_was_not_compared_is_not_called_equal():
    nan = float("nan")
    alone = against(("a", 2, nan, False))
    assert segments.behind(Say("en"), SCOPE, alone, "plan").text.endswith("because there is only one group")
    few = against(("a", 2, nan, False), ("b", 2, nan, False))
    assert segments.behind(Say("en"), SCOPE, few, "plan").text.endswith(
        "because there are too few people or conversions"
    )


def test_groups_that_were_not_compared_are_not_called_alike():
    rows = pd.DataFrame({"group": ["a", "other"], "rate": [0.5, 0.4], "difference": [float("nan")] * 2, "clear": False})
    told = segments.best_and_worst(Say("en"), SCOPE, rows, "shopper").text
    assert told.startswith("A comparison of the groups cannot be computed, because there are too few")
    alone = segments.best_and_worst(Say("en"), SCOPE, rows.head(1), "shopper").text
    assert alone.endswith("because there is only one group")
