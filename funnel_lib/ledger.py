"""The sections of a workbook file about money: what a conversion brings, what it cost, what others reach."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from funnel_lib.notation import Title
from funnel_lib.settings import Section, Share


class Contract(Section):
    """Where contracts that run stand: columns of `table` with their start, their end (empty: it still runs) and price.

    `per_month` is the column with the price of a month, or one price for all, in the workbook's currency.
    """

    table: Literal["users", "deals"] = "users"
    start: str
    end: str
    per_month: Annotated[float, Field(gt=0)] | str


class Value(Section):
    """What a conversion is worth: an event's own amount, that of won deals, or a fixed one in the workbook's currency.

    `contract` tells of subscriptions and other contracts that bring the same every month until they end.
    """

    event: str | None = None
    deals: bool = False
    amount: Annotated[float, Field(ge=0)] | None = None
    margin: Share = 1.0
    contract: Contract | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.deals and (self.event is not None or self.amount is not None):
            raise ValueError("deals: true counts the amounts of won deals: leave out event and amount")
        return self


class Benchmarks(Section):
    """What others reached, as the bar of last resort: behind the targets and the own past.

    `steps` names for a step the key of the benchmark that it is held against; nothing is chosen by itself. `file` is
    a table of one's own (CSV, path from the workbook's folder), whose rows win over the shipped ones. `industry` lists
    the published figures of one industry beside the report's own.
    """

    file: str | None = None
    industry: str | None = None
    steps: dict[str, str] = Field(default_factory=dict)


class Cost(Section):
    """A cost that no export holds: an amount per month, for the stated channel or for all."""

    title: Title | None = None
    per_month: Annotated[float, Field(ge=0)]
    channel: str | None = None
