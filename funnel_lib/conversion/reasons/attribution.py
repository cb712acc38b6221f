"""Who deserves the credit for conversions: seven rules side by side, none of them causal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.engine.compiling import jit, worth_compiling
from funnel_lib.conversion.keeping.arranging import Ints
from funnel_lib.conversion.rates import TOO_FEW, wilson
from funnel_lib.conversion.reasons.paths import Paths
from funnel_lib.errors import ConfigError, choices

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
Model = Literal["first", "last", "linear", "position", "decay", "markov", "shapley"]
MODELS: tuple[Model, ...] = get_args(Model)
UNTOUCHED = "untouched"
CREDITS = ["model", "channel", "conversions", "share", "low", "high", "level", "value", "reason"]
BAGS, MOST_DEALT, AT_ONCE = 200, 5_000_000, 100


def attribute(
    paths: Paths,
    *,
    models: Sequence[Model] = MODELS,
    half_life: timedelta = timedelta(days=7),
    rules: Rules,
    rng: Rng,
    draws: int = 1000,
) -> pd.DataFrame:
    """Give each channel its share of the conversions, by several rules.

    `first` and `last` touch; `linear`: all touches alike; `position`: 40 % to the first, 40 % to the last, 20 % to the
    others (two touches: half each); `decay`: a touch counts half as much for each `half_life` before the conversion;
    `shapley`: the distinct channels of a path alike, which is the closed form of the Shapley value when a set of
    channels is worth the conversions of the paths that hold no other; `markov`: by removal effect, see `removal`.
    They describe who was there, not who caused it: for that, hold a channel back from a random part of the people.

    Parameters
    ----------
    paths : as of `paths` or `read_paths`.
    models : which rules.
    rules : level and least numbers.
    rng, draws : intervals of the shares are percentiles of a bootstrap of 200 random bags of paths (the bags' sums are
        drawn again, not the paths, so that the cost does not depend on their number); of a channel that has all of a
        rule's credit, or none, Wilson's for as many conversions.

    Returns
    -------
    Frame `model, channel, conversions, share, low, high, level, value, reason`, by rule, the largest credit first. The
    credits of each rule add up to all conversions and their value; conversions without a touch are the channel
    `untouched` in each of them. `reason`: `no_conversions`; `no_times` (decay, where paths hold no times); `no_effect`
    (markov: no removal costs conversions); `too_few` conversions (below `min_events`) or paths (`min_units`): credits,
    but no shares or intervals.

    Raises
    ------
    ConfigError : there is no such model, or the half-life is not positive.
    """
    unknown = next((name for name in models if name not in MODELS), None)
    if unknown is not None:
        raise ConfigError("There is no such model.", where="models", found=unknown, allowed=choices(MODELS, unknown))
    if half_life <= timedelta(0):
        raise ConfigError("A half-life is longer than nothing.", where="half_life", found=half_life)
    bags = _bagged(paths, rng)
    weights = rng.multinomial(BAGS, np.full(BAGS, 1 / BAGS), size=draws).astype(np.float64)
    rest = weights @ rng.multinomial(int(paths.untouched), np.full(BAGS, 1 / BAGS))
    tables = [pd.DataFrame(columns=CREDITS)]
    sold, own = _led(paths, bags)
    for model in models:
        found = _markov(paths, bags, weights) if model == "markov" else _shared(sold, own, weights, model, half_life)
        tables.append(_table(paths, model, found, rest, rules))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def removal(paths: Paths) -> pd.DataFrame:
    """Return what a Markov chain of order 1 says would be lost without each channel.

    Start, channels, conversion and null are its states, the observed steps its transitions. Without a channel, each
    step to it leads to null (Anderl et al. 2016). A path that meets the channel then loses all, so with `reached` (the
    chance to meet it) and `converts` (to convert from there) the effect is `reached * converts / rate`: the inverse of
    one matrix gives all channels. `value_effect` is the same for value. Assumes that the next step depends on the
    present channel alone, and needs paths without a conversion: without any, the effect is the share that meet it.

    Returns
    -------
    Frame `channel, reached, converts, effect, value_effect`, the largest effect first; NaN without conversions.
    """
    counts, values = _steps(paths, _bagged(paths, None))
    reached, converts, effect, worth = (part[0] for part in _removed(counts, values))
    table = pd.DataFrame({
        "channel": pd.Series(paths.channels, dtype="str"), "reached": reached, "converts": converts, "effect": effect,
        "value_effect": worth,
    })  # fmt: skip
    return table.sort_values(["effect", "channel"], ascending=[False, True], ignore_index=True)


def transitions(paths: Paths) -> pd.DataFrame:
    """Return the steps between states: `source, target, steps, share` (of the source's), for those that occur.

    States are the channels, `start`, `conversion` and `null`.
    """
    counts = _steps(paths, _bagged(paths, None))[0][0]
    sources, targets = [*paths.channels, "start"], [*paths.channels, "conversion", "null"]
    source, target = np.nonzero(counts)
    return pd.DataFrame({
        "source": pd.Series([sources[place] for place in source], dtype="str"),
        "target": pd.Series([targets[place] for place in target], dtype="str"),
        "steps": counts[source, target],
        "share": counts[source, target] / counts.sum(axis=1)[source],
    })  # fmt: skip


def disagreement(found: pd.DataFrame) -> pd.DataFrame:
    """Return how far the rules differ: `channel, lowest, lowest_model, highest, highest_model` (shares), widest first.

    Where they differ much, the choice of the rule decides, not the data.
    """
    known = found.dropna(subset="share").sort_values(["share", "model"])
    ends = known.groupby("channel").agg(
        lowest=("share", "first"), lowest_model=("model", "first"), highest=("share", "last"),
        highest_model=("model", "last"),
    )  # fmt: skip
    order = (ends["lowest"] - ends["highest"]).sort_values(kind="stable").index
    return ends.loc[order].reset_index()


class _Bags(NamedTuple):
    """Paths put into bags at random: path, bag, and how often with and without a conversion."""

    path: Ints
    bag: Ints
    conversions: Floats
    nulls: Floats
    size: int


@dataclass(frozen=True)
class _Credits:
    """Each channel's credit, the same in each draw (one row per draw), its value, and what is missing."""

    whole: Floats
    drawn: Floats
    value: Floats
    reason: str = ""


def _bagged(paths: Paths, rng: Rng | None) -> _Bags:
    """Return every conversion and null of the paths in one of `BAGS` bags; without `rng`, all in one."""
    size, all_paths = 1 if rng is None else BAGS, np.arange(len(paths.conversions))
    if rng is None:
        path, bag, conversions, nulls = all_paths, np.zeros_like(all_paths), paths.conversions, paths.nulls
    else:
        parts = [_dealt(counts, rng) for counts in (paths.conversions, paths.nulls)]
        path, bag = (np.concatenate(both) for both in zip(*(part[:2] for part in parts), strict=True))
        conversions = np.concatenate([parts[0][2], np.zeros(len(parts[1][2]))])
        nulls = np.concatenate([np.zeros(len(parts[0][2])), parts[1][2]])
    return _Bags(path, bag, conversions, nulls, size)


def _led(paths: Paths, bags: _Bags) -> tuple[Paths, _Bags]:
    """Return the paths with conversions alone: the others have no credit to share."""
    there = (paths.conversions > 0) | (paths.value != 0)
    lengths, inside = np.diff(paths.bounds)[there], np.repeat(there, np.diff(paths.bounds))
    sold = replace(
        paths, touches=paths.touches[inside], bounds=np.append(0, lengths.cumsum()), value=paths.value[there],
        conversions=paths.conversions[there], nulls=paths.nulls[there],
        ages=None if paths.ages is None else paths.ages[inside],
    )  # fmt: skip
    own = bags.conversions > 0
    path = (np.cumsum(there) - 1)[bags.path[own]]
    return sold, _Bags(path, bags.bag[own], bags.conversions[own], bags.nulls[own], bags.size)


def _dealt(counts: Floats, rng: Rng) -> tuple[Ints, Ints, Floats]:
    """Return (path, bag, how often): each single count dealt to a bag; fractions of a count are cut off."""
    if counts.sum() > MOST_DEALT:
        dealt = rng.multinomial(counts.astype(np.int64), np.full(BAGS, 1 / BAGS))
        path, bag = np.nonzero(dealt)
        return path, bag, dealt[path, bag].astype(np.float64)
    path = np.repeat(np.arange(len(counts)), counts.astype(np.int64))
    return path, rng.integers(0, BAGS, len(path)), np.ones(len(path))


def _shared(paths: Paths, bags: _Bags, weights: Floats, model: Model, half_life: timedelta) -> _Credits:
    """Share each path's conversions among its touches."""
    size, channels = bags.size, len(paths.channels)
    if model == "decay" and paths.ages is None:
        return _nothing(channels, len(weights), "no_times")
    part = _parts(paths, model, half_life)
    lengths = np.diff(paths.bounds)[bags.path]
    entry = np.repeat(np.arange(len(lengths)), lengths)
    touch = np.arange(len(entry)) + np.repeat(paths.bounds[bags.path] - np.cumsum(lengths) + lengths, lengths)
    place = bags.bag[entry] * channels + paths.touches[touch]
    dealt = np.bincount(place, part[touch] * bags.conversions[entry], minlength=size * channels)
    whole, value = (
        np.bincount(paths.touches, part * what[paths.owner], minlength=channels).astype(np.float64)
        for what in (paths.conversions, paths.value)
    )
    return _Credits(whole, weights @ dealt.reshape(size, channels), value)


def _parts(paths: Paths, model: Model, half_life: timedelta) -> Floats:
    """Return each touch's part of its path; the parts of a path add up to 1."""
    lengths, owner = np.diff(paths.bounds), paths.owner
    length = lengths[owner].astype(np.float64)
    first, last = np.zeros(len(owner)), np.zeros(len(owner))
    first[paths.bounds[:-1]], last[paths.bounds[1:] - 1] = 1, 1
    if model in ("first", "last"):
        return first if model == "first" else last
    if model == "position":
        ends, between = np.where(length > 2, 0.4, 1 / np.minimum(length, 2)), 0.2 / np.maximum(length - 2, 1)
        return np.where(first + last > 0, ends, between)
    part = np.ones(len(owner))
    if model == "decay" and paths.ages is not None:
        youngest = np.minimum.reduceat(paths.ages, paths.bounds[:-1]) if len(lengths) else paths.ages
        part = 0.5 ** ((paths.ages - youngest[owner]) / (half_life / timedelta(days=1)))
    if model == "shapley":
        part = np.zeros(len(owner))
        part[np.unique(owner * len(paths.channels) + paths.touches, return_index=True)[1]] = 1
    return np.asarray(part / np.bincount(owner, part, minlength=len(lengths))[owner], dtype=np.float64)


def _markov(paths: Paths, bags: _Bags, weights: Floats) -> _Credits:
    """Share all conversions by removal effect."""
    counts, values = _steps(paths, _bagged(paths, None))
    effect, worth = (part[0] for part in _removed(counts, values)[2:])
    channels = len(paths.channels)
    if not effect.sum() > 0:
        return _nothing(channels, len(weights), "no_effect")
    dealt = _steps(paths, bags)[0]
    drawn = []
    for chunk in np.array_split(weights, max(1, len(weights) // AT_ONCE)):
        again = (chunk @ dealt.reshape(bags.size, -1)).reshape(len(chunk), *dealt.shape[1:])
        redone = _removed(again, values)[2]
        drawn.append(_normed(redone) * again[:, :, channels].sum(axis=1, keepdims=True))
    whole, value = paths.conversions.sum() * _normed(effect), paths.value.sum() * _normed(worth)
    return _Credits(whole, np.concatenate(drawn), value)


def _steps(paths: Paths, bags: _Bags) -> tuple[Floats, Floats]:
    """Return the steps between states in each bag (bag, source, target), and the value gained after each channel.

    Sources are the channels and the start, targets the channels, conversion and null.
    """
    channels = len(paths.channels)
    counts = np.zeros((bags.size, channels + 1, channels + 2))
    given = (paths.touches, paths.bounds, bags.path, bags.bag, bags.conversions, bags.nulls)
    if worth_compiling(len(paths.touches)):
        _compiled()["pace"](*given, counts)
    else:
        lists: list[Any] = [values.tolist() for values in given]  # Python reads them several times faster than arrays
        pace(lists[0], lists[1], lists[2], lists[3], lists[4], lists[5], counts)
    values = np.bincount(paths.touches[paths.bounds[1:] - 1], paths.value, minlength=channels)
    return counts, values.astype(np.float64)


def pace(
    touches: Ints, bounds: Ints, path: Ints, bag: Ints, conversions: Floats, nulls: Floats, counts: Floats
) -> None:
    """Count the steps of paths in bags, from the start to conversion or null (numba compiles it)."""
    start, bought = counts.shape[1] - 1, counts.shape[2] - 2
    for entry in range(len(path)):
        place, before, often = bag[entry], start, conversions[entry] + nulls[entry]
        for touch in range(bounds[path[entry]], bounds[path[entry] + 1]):
            counts[place, before, touches[touch]] += often
            before = touches[touch]
        counts[place, before, bought] += conversions[entry]
        counts[place, before, bought + 1] += nulls[entry]


@cache
def _compiled() -> dict[str, Callable[..., Any]]:
    return jit(pace, names=globals())


def _removed(counts: Floats, values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the chance to meet each channel and to convert from it, its removal effect, and that on value."""
    channels = len(values)
    total = counts.sum(axis=-1, keepdims=True)
    chance = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    inverse = np.linalg.inv(np.eye(channels) - chance[:, :channels, :channels])
    start = chance[:, channels, :channels]
    reached = (start[:, None] @ inverse)[:, 0] / np.diagonal(inverse, axis1=1, axis2=2)
    gains = np.divide(values, total[:, :channels, 0], out=np.zeros_like(start), where=total[:, :channels, 0] > 0)
    converts, worth = ((inverse @ part[..., None])[..., 0] for part in (chance[:, :channels, channels], gains))
    effects = []
    for later in (converts, worth):
        whole = (start * later).sum(axis=-1, keepdims=True)
        effects.append(np.divide(reached * later, whole, out=np.full_like(later, np.nan), where=whole != 0))
    return reached, converts, effects[0], effects[1]


def _normed(effects: Floats) -> Floats:
    """Return the effects as shares (last axis); NaN where they do not add up to more than nothing."""
    total = effects.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(effects, total, out=np.full_like(effects, np.nan), where=total > 0), dtype=np.float64)


def _nothing(channels: int, draws: int, reason: str) -> _Credits:
    unknown = np.full(channels, np.nan)
    return _Credits(unknown, np.full((draws, channels), np.nan), unknown, reason)


def _table(paths: Paths, model: Model, found: _Credits, rest: Floats, rules: Rules) -> pd.DataFrame:
    """Return one rule's rows."""
    channels, credit, value, drawn = list(paths.channels), found.whole, found.value, found.drawn
    if paths.untouched:
        channels, credit = [*channels, UNTOUCHED], np.append(credit, paths.untouched)
        value, drawn = np.append(value, paths.untouched_value), np.column_stack([drawn, rest])
    few = paths.total < rules.min_events or paths.total + paths.nulls.sum() < rules.min_units
    reason = found.reason or (TOO_FEW if few else "")
    if paths.total == 0:
        credit, value, reason = np.full(len(credit), np.nan), np.full(len(credit), np.nan), "no_conversions"
    share, low, high = np.full((3, len(credit)), np.nan)
    if not reason:
        share = credit / paths.total
        tails = [(1 - rules.level) / 2, (1 + rules.level) / 2]
        low, high = np.nanquantile(_normed(drawn), tails, axis=0)
        ends = (share <= 0) | (share >= 1)  # of all or none, paths drawn again say nothing about other paths
        low[ends], high[ends] = wilson(np.round(credit[ends]), np.full(int(ends.sum()), paths.total), rules.level)
    columns = (model, channels, credit, share, low, high, rules.level, value, reason)
    table = pd.DataFrame(dict(zip(CREDITS, columns, strict=True)), index=range(len(channels)))
    table = table.astype({"model": "str", "channel": "str", "reason": "str"})
    return table.sort_values(["conversions", "channel"], ascending=[False, True], ignore_index=True)
