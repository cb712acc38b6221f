"""Where a visit came from, as one of a few channels: the rules of `channels.yml`, and those of the workbook.

Online and offline touches end in one list of channels. What no rule knows is called `unclassified`, and counted by
its source and medium, so that the rules can be kept current.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
import yaml

from funnel_lib.collection.keys import CLICKS
from funnel_lib.errors import ConfigError, choices
from funnel_lib.notation import Language
from funnel_lib.settings import ChannelRule

UNCLASSIFIED = "unclassified"
TRAITS = ("source", "medium", "campaign", "referrer", "landing", *CLICKS)
"""What the rules look at, as columns: texts, any of which may be missing; `referrer` and `landing` are addresses."""
TITLES: dict[str, dict[Language, str]] = {
    "affiliates": {"en": "Affiliates", "zh": "联盟推广"},
    "assistants": {"en": "AI assistants", "zh": "AI助手"},
    "direct": {"en": "Direct", "zh": "直接访问"},
    "display": {"en": "Display", "zh": "展示广告"},
    "email": {"en": "E-mail", "zh": "邮件"},
    "influencers": {"en": "Influencers", "zh": "达人"},
    "livestream": {"en": "Livestream", "zh": "直播"},
    "offline": {"en": "Offline", "zh": "线下"},
    "organic_search": {"en": "Organic search", "zh": "自然搜索"},
    "organic_shopping": {"en": "Organic shopping", "zh": "自然购物"},
    "organic_social": {"en": "Organic social", "zh": "自然社媒"},
    "organic_video": {"en": "Organic video", "zh": "自然视频"},
    "paid_other": {"en": "Other paid", "zh": "其他付费"},
    "paid_search": {"en": "Paid search", "zh": "付费搜索"},
    "paid_shopping": {"en": "Paid shopping", "zh": "付费购物"},
    "paid_social": {"en": "Paid social", "zh": "付费社媒"},
    "paid_video": {"en": "Paid video", "zh": "付费视频"},
    "partner": {"en": "Partners", "zh": "合作伙伴"},
    "phone": {"en": "Telephone", "zh": "电话"},
    "push": {"en": "Push messages", "zh": "推送"},
    "referral": {"en": "Referral", "zh": "外部推荐"},
    "referral_program": {"en": "Referral programme", "zh": "老带新"},
    "sms": {"en": "Text messages", "zh": "短信"},
    UNCLASSIFIED: {"en": "Unclassified", "zh": "未归类"},
}
"""What readers call the channels of the package's rules; a workbook's own titles come first."""
_FILE = Path(__file__).with_name("channels.yml")
_TEXTS = ("medium", "source", "campaign", "referrer")


@dataclass(frozen=True)
class _Visit:
    """What one visit tells: its texts in small letters, and the parameters that it carries."""

    texts: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Rules:
    """Rules in the order in which they are asked; made by `known`."""

    version: str
    rules: tuple[ChannelRule, ...]
    patterns: tuple[Mapping[str, re.Pattern[str]], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every channel that the rules can give, in their order."""
        return (*dict.fromkeys(rule.channel for rule in self.rules), UNCLASSIFIED)

    def of(self, visit: _Visit) -> str:
        """Return the channel of a visit."""
        for rule, patterns in zip(self.rules, self.patterns, strict=True):
            if all(pattern.search(visit.texts[name]) for name, pattern in patterns.items()) and _carried(rule, visit):
                return rule.channel
        return UNCLASSIFIED


@lru_cache(maxsize=16)
def known(own: tuple[ChannelRule, ...] = ()) -> Rules:
    """Return the rules of the package with those of a workbook in front.

    Raises
    ------
    ConfigError : a rule names a list of words that there is not.
    """
    told = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    rules = (*own, *(ChannelRule.model_validate(rule) for rule in told["rules"]))
    return Rules(str(told["version"]), rules, tuple(_patterns(rule, told["words"]) for rule in rules))


def channel(medium: str | None, source: str | None, rules: Rules | None = None) -> str | None:
    """Return the channel of a (medium, source) pair; None where both are unknown.

    >>> channel("organic", "google"), channel("cpc", "facebook"), channel("(none)", "(direct)")
    ('organic_search', 'paid_social', 'direct')
    """
    if medium is None and source is None:
        return None
    return (rules or known()).of(_visit({"medium": medium, "source": source}))


def classify(traits: pd.DataFrame, rules: Rules) -> pd.Series[Any]:
    """Return the channel of each row; missing where nothing is known of where it came from.

    Parameters
    ----------
    traits : any of the columns `TRAITS`, as texts; others are not looked at.
    """
    columns = [name for name in TRAITS if name in traits]
    short = traits[columns].assign(
        **{name: _short(traits[name], name) for name in ("referrer", "landing", *CLICKS) if name in columns}
    )
    distinct = short.drop_duplicates()
    rows = distinct.astype(object).where(distinct.notna(), None).itertuples(index=False, name=None)
    names = [rules.of(_visit(dict(zip(columns, row, strict=True)))) for row in rows]
    told = distinct.assign(_channel=pd.Series(names, index=distinct.index, dtype="str"))
    found: pd.Series[Any] = short.merge(told, on=columns, how="left")["_channel"] if columns else _nothing(traits)
    return found.set_axis(traits.index).where(traits[columns].notna().any(axis=1))


def unclassified(traits: pd.DataFrame, channels: pd.Series[Any]) -> dict[tuple[str, str], int]:
    """Count the rows without a channel by (source, medium), empty texts where one is missing."""
    texts = {name: traits[name] if name in traits else _nothing(traits) for name in ("source", "medium")}
    open_ = pd.DataFrame(texts)[(channels == UNCLASSIFIED).to_numpy(dtype=bool)].fillna("")
    counted = open_.groupby(["source", "medium"]).size().reset_index(name="rows")
    return {(str(a), str(b)): int(rows) for a, b, rows in counted.itertuples(index=False, name=None)}


def _nothing(frame: pd.DataFrame) -> pd.Series[Any]:
    return pd.Series(None, index=frame.index, dtype="str")


def _short(text: pd.Series[Any], name: str) -> pd.Series[Any]:
    """Return of an address only what rules look at, so that few different ones are left to judge."""
    if name in CLICKS:
        return text.mask(text.notna(), "1")
    known_ = {value: _host(value) if name == "referrer" else _query(value) for value in text.dropna().unique()}
    return text.map(known_).astype("str")


def _host(address: str) -> str | None:
    try:
        return urlsplit(address if "//" in address else f"//{address}").hostname
    except ValueError:
        return None


def _query(address: str) -> str | None:
    """Return the parameters of an address, the values of click ids left out."""
    try:
        query = urlsplit(address).query
    except ValueError:
        return None
    pairs = [(name.lower(), "1" if name.lower() in CLICKS else value) for name, value in parse_qsl(query)]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs)) or None


def _visit(row: Mapping[str, str | None]) -> _Visit:
    parameters = dict(parse_qsl(row.get("landing") or ""))
    parameters |= {name: "1" for name in CLICKS if row.get(name)}
    # The link itself may be tagged where the export has no columns for it.
    tagged = {name: row.get(name) or parameters.get(f"utm_{name}") for name in ("source", "medium", "campaign")}
    texts = {**tagged, "referrer": row.get("referrer")}
    return _Visit({name: (value or "").strip().lower() for name, value in texts.items()}, parameters)


def _carried(rule: ChannelRule, visit: _Visit) -> bool:
    if rule.click and not any(name in visit.parameters for name in rule.click):
        return False
    values = {name: visit.parameters.get(name) for name in rule.landing}
    return all(
        found is not None and ("*" in rule.landing[n] or found in rule.landing[n]) for n, found in values.items()
    )


def _patterns(rule: ChannelRule, words: Mapping[str, Sequence[str]]) -> dict[str, re.Pattern[str]]:
    found = {}
    for name in _TEXTS:
        asked = getattr(rule, name)
        stray = next((word for word in asked if word.startswith("@") and word[1:] not in words), None)
        if stray is not None:
            raise ConfigError(
                "There is no such list of words.", where=f"channels: {rule.channel}: {name}", found=stray,
                allowed=choices([f"@{word}" for word in words], stray), do="Name one of these, or write the words.",
            )  # fmt: skip
        listed = [w for word in asked for w in (words[word[1:]] if word.startswith("@") else [word])]
        if listed:
            found[name] = re.compile("|".join(_word(str(word).lower()) for word in listed))
    return found


def _word(word: str) -> str:
    """Return the pattern of one word of a rule."""
    if word == "":
        return "^$"
    if word == "*":
        return "."
    core = ".*".join(re.escape(part) for part in word.strip("*").split("*"))
    if not word.isascii():
        return core
    # Signs at the edge, as in (none), end a word themselves.
    before = r"(?<![a-z0-9])" if word[0].isalnum() else ""
    after = r"(?![a-z0-9])" if word[-1].isalnum() else ""
    return f"{before}{core}{after}"
