"""The section of a workbook file about an optimisation case: whom it is about and what was changed when."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, TypeVar

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from funnel_lib.notation import Duration, Title
from funnel_lib.settings import Name, Section

_Change = TypeVar("_Change", "Trial", "Policy")


class Trial(Section):
    """A randomised experiment among the units of the case study."""

    kind: Literal["trial"]
    name: Name
    title: Title
    experiment: str
    control: str
    treatment: str
    expected_share: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _two_arms(self) -> Trial:
        return _differ(self, "the two arms are the same", self.control, self.treatment)


class Policy(Section):
    """A change for one group only, judged by difference in differences against the others."""

    kind: Literal["policy"]
    name: Name
    title: Title
    since: date
    placebo: date
    groups: tuple[str, str]

    @model_validator(mode="after")
    def _possible(self) -> Policy:
        if self.placebo >= self.since:
            raise PydanticCustomError(
                "order", "placebo is a false date before the true one",
                {"found": str(self.placebo), "allowed": f"a day before {self.since}"},
            )  # fmt: skip
        return _differ(self, "the two groups are the same", *self.groups)


class Release(Section):
    """A change for everybody from a date on, judged by cohorts of equal age (weaker evidence)."""

    kind: Literal["release"]
    name: Name
    title: Title
    since: date
    weeks: Annotated[int, Field(ge=1, le=26)] = 4
    steps: tuple[str, str]


def _differ(section: _Change, what: str, one: str, two: str) -> _Change:
    if one == two:
        raise PydanticCustomError("same", what, {"found": two, "allowed": "two different names"})
    return section


Change = Annotated[Trial | Policy | Release, Field(discriminator="kind")]


class CaseStudy(Section):
    """The optimisation case: whom it is about (a group of a split), between which steps, what was changed.

    `survey` is the question whose answers are compared, as the export has it; `question` and `answers` say what
    readers call it and its answers.
    """

    title: Title
    split: str
    group: str
    steps: tuple[str, str]
    within: Duration = Field(default="14d", validate_default=True)
    survey: str | None = None
    question: Title | None = None
    answers: dict[str, Title] = Field(default_factory=dict)
    changes: list[Change] = Field(default_factory=list)

    @field_validator("changes")
    @classmethod
    def _unique_names(cls, changes: list[Change]) -> list[Change]:
        names = [change.name for change in changes]
        if twice := [name for name in names if names.count(name) > 1]:
            raise PydanticCustomError(
                "twice", "two changes share a name", {"found": twice[0], "allowed": "unique names"}
            )
        return changes
