"""Who hears of a run: names of variables, never addresses."""

from __future__ import annotations

import pytest

from funnel_lib.config import parse
from funnel_lib.errors import ConfigError

BOOK = {
    "name": "shop", "title": "Shop", "sources": {"web": {"system": "ga4", "files": "*"}},
    "funnel": {"steps": [{"name": "visit"}]},
}  # fmt: skip


def test_a_workbook_names_variables() -> None:
    notify = parse({**BOOK, "notify": {"to": ["SHOP_HOOK"], "link": "https://reports.example.com/shop"}}).notify
    assert notify is not None
    assert (notify.to, notify.when, notify.language) == (["SHOP_HOOK"], "change", None)
    assert parse(BOOK).notify is None


def test_an_address_in_the_file_is_refused_and_not_repeated() -> None:
    secret = "https://open.feishu.cn/open-apis/bot/v2/hook/0123-token"
    with pytest.raises(ConfigError, match="FUNNEL_FEISHU_URL") as fault:
        parse({**BOOK, "notify": {"to": [secret]}})
    assert "0123-token" not in str(fault.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": []},
        {"to": ["A"], "when": "never"},
        {"to": ["A"], "link": "ftp://x"},
        {"to": ["A"], "language": "zh"},
        {"to": ["A"], "link": 'https://x"y'},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="notify"):
        parse({**BOOK, "notify": wrong})
