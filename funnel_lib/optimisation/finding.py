"""What sets a group apart: its steps and its answers beside everybody else's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules, Split
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import adjust, newcombe, rates
from funnel_lib.optimisation.experiments import NAN, Arm, read_arm, significance
from funnel_lib.segmentation.rules import assign, places

OTHERS = "(others)"


@dataclass(frozen=True)
class Finding:
    """A group beside all others.

    `rates` : the rates of both (`group` is the group's name or ``(others)``), as `conversion.rates.rates`
    gives them. `gaps` : one row per step after the first, `step, name`, then for both `numerator,
    denominator, rate, low, high` (the others' prefixed with `rest_`), `relative` (the group's rate / the
    others' - 1), `difference, diff_low, diff_high, p, p_adjusted, clear, reason`. `bottleneck` : the step
    with the greatest relative shortfall among the clear ones, None where there is none. `answers` : one row
    per answer of the survey, largest in the group first, with the columns of `gaps` but `answer` for `step,
    name`. Both are of the time before `until`, when the first change to these steps began; None means the
    whole time. `silent` counts survey rows without an answer, repeated, or from people outside the case.
    """

    rates: pd.DataFrame
    gaps: pd.DataFrame
    bottleneck: str | None
    answers: pd.DataFrame
    silent: int
    until: datetime | None = None


def find(
    journeys: Journeys,
    split: str,
    group: str,
    *,
    surveys: pd.DataFrame,
    question: str | None,
    rules: Rules,
    until: datetime | None = None,
) -> Finding:
    """Return where a group of a split differs from everybody else.

    Differences are Newcombe's, p-values those of the z test or Fisher's, adjusted over the steps, and over
    the answers, by the rules' correction. Only journeys whose window has closed count.

    Parameters
    ----------
    journeys : with the column `split`.
    split, group : whom it is about.
    surveys : the canonical surveys.
    question : whose answers are compared; None for none.
    rules : smallest numbers, level and correction.
    until : units whose window closed later, and later answers, are left out; None for none.
    """
    if until is not None:
        window = journeys.funnel.window or timedelta(0)
        journeys = journeys.select(journeys.frame["first_entry"] < until - window)
        surveys = surveys[surveys["ts"] < until]
    who = journeys.frame[split].where(journeys.frame[split] == group, OTHERS)
    sides = replace(journeys, frame=journeys.frame.assign(who=who))
    counts = sides.counts("who", mature_only=True)
    names = journeys.funnel.names
    none = [0] * len(names)
    one, rest = (counts.loc[counts["group"] == side, "units"].tolist() or none for side in (group, OTHERS))
    steps = [
        {"step": k + 1, "name": names[k], **_pair((one[k], one[k - 1]), (rest[k], rest[k - 1]), rules)}
        for k in range(1, len(names))
    ]
    gaps = _judged(steps, ["step", "name"], rules)
    short = gaps[gaps["clear"] & (gaps["relative"] < 0)].sort_values("relative")
    bottleneck = None if short.empty else str(short["name"].iloc[0])
    told, silent = answers(surveys, question, journeys.frame["unit"], (who == group).to_numpy(), rules=rules)
    both = rates(sides, "who", rules=rules, mature_only=True)
    return Finding(both, gaps, bottleneck, told, silent, until)


def answers(
    surveys: pd.DataFrame, question: str | None, units: pd.Series[Any], inside: npt.NDArray[np.bool_], *, rules: Rules
) -> tuple[pd.DataFrame, int]:
    """Return what a group answers beside all others, by each person's last answer, and how many rows are left out.

    Parameters
    ----------
    surveys : the canonical surveys. `question` : whose answers are compared; None for none.
    units, inside : the people, and which of them belong to the group; one of whom any row does, does.

    Returns
    -------
    A frame as `Finding.answers`, and the rows without an answer, repeated, or from people who are not among the units.
    """
    asked = surveys[surveys["question"] == question].sort_values("ts", kind="stable")
    score = asked["score"].map(lambda value: f"{value:g}", na_action="ignore")
    told = asked.assign(answer=asked["comment"].where(asked["comment"].notna(), score))
    told = told[told["answer"].notna() & told["user_id"].notna()].drop_duplicates("user_id", keep="last")
    place = places(units, told["user_id"])  # few answer: they are what is searched, not all who are asked about
    known, member = np.zeros(len(told), dtype=bool), np.zeros(len(told), dtype=bool)
    known[place[place >= 0]] = True
    member[place[(place >= 0) & inside]] = True
    told, member = told[known], member[known]
    told = told.assign(answer=assign(told, Split(by="answer")))
    pairs = []
    for answer in told["answer"].unique():
        said = (told["answer"] == answer).to_numpy()
        counts = [(int((said & side).sum()), int(side.sum())) for side in (member, ~member)]
        pairs.append({"answer": answer, **_pair(counts[0], counts[1], rules)})
    table = _judged(pairs, ["answer"], rules)
    table = table.sort_values(["numerator", "answer"], ascending=[False, True], ignore_index=True)
    return table, len(asked) - len(told)


def _pair(one: tuple[int, int], rest: tuple[int, int], rules: Rules) -> dict[str, object]:
    """Return the rates of both and their difference, withheld where either is too small."""
    arms = [
        read_arm("", *counts, level=rules.level, min_units=rules.min_units, min_events=rules.min_events)
        for counts in (one, rest)
    ]
    row = {**_shown(arms[0], ""), **_shown(arms[1], "rest_")}
    reason = arms[0].reason or arms[1].reason
    if reason is not None:
        nothing = dict.fromkeys(("relative", "difference", "diff_low", "diff_high", "p"), NAN)
        return {**row, **nothing, "reason": reason}
    found = newcombe(*one, *rest, rules.level)
    relative = arms[0].rate / arms[1].rate - 1 if arms[1].rate else NAN
    return {
        **row, "relative": relative, "difference": found.estimate, "diff_low": found.low,
        "diff_high": found.high, "p": significance(rest, one)[0], "reason": None,
    }  # fmt: skip


def _shown(arm: Arm, prefix: str) -> dict[str, object]:
    numbers = (arm.converted, arm.units, arm.rate, arm.low, arm.high)
    names = ("numerator", "denominator", "rate", "low", "high")
    return {prefix + name: number for name, number in zip(names, numbers, strict=True)}


def _judged(pairs: list[dict[str, object]], keys: list[str], rules: Rules) -> pd.DataFrame:
    """Return the rows as a frame with p-values adjusted over those that have one."""
    sides = [prefix + name for prefix in ("", "rest_") for name in ("numerator", "denominator", "rate", "low", "high")]
    difference = ["relative", "difference", "diff_low", "diff_high", "p", "reason"]
    table = pd.DataFrame(pairs, columns=[*keys, *sides, *difference])
    adjusted = adjust(table["p"].astype("float64"), rules.correction)
    apart = (table["diff_low"] > 0) | (table["diff_high"] < 0)
    return table.assign(p_adjusted=adjusted, clear=(adjusted < 1 - rules.level) & apart)
