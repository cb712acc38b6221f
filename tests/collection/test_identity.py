import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.collection.identity import MOST_IDS, people


def links(*pairs: tuple[str, str]) -> pd.DataFrame:
    """Login and browser ids, each link a day after the one before."""
    frame = pd.DataFrame(pairs, columns=["user_id", "value"]).astype("str")
    return frame.assign(first_seen=pd.date_range("2026-03-01", periods=len(pairs), tz="UTC", unit="us"))


def persons(found: pd.DataFrame) -> dict[str, str]:
    return dict(zip(found["value"], found["user_id"], strict=True))


def test_two_browsers_of_one_login_are_one_person():
    assert persons(people(links(("U1", "b1"), ("U1", "b2"))).ids) == {"U1": "U1", "b1": "U1", "b2": "U1"}


def test_the_login_that_was_seen_first_stands_for_the_person():
    # U9 logged in a day before U1 on the same browser, so later data does not rename U9.
    assert set(persons(people(links(("U9", "b1"), ("U1", "b1"))).ids).values()) == {"U9"}


def test_ids_are_linked_over_several_steps():
    found = people(links(("U1", "b1"), ("U2", "b1"), ("U2", "b2"), ("U3", "b3")))
    assert persons(found.ids) == {"U1": "U1", "U2": "U1", "b1": "U1", "b2": "U1", "U3": "U3", "b3": "U3"}
    assert found.oversize.empty


def test_a_shared_device_does_not_merge_the_people_who_use_it():
    # Four logins on one browser are a kiosk: it stays apart, and U1's own browser still goes to U1.
    found = people(links(("U1", "k"), ("U2", "k"), ("U3", "k"), ("U4", "k"), ("U1", "b1")))
    assert persons(found.ids) == {"U1": "U1", "U2": "U2", "U3": "U3", "U4": "U4", "k": "k", "b1": "U1"}
    assert found.oversize[["ids", "logins"]].to_numpy().tolist() == [[6, 4]]


def test_a_login_with_too_many_browsers_is_reported_but_they_all_have_one_login():
    found = people(links(*(("U1", f"b{i}") for i in range(MOST_IDS))))
    assert set(persons(found.ids).values()) == {"U1"}
    assert len(found.oversize) == 1


def test_no_links_no_people():
    found = people(links())
    assert found.ids.empty
    assert found.oversize.empty


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["U1", "U2", "U3", "U4", "U5"]), st.sampled_from("abcdef")), min_size=1, max_size=12
    )
)
def test_the_result_does_not_depend_on_the_order_of_rows(pairs: list[tuple[str, str]]):
    frame = links(*pairs)
    found, again = people(frame).ids, people(frame.iloc[::-1]).ids
    assert persons(found) == persons(again)
    assert set(found["value"]) == {*frame["user_id"], *frame["value"]}
    linked = persons(found)
    assert all(linked[linked[value]] == linked[value] for value in linked)  # who stands for others stands for itself
