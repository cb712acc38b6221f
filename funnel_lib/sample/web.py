"""What the people of one chunk do on the web site, as rows of one array, and the dirt among these rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from funnel_lib.sample import plan
from funnel_lib.sample.people import VISITOR, People
from funnel_lib.sample.plan import Bools, Draws, Ints

Rows = npt.NDArray[np.void]
"""Rows of `ROW`: person (position in the chunk), device slot, time (seconds of `plan`, and µs since 1970),
event, page, whether the user id is known, session (start in seconds since 1970, number, the row's place in
it), day of the file, and the fault planted."""

ROW = np.dtype(
    [
        ("person", "i4"), ("slot", "i1"), ("at", "i8"), ("ts", "i8"), ("event", "i1"), ("page", "i1"),
        ("known", "?"), ("session", "i8"), ("number", "i4"), ("place", "i4"), ("day", "i2"), ("fault", "i1"),
    ]
)  # fmt: skip
PAGES = ("/", "/courses", "/courses/python", "/register", "/trial", "/checkout", "/pay", "/account")
SOUND, TRUNCATED, BAD_TIME, NO_EVENT, DUPLICATE = range(5)
SESSION_GAP = 30 * 60


def rows(draws: Draws, people: People) -> Rows:
    """Return all rows of the people's visits within the data, in the order in which their files hold them.

    Late rows carry a later `day` than their time; broken rows and duplicates are additional (`fault`).
    """
    everyone = np.arange(len(people))
    hits = np.concatenate(
        [
            *_looking(draws, people, everyone),
            *_registering(people),
            *_stages(people),
            *_other_device(draws, people),
        ]
    )
    hits = _with_sessions(draws, hits[hits["at"] < plan.END])
    return _ordered(_with_dirt(draws, hits, people))


def _hits(
    person: Ints, at: Ints, event: int, page: int, *, slot: Ints | None = None, known: Bools | bool = False
) -> Rows:
    made = np.zeros(len(person), ROW)
    made["person"], made["at"], made["event"], made["page"], made["known"] = person, at, event, page, known
    if slot is not None:
        made["slot"] = slot
    return made


def _looking(draws: Draws, people: People, everyone: Ints) -> list[Rows]:
    """Return first visits with further pages, and later visits without a purpose."""
    arrived = people.arrived
    scrolled = draws.share(len(people)) < 0.5
    person = np.repeat(everyone, people.pages)
    page = np.arange(len(person)) - np.repeat(np.cumsum(people.pages) - people.pages, people.pages) + 1
    back = np.repeat(everyone, people.browses)
    at = arrived[back] + draws.delay(len(back), "browse")
    deep = draws.share(len(back)) < 0.4
    return [
        _hits(everyone, arrived, plan.VIEW, 0),
        _hits(everyone[scrolled], arrived[scrolled] + 12, plan.SCROLL, 0),
        _hits(person, arrived[person] + 20 * page + draws.below(len(person), 15), plan.VIEW, 1),
        _hits(back, at, plan.VIEW, 2),
        _hits(back[deep], at[deep] + 9, plan.SCROLL, 2),
    ]


def _registering(people: People) -> list[Rows]:
    who = np.flatnonzero(people.reached("register"))
    at = people.times[who, 0]
    tested = who[people.variant[who] >= 0]
    return [
        _hits(who, at - 40, plan.VIEW, 3),
        _hits(who, at, plan.SIGN_UP, 3, known=True),
        _hits(tested, people.times[tested, 0] + 1, plan.IMPRESSION, 3, known=True),
    ]


def _stages(people: People) -> list[Rows]:
    """Return trial lessons, orders and payments: a page, a login unless the session goes on, the event."""
    made = []
    for column, (event, page, lead) in enumerate(((plan.TRIAL, 4, 50), (plan.ORDER, 5, 50), (plan.PURCHASE, 6, 50)), 1):
        who = np.flatnonzero(people.times[:, column] < plan.NEVER)
        at, slot = people.times[who, column], people.second[who].astype(np.int64)
        same_device = ~people.second[who] | (column > 1)
        goes_on = same_device & (at - people.times[who, column - 1] < SESSION_GAP)
        new = ~goes_on
        made += [
            _hits(who, at - lead, plan.VIEW, page, slot=slot, known=goes_on),
            _hits(who[new], at[new] - 30, plan.LOGIN, page, slot=slot[new], known=True),
            _hits(who, at, event, page, slot=slot, known=True),
        ]
    return made


def _other_device(draws: Draws, people: People) -> list[Rows]:
    """Return visits with another device, where the same person logs in: a second anonymous id."""
    who = np.flatnonzero(people.second & people.reached("register"))
    at = people.times[who, 0] + 1200 + draws.delay(len(who), "browse")
    slot = np.ones(len(who), dtype=np.int64)
    return [
        _hits(who, at, plan.VIEW, 0, slot=slot),
        _hits(who, at + 20, plan.LOGIN, 7, slot=slot, known=True),
    ]


def _with_sessions(draws: Draws, hits: Rows) -> Rows:
    """Cut sessions at half an hour of silence, and put a `session_start` before each."""
    device = hits["person"].astype(np.int64) * 2 + hits["slot"]
    order = np.lexsort((hits["at"], device))
    hits, device = hits[order], device[order]
    hits["ts"] = (hits["at"] + plan.EPOCH) * 1_000_000 + draws.below(len(hits), 1_000_000)
    hits["day"] = hits["at"] // plan.DAY
    first = np.r_[True, device[1:] != device[:-1]]
    new = first | np.r_[True, np.diff(hits["at"]) > SESSION_GAP]
    begin = np.maximum.accumulate(np.where(new, np.arange(len(hits)), 0))
    owner = np.maximum.accumulate(np.where(first, np.arange(len(hits)), 0))
    counted = np.cumsum(new)
    hits["session"] = hits["at"][begin] + plan.EPOCH
    hits["number"] = counted - counted[owner] + 1
    hits["place"] = np.arange(len(hits)) - begin + 2
    starts = hits[new].copy()
    starts["event"], starts["place"] = plan.START, 1
    return np.concatenate([starts, hits])


def _with_dirt(draws: Draws, hits: Rows, people: People) -> Rows:
    """Move some rows into later files; add duplicates and broken copies. Only visitors' rows are touched.

    Rows of the funnel are never late or replaced by broken ones, so that the truth holds whether a
    collection keeps late rows or not.
    """
    visitor = people.kind[hits["person"]] == VISITOR
    day = hits["day"] + plan.LATE_FROM_DAYS + draws.below(len(hits), plan.LATE_TO_DAYS - plan.LATE_FROM_DAYS + 1)
    minor = (hits["event"] == plan.START) | (hits["event"] == plan.SCROLL)
    late = visitor & minor & (day < plan.DAYS) & (draws.share(len(hits)) < plan.LATE_SHARE)
    hits["day"] = np.where(late, day, hits["day"])
    usual = np.flatnonzero(visitor & ~late)
    twice = hits[usual[draws.share(len(usual)) < plan.DUPLICATE_SHARE]]
    twice["fault"] = DUPLICATE
    amounts = plan.dirt(int(people.visitor.sum()))
    broken = []
    for fault, name in ((TRUNCATED, "truncated"), (BAD_TIME, "bad_time"), (NO_EVENT, "no_event")):
        copy = hits[usual[draws.below(amounts[name], len(usual))]]
        copy["fault"] = fault
        broken.append(copy)
    return np.concatenate([hits, twice, *broken])


def _ordered(hits: Rows) -> Rows:
    return hits[np.lexsort((hits["fault"], hits["ts"], hits["day"]))]
