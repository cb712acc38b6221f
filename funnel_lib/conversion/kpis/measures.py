"""What a formula gives: the data of a period counted, with its interval, or why it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from funnel_lib.conversion.kpis import behaviour, records
from funnel_lib.conversion.kpis.figures import Measured
from funnel_lib.conversion.kpis.reading import Reading
from funnel_lib.scorecard import Formula

OF_EVENTS: Mapping[str, Callable[[Reading, Any, str | None], Iterator[Measured]]] = {
    "people": behaviour.people, "events": behaviour.events, "share": behaviour.share, "amount": behaviour.amount,
    "days": behaviour.days, "average": behaviour.average,
}  # fmt: skip
"""What counts each verb, of those that need events."""

_OF_TABLES: Mapping[str, Callable[[Reading, Any, str | None], Iterator[Measured]]] = {
    "spend": records.spend, "click_rate": records.click_rate, "cost_per": records.cost_per, "score": records.score,
    "deals": records.deals, "deal_value": records.deal_value, "reached": records.reached,
    "referred": records.referred,
}  # fmt: skip


def measured(data: Reading, formula: Formula, *, by: str | None = None) -> list[Measured]:
    """Return what a formula gives: one figure, or one per value of `by`, the largest first."""
    verb = formula.verb
    return list({**OF_EVENTS, **_OF_TABLES}[verb](data, getattr(formula, verb), by))
