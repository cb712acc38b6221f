"""Which bar a rate is held against: the workbook's target, its own past, or what others published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import TOO_FEW, Base, rates, wilson
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.schema import unwarned

Light = Literal["above", "near", "below", "grey"]
Origin = Literal["target", "history", "benchmark", "none"]
STATISTICS = (
    "median", "mean", "p25", "p75", "p80", "p90", "low", "high", "range", "reported", "share_of_answers",
    "share_of_products", "assumption",
)  # fmt: skip
KINDS = ("rate", "time", "money", "ratio", "context")
REQUIRED = ["key", "industry", "step", "statistic", "value", "source"]
COLUMNS = [
    "key", "industry", "model", "step", "statistic", "value", "value_high", "unit", "kind", "better", "year", "sample",
    "region", "definition", "source", "address", "quality", "last_verified", "stale", "conflict", "origin",
]  # fmt: skip
BARS = [
    "step", "name", "base", "numerator", "denominator", "rate", "low", "high", "light", "origin", "bar", "bar_high",
    "label", "reason",
]  # fmt: skip
OLDEST, PERIODS, FEWEST_PERIODS = 5, 12, 3  # years; periods of one's own past


@dataclass(frozen=True)
class Bar:
    """A rate and the bar that it is held against.

    `light`: `above` (the interval lies above the bar), `below`, `near` (it holds the bar), or `grey` with a `reason`:
    `no_bar`, `too_few` (units or events for a rate), or, of a benchmark, `stale`, `year_unknown`, `weak_source`
    (quality D) or `not_comparable` (not a share of units, or one that is better when lower). `bar_high` is the upper
    end where the bar is a range. `label` names the benchmark or counts the past periods.
    """

    rate: float
    low: float
    high: float
    light: Light
    origin: Origin
    bar: float = np.nan
    bar_high: float = np.nan
    label: str = ""
    reason: str | None = None


def benchmarks(path: str | Path | None = None) -> pd.DataFrame:
    """Return published benchmarks; those of one's own file win.

    Qualities: A: the source was read, its method and sample are stated; B: read, but partial or known to be biased; C:
    quoted by others; D: method not stated, a single company, or too old. `last_verified` is the month in which the
    source, or the page that quotes it, was last read. `conflict` says what contradicts a figure, or limits it; none of
    them is a target.

    Parameters
    ----------
    path : a CSV of one's own (UTF-8): at least `key, industry, step, statistic, value, source`; a `key` that is
        shipped too replaces it. What it leaves out: `unit` share, `kind` rate, `better` up, not `stale`; all else is
        unknown (without a `year` it is no bar).

    Returns
    -------
    Frame with the columns `COLUMNS`: shares as fractions; `value` to `value_high` where only a range is known; `stale`
    (bool); `year` may be unknown (NaN); `origin` is `own` or `shipped`.

    Raises
    ------
    DataError : there is no such file, or it is not as said; all faults are listed at once.
    """
    shipped = _read((files(__package__) / "benchmarks.csv").read_text(encoding="utf-8"), "shipped")
    if path is None:
        return shipped
    file = Path(path)
    if not file.is_file():
        raise DataError("There is no such file of benchmarks.", where=file, do="Check the path.")
    try:
        own = _read(file.read_text(encoding="utf-8-sig"), "own")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(
            "The file of benchmarks cannot be read as text.", where=file, found=error, allowed="a CSV in UTF-8",
            do="Save it again as CSV in UTF-8.",
        ) from error  # fmt: skip
    return pd.concat([own, shipped[~shipped["key"].isin(own["key"])]], ignore_index=True)


def bar(
    k: int,
    n: int,
    *,
    rules: Rules,
    target: float | None = None,
    history: pd.DataFrame | None = None,
    benchmark: Mapping[str, object] | None = None,
    as_of: date,
) -> Bar:
    """Hold the rate k of n against the first bar that there is: target, own past, published benchmark.

    Parameters
    ----------
    target : the workbook's; a fraction.
    history : `numerator, denominator` of the periods before, oldest first. The bar is the median rate of the last
        twelve with enough units and events, if there are three or more of them.
    benchmark : a row of `benchmarks()`, of the same step: that it means the same is for the reader to judge.
    rules : level and least numbers.
    as_of : a benchmark more than five years older is stale.
    """
    few = n < rules.min_units or k < rules.min_events
    rate, low, high = (np.nan,) * 3 if few else (k / n, *map(float, wilson(k, n, rules.level)))
    past = np.array([]) if history is None else _past(history, rules)
    made = partial(Bar, rate, low, high)
    if target is not None and not np.isnan(target):
        chosen = made("grey", "target", target)
    elif len(past) >= FEWEST_PERIODS:
        chosen = made("grey", "history", float(np.median(past)), label=str(len(past)))
    elif benchmark is not None:
        value, upper = (float(str(benchmark[name])) for name in ("value", "value_high"))
        chosen = made("grey", "benchmark", value, upper, str(benchmark["key"]), _unusable(benchmark, as_of))
    else:
        chosen = made("grey", "none", reason="no_bar")
    return _lit(chosen, few)


def bars(
    journeys: Journeys,
    *,
    base: Base = "previous",
    rules: Rules,
    targets: Mapping[str, float] | None = None,
    history: pd.DataFrame | None = None,
    chosen: Mapping[str, str] | None = None,
    table: pd.DataFrame | None = None,
    as_of: date,
) -> pd.DataFrame:
    """Hold every step's rate against its bar, as `bar` does.

    Parameters
    ----------
    base : of those who reached the step before, or the first; targets and benchmarks must mean the same.
    targets : the workbook's, by the step's name.
    history : `name` (of the step)`, numerator, denominator` of the periods before, oldest first.
    chosen : the key of the benchmark for a step, by the step's name; nothing is chosen by itself.
    table : as of `benchmarks`; by default the shipped ones.

    Returns
    -------
    Frame `step` (from 2)`, name, base, numerator, denominator, rate, low, high, light, origin, bar, bar_high, label,
    reason`.

    Raises
    ------
    ConfigError : a key that is chosen is not in the table.
    """
    known = benchmarks() if table is None and chosen else pd.DataFrame({"key": []}) if table is None else table
    known = known.set_index("key", drop=False)
    unknown = next((key for key in (chosen or {}).values() if key not in known.index), None)
    if unknown is not None:
        raise ConfigError(
            "There is no such benchmark.", where="chosen", found=unknown, allowed=choices(known.index, unknown)
        )
    counted = rates(journeys, rules=rules)
    counted = counted[(counted["step"] > 1) & (counted["base"] == base)]
    rows = []
    for step, name, k, n in counted[["step", "name", "numerator", "denominator"]].itertuples(index=False):
        past = None if history is None else history[history["name"] == name]
        key = (chosen or {}).get(name)
        held = bar(
            int(k), int(n), rules=rules, target=(targets or {}).get(name), history=past,
            benchmark=dict(zip(map(str, known), known.loc[key], strict=True)) if key else None, as_of=as_of,
        )  # fmt: skip
        rows.append({**vars(held), "step": step, "name": name, "base": base, "numerator": k, "denominator": n})
    found = pd.DataFrame(rows, columns=BARS).astype({"step": "int64"})
    return found.assign(reason=found["reason"].fillna(""))


def _past(history: pd.DataFrame, rules: Rules) -> npt.NDArray[np.float64]:
    """Return the last periods' rates, as far as they are rates."""
    last = history.tail(PERIODS)
    k, n = (last[name].to_numpy(dtype=np.float64) for name in ("numerator", "denominator"))
    enough = (n >= rules.min_units) & (k >= rules.min_events)
    return np.asarray(k[enough] / n[enough])


def _unusable(benchmark: Mapping[str, object], as_of: date) -> str | None:
    """Return why a rate cannot be held against this benchmark."""
    if (benchmark["kind"], benchmark["unit"], benchmark["better"]) != ("rate", "share", "up"):
        return "not_comparable"
    year = float(str(benchmark["year"]))
    if benchmark["stale"] or year < as_of.year - OLDEST:
        return "stale"
    if np.isnan(year):
        return "year_unknown"
    return "weak_source" if benchmark["quality"] == "D" else None


def _lit(held: Bar, few: bool) -> Bar:
    """Return the bar with its light."""
    if few or held.reason:
        return replace(held, light="grey", reason=held.reason or TOO_FEW)
    upper = held.bar if np.isnan(held.bar_high) else held.bar_high
    return replace(held, light="above" if held.low > upper else "below" if held.high < held.bar else "near")


def _read(text: str, origin: str) -> pd.DataFrame:
    """Read and check a table of benchmarks."""
    with unwarned():
        import pandera.pandas as pa
        from pandera.errors import SchemaErrors

    raw = pd.read_csv(StringIO(text), dtype="str", skipinitialspace=True)
    missing = [name for name in REQUIRED if name not in raw]
    if missing:
        raise DataError("Columns of the benchmarks are missing.", where=origin, found=list(raw), allowed=missing)
    defaults = {"unit": "share", "kind": "rate", "better": "up", "stale": "false"}
    raw = raw.reindex(columns=COLUMNS).astype("str").fillna(defaults).assign(origin=origin)
    said = {
        "key": pa.Column("str", unique=True), "step": pa.Column("str"), "industry": pa.Column("str"),
        "source": pa.Column("str"), "statistic": pa.Column("str", pa.Check.isin(STATISTICS)),
        "kind": pa.Column("str", pa.Check.isin(KINDS)), "better": pa.Column("str", pa.Check.isin(("up", "down"))),
        "quality": pa.Column("str", pa.Check.isin(tuple("ABCD")), nullable=True),
        "stale": pa.Column("str", pa.Check.str_matches(r"^(?i:true|false)$")),
        "value": pa.Column("float64", pa.Check.ge(0), coerce=True),
        "value_high": pa.Column("float64", pa.Check.ge(0), coerce=True, nullable=True),
        "year": pa.Column("float64", pa.Check.in_range(1990, 2100), coerce=True, nullable=True),
        "last_verified": pa.Column("str", pa.Check.str_matches(r"^\d{4}-\d{2}$"), nullable=True),
    }  # fmt: skip
    share = pa.Check(lambda table: (table["unit"] != "share") | (table["value"] <= 1), error="a share is at most 1")
    order = pa.Check(lambda table: ~(table["value_high"] < table["value"]), error="value_high is not below value")
    try:
        with unwarned():
            checked = pa.DataFrameSchema(said, checks=[share, order]).validate(raw, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.drop_duplicates(["column", "check"])  # one example of each fault
        faults = "; ".join(f"{case.column}: {case.check} ({case.failure_case})" for case in cases.itertuples())
        raise DataError("The benchmarks cannot be used.", where=origin, found=faults, do="Correct the file.") from error
    return checked.assign(stale=checked["stale"].str.lower() == "true")[COLUMNS]
