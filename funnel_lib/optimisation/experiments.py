"""Randomised trials: was the split fair, what is the difference, and could these numbers have shown one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from funnel_lib.conversion.rates import newcombe, p_values, wilson
from funnel_lib.errors import ConfigError

SUSPICIOUS = 0.001
POWER = 0.8
NAN = float("nan")


@dataclass(frozen=True)
class SampleRatio:
    """Whether units were split as planned; `ok` is False where p < .001, or where there are no units."""

    observed: Mapping[str, int]
    expected: Mapping[str, float]
    statistic: float
    p: float
    ok: bool
    reason: str | None = None


@dataclass(frozen=True)
class Arm:
    """How many of an arm's units converted, with a Wilson interval; withheld with a reason where too few."""

    name: str
    converted: int
    units: int
    rate: float
    low: float
    high: float
    level: float
    method: str = "wilson"
    reason: str | None = None


@dataclass(frozen=True)
class TrialResult:
    """The difference of treatment over control; NaN with a `reason` where it must not be read.

    `difference` is in absolute terms (0.02 = two percentage points), `relative` is treatment / control - 1.
    `detectable` is the smallest rise over the control's rate that these numbers of units would have shown in
    80 of 100 trials.
    """

    control: Arm
    treatment: Arm
    difference: float
    low: float
    high: float
    relative: float
    relative_low: float
    relative_high: float
    p: float
    clear: bool
    detectable: float
    level: float
    method: str = "newcombe"
    test: str | None = None
    ratio: SampleRatio | None = None
    reason: str | None = None


def sample_ratio(counts: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
    """Return whether the arms' sizes agree with the planned shares.

    Pearson's chi-square test against the plan. A p below .001 says that the split itself is broken (lost or
    doubled units), and that the arms cannot be compared.

    Parameters
    ----------
    counts : arm -> units seen.
    shares : arm -> planned share; they add up to 1.

    Raises
    ------
    ConfigError : the arms differ, a share is not above 0, or the shares do not add up to 1.
    """
    if set(counts) != set(shares) or min(shares.values()) <= 0 or not math.isclose(sum(shares.values()), 1):
        raise ConfigError(
            "The planned shares do not fit the arms.", found=dict(shares), allowed=f"shares above 0 for "
            f"{', '.join(counts)} that add up to 1", do="Correct the planned shares.",
        )  # fmt: skip
    from scipy.stats import chi2

    units = sum(counts.values())
    expected = {arm: units * shares[arm] for arm in counts}
    if units == 0:
        return SampleRatio(dict(counts), expected, NAN, NAN, ok=False, reason="no_units")
    statistic = sum((counts[arm] - expected[arm]) ** 2 / expected[arm] for arm in counts)
    p = float(chi2.sf(statistic, len(counts) - 1))
    return SampleRatio(dict(counts), expected, float(statistic), p, ok=p >= SUSPICIOUS)


def read_arm(
    name: str, converted: int, units: int, *, level: float = 0.95, min_units: int = 30, min_events: int = 5
) -> Arm:
    """Return an arm's rate with its Wilson interval, or NaN and ``too_few`` below the smallest numbers.

    Raises
    ------
    ConfigError : the counts cannot be.
    """
    if not 0 <= converted <= units:
        raise ConfigError(
            "These counts cannot be.", where=name, found=f"{converted} of {units}",
            allowed="0 <= converted <= units", do="Count units, each once.",
        )  # fmt: skip
    if units < max(min_units, 1) or converted < min_events:
        return Arm(name, converted, units, NAN, NAN, NAN, level, reason="too_few")
    low, high = wilson(converted, units, level)
    return Arm(name, converted, units, converted / units, float(low), float(high), level)


def read_trial(
    control: tuple[int, int],
    treatment: tuple[int, int],
    *,
    level: float = 0.95,
    names: tuple[str, str] = ("control", "treatment"),
    ratio: SampleRatio | None = None,
    min_units: int = 30,
    min_events: int = 5,
) -> TrialResult:
    """Return what a trial with two arms says, read once at its end (reading it daily would find too much).

    The interval of the difference is Newcombe's hybrid score interval (1998, method 10), that of the relative
    change its ratio twin (Donner and Zou 2012), so that both exclude no effect together. The p-value is that
    of the pooled z test, or Fisher's exact where an expected count is below 5. Units are independent; each is
    counted once, in the arm it was given.

    Parameters
    ----------
    control, treatment : (units that converted, units).
    level : of the intervals; `clear` asks for p < 1 - level and an interval without 0.
    names : how the arms are called.
    ratio : from `sample_ratio`; where it is not ok the effect is withheld.
    min_units, min_events : an arm with fewer units or conversions is too small to be read.

    Returns
    -------
    TrialResult; `reason` is ``sample_ratio`` or ``too_few`` where the effect is withheld.

    Raises
    ------
    ConfigError : the counts cannot be.
    """
    arms = [
        read_arm(name, *counts, level=level, min_units=min_units, min_events=min_events)
        for name, counts in zip(names, (control, treatment), strict=True)
    ]
    one, two = arms
    could = detectable(one.rate, one.units, two.units, level=level)
    reason = one.reason or two.reason or ("sample_ratio" if ratio is not None and not ratio.ok else None)
    if reason is not None:
        nothing = (NAN,) * 7
        return TrialResult(one, two, *nothing, clear=False, detectable=could, level=level, ratio=ratio, reason=reason)
    difference = newcombe(two.converted, two.units, one.converted, one.units, level)
    p, test = significance(control, treatment)
    return TrialResult(
        one, two, difference.estimate, difference.low, difference.high, *_relative(one, two), p,
        clear=p < 1 - level and (difference.low > 0 or difference.high < 0),
        detectable=could, level=level, test=test, ratio=ratio,
    )  # fmt: skip


def significance(one: tuple[int, int], two: tuple[int, int]) -> tuple[float, str]:
    """Return the two-sided p-value of two shares being equal, and the test that gave it.

    Parameters
    ----------
    one, two : (units that converted, units).

    Returns
    -------
    The p-value and ``z`` (pooled), or ``fisher`` where an expected count is below 5.
    """
    (k1, n1), (k2, n2) = one, two
    pooled = (k1 + k2) / (n1 + n2)
    expected = min(n1, n2) * min(pooled, 1 - pooled)
    return float(p_values(k1, n1, k2, n2)), "z" if expected >= 5 else "fisher"


def detectable(baseline: float, control: int, treatment: int, *, level: float = 0.95, power: float = POWER) -> float:
    """Return the smallest absolute rise over `baseline` that arms of these sizes show with `power`.

    Normal approximation on Cohen's h (arcsine scale), two-sided; NaN where no rise below 100 % would do.

    Parameters
    ----------
    baseline : the control's rate.
    control, treatment : units in each arm.
    """
    from statsmodels.stats.power import NormalIndPower

    if min(control, treatment) == 0 or math.isnan(baseline):
        return NAN
    h = NormalIndPower().solve_power(
        nobs1=control, ratio=treatment / control, alpha=1 - level, power=power, effect_size=None
    )
    angle = math.asin(math.sqrt(baseline)) + float(h) / 2
    return math.sin(angle) ** 2 - baseline if angle <= math.pi / 2 else NAN


def required(baseline: float, lift: float, *, level: float = 0.95, power: float = POWER) -> int:
    """Return the units per arm that a trial needs to show a relative `lift` over `baseline`.

    Normal approximation on Cohen's h (arcsine scale), two-sided, equal arms.

    Parameters
    ----------
    baseline : rate without the change, between 0 and 1.
    lift : relative change, such as 0.1 for 10 % more or -0.1 for 10 % less.

    Raises
    ------
    ConfigError : the baseline or the lifted rate is not between 0 and 1, or the lift is 0.

    >>> required(0.05, 0.2)
    8143
    """
    from statsmodels.stats.power import NormalIndPower
    from statsmodels.stats.proportion import proportion_effectsize

    lifted = baseline * (1 + lift)
    if not 0 < baseline < 1 or not 0 < lifted < 1 or lift == 0:
        raise ConfigError(
            "There is no trial for this lift.", found=f"baseline {baseline}, lift {lift}",
            allowed="rates between 0 and 1 that differ", do="Correct the baseline or the lift.",
        )  # fmt: skip
    size = abs(proportion_effectsize(lifted, baseline))
    units: float = NormalIndPower().solve_power(effect_size=size, alpha=1 - level, power=power)
    return math.ceil(units)


def _relative(control: Arm, treatment: Arm) -> tuple[float, float, float]:
    """Return treatment / control - 1 with the MOVER limits of a ratio, from the arms' Wilson limits."""
    one, two = control, treatment
    if one.converted == 0:
        return NAN, NAN, NAN
    product = two.rate * one.rate
    top, bottom = two.low * (2 * two.rate - two.low), one.high * (2 * one.rate - one.high)
    low = top / (product + math.sqrt(product**2 - top * bottom)) if two.converted else 0.0
    top, bottom = two.high * (2 * two.rate - two.high), one.low * (2 * one.rate - one.low)
    high = (product + math.sqrt(product**2 - top * bottom)) / bottom
    return two.rate / one.rate - 1, low - 1, high - 1
