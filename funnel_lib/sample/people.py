"""The people of one chunk: who they are, and when they took which step."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from funnel_lib.sample import plan
from funnel_lib.sample.plan import Bools, Draws, Floats, Ints

VISITOR, TEST, BOT = 0, 1, 2
AUDIENCES = ("student", "working", "other", "unknown")


@dataclass(frozen=True)
class People:
    """People as arrays of equal length; codes are positions in the tuples of `plan`, times are its seconds.

    `times` has one row per person and one column per step of `plan.STEPS` (`plan.NEVER` where not taken; a
    time after `plan.END` is not in the data). `variant` is -1 for people who are not in the experiment.
    `second` tells who went on with another device after registering. `price` is in fen.
    """

    number: Ints
    kind: Ints
    arrived: Ints
    channel: Ints
    campaign: Ints
    device: Ints
    occupation: Ints
    told: Bools
    city: Ints
    age: Ints
    pages: Ints
    browses: Ints
    second: Bools
    variant: Ints
    price: Ints
    times: Ints

    def __len__(self) -> int:
        return len(self.number)

    @property
    def student(self) -> Bools:
        """Who is a student, whether they said so or not."""
        return np.asarray(self.occupation == 0)

    @property
    def audience(self) -> Ints:
        """What the exports tell about them: a position in `AUDIENCES`."""
        return np.where(~self.told, 3, np.asarray([0, 1, 1, 2])[self.occupation])

    @property
    def last_device(self) -> Ints:
        """The device used after registering, which is another one for those with `second`."""
        return _device_used(self.device, self.second)

    @property
    def visitor(self) -> Bools:
        """Who is neither a bot nor a test account."""
        return np.asarray(self.kind == VISITOR)

    def reached(self, step: str) -> Bools:
        """Who took `step` within the data."""
        return np.asarray(self.times[:, plan.STEPS.index(step)] < plan.END)

    def select(self, mask: Bools) -> People:
        """Return the people where `mask` is true."""
        return People(**{field.name: getattr(self, field.name)[mask] for field in fields(self)})


def draw(draws: Draws, visitors: int, first: int) -> People:
    """Return `visitors` people, followed by test accounts and bots, numbered from `first`."""
    extra = plan.dirt(visitors)
    kind = np.repeat([VISITOR, TEST, BOT], [visitors, extra["test_accounts"], extra["bots"]]).astype(np.int64)
    n = len(kind)
    arrived = _arrivals(draws, n)
    channel = np.where(
        arrived < plan.second(plan.MIX_SINCE),
        draws.pick(n, [c.before for c in plan.CHANNELS]),
        draws.pick(n, [c.after for c in plan.CHANNELS]),
    )
    occupation = draws.pick(n, plan.OCCUPATION_WEIGHTS)
    device = draws.pick(n, plan.DEVICE_WEIGHTS)
    told = (draws.share(n) < plan.OCCUPATION_TOLD) & (kind != BOT)
    young, old = 17 + draws.below(n, 10), 22 + draws.below(n, 34)
    campaigns = np.asarray([len(c.campaigns) for c in plan.CHANNELS])[channel]
    campaign = draws.below(n, 2) % campaigns
    city = draws.pick(n, [c.weight for c in CITIES])
    pages = np.where(kind == BOT, 6 + draws.below(n, 9), draws.pick(n, (45, 30, 15, 10)))
    browses = np.where(kind == BOT, 0, draws.pick(n, (72, 21, 7)))
    second = (draws.share(n) < plan.TWO_IDS_SHARE) & (kind == VISITOR)
    student = occupation == 0
    times, variant = _road(draws, arrived, student, told, channel, _device_used(device, second), kind)
    return People(
        number=first + np.arange(n), kind=kind, arrived=arrived, channel=channel, campaign=campaign,
        device=device, occupation=occupation, told=told, city=city, age=np.where(student, young, old),
        pages=pages, browses=browses, second=second, variant=variant,
        price=_prices(draws, student, times[:, 2]), times=times,
    )  # fmt: skip


def _device_used(device: Ints, second: Bools) -> Ints:
    return np.where(second, np.where(device == 0, 1, 0), device)


def _arrivals(draws: Draws, n: int) -> Ints:
    week = plan.FIRST_DAY.weekday()
    days = [plan.WEEKDAY_WEIGHTS[(week + day) % 7] * (400 + day) for day in range(plan.DAYS)]
    hour = draws.pick(n, plan.HOUR_WEIGHTS)
    return draws.pick(n, days) * plan.DAY + hour * 3600 + draws.below(n, 3600)


def _road(
    draws: Draws, arrived: Ints, student: Bools, told: Bools, channel: Ints, device: Ints, kind: Ints
) -> tuple[Ints, Ints]:
    """Return the times of the steps and the variant: each step is drawn given the one before."""
    n = len(arrived)
    base = {step: np.where(student, plan.RATES["student"][step], plan.RATES["other"][step]) for step in plan.STEPS}
    released = arrived >= plan.second(plan.RELEASE_SINCE)
    rate = base["register"] + np.asarray([c.register for c in plan.CHANNELS])[channel]
    register = _step(draws, "register", arrived, rate + released * plan.RELEASE_REGISTER, kind)

    begins, ends = plan.second(plan.TRIAL_FIRST), plan.second(plan.TRIAL_LAST) + plan.DAY
    asked = student & told & (register >= begins) & (register < ends) & (kind == VISITOR)
    variant = np.where(asked, draws.below(n, 2), -1)
    trial = _step(draws, "trial", register, base["trial"] + (variant == 1) * plan.TRIAL_TRIAL, kind)

    rate = base["order"] + np.asarray([c.order for c in plan.CHANNELS])[channel]
    cheaper = student & (trial >= plan.second(plan.POLICY_SINCE))
    rate = rate + cheaper * plan.POLICY_ORDER + (variant == 1) * plan.TRIAL_ORDER
    order = _step(draws, "order", trial, rate, kind)

    begins, ends = plan.second(plan.FAULT_FIRST), plan.second(plan.FAULT_LAST) + plan.DAY
    faulty = (device == 0) & (order >= begins) & (order < ends)
    payment = _step(draws, "payment", order, np.where(faulty, plan.FAULT_PAYMENT, base["payment"]), kind)
    return np.stack([register, trial, order, payment], axis=1), variant


def _step(draws: Draws, step: str, before: Ints, rate: Floats, kind: Ints) -> Ints:
    """Return the time of `step`, taken at `rate` after the step before; test accounts always, bots never."""
    rate = np.where(kind == TEST, 1.0, np.where(kind == BOT, 0.0, rate))
    taken = (draws.share(len(before)) < rate) & (before < plan.END)
    return np.where(taken, before + draws.delay(len(before), step), plan.NEVER)


def _prices(draws: Draws, student: Bools, ordered: Ints) -> Ints:
    full = np.asarray(plan.PRICES, dtype=np.int64)[draws.pick(len(student), plan.PRICE_WEIGHTS)]
    cheaper = student & (ordered >= plan.second(plan.POLICY_SINCE))
    return full * np.where(cheaper, plan.POLICY_PRICE_PERCENT, 100)


@dataclass(frozen=True)
class City:
    """A place that people come from."""

    name: str
    region: str
    weight: int


CITIES = (
    City("Shanghai", "Shanghai", 18), City("Beijing", "Beijing", 16), City("Shenzhen", "Guangdong", 13),
    City("Guangzhou", "Guangdong", 11), City("Chengdu", "Sichuan", 10), City("Hangzhou", "Zhejiang", 10),
    City("Wuhan", "Hubei", 8), City("Nanjing", "Jiangsu", 7), City("Xi'an", "Shaanxi", 7),
)  # fmt: skip
