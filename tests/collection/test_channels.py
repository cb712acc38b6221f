import pytest

from funnel_lib.collection.channels import CHANNELS, channel


@pytest.mark.parametrize(
    ("medium", "source", "expected"),
    [
        ("(none)", "(direct)", "direct"), ("organic", "baidu", "organic_search"), ("organic", "google",
        "organic_search"),
        ("cpc", "google", "paid_search"), ("CPC", "Baidu", "paid_search"), ("cpc", "unknown-engine", "paid_search"),
        ("cpc", "facebook", "paid_social"), ("paid_social", "meta", "paid_social"), ("paid-social", "weibo",
        "paid_social"),
        ("cpm", "douyin", "paid_social"), ("referral", "partner.example", "referral"), ("email", "newsletter", "email"),
        ("e-mail", "x", "email"), (None, "newsletter", "email"), ("social", "weibo", "other"), ("display", "site",
        "other"),
        ("(not set)", "(not set)", "direct"), ("", "", "direct"), (None, None, None), (None, "google", "other"),
    ],
)  # fmt: skip
def test_medium_and_source_tell_the_channel(medium: str | None, source: str | None, expected: str | None):
    assert channel(medium, source) == expected
    assert expected is None or expected in CHANNELS
