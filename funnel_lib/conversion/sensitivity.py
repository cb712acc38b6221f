"""Does the finding hang on a setting? The same period under other windows, orders, units and other systems' rules."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from statistics import NormalDist
from typing import Any, NamedTuple, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys, UnmatchedStep, journeys, previous_steps
from funnel_lib.conversion.keeping.shelves import Shelf
from funnel_lib.conversion.rates import closed_only, differences, with_rates
from funnel_lib.conversion.variants import BASE, Variant, Variations, variants
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError
from funnel_lib.periods import Period

Bools = npt.NDArray[np.bool_]
OTHER_UNITS = "other_units"
# How this many groups rank is compared; further ones, which are smaller, are not.
MOST_GROUPS = 50
_RULES = Rules()
_COLUMNS = [
    "variant", "changed", "value", "step", "name", "entered", "converted", "rate", "low", "high", "level", "previous",
    "of_previous", "shared", "difference", "diff_low", "diff_high", "method", "mature_only", "reason",
]  # fmt: skip


@dataclass(frozen=True)
class Conclusion:
    """What stays the same under every variant, and where it does not.

    `bottleneck` : the step with the lowest share of those before it, in the base; None where no step has enough
    units, or none of them loses any. `bottleneck_moves` : variant -> its bottleneck, where that is another one.
    `ranking` : groups with enough units by the rate of the last step, best first, in the base; None without `by`.
    `ranking_turns` : variant -> pairs of groups (the better one in the base first) that stand the other way round
    although they are clearly apart in one of the two (Newcombe interval without 0).
    `lowest`, `highest` : variants with the lowest and highest rate of the last step; None where none has enough units.
    """

    bottleneck: str | None
    bottleneck_moves: Mapping[str, str] = field(default_factory=dict)
    ranking: tuple[str, ...] | None = None
    ranking_turns: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    lowest: str | None = None
    highest: str | None = None

    @property
    def same_bottleneck(self) -> bool | None:
        """Whether the bottleneck is the same under every variant; None where the base has none."""
        return None if self.bottleneck is None else not self.bottleneck_moves

    @property
    def same_ranking(self) -> bool | None:
        """Whether no two groups turn round under any variant; None where fewer than two can be ranked."""
        return None if self.ranking is None or len(self.ranking) < 2 else not self.ranking_turns


@dataclass(frozen=True)
class Sensitivity:
    """The same period under several definitions.

    `frame` has one row per variant and step, the base first: `variant, changed, value, step, name, entered,
    converted, rate, low, high, level, previous, of_previous, shared, difference, diff_low, diff_high, method,
    mature_only, reason`. `rate` is converted / entered (Wilson interval), `of_previous` the share of `previous` (who
    took the required step before) that went on to this one. `difference` is the variant less the base, of the
    `shared` units that entered under both, so that only the definition differs, not the people. `reason` says why a
    rate is missing (`too_few`), or else a difference (`other_units`).

    `groups` (with `by`) : `variant, group, entered, converted, rate, low, high, level, reason` of the last step.
    `variants` : the definitions, the base first. `refused` : variant -> why it has no meaning for this funnel.
    """

    frame: pd.DataFrame
    groups: pd.DataFrame | None
    variants: tuple[Variant, ...]
    conclusion: Conclusion
    refused: Mapping[str, str] = field(default_factory=dict)


class _Seen(NamedTuple):
    """Who entered under a variant, and per row which steps it took, and which after the one before; and its group."""

    units: pd.Index[Any]
    took: Bools
    passed: Bools
    names: list[str]
    codes: npt.NDArray[np.int64]
    mature: bool


def sensitivity(
    events: Any,
    funnel: Funnel,
    *,
    by: str | None = None,
    period: Period | None = None,
    as_of: datetime | None = None,
    rules: Rules = _RULES,
    shelf: Shelf | None = None,
    **varied: Unpack[Variations],
) -> Sensitivity:
    """Return the funnel under other definitions, one change at a time, and what does not hang on them.

    Each variant is counted anew (one scan each): window, order, unit, counting (`entries` or `units`), tie rule,
    attempts, and the rules of other systems (with this funnel's window, where they know one). One that is the same
    definition is left out.

    The difference from the base is that of the same units: n of them entered under both, b took the step only under
    the variant, c only under the base; (b - c)/n with the adjusted interval of Bonett and Price 2012 (see
    `paired_difference`), method `paired`. Where units have several rows (entries, sessions), the difference of the
    two ratios with units as clusters (linearised), method `clustered`. With another unit column there are no same
    units: NaN, reason `other_units`. Intervals are not adjusted for the number of variants.

    Parameters
    ----------
    events, funnel, period, as_of : as in `journeys`.
    by : column to rank groups by (its value at the unit's first entry).
    rules : level, least numbers, and whether only closed windows count (under each variant those of its own window).
    shelf : where the counts are kept, so that the same question is answered at once; None: nowhere.
    varied : see `Variations`.

    Raises
    ------
    ConfigError : a variation cannot be read, or the funnel is that of a snapshot.
    DataError : as `journeys`.
    """
    if funnel.snapshot:
        raise ConfigError(
            "A snapshot cannot be counted under other definitions.", found=f"snapshot: {funnel.snapshot}",
            allowed="a funnel of events", do="Use the raw events, where there are any.",
        )  # fmt: skip
    counted, refused = variants(Variant(BASE, "", "", funnel), varied)

    def made() -> dict[str, pd.DataFrame]:
        return _tables(events, counted, by, period, as_of, rules)

    told = {"by": by, "period": period, "as_of": as_of, "rules": rules, "variants": _identified(counted)}
    tables = made() if shelf is None else shelf.tables(funnel, made, **told)
    frame, grouped = tables["frame"], tables.get("groups")
    return Sensitivity(frame, grouped, tuple(counted), _conclude(frame, grouped, funnel, rules), refused)


def _identified(counted: list[Variant]) -> list[tuple[str, str, str, str]]:
    return [(one.name, one.changed, one.value, one.funnel.fingerprint) for one in counted]


def _tables(
    events: Any, counted: list[Variant], by: str | None, period: Period | None, as_of: datetime | None, rules: Rules
) -> dict[str, pd.DataFrame]:
    """Count each variant; return `frame` and, with `by`, `groups`."""
    tables, groups, first = [], [], None
    for variant in counted:
        found = _counted(events, variant, by, period, as_of)
        seen = _seen(found, by, closed_only(found, rules))
        first = first or seen
        tables.append(_with_difference(_table(variant, seen, rules), seen, first, variant, rules))
        if by is not None:
            groups.append(_by_group(variant, seen, rules))
    told = {"frame": pd.concat(tables, ignore_index=True)}
    return told | ({"groups": pd.concat(groups, ignore_index=True)} if groups else {})


def _counted(events: Any, variant: Variant, by: str | None, period: Period | None, as_of: datetime | None) -> Journeys:
    named = () if by is None else (by,)
    with warnings.catch_warnings():
        if variant.name != BASE:  # said once
            warnings.simplefilter("ignore", UnmatchedStep)
        return journeys(events, variant.funnel, by=named, touch="first", period=period, as_of=as_of)


def _seen(found: Journeys, by: str | None, mature: bool) -> _Seen:
    """Return who entered, and which steps they took."""
    size, kind = len(found.funnel.steps), "mature_" if mature else ""
    depth = found.frame[f"{kind}depth"].to_numpy()
    if found.funnel.simple:
        took = passed = depth[:, None] >= np.arange(1, size + 1)
    else:
        took, passed = (
            (found.frame[name].to_numpy()[:, None] >> np.arange(size) & 1).astype(bool)
            for name in (f"{kind}reached", f"{kind}passed")
        )
    names, codes = found.groups(by)
    entered = depth > 0
    return _Seen(pd.Index(found.frame["unit"])[entered], took[entered], passed[entered], names, codes[entered], mature)


def _table(variant: Variant, seen: _Seen, rules: Rules) -> pd.DataFrame:
    """Return the rows of one variant, without the difference from the base."""
    funnel = variant.funnel
    before = previous_steps(funnel)
    converted = seen.took.sum(axis=0, dtype=np.int64)
    previous = np.where(before > 0, converted[before - 1], 0)
    onward = pd.DataFrame({"numerator": seen.passed.sum(axis=0, dtype=np.int64), "denominator": previous})
    judged = with_rates(pd.DataFrame({"numerator": converted, "denominator": len(seen.took)}), rules)
    table = judged.rename(columns={"numerator": "converted", "denominator": "entered"}).assign(
        variant=variant.name,
        changed=variant.changed,
        value=variant.value,
        step=np.arange(1, len(before) + 1),
        name=funnel.names,
        previous=previous,
        of_previous=with_rates(onward, rules)["rate"],
        mature_only=seen.mature,
    )
    certain = (table["step"] == 1) & (table["reason"] == "") & (not funnel.open)
    table.loc[certain, ["low", "high"]] = 1.0
    return table


def _with_difference(table: pd.DataFrame, seen: _Seen, base: _Seen, variant: Variant, rules: Rules) -> pd.DataFrame:
    """Add how a variant differs from the base for the same units."""
    nothing = np.full((3, len(table)), np.nan)
    if variant.name == BASE:
        found, shared, method, reason = nothing, len(seen.took), "base", ""
    elif variant.changed == "unit":
        found, shared, method, reason = nothing, 0, "", OTHER_UNITS
    elif seen.units.is_unique and base.units.is_unique:
        found, shared = _paired(seen, base, rules.level)
        method, reason = "paired", ""
    else:
        found, shared = _clustered(seen, base, rules.level)
        method, reason = "clustered", ""
    # A difference of the same units may be well known where one of the rates is all but zero.
    few = (table["reason"] != "").to_numpy() & (method == "clustered") | (shared < rules.min_units)
    by_definition = (table["step"] == 1).to_numpy() & (not variant.funnel.open)  # everybody is at the first step
    blank = few | by_definition
    difference, low, high = np.where(blank, np.nan, found)
    added = {"shared": shared, "difference": difference, "diff_low": low, "diff_high": high, "method": method}
    told = table["reason"].where((table["reason"] != "") | by_definition, reason)
    return table.assign(**added, reason=told)[_COLUMNS]


def _paired(seen: _Seen, base: _Seen, level: float) -> tuple[npt.NDArray[np.float64], int]:
    """Return difference, low and high by step of the units that are in both, and how many these are."""
    place = base.units.get_indexer(seen.units)
    both = place >= 0
    now, then = seen.took[both], base.took[place[both]]
    gained, lost = (now & ~then).sum(axis=0), (then & ~now).sum(axis=0)
    return np.array(paired_difference(gained, lost, len(now), level)), len(now)


def paired_difference(
    gained: npt.ArrayLike, lost: npt.ArrayLike, n: int, level: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (difference, low, high) of two rates of the same n units; NaN where n is 0.

    b = `gained` units have it only under the first definition, c = `lost` only under the second. The adjusted Wald
    interval of Bonett and Price 2012, `(b - c)/m ± z·sqrt(((b + c + 2)/m - ((b - c)/m)²)/m)` with m = n + 2: one is
    added to b and to c, so it keeps its level in small samples too. Assumes independent units.
    """
    b, c = np.asarray(gained, dtype=float), np.asarray(lost, dtype=float)
    z, m = NormalDist().inv_cdf((1 + level) / 2), n + 2
    middle = (b - c) / m
    half = z * np.sqrt(((b + c + 2) / m - middle**2) / m)
    known = np.where(n > 0, 1.0, np.nan)
    exact = (b - c) / max(n, 1)
    return exact * known, np.maximum(middle - half, -1) * known, np.minimum(middle + half, 1) * known


def _clustered(seen: _Seen, base: _Seen, level: float) -> tuple[npt.NDArray[np.float64], int]:
    """Return difference, low and high by step, for units with several rows: ratios over the shared units.

    The variance of each unit's part in the two ratios, `(y - r·n)/N` under the variant less that under the base.
    """
    shared = seen.units.unique().intersection(base.units.unique())
    ratios, parts = [], []
    for side in (seen, base):
        place = shared.get_indexer(side.units)
        kept = place >= 0
        rows = np.bincount(place[kept], minlength=len(shared)).astype(float)
        took = [np.bincount(place[kept], weights=column, minlength=len(shared)) for column in side.took[kept].T]
        total = max(rows.sum(), 1.0)
        ratio = np.array([column.sum() for column in took]) / total
        ratios.append(ratio)
        parts.append((np.array(took) - ratio[:, None] * rows) / total)
    n = len(shared)
    difference = ratios[0] - ratios[1]
    spread = np.sqrt(((parts[0] - parts[1]) ** 2).sum(axis=1) * n / max(n - 1, 1))
    half = NormalDist().inv_cdf((1 + level) / 2) * spread
    return np.array([difference, difference - half, difference + half]), n


def _by_group(variant: Variant, seen: _Seen, rules: Rules) -> pd.DataFrame:
    """Return the rate of the last step of each group."""
    groups = len(seen.names)
    entered = np.bincount(seen.codes, minlength=groups)
    converted = np.bincount(seen.codes, weights=seen.took[:, -1], minlength=groups).astype(np.int64)
    counts = pd.DataFrame({"group": seen.names, "numerator": converted, "denominator": entered})
    judged = with_rates(counts, rules).rename(columns={"numerator": "converted", "denominator": "entered"})
    judged = judged.assign(variant=variant.name)
    return judged[["variant", "group", "entered", "converted", "rate", "low", "high", "level", "reason"]]


def _conclude(frame: pd.DataFrame, groups: pd.DataFrame | None, funnel: Funnel, rules: Rules) -> Conclusion:
    required = [step.name for step in funnel.steps[1:] if not step.optional]
    judged = frame[frame["name"].isin(required) & (frame["of_previous"] < 1)]
    lowest = judged.loc[judged.groupby("variant", sort=False)["of_previous"].idxmin()]
    narrow = dict(zip(lowest["variant"], lowest["name"], strict=True))
    bottleneck = narrow.get(BASE)
    moves = {name: step for name, step in narrow.items() if bottleneck is not None and step != bottleneck}
    last = frame[(frame["step"] == len(funnel.steps)) & frame["rate"].notna()].set_index("variant")["rate"]
    ends = (None, None) if last.empty else (str(last.idxmin()), str(last.idxmax()))
    ranking, turns = (None, {}) if groups is None else _ranking(groups, rules)
    return Conclusion(bottleneck, moves, ranking, turns, *ends)


def _ranking(groups: pd.DataFrame, rules: Rules) -> tuple[tuple[str, ...], dict[str, tuple[tuple[str, str], ...]]]:
    """Return the base's groups, best first, and by variant the pairs that turn round."""
    parts = {str(name): part.set_index("group") for name, part in groups.groupby("variant", sort=False)}
    base = parts[BASE].dropna(subset="rate").nlargest(MOST_GROUPS, "entered").sort_values("rate", ascending=False)
    turns = {}
    for name, part in parts.items():
        shown = [group for group in base.index if group in part.index and part["reason"][group] == ""]
        pairs = [pair for pair in combinations(shown, 2) if part["rate"][pair[0]] < part["rate"][pair[1]]]
        turned = tuple(pair for pair in pairs if _apart(base, pair, rules) or _apart(part, pair, rules))
        if turned:
            turns[name] = turned
    return tuple(base.index), turns


def _apart(table: pd.DataFrame, pair: tuple[str, str], rules: Rules) -> bool:
    """Return whether the interval of the difference of two groups' rates leaves out 0."""
    one, other = (table.loc[group] for group in pair)
    counts = (one["converted"], one["entered"], other["converted"], other["entered"])
    _, low, high = differences(*counts, rules.level)
    return bool(low > 0 or high < 0)
