from __future__ import annotations

from funnel_lib.reporting.catalogue import faults, messages


def test_everything_that_reports_say_has_its_chinese() -> None:
    found = faults(messages())
    assert not found, "\n".join(["run: python -m funnel_lib.reporting.wording", *found])
