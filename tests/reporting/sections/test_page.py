"""The head of a report refuses what the report cannot be about; its definitions say who is counted."""

import copy
from dataclasses import replace

import pytest

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.sections import page


def test_one_step_is_no_funnel_to_report_on(month):
    may = month("2026-05")
    funnel = replace(may.scope.funnel, steps=may.scope.funnel.steps[:1])
    scope = replace(may.scope, workbook=may.scope.workbook.model_copy(update={"funnel": funnel}))
    for report in ("conversion", "segmentation"):
        with pytest.raises(ConfigError, match="from one step to the next, and there is only one") as error:
            page.header(scope, report)
        assert "leave this report out of reports" in str(error.value)
    assert page.header(scope, "collection").text


@pytest.mark.parametrize(
    ("changed", "who"),
    [
        ({}, "Everyone with at least one Visit in the period."),
        ({"unit": "account"}, "“People” are values of account here: each one with at least one Visit in the period"),
        ({"unit": "record_id", "snapshot": "deals"}, "“People” are deals here: each deal that began in the period"),
    ],
)
def test_the_definitions_say_who_counts_as_one(month, changed: dict[str, str], who: str):
    may = month("2026-05")
    funnel = may.scope.funnel
    for name, value in changed.items():  # of a snapshot there is no more to tell here
        funnel = copy.copy(funnel)
        object.__setattr__(funnel, name, value)
    scope = replace(may.scope, workbook=may.scope.workbook.model_copy(update={"funnel": funnel}))
    assert who in page.definitions(scope).text
