import json

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.collection.members import merged, without

NAMES = st.sampled_from(["a", "b", "email", "é", 'q"'])
VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=5))


def texts(*found: str | None) -> pd.Series:
    return pd.Series(found, dtype="str")


def test_members_are_added_and_replaced() -> None:
    own = texts('{"a": 1}', None, "{}", '{"b": 2}', None)
    found = merged(own, {"b": texts("x", "y", None, "z", None), "c": texts(None, '"', None, None, None)})
    known = [None if pd.isna(text) else json.loads(text) for text in found]
    assert known == [{"a": 1, "b": "x"}, {"b": "y", "c": '"'}, None, {"b": "z"}, None]


def test_members_of_a_name_are_left_out_in_any_case() -> None:
    own = texts('{"Email":"x","a":1.50}', '{"a":1}', "{}", None, "[1]", "{", '{"email": 1}', '{"\\u0065mail": 1}')
    found = without(own, {"email"})
    assert [None if pd.isna(text) else json.loads(text) for text in found] == [{"a": 1.5}, {"a": 1}, *[None] * 6]


@settings(max_examples=80, deadline=None)
@given(own=st.dictionaries(NAMES, VALUES, max_size=3), more=st.dictionaries(NAMES, st.text(max_size=5), max_size=3),
       compact=st.booleans(), ascii_only=st.booleans())  # fmt: skip
def test_columns_find_what_dictionaries_find(
    own: dict[str, object], more: dict[str, str], compact: bool, ascii_only: bool
) -> None:
    form = json.dumps(own, separators=(",", ":") if compact else None, ensure_ascii=ascii_only)
    (found,) = merged(texts(form), {name: texts(value) for name, value in more.items()}) if more else texts(form)
    assert (None if pd.isna(found) else json.loads(found)) == ({**own, **more} or (None if more else {}))
    (left,) = without(texts(form), {"email"})
    rest = {name: value for name, value in own.items() if name != "email"}
    assert (None if pd.isna(left) else json.loads(left)) == (rest or None)
