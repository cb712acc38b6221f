"""The section of a workbook file about key figures: which ones each stage is judged by, how they are counted, whose.

A formula is a small mapping with one verb; nothing in it is ever evaluated as code.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from funnel_lib.notation import Condition, Duration, EventNames, Title, Where
from funnel_lib.schema import FIRST_SEEN
from funnel_lib.settings import Name, Section

Model = Literal["classic", "evaluation", "commerce", "sales", "none"]
Good = Literal["higher", "lower", "neither"]
Spent = Literal["cost", "impressions", "clicks"]


class Match(Section):
    """Events: of these names (any, where none is given), and with these values in columns or properties."""

    event: EventNames = None
    where: Where = Field(default_factory=dict)


class Passing(Section):
    """Of the people with `among`, those who also did `of` afterwards, `within` a time that is over for all of them."""

    of: Match
    among: Match
    within: Duration = Field(default="7d", validate_default=True)


class Amounts(Section):
    """The amounts of events in the workbook's currency: their `sum`, or their `mean` per event."""

    event: EventNames = None
    where: Where = Field(default_factory=dict)
    measure: Literal["sum", "mean"] = "mean"


class Between(Section):
    """The days from a person's first `start` in the period to the next `end`: the median of those who got there.

    `within` the same time for all: whose time is not over does not count.
    """

    start: Match
    end: Match
    within: Duration = Field(default="30d", validate_default=True)


class Score(Section):
    """Answers to a question (any of several wordings): `nps` of 0 to 10, share `satisfied` of a scale, or `mean`."""

    question: Annotated[str | list[str], Field(min_length=1)]
    measure: Literal["nps", "satisfied", "mean"] = "nps"
    scale: tuple[float, float] = (1, 5)
    least: float = 4


class Deals(Section):
    """Of the deals created (or closed) in the period and matching `among`, those that match `of`."""

    of: Where
    among: Where = Field(default_factory=dict)
    by: Literal["created", "closed"] = "created"


class DealValue(Section):
    """The amounts of the deals that were closed in the period and match `among`: their `mean`, or their `sum`."""

    among: Where = Field(default_factory=lambda: dict[str, Condition](status={"eq": "won"}))
    measure: Literal["sum", "mean"] = "mean"


class Average(Section):
    """The mean of a number that events carry (a column or property `of`), divided by `divide`, per event."""

    event: EventNames = None
    where: Where = Field(default_factory=dict)
    of: str
    divide: Annotated[float, Field(gt=0)] = 1.0


class Reached(Section):
    """People whose date `of` lies in the period; or of those with the date `among` in it, who reach `of` `within`.

    Both are columns of `users`, such as the dates at which a CRM says that a lead qualified.
    """

    of: str
    among: str | None = None
    within: Duration = Field(default="90d", validate_default=True)


class Referred(Section):
    """Of the people who are new in the period, those whom somebody referred; the column `referrer` of `users` says who.

    `since` is the date at which a person was new. `measure: referrers` turns it round: of the people who were there
    before the period, those who referred somebody new in it (`referrer` holds ids of `users`, then).
    """

    referrer: str = "referred_by"
    since: str = FIRST_SEEN
    measure: Literal["new", "referrers"] = "new"


class Formula(Section):
    """How a figure is counted: exactly one of these."""

    people: Match | None = None
    events: Match | None = None
    share: Passing | None = None
    spend: Spent | None = None
    click_rate: Literal[True] | None = None
    cost_per: Match | Literal["click"] | None = None
    amount: Amounts | None = None
    days: Between | None = None
    score: Score | None = None
    deals: Deals | None = None
    deal_value: DealValue | None = None
    average: Average | None = None
    reached: Reached | None = None
    referred: Referred | None = None

    @model_validator(mode="after")
    def _one_verb(self) -> Formula:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "formula", "a formula has exactly one verb",
                {"found": ", ".join(given) or "none", "allowed": ", ".join(type(self).model_fields)},
            )  # fmt: skip
        return self

    @property
    def verb(self) -> str:
        """What kind of figure it is."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)


class Kpi(Section):
    """A key figure: its formula, which direction is good, who answers for it, and which source would give it.

    `by` divides it by a column or property of the event that is counted (for a share: of `among`).
    """

    title: Title
    formula: Formula
    good: Good = "higher"
    owner: str = ""
    source: Title | None = None
    by: str | None = None


class Stage(Section):
    """A stage with its key figures; a stage of the shipped model keeps its title where none is given."""

    title: Title | None = None
    kpis: dict[Name, Kpi] = Field(default_factory=dict)


class Board(Section):
    """The key figures of a business: those of a shipped `model`, with stages and figures added or replaced.

    `leave_out` names figures of the model that are not wanted.
    """

    model: Model = "classic"
    stages: dict[Name, Stage] = Field(default_factory=dict)
    leave_out: list[str] = Field(default_factory=list)
