"""Rows of some events in a time are those that a look at each row finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.conversion.keeping import selecting
from funnel_lib.conversion.keeping.selecting import FIRST, LAST, lying, selected

MOMENTS = st.one_of(st.integers(0, 9), st.sampled_from([FIRST, LAST]))


def arrays(events: list[int], names: int, at: list[int]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the arrays of a log of one person (times need not ascend here), and where each event's rows begin."""
    event = np.array(events, dtype=np.int16)
    ends = np.searchsorted(np.sort(event), range(names + 1))
    order = np.argsort(event, kind="stable").astype(np.int32)
    return {"event": event, "at": np.array(at, dtype=np.int64), "order": order}, ends


@pytest.mark.parametrize("compile_it", [False, True], ids=["plain", "compiled"])
@given(data=st.data())
def test_what_is_selected_is_what_a_look_at_each_row_finds(compile_it, data):
    names = data.draw(st.integers(1, 8))
    events = data.draw(st.lists(st.integers(-1, names - 1), max_size=30))
    at = data.draw(st.lists(st.integers(0, 9), min_size=len(events), max_size=len(events)))
    codes = sorted(data.draw(st.sets(st.integers(0, names - 1))))
    low, high = data.draw(MOMENTS), data.draw(MOMENTS)
    made, ends = arrays(events, names, at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selecting, "worth_compiling", lambda rows: compile_it)
        found = selected(made, ends, codes, low, high)
        rows = np.flatnonzero(np.isin(made["event"], codes))
        among = lying(made["at"], rows, low, high)
    inside = [low <= moment < high or (low, high) == (FIRST, LAST) for moment in at]
    assert found.tolist() == [p for p, event in enumerate(events) if event in codes and inside[p]]
    assert among.tolist() == [place for place, row in enumerate(rows) if low <= at[row] < high]
    assert found.dtype.kind == "i"
