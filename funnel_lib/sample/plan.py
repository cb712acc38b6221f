"""What is planted in the demo: who comes, how likely each step is, what changed when, which dirt there is.

All rates hold for the moment of the step before (its time is in the data), so that they can be counted again.
Times are whole seconds since the first midnight of the data in Asia/Shanghai (no daylight saving time).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ZONE = timezone(timedelta(hours=8), "Asia/Shanghai")
FIRST_DAY, LAST_DAY = date(2026, 1, 1), date(2026, 6, 30)
DAYS = (LAST_DAY - FIRST_DAY).days + 1
DAY = 86_400
END = DAYS * DAY
EPOCH = int(datetime(2026, 1, 1, tzinfo=ZONE).timestamp())
NEVER = 2**40
WINDOW_DAYS = 14
CHUNK = 50_000
"""Visitors made at a time. The bytes written depend on it, and so does the memory used."""

STEPS = ("register", "trial", "order", "payment")
EVENTS = (
    "session_start", "page_view", "scroll", "login", "sign_up", "experience_impression", "trial_lesson",
    "begin_checkout", "purchase",
)  # fmt: skip
START, VIEW, SCROLL, LOGIN, SIGN_UP, IMPRESSION, TRIAL, ORDER, PURCHASE = range(len(EVENTS))

OCCUPATIONS = ("student", "employed", "self_employed", "not_working")
OCCUPATION_WEIGHTS = (35, 46, 13, 6)
OCCUPATION_TOLD = 0.92
DEVICES = ("mobile", "desktop", "tablet")
DEVICE_WEIGHTS = (66, 29, 5)
PRICES = (299, 599, 999, 1299, 1999)
PRICE_WEIGHTS = (22, 30, 26, 14, 8)

RATES = {
    "student": {"register": 0.42, "trial": 0.38, "order": 0.28, "payment": 0.78},
    "other": {"register": 0.27, "trial": 0.50, "order": 0.48, "payment": 0.84},
}
"""Before any change, averaged over the channels of January; the step given the step before."""


@dataclass(frozen=True)
class Channel:
    """A way in: first-touch source and medium, weights before and after the mix shift, effect on rates."""

    name: str
    source: str
    medium: str
    label: str
    campaigns: tuple[str, ...]
    before: int
    after: int
    register: float
    order: float


_SEARCH, _SOCIAL = ("Search - Courses", "Search - Brand"), ("Video - Students", "Feed - Careers")
CHANNELS = (
    Channel("google_organic", "google", "organic", "Organic Search", ("(organic)",), 160, 130, 0.02, 0.02),
    Channel("baidu_organic", "baidu", "organic", "Organic Search", ("(organic)",), 220, 180, 0.02, 0.02),
    Channel("google_cpc", "google", "cpc", "Paid Search", _SEARCH, 160, 140, 0.0, 0.02),
    Channel("paid_social", "meta", "paid_social", "Paid Social", _SOCIAL, 180, 320, -0.09, -0.1),
    Channel("referral", "campus.example", "referral", "Referrals", ("(referral)",), 80, 70, 0.05, 0.02),
    Channel("newsletter", "newsletter", "email", "Email Marketing", ("weekly_letter",), 60, 50, 0.08, 0.02),
    Channel("direct", "(direct)", "(none)", "Direct Traffic", ("(direct)",), 140, 110, 0.02, 0.02),
)  # fmt: skip
CPC, SOCIAL, DIRECT = 2, 3, 6
PAID = tuple((c, k, name) for c in (CPC, SOCIAL) for k, name in enumerate(CHANNELS[c].campaigns))
"""The campaigns that cost money: (channel, campaign within it, name)."""

MIX_SINCE = date(2026, 5, 1)
RELEASE_SINCE, RELEASE_REGISTER = date(2026, 2, 9), 0.07
POLICY_SINCE, POLICY_ORDER, POLICY_PRICE_PERCENT = date(2026, 3, 16), 0.22, 80
TRIAL_FIRST, TRIAL_LAST, TRIAL_TRIAL, TRIAL_ORDER = date(2026, 4, 13), date(2026, 6, 7), 0.25, -0.03
EXPERIMENT, VARIANTS = "free_trial_lesson", ("control", "free")
FAULT_FIRST, FAULT_LAST, FAULT_PAYMENT = date(2026, 5, 18), date(2026, 5, 24), 0.35

DELAYS = {
    "register": (5, 7, 9, 12, 16, 25, 120, 540, 1320, 2760, 8640),
    "trial": (20, 40, 120, 300, 600, 1080, 1560, 2400, 3720, 8640, 20160),
    "order": (6, 15, 60, 240, 540, 1080, 1560, 2400, 3720, 7200, 18720),
    "payment": (1, 2, 3, 4, 6, 8, 12, 18, 40, 480, 4320),
    "browse": (120, 540, 1320, 2400, 4320, 7200, 11520, 17280, 28800),
    "survey": (4320, 7200, 10080, 14400, 28800),
}
"""Minutes at equal steps of probability; a delay is drawn evenly between two neighbours."""
WEEKDAY_WEIGHTS = (10, 10, 10, 10, 9, 12, 13)
HOUR_WEIGHTS = (3, 2, 1, 1, 1, 1, 2, 4, 6, 7, 8, 8, 9, 8, 7, 7, 7, 7, 8, 10, 12, 12, 9, 5)

DUPLICATE_SHARE, LATE_SHARE, TWO_IDS_SHARE = 0.004, 0.006, 0.05
LATE_FROM_DAYS, LATE_TO_DAYS = 4, 9

SURVEY_SHARE, SURVEY_MOST, BLANK_SHARE, IMPOSSIBLE_SCORE = 0.15, 20_000, 0.03, 11
DEALS_MOST, DEAL_TWICE = 20_000, 97
"""Opportunities at most, and which of them (by the person's number) stand in the list twice."""
CALL_ANSWERED, CALL_TWICE, CALL_TIMELESS = 0.72, 151, 211
CALLS_DOWN, CALLS_UP = date(2026, 3, 2), date(2026, 3, 4)
"""The telephone system recorded nothing from the first day on, and did again on the second."""
ASKED_SHARE, SCHOOLS = 0.04, 60
MISSING = "What is missing on this page?"
MISSING_ANSWERS = ("A trial without a phone number", "Instalments", "Reviews of the teacher", "Nothing, just looking")
RECOMMEND = "How likely are you to recommend us?"
HELD_BACK = "What held you back from buying?"
ANSWERS = ("price", "trust", "time", "content", "other")
ANSWER_WEIGHTS = {"student": (42, 30, 12, 10, 6), "other": (22, 14, 34, 20, 10)}
SCORE_WEIGHTS = {
    "paid": (1, 0, 1, 1, 2, 4, 6, 14, 24, 26, 21),
    "unpaid": (4, 3, 4, 6, 7, 14, 13, 19, 15, 9, 6),
}


def second(day: date) -> int:
    """Return the first second of `day`, counted from the first midnight of the data."""
    return (day - FIRST_DAY).days * DAY


def local(seconds: int) -> datetime:
    """Return the local wall-clock time (without zone) of a second of the data."""
    return datetime(2026, 1, 1) + timedelta(seconds=seconds)  # noqa: DTZ001 - exports write it without a zone


def dirt(visitors: int) -> dict[str, int]:
    """Return how much is wrong among the exports of so many visitors (rates are in the constants above)."""
    return {
        "bots": max(3, visitors // 120), "test_accounts": max(2, visitors // 2500),
        "truncated": max(3, visitors // 750), "bad_time": max(2, visitors // 2500),
        "no_event": max(2, visitors // 3300),
    }  # fmt: skip


class Draws:
    """Chance for one chunk: PCG64 seeded by (seed, stream, chunk), read only through `random()`.

    Whole numbers and times come from it by integer arithmetic, so that no machine rounds another way.
    """

    def __init__(self, seed: int, *key: int) -> None:
        self._rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))

    def share(self, n: int) -> Floats:
        """Return `n` numbers in [0, 1)."""
        return self._rng.random(n)

    def below(self, n: int, limit: int) -> Ints:
        """Return `n` whole numbers in [0, limit)."""
        return (self._rng.random(n) * limit).astype(np.int64)

    def pick(self, n: int, weights: Sequence[int]) -> Ints:
        """Return `n` positions, each with its whole-number weight."""
        edges = np.cumsum(np.asarray(weights, dtype=np.int64))
        return np.searchsorted(edges, self.below(n, int(edges[-1])), side="right").astype(np.int64)

    def delay(self, n: int, kind: str) -> Ints:
        """Return `n` delays in seconds from the table `DELAYS[kind]`."""
        knots = np.asarray(DELAYS[kind], dtype=np.int64) * 60
        place = self.below(n, (len(knots) - 1) << 16)
        cell, part = place >> 16, place & 0xFFFF
        return np.asarray(knots[cell] + ((knots[cell + 1] - knots[cell]) * part >> 16), dtype=np.int64)
