"""Why a number cannot be computed, in words: one clause for every reason that the analysis gives."""

from __future__ import annotations

from collections.abc import Mapping

from funnel_lib.reporting.blocks import Block, section
from funnel_lib.reporting.labels import Name
from funnel_lib.reporting.wording import Say, Sentence


def reasons(say: Say) -> Mapping[str, Sentence]:
    """Return the clause for each reason."""
    return {**_of_conversion(say), **_of_worth(say)}


def _of_conversion(say: Say) -> Mapping[str, Sentence]:
    return {
        "too_few": say("there are too few people or conversions"),
        "no_times": say("this source has no times"),
        "no_conversions": say("nobody has converted yet"),
        "not_observed": say("too few people have been followed for so long"),
        "not_half": say("fewer than half get there at all"),
        "one_group": say("there is only one group"),
        "nothing_mature": say("too few people have had their full time"),
        "open": say("nobody has had the full time yet"),
        "nobody_now": say("nobody entered in this period"),
        "nobody_before": say("nobody entered in the period before"),
        "not_nested": say("steps may be skipped, so that their rates do not multiply"),
        "no_days": say("there are no days with people"),
        "too_short": say("there are too few days"),
        "few_a_day": say("so few people come in a day that any share of them would be within the limits"),
        "no_variation": say("either nobody or everybody went on"),
        "no_effect": say("no channel makes a difference"),
        "no_bar": say("there is no target, no past and no benchmark to hold it against"),
        "stale": say("the benchmark is too old"),
        "year_unknown": say("the year of the benchmark is not known"),
        "weak_source": say("the source of the benchmark is weak"),
        "not_comparable": say("the benchmark measures something else"),
        "no_earlier": say("there is no earlier period to compare with"),
        "no_events": say("this source tells no single events"),
        "no_channels": say("the events name no channel"),
        "no_surveys": say("no survey was collected"),
        "no_value": say("the workbook does not say what a conversion is worth"),
    }


def _of_worth(say: Say) -> Mapping[str, Sentence]:
    """Return the clauses of what customers, drivers and figures are told by."""
    return {
        "no_orders": say("there are no orders with an amount"),
        "no_costs": say("no costs are known"),
        "no_customers": say("nobody became a customer"),
        "cost_not_covered": say("costs are not known for all days in which these customers were won"),
        "no_figures": say("the workbook asks for none"),
        "none_in_data": say("nothing that they count is in this data"),
        "not_in_data": say("its events are not in this data"),
        "no_such_column": say("its events do not name it"),
        "no_spend": say("no spend was collected for this period"),
        "other_currency": say("all of it is in another currency"),
        "not_asked": say("no survey asked this"),
        "no_deals": say("no deals were collected"),
        "not_created": say("the deals do not say when they were created"),
        "not_closed": say("the deals do not say when they were closed"),
        "only_won": say("only won deals were collected, and none that are lost or open"),
        "deals_too_recent": say("the deals do not reach back far enough for slow ones to be decided"),
        "no_amount": say("its events have no amount"),
        "no_date_column": say("no source of people holds this date"),
        "no_referrer": say("no source of people says who referred them"),
        "referrers_unknown": say("those who referred somebody are not named by the ids of people"),
        "nobody_there": say("nobody was there in this period"),
        "not_by_segment": say("costs are not known by segment"),
        "not_reached": say("it is not reached in the time that was seen"),
        "no_repeat_orders": say("nobody orders a second time"),
        "does_not_fit": say("the model does not fit this data"),
        "spend_depends_on_frequency": say("who orders more often spends otherwise, which the model excludes"),
        "failed_on_held_out": say("the forecast failed on its own past"),
        "no_answers": say("nobody answered"),
        "no_contracts": say("there are no contracts"),
        "no_contract_columns": say("the table lacks the times or prices that value.contract names"),
        "channel_unknown": say("the orders name no channel"),
        "separated": say("either all of them convert or none, as if it was recorded afterwards"),
        "collinear": say("it says nearly the same as another attribute"),
    }


def why(say: Say, reason: str) -> Sentence:
    """Return why something is not known, as a clause; a reason without words stands as it is."""
    return reasons(say).get(reason) or say("{reason}", reason=Name(reason))


def cannot(say: Say, what: Sentence | str, reason: str) -> Sentence:
    """Say that something cannot be computed, and why."""
    return say("{what} cannot be computed, because {reason}", what=what, reason=why(say, reason))


def unknown(name: str, kicker: Sentence, found: Sentence) -> Block:
    """Return the section of a question that this data cannot answer: only why."""
    return section(name, kicker=kicker, finding=found)
