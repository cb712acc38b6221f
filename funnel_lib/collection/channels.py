"""Traffic source and medium to one of a few marketing channels, by a table of rules that can be read."""

from __future__ import annotations

import re

CHANNELS = ("organic_search", "paid_search", "paid_social", "referral", "email", "direct", "other")
_SEARCH = r"google|bing|baidu|yahoo|yandex|duckduckgo|sogou|so\.com|360|naver|ecosia"
_SOCIAL = (
    r"facebook|instagram|meta|linkedin|twitter|tiktok|douyin|weibo|wechat|weixin|xiaohongshu|youtube|reddit"
    r"|pinterest|^fb$|^ig$|^x$"
)
_PAID = r"(.*[-_ ])?(cpc|ppc|cpm|cpv|cpa|paid|paidsearch|sem|display|banner|retargeting)"
_RULES: tuple[tuple[str, str, str], ...] = (
    # channel, medium (whole), source (anywhere); the first that fits
    ("direct", r"\(none\)|\(not set\)|none|", r"^\(direct\)$|^direct$|^\(not set\)$|^$"),
    ("email", r"e-?mail|newsletter|edm", r""),
    ("email", r".*", r"^(e-?mail|newsletter)$"),
    ("paid_social", r"paid[-_ ]?social|social[-_ ]?paid|cpc[-_ ]?social", r""),
    ("paid_search", r"paid[-_ ]?search|sem", r""),
    ("paid_social", _PAID, _SOCIAL),
    ("paid_search", r"cpc|ppc|paid|.*[-_ ]cpc", _SEARCH),
    ("paid_search", r"cpc|ppc", r""),
    ("organic_search", r"organic", r""),
    ("referral", r"referral|referrer|partner|affiliates?|link", r""),
)


def channel(medium: str | None, source: str | None) -> str | None:
    """Return the channel of a (medium, source) pair; None where both are unknown, `other` where no rule fits.

    >>> channel("organic", "google"), channel("cpc", "facebook"), channel("(none)", "(direct)")
    ('organic_search', 'paid_social', 'direct')
    """
    if medium is None and source is None:
        return None
    plain_medium, plain_source = (medium or "").strip().lower(), (source or "").strip().lower()
    for name, mediums, sources in _RULES:
        if re.fullmatch(mediums, plain_medium) and re.search(sources, plain_source):
            return name
    return "other"
