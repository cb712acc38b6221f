import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from funnel_lib.collection.identity import People, people
from funnel_lib.config import Identity, parse

KINDS = {"b": "anonymous", "e": "email_hash", "g": "gclid", "c": "crm", "U": "login"}


def links(*pairs: tuple[str, str]) -> pd.DataFrame:
    """Ids that were seen together, each link a day after the one before; the first letter tells the kind of an id."""
    frame = pd.DataFrame(pairs, columns=["user_id", "value"]).astype("str")
    seen = pd.date_range("2026-03-01", periods=len(pairs), tz="UTC", unit="us")
    kinds = {"kind": frame["value"].str[0].map(KINDS), "holder": frame["user_id"].str[0].map(KINDS)}
    return frame.assign(first_seen=seen, _seq=range(len(pairs)), **{k: v.astype("str") for k, v in kinds.items()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("it's")


def resolved(frame: pd.DataFrame, folder: Path, **rules: Any) -> People:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("link", pa.Table.from_pandas(frame, preserve_index=False))
        return people(connection, Identity(**rules), folder)


def persons(found: People) -> dict[str, str]:
    """Who stands for each id that has another one standing for it."""
    ids = pd.read_parquet(found.ids)
    return dict(zip(ids["value"], ids["user_id"], strict=True))


def fates(found: People) -> dict[tuple[str, str], str]:
    told = pd.read_parquet(found.links)
    return dict(zip(zip(told["user_id"], told["value"], strict=True), told["rule"], strict=True))


def test_two_browsers_of_one_login_are_one_person(folder: Path):
    found = resolved(links(("U1", "b1"), ("U1", "b2"), ("U3", "b3")), folder)
    assert persons(found) == {"b1": "U1", "b2": "U1", "b3": "U3"}
    ids = pd.read_parquet(found.ids)
    assert ids["kind"].unique().tolist() == ["anonymous"]
    assert ids["first_seen"].dt.day.tolist() == [1, 2, 3]
    assert found.refused.empty


def test_the_login_that_was_seen_first_stands_for_the_person(folder: Path):
    # U9 logged in a day before U1 on the same browser, so later data does not rename U9.
    assert persons(resolved(links(("U9", "b1"), ("U1", "b1")), folder)) == {"b1": "U9", "U1": "U9"}


def test_of_equally_old_logins_the_smaller_stands(folder: Path):
    frame = links(("U9", "b1"), ("U1", "b1")).assign(first_seen=pd.Timestamp("2026-03-01", tz="UTC"))
    assert set(persons(resolved(frame, folder)).values()) == {"U1"}
    without = frame.assign(first_seen=pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]"))
    assert set(persons(resolved(without, folder)).values()) == {"U1"}


def test_ids_of_several_systems_are_linked_over_several_steps(folder: Path):
    # A click, a browser, a login, an address and a record of the CRM: one person, under the login.
    chain = links(("b1", "g1"), ("U1", "b1"), ("U1", "e1"), ("c7", "e1"))
    assert persons(resolved(chain, folder)) == dict.fromkeys(["b1", "g1", "e1", "c7"], "U1")


def test_without_a_login_the_next_best_kind_of_id_stands(folder: Path):
    # The record of the CRM is worth more than the browser, though it is younger.
    found = resolved(links(("b1", "g1"), ("c7", "g1")), folder, join={"crm": {}})
    assert persons(found) == {"b1": "c7", "g1": "c7"}


def test_a_shared_device_does_not_merge_the_people_who_use_it(folder: Path):
    # Four logins on one browser are a kiosk: it joins nobody, and U1's own browser still goes to U1.
    kiosk = links(("U1", "b0"), ("U2", "b0"), ("U3", "b0"), ("U4", "b0"), ("U1", "b1"))
    found = resolved(kiosk, folder)
    assert persons(found) == {"b1": "U1"}
    assert found.refused.to_numpy().tolist() == [["anonymous", "shared", 1, 4]]
    assert fates(found)["U2", "b0"] == "shared"
    assert fates(found)["U1", "b1"] == ""
    assert set(persons(resolved(kiosk, folder, join={"anonymous": {"at_most": 4}}, logins=4)).values()) == {"U1"}


def test_each_kind_has_its_own_limit(folder: Path):
    both = links(("U1", "e1"), ("U2", "e1"), ("U3", "b1"), ("U4", "b1"))
    found = resolved(both, folder, join={"email_hash": {"at_most": 1}})
    assert persons(found) == {"b1": "U3", "U4": "U3"}
    assert found.refused.to_numpy().tolist() == [["email_hash", "shared", 1, 2]]
    assert persons(resolved(both, folder, join={"email_hash": {"at_most": 0}, "anonymous": {"at_most": 0}})) == {}


def test_a_group_that_is_too_large_falls_apart_but_keeps_what_only_one_person_has(folder: Path):
    # Five logins in a chain of browsers, no browser with more than two of them: nobody is like that.
    chain = links(*((f"U{i}", f"b{j}") for i in range(1, 6) for j in (i, i + 1)), ("U3", "e3"))
    found = resolved(chain, folder)
    # b1 and b6 have one login only, and so has the address.
    assert persons(found) == {"b1": "U1", "b6": "U5", "e3": "U3"}
    assert found.refused.to_numpy().tolist() == [["anonymous", "oversize", 4, 8]]
    assert set(persons(resolved(chain, folder, logins=5)).values()) == {"U1"}


def test_a_login_with_too_many_browsers_keeps_them_as_nobody_else_has_them(folder: Path):
    found = resolved(links(*(("U1", f"b{i}") for i in range(60))), folder)
    assert set(persons(found).values()) == {"U1"}
    assert len(persons(found)) == 60


def test_what_was_joined_by_mistake_can_be_split(folder: Path):
    couple = links(("U1", "b0"), ("U2", "b0"), ("U1", "b1"), ("U2", "b2"))
    assert persons(resolved(couple, folder)) == dict.fromkeys(["b0", "b1", "b2", "U2"], "U1")
    found = resolved(couple, folder, split=["b0"])  # the browser at home belongs to neither
    assert persons(found) == {"b1": "U1", "b2": "U2"}
    assert fates(found)["U1", "b0"] == "split"
    # A login on the list keeps what only it has.
    assert persons(resolved(couple, folder, split=["U2", "nobody"])) == {"b0": "U1", "b1": "U1", "b2": "U2"}


def test_a_link_to_oneself_is_none_and_no_links_are_no_people(folder: Path):
    assert persons(resolved(links(("U1", "U1")), folder)) == {}
    found = resolved(links(("U1", "b1")).iloc[:0], folder)
    assert persons(found) == {}
    assert fates(found) == {}


PAIRS = st.lists(
    st.tuples(st.sampled_from(["U1", "U2", "U3", "U4", "U5"]), st.sampled_from([f"b{i}" for i in range(6)])),
    min_size=1, max_size=12,
)  # fmt: skip
LOOSE: dict[str, Any] = {"join": {"anonymous": {"at_most": 99}}, "logins": 99}


@settings(deadline=None, max_examples=25)
@given(PAIRS)
def test_the_result_does_not_depend_on_the_order_of_rows(folder: Path, pairs: list[tuple[str, str]]):
    frame = links(*pairs)
    found = persons(resolved(frame, folder))
    kept = (folder / "ids.parquet").read_bytes(), (folder / "links.parquet").read_bytes()
    assert persons(resolved(frame.iloc[::-1], folder)) == found
    assert kept == ((folder / "ids.parquet").read_bytes(), (folder / "links.parquet").read_bytes())
    assert not set(found.values()) & set(found)  # who stands for others stands for itself


@settings(deadline=None, max_examples=20)
@given(PAIRS)
def test_without_limits_people_are_the_connected_components(folder: Path, pairs: list[tuple[str, str]]):
    names = sorted({name for pair in pairs for name in pair})
    code = {name: i for i, name in enumerate(names)}
    ends = np.array([(code[a], code[b]) for a, b in pairs]).T
    _, part = connected_components(
        coo_array((np.ones(len(pairs)), tuple(ends)), shape=(len(names),) * 2), directed=False
    )
    found = persons(resolved(links(*pairs), folder, **LOOSE))
    who = [found.get(name, name) for name in names]
    assert len(set(zip(who, part, strict=True))) == len(set(who)) == len(set(part))


@settings(deadline=None, max_examples=20)
@given(PAIRS, PAIRS)
def test_new_links_rename_only_the_younger_of_two_who_turn_out_to_be_one(
    folder: Path, before: list[tuple[str, str]], more: list[tuple[str, str]]
):
    old, new = links(*before), links(*before, *more)
    first = new.groupby("user_id")["first_seen"].min()
    was, now = (persons(resolved(frame, folder, **LOOSE)) for frame in (old, new))
    for value, person in was.items():
        later = now.get(value, value)
        assert later == person or first[later] < first[person] or now.get(person, person) == later
        assert first[later] <= first[person]


@pytest.mark.parametrize("page", ["identity.md", "channels.md"])
def test_what_the_pages_show_can_be_written_in_a_workbook(page: str):
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    source = {"system": "table", "table": "users", "files": "*", "columns": {"user_id": "id"}}
    base = {"name": "t", "title": "t", "funnel": {"steps": [{"name": "a", "event": "b"}]}, "sources": {"s": source}}
    shown = re.findall(r"```yaml\n(.*?)```", text, flags=re.S)
    assert shown
    for block in shown:
        parse({**base, **yaml.safe_load(block)})
