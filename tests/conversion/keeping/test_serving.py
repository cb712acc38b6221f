"""Times traced back to rows: hand-made logs, and what must hold for every attempt of random ones."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from funnel_lib.conversion.engine.following import divided
from funnel_lib.conversion.engine.grouping import group
from funnel_lib.conversion.engine.plan import FOREVER, MISSING
from funnel_lib.conversion.engine.tracing import Attempt, trace
from funnel_lib.conversion.keeping.serving import Log, Served, served
from funnel_lib.definition import Funnel, Step
from tests.conversion.engine.strategies import as_table, cases

STEPS = [Step(name, event=name) for name in "ABC"]


def attempt(*times):
    taken = tuple(step + 1 for step, time in enumerate(times) if time != MISSING)
    return Attempt(times[0], taken[-1], times, taken, False, MISSING, -1, "waiting", MISSING)


def log(*rows):
    """Rows as (time, mask)."""
    return Log("", [at for at, _ in rows], [mask for _, mask in rows], list(range(len(rows))))


def test_each_step_has_the_row_of_its_time():
    found = served(log((1, 1), (2, 0), (3, 2), (4, 2), (5, 4)), attempt(1, 4, 5), Funnel(steps=STEPS))
    assert found == {1: Served(1, 0), 2: Served(2, 3), 3: Served(3, 4)}


def test_rows_of_one_instant_are_shared_out():
    # At 1 there are a row that matches A and B, and one that matches only A: the first one must be B.
    found = served(log((1, 3), (1, 1)), attempt(1, 1, MISSING), Funnel(steps=STEPS))
    assert found == {1: Served(1, 1), 2: Served(2, 0)}
    # A row for all three, one for A and C, one for C: C must take the last, A the second, B the first.
    found = served(log((1, 7), (1, 5), (1, 4)), attempt(1, 1, 1), Funnel(steps=STEPS))
    assert found == {1: Served(1, 1), 2: Served(2, 0), 3: Served(3, 2)}


def test_one_row_may_serve_several_steps_where_the_funnel_says_so():
    funnel = Funnel(steps=STEPS, matching={"distinct": False})
    found = served(log((1, 7)), attempt(1, 1, 1), funnel)
    assert found == {1: Served(1, 0), 2: Served(2, 0), 3: Served(3, 0)}


def test_where_the_number_of_steps_counts_the_row_tells_the_step():
    funnel = Funnel(steps=STEPS, order="any", matching={"any_of": "most_steps"})
    found = served(log((1, 4), (2, 4), (3, 1)), attempt(1, 3, MISSING), funnel)
    assert found == {1: Served(3, 0), 2: Served(1, 2)}
    # The row at 1 could be A or B; the row at 2 can only be A: so the first one is B.
    found = served(log((1, 3), (2, 1)), attempt(1, 2, MISSING), funnel)
    assert found == {1: Served(2, 0), 2: Served(1, 1)}


def test_an_anchored_first_step_is_taken_at_the_entry():
    funnel = Funnel(steps=STEPS, order="any", matching={"any_of": "most_steps", "anchored": True})
    # At 1 a row that is A or B; at 2 one that is A or C: A must be the first one's, C the second one's.
    found = served(log((1, 3), (2, 5)), attempt(1, 2, MISSING), funnel)
    assert found == {1: Served(1, 0), 2: Served(3, 1)}


@pytest.mark.parametrize("examples", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_every_time_of_every_attempt_has_its_row(examples):
    seen = Counter()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(logs=20))
    def run(case):
        seen["attempts"] += fitting(case)

    run()
    assert seen["attempts"] > 5 * examples


def fitting(case):
    funnel, plan = case.plan.funnel, case.plan
    grouped = group(as_table(case), plan)
    cut = divided(grouped, funnel)
    made = 0
    for place, attempts in enumerate(trace(grouped, plan, FOREVER)):
        span = slice(cut.bounds[place], cut.bounds[place + 1])
        one = Log("", cut.at[span].tolist(), cut.masks[span].tolist(), [])
        for each in attempts:
            found = served(one, each, funnel)
            made += 1
            assert set(found) == set(each.steps)
            for slot, row in found.items():
                assert one.at[row.place] == each.times[slot - 1]
                assert one.masks[row.place] >> (row.step - 1) & 1
            assert len({row.step for row in found.values()}) == len(found)
            if funnel.matching.distinct:
                assert len({row.place for row in found.values()}) == len(found)
            if funnel.order != "any" or funnel.matching.any_of == "first_steps":
                assert all(slot == row.step for slot, row in found.items())
            elif funnel.matching.anchored:
                assert min(found.values()).step == 1
    return made
