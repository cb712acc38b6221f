import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.collection import keys


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" Anna@Mail.Example ", "anna@mail.example"), ("mailto:a.b+c@d.example", "a.b+c@d.example"),
        ("ａｎｎａ＠mail.example", "anna@mail.example"), ("anna", None), ("anna@mail", None),
        ("a@b.example,c@d.example", None),
        ("", None), ("@b.example", None),
    ],
)  # fmt: skip
def test_addresses_have_one_form(text: str, normal: str | None):
    assert keys.email(text) == normal


@pytest.mark.parametrize(
    ("text", "country", "normal"),
    [
        ("138 0013 8000", "CN", "+8613800138000"), ("+86 138-0013-8000", None, "+8613800138000"),
        ("0086 13800138000", "CN", "+8613800138000"), ("１３８００１３８０００", "CN", "+8613800138000"),
        ("030 901820", "DE", "+4930901820"), ("+49 (0)30 901820", None, "+4930901820"),
        ("13800138000", None, None),  # whose country? nothing is guessed
        ("12", "CN", None), ("call me", "CN", None), ("", "CN", None),
    ],
)  # fmt: skip
def test_numbers_are_written_in_e164(text: str, country: str | None, normal: str | None):
    assert keys.phone(text, country) == normal


def test_equal_addresses_meet_and_roles_join_nobody():
    text = pd.Series(["A@b.example", "a@B.example ", "info@b.example", "Sales+eu@b.example", "none", None], dtype="str")
    found = keys.hashed(text, "email", country=None, roles=["info", "sales"])
    assert found.notna().tolist() == [True, True, False, False, False, False]
    assert found.iloc[0] == found.iloc[1]
    assert len(found.iloc[0]) == 32
    assert "b.example" not in found.iloc[0]


def test_a_number_and_its_other_spelling_meet_but_never_an_address():
    numbers = keys.hashed(pd.Series(["13800138000", "+86 138 0013 8000"]), "mobile", country="CN", roles=[])
    assert numbers.iloc[0] == numbers.iloc[1]
    address = keys.hashed(pd.Series(["+8613800138000@b.example"]), "email", country=None, roles=[])
    assert address.iloc[0] != numbers.iloc[0]


def test_hashes_follow_the_secret_key(monkeypatch: pytest.MonkeyPatch):
    def found() -> tuple[str, str]:
        return keys.hashed(pd.Series(["a@b.example"]), "email", country=None, roles=[]).iloc[0], keys.fingerprint()

    monkeypatch.delenv(keys.SECRET, raising=False)
    demo = found()
    assert not keys.own_key()
    assert found() == demo
    monkeypatch.setenv(keys.SECRET, "another")
    own = found()
    assert keys.own_key()
    assert not set(own) & set(demo)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_none_and_a_normal_one_stays(text: str):
    found = keys.email(text)
    assert found is None or keys.email(found) == found
    number = keys.phone(text, "CN")
    assert number is None or keys.phone(number, None) == number
