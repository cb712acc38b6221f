"""Keys that people leave in several systems - e-mail addresses, telephone numbers, click ids - made fit to join.

An address or a number is never kept: its normal form goes through HMAC-SHA256 with a secret key, so that equal
ones still meet and nobody can read them back, nor try them out without the key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import unicodedata
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

import pandas as pd

SECRET = "FUNNEL_KEY"  # noqa: S105 - the name of an environment variable
DEMO_KEY = "the demo's key: everybody knows it"
EMAIL, PHONE, ANONYMOUS, LOGIN = "email_hash", "phone_hash", "anonymous", "login"
HASHED: dict[str, str] = {"email": EMAIL, "phone": PHONE, "mobile": PHONE}
"""Columns of personal data, and the kind of id that each is turned into."""
CLICKS = (
    "gclid",
    "gbraid",
    "wbraid",
    "dclid",
    "msclkid",
    "fbclid",
    "ttclid",
    "li_fat_id",
    "bd_vid",
    "qz_gdt",
    "clickid",
)
"""Parameters by which advertising platforms number single clicks."""
_ADDRESS = re.compile(r"([^\s@,;<>\"']+)@([^\s@,;<>\"']+\.[^\s@.,;<>\"']{2,})")
_LENGTH = 32


def own_key() -> bool:
    """Tell whether the secret key is the installation's own, and not the demo's."""
    return bool(os.environ.get(SECRET))


def fingerprint() -> str:
    """Return what tells one secret key from another without giving it away."""
    return _digest("fingerprint", "")[:8]


def email(text: str) -> str | None:
    """Return the normal form of an e-mail address: its letters small, in one Unicode form; None if it is none.

    >>> email(" Anna@Mail.Example "), email("anna at mail")
    ('anna@mail.example', None)
    """
    match = _ADDRESS.fullmatch(unicodedata.normalize("NFKC", text).strip().removeprefix("mailto:").lower())
    return None if match is None else f"{match[1]}@{match[2]}"


def phone(text: str, country: str | None) -> str | None:
    """Return a telephone number in E.164; None where it is none, or names no country and `country` is None.

    >>> phone("138 0013 8000", "CN"), phone("+49 30 901820", None), phone("138 0013 8000", None)
    ('+8613800138000', '+4930901820', None)
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(unicodedata.normalize("NFKC", text), country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_role(address: str, roles: Collection[str]) -> bool:
    """Tell whether several people read what is sent to a (normal) address: ``info@…``, ``sales+eu@…``."""
    return re.split(r"[+@]", address, maxsplit=1)[0] in roles


def hashed(text: pd.Series[Any], name: str, *, country: str | None, roles: Collection[str]) -> pd.Series[Any]:
    """Return the keyed hash of each e-mail address or telephone number; missing where the text is none.

    Addresses of roles are missing too: they would join people who only work for the same company.

    Parameters
    ----------
    name : the column of `HASHED` that the texts stand in.
    country : of telephone numbers without a country code.
    """
    kind, shared = HASHED[name], frozenset(roles)

    def key(value: str) -> str | None:
        normal = email(value) if kind == EMAIL else phone(value, country)
        return None if normal is None or (kind == EMAIL and is_role(normal, shared)) else _digest(kind, normal)

    return _mapped(text, key)


def roles_in(text: pd.Series[Any], roles: Collection[str]) -> int:
    """Return how many of the e-mail addresses are those of roles."""
    shared = frozenset(roles)
    found = _mapped(text, email).dropna()
    return int(found.map({value: is_role(value, shared) for value in found.unique()}).sum()) if len(found) else 0


def _mapped(text: pd.Series[Any], key: Callable[[str], str | None]) -> pd.Series[Any]:
    known = {value: key(value) for value in text.dropna().unique()}
    return text.map(known).astype("str")


def _digest(kind: str, text: str) -> str:
    return hmac.digest(_secret(os.environ.get(SECRET) or DEMO_KEY), f"{kind}:{text}".encode(), "sha256").hex()[:_LENGTH]


@lru_cache(maxsize=4)
def _secret(text: str) -> bytes:
    """Stretch the key, so that a short one takes longer to guess."""
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"funnel", 20_000)
