"""Every kind of interval that reports show, with the lowest and the highest coverage found: from the page's tables."""

from __future__ import annotations

import re
from typing import NamedTuple

import pandas as pd

from benchmarks.pages import DOCS
from benchmarks.tables import markdown

PAGE = "statistics.md"
PROMISED = (0.93, 0.97)


class Kind(NamedTuple):
    """One kind of interval: what it is of, where reports show it, how it is made, and where its coverage stands.

    `found` names a section of the page and columns of one of its tables; `where` keeps the rows of which a column holds
    a text, or at least a number. `note` says why it may be off, or what else holds.
    """

    what: str
    shown: str
    method: str
    command: str
    section: str
    columns: tuple[str, ...]
    where: tuple[str, str | float] | None = None
    note: str = ""


def _further(what: str, shown: str, method: str, kind: str, note: str = "") -> Kind:
    return Kind(what, shown, method, "intervals", "Further kinds of intervals", ("covered",), ("kind", kind), note)


TIME = "Time, and those who had no time yet"
WORTH = "What customers are worth: do the intervals hold?"
SKEWED, MOVER = "Hall 1992, Student's t", "MOVER (Zou and Donner 2008)"
KINDS = [
    Kind("a share", "steps, segments, trends, cohorts, retention, answers, key figures", "Wilson 1927", "coverage",
         "One rate: Wilson", ("shown: covered",), ("shown", 0.9)),
    Kind("difference of two shares", "segments, periods, weeks, touchpoints, experiments", "Newcombe 1998, method 10",
         "coverage", "A difference of two rates: Newcombe", ("covered",), None, "too wide for 50 units at 5 %"),
    Kind("median of times", "key figures in days", "order statistics", "coverage", "A median: order statistics",
         ("exponential", "lognormal, sigma 1.5", "uniform"), None, "never less than 95 %"),
    Kind("share by a day", "speed, repurchase", "Kaplan-Meier; Wilson's, its size by Greenwood's variance", "survival",
         TIME, ("covered",), ("day", 0.0)),
    Kind("days until half", "speed, waiting", "Brookmeyer and Crowley 1982", "survival", TIME,
         ("covered", "half: covered"), ("true half", 0.0)),
    Kind("share in the end", "speed", "reversed product limit, prediction by a gamma", "survival", TIME,
         ("covered", "young: covered"), ("young: shown", 0.5), "whole numbers: wide where few are to come"),
    Kind("unfinished cohort", "cohorts", "chain ladder, Student's t where delays differ", "nowcasts",
         "Unfinished cohorts: what they will come to", ("ten to come: covered",), None,
         "their spread is never taken for less than chance's"),
    Kind("outcome of deals", "outcomes", "Aalen-Johansen; Wilson's, its size by the variance", "survival", TIME,
         ("covered", "day 30: covered"), ("losses take days", 0.0)),
    Kind("mix and rate", "why it moved", "bootstrap, percentiles", "attribution", "Why a rate moved: mix and rate",
         ("mix held", "rate held", "groups: mix held", "groups: rate held")),
    _further("part of a step", "why it moved", "bootstrap, percentiles", "part of a step in a change"),
    Kind("day of a change", "since when", "Hansen 2000", "changepoints", "Since when: change points", ("day held",),
         None, "conservative (his theorem 3), and days are whole"),
    Kind("difference at a change", "since when", "Newcombe's, less the dispersion", "changepoints",
         "Since when: change points", ("difference held",)),
    Kind("credit of a channel", "attribution", "bootstrap of paths", "attribution", "Who gets the credit",
         ("markov: held", "last: held")),
    Kind("marginal effect, odds ratio", "drivers", "logit, clustered errors, delta method", "drivers",
         "Drivers: the average marginal effect", ("covered", "odds: covered")),
    _further("gain at a bar", "bottlenecks", "multinomial draws", "gain at a bar"),
    Kind("value of an order, mean of many per person", "customer value, key figures", f"{SKEWED}; Woodruff 1952",
         "value", WORTH, ("mean: covered", "median: covered", "winsorised: covered"), None,
         "92 % for 30 customers, 94 % from 50 on"),
    _further("mean of single amounts", "bottlenecks, key figures (deals, scores)", SKEWED, "mean of amounts"),
    _further("margin per person", "rate against value", SKEWED, "margin per person", "wide where a handful buys"),
    Kind("cost of a customer, of a lead", "customer value, key figures", "exact Poisson (Garwood 1936)", "value", WORTH,
         ("covered",), ("customers", 0.0), "never less than 95 %"),
    _further("net promoter score", "opinions, key figures", "mean of -1, 0 and 1, adjusted (Rocks 2016)",
             "net promoter score"),
    _further("margin by age", "customer value", SKEWED, "margin by age"),
    Kind("forecast of the margin", "customer value", "BG/NBD and Gamma-Gamma, sandwich variance (White 1982)",
         "lifetime", "The forecast of a new customer's margin (BG/NBD and Gamma-Gamma)", ("covered",)),
    _further("margin by cost", "customer value, contracts", MOVER, "margin by cost (LTV:CAC)"),
    _further("time until paid back", "customer value, contracts", f"{MOVER} at each age", "pay-back",
             "whole stretches"),
    _further("return on a cost", "channels", "compound Poisson, logarithm, Student's t", "return on a cost (ROAS)"),
    _further("change of a mean", "key figures", MOVER, "change of a mean"),
    _further("margin, churn and price of contracts", "contracts", f"{SKEWED}; Greenwood's variance",
             "what contracts bring"),
    _further("repurchase", "cohorts, customer value", "as the share by a day", "repurchase within 60 days"),
    _further("two definitions", "robustness", "Bonett and Price 2012", "difference of two definitions (paired)"),
    _further("difference in differences", "effects", "least squares, HC1", "difference in differences"),
    _further("difference at an equal mix", "effects", "direct standardisation, MOVER", "difference at an equal mix"),
    _further("orders and money of an effect", "effects", "delta method", "money of an effect (product)"),
]  # fmt: skip
TITLE = "Every kind of interval that reports show"
TEXT = """## {title}

Written by `python -m benchmarks overview` from the tables of this page; *lowest* and *highest* are those of all cases
that reports would show. All promise 95 %; {low:.0%} to {high:.0%} counts as kept, less what so few samples are off by
chance (of 150 samples one in twenty lies below 91.5 % or above 98.5 %; of 2,000 below 94 % or above 96 %).

{table}
Limits of the control charts are no intervals: they promise at most 10 % of months with a false alarm, see “Control
charts”. Totals are counted and have none.
"""


def report() -> str:
    """Return the table of all kinds, from the tables that the other measurements wrote."""
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    rows = []
    for kind in KINDS:
        found = coverage(page, kind)
        rows.append({
            "interval of": kind.what, "shown in": kind.shown, "method": kind.method, "lowest": found.min(),
            "highest": found.max(), "cases": len(found), "command": f"`{kind.command}`", "note": kind.note,
        })  # fmt: skip
    return TEXT.format(title=TITLE, low=PROMISED[0], high=PROMISED[1], table=markdown(pd.DataFrame(rows)))


def coverage(page: str, kind: Kind) -> pd.Series[float]:
    """Return the coverages of a kind of interval, of all tables of its section that have such columns."""
    parts = [part for part in re.split(r"(?m)^## ", page) if part.startswith(f"{kind.section}\n")]
    values: list[float] = []
    for table in tables(parts[0] if parts else ""):
        there = [column for column in kind.columns if column in table]
        if not there or (kind.where is not None and kind.where[0] not in table):
            continue
        kept = table
        if kind.where is not None:
            column, least = kind.where
            told = table[column] == least if isinstance(least, str) else _numbers(table[column]) >= least
            kept = table[told]
        for column in there:
            values += _numbers(kept[column]).dropna().tolist()
    return pd.Series(values, dtype="float64")


def tables(text: str) -> list[pd.DataFrame]:
    """Return the Markdown tables of a text, all cells as text."""
    found = []
    for block in re.findall(r"(?m)(?:^\|.*\|\n)+", text):
        lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        found.append(pd.DataFrame(lines[2:], columns=lines[0]))
    return found


def _numbers(cells: pd.Series[str]) -> pd.Series[float]:
    return pd.to_numeric(cells.str.replace(",", ""), errors="coerce")


__all__ = ["KINDS", "coverage", "report", "tables"]
