"""The planted truth: every parameter of the demo, and what it led to in the exports of one run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from funnel_lib.sample import plan
from funnel_lib.sample.exports import AdDay, SurveyRow
from funnel_lib.sample.people import AUDIENCES, BOT, TEST, People
from funnel_lib.sample.plan import Bools, Ints
from funnel_lib.sample.web import BAD_TIME, DUPLICATE, NO_EVENT, SOUND, TRUNCATED, Rows

Node = dict[str, Any]
"""A JSON object: texts, numbers and further objects by name."""
Tally = Counter[str]
"""Counts by dotted path; the paths become the nested mappings of `Truth`."""


@dataclass(frozen=True)
class Truth:
    """What was planted.

    `people` counts visitors (bots and test accounts left out) who took each step within the data, and as
    `in_window` those who took it within 14 days of their last page view before registering, as the funnel
    counts. Groups are those that the exports can tell; `unknown` are people of unknown occupation. `rates`
    holds the planted step rates with the counts before any change, `changes` and `incidents` date, size and
    counts of each, `mix` the channels, `dirt` every planted fault, `files` the rows that each export holds,
    `web_rows` the sound rows of visitors by event. Of a pair, `n` are the people before a step, `k` took it.
    """

    users: int
    seed: int
    people: Node
    rates: Node
    changes: Node
    incidents: Node
    mix: Node
    dirt: Node
    files: Node
    web_rows: Node

    def write(self, path: Path) -> None:
        """Write the truth as JSON to `path`, whose folder is made if needed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def count_people(tally: Tally, people: People, rows: Rows) -> None:
    """Add a chunk's people, and how each planted rate turned out, to the tally."""
    visitor = people.visitor
    inside = _in_window(people, rows)
    for group, mask in (("all", visitor), *_groups(people)):
        tally[f"people.{group}.visit"] += int(mask.sum())
        for step in plan.STEPS:
            tally[f"people.{group}.{step}"] += int((mask & people.reached(step)).sum())
        for column, step in enumerate(plan.STEPS):
            tally[f"people.{group}.in_window.{step}"] += int((mask & inside[:, column]).sum())
    tally["people.revenue_fen"] += int(people.price[visitor & people.reached("payment")].sum())
    _count_rates(tally, people)
    _count_changes(tally, people, inside[:, 3])
    _count_fault(tally, people)
    for channel, each in enumerate(plan.CHANNELS):
        late = people.arrived >= plan.second(plan.MIX_SINCE)
        here = visitor & (people.channel == channel)
        tally[f"mix.visits.before.{each.name}"] += int((here & ~late).sum())
        tally[f"mix.visits.after.{each.name}"] += int((here & late).sum())


def _groups(people: People) -> list[tuple[str, Bools]]:
    return [(name, people.visitor & (people.audience == code)) for code, name in enumerate(AUDIENCES)]


def _in_window(people: People, rows: Rows) -> Bools:
    """Return per person and step: was it within the window after the last page view before registering."""
    found = rows[(rows["fault"] == SOUND) & people.visitor[rows["person"]]]
    never = np.iinfo(np.int64).max // 2
    times = np.full((len(people), 4), never)
    for column, event in enumerate((plan.SIGN_UP, plan.TRIAL, plan.ORDER, plan.PURCHASE)):
        step = found[found["event"] == event]
        times[step["person"], column] = step["ts"]
    views = found[found["event"] == plan.VIEW]
    views = views[views["ts"] <= times[views["person"], 0]]
    entry = np.full(len(people), -never)
    np.maximum.at(entry, views["person"], views["ts"])
    return np.asarray(times - entry[:, None] <= plan.WINDOW_DAYS * plan.DAY * 1_000_000)


def _pair(tally: Tally, path: str, base: Bools, reached: Bools) -> None:
    tally[f"{path}.n"] += int(base.sum())
    tally[f"{path}.k"] += int((base & reached).sum())


def _between(times: Ints, first: int, end: int) -> Bools:
    return (times >= first) & (times < end)


def _count_rates(tally: Tally, people: People) -> None:
    """Count each step before the first change that touches it."""
    ends = {
        "register": plan.second(plan.RELEASE_SINCE), "trial": plan.second(plan.TRIAL_FIRST),
        "order": plan.second(plan.POLICY_SINCE), "payment": plan.second(plan.FAULT_FIRST),
    }  # fmt: skip
    before = np.column_stack([people.arrived, people.times[:, :3]])
    for column, step in enumerate(plan.STEPS):
        for group, mask in _groups(people)[:3]:
            base = mask & (before[:, column] < ends[step])
            _pair(tally, f"rates.counts.{step}.{group}", base, people.reached(step))


def _count_changes(tally: Tally, people: People, paid: Bools) -> None:
    visitor, ordered = people.visitor, people.reached("order")
    register, trial = people.times[:, 0], people.times[:, 1]
    release, policy, weeks = plan.second(plan.RELEASE_SINCE), plan.second(plan.POLICY_SINCE), 28 * plan.DAY
    path = "changes.simple_sign_up.register"
    for name, first, end in (("before", release - weeks, release), ("after", release, release + weeks)):
        base = visitor & _between(people.arrived, first, end)
        _pair(tally, f"{path}.{name}", base, people.reached("register"))
    # Only people whose window had closed by the end of the data.
    path, closed = "changes.student_price", plan.END - plan.WINDOW_DAYS * plan.DAY
    for group, mask in _groups(people)[:2]:
        for name, first, end in (("before", 0, policy), ("after", policy, closed)):
            _pair(tally, f"{path}.order.{group}.{name}", mask & _between(trial, first, end), ordered)
            _pair(tally, f"{path}.paid_in_window.{group}.{name}", mask & _between(register, first, end), paid)
    for code, variant in enumerate(plan.VARIANTS):
        base = visitor & (people.variant == code)
        _pair(tally, f"changes.free_trial.trial.{variant}", base, people.reached("trial"))
        _pair(tally, f"changes.free_trial.paid_in_window.{variant}", base, paid)


def _count_fault(tally: Tally, people: People) -> None:
    order, paid = people.times[:, 2], people.reached("payment")
    first, end = plan.second(plan.FAULT_FIRST), plan.second(plan.FAULT_LAST) + plan.DAY
    mobile = people.visitor & (people.last_device == 0)
    _pair(tally, "incidents.mobile_payment_fault.during", mobile & _between(order, first, end), paid)
    _pair(tally, "incidents.mobile_payment_fault.before", mobile & (order < first), paid)


def count_rows(tally: Tally, people: People, rows: Rows) -> None:
    """Add the rows of a chunk's web files and the dirt among them to the tally."""
    kind = people.kind[rows["person"]]
    sound = rows["fault"] == SOUND
    tally["files.web.rows"] += len(rows)
    for event, name in enumerate(plan.EVENTS):
        tally[f"web_rows.{name}"] += int((sound & (kind == 0) & (rows["event"] == event)).sum())
    tally["dirt.duplicate_rows"] += int((rows["fault"] == DUPLICATE).sum())
    tally["dirt.late_rows"] += int((sound & (rows["day"] > rows["at"] // plan.DAY)).sum())
    for fault, name in ((TRUNCATED, "truncated"), (BAD_TIME, "bad_time"), (NO_EVENT, "no_event")):
        tally[f"dirt.broken_rows.{name}"] += int((rows["fault"] == fault).sum())
    for code, name in ((BOT, "bots"), (TEST, "test_accounts")):
        tally[f"dirt.{name}.people"] += int((people.kind == code).sum())
        tally[f"dirt.{name}.web_rows"] += int((kind == code).sum())
    tally["dirt.test_accounts.contacts"] += int((people.reached("register") & (people.kind == TEST)).sum())
    twofold = rows[(rows["slot"] == 1) & rows["known"] & sound]
    tally["dirt.two_ids.people"] += len(np.unique(twofold["person"]))
    tally["files.crm.rows"] += int(people.reached("register").sum())


def count_survey(tally: Tally, made: list[SurveyRow], groups: Mapping[str, str]) -> None:
    """Add the survey's rows, its blanks, and the reasons by the audience (`groups`: user id -> its name)."""
    for _, user, _, question, score, answer in made:
        tally["files.nps.rows"] += 1
        if question == plan.RECOMMEND:
            tally["dirt.survey.blank_scores"] += score is None
            tally["dirt.survey.impossible_scores"] += score == plan.IMPOSSIBLE_SCORE
        else:
            tally[f"rates.held_back.{groups[user]}.{answer}"] += 1


def count_calls(tally: Tally, counted: Mapping[str, int]) -> None:
    """Add a chunk's calls: rows, those that stand there twice, those without a time, answered and missed ones."""
    tally["files.calls.rows"] += counted["rows"]
    for name in ("duplicates", "no_time"):
        tally[f"dirt.calls.{name}"] += counted[name]
    for name in ("connected", "missed"):
        tally[f"files.calls.{name}"] += counted[name]


def count_spend(tally: Tally, source: str, days: list[AdDay]) -> None:
    """Add the rows and totals of one ad platform's file."""
    tally[f"files.{source}.rows"] += len(days)
    for field, name in (("shown", "impressions"), ("clicks", "clicks"), ("cost", "cost_fen")):
        tally[f"files.{source}.{name}"] += sum(getattr(day, field) for day in days)


def assemble(tally: Tally, users: int, seed: int) -> Truth:
    """Return the truth: the parameters of `plan` with the counts of the tally filled in."""
    tree: Node = {
        "people": {"window_days": plan.WINDOW_DAYS}, "rates": _rates(), "changes": _changes(),
        "incidents": _incidents(), "mix": _mix(), "dirt": {}, "web_rows": {},
        "files": {"web": {"files": plan.DAYS}},
    }  # fmt: skip
    tally["dirt.calls.days_down"] = (plan.CALLS_UP - plan.CALLS_DOWN).days
    for path, value in tally.items():
        *parents, leaf = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = int(value)
    return Truth(users, seed, **tree)


def _rates() -> Node:
    weights = plan.ANSWER_WEIGHTS.items()
    return {
        "planted": {group: dict(rates) for group, rates in plan.RATES.items()},
        "channels": {c.name: {"register": c.register, "order": c.order} for c in plan.CHANNELS},
        "held_back_weights": {group: dict(zip(plan.ANSWERS, w, strict=True)) for group, w in weights},
    }


def _changes() -> Node:
    return {
        "simple_sign_up": {"since": str(plan.RELEASE_SINCE), "effect": {"register": plan.RELEASE_REGISTER}},
        "student_price": {
            "since": str(plan.POLICY_SINCE), "effect": {"order": plan.POLICY_ORDER},
            "price_percent": plan.POLICY_PRICE_PERCENT,
        },
        "free_trial": {
            "first_day": str(plan.TRIAL_FIRST), "last_day": str(plan.TRIAL_LAST),
            "experiment": plan.EXPERIMENT, "effect": {"trial": plan.TRIAL_TRIAL, "order": plan.TRIAL_ORDER},
        },
    }  # fmt: skip


def _incidents() -> Node:
    return {
        "mobile_payment_fault": {
            "first_day": str(plan.FAULT_FIRST), "last_day": str(plan.FAULT_LAST), "device": "mobile",
            "step": "payment", "rate": plan.FAULT_PAYMENT,
        }
    }  # fmt: skip


def _mix() -> Node:
    weights = {c.name: {"before": c.before, "after": c.after} for c in plan.CHANNELS}
    return {"since": str(plan.MIX_SINCE), "channel": plan.CHANNELS[plan.SOCIAL].name, "weights": weights}
