from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.collection.channels import UNCLASSIFIED, channel, classify, known, unclassified
from funnel_lib.errors import ConfigError
from funnel_lib.settings import ChannelRule


@pytest.mark.parametrize(
    ("medium", "source", "expected"),
    [
        ("(none)", "(direct)", "direct"), ("(not set)", "(not set)", "direct"), ("", "", "direct"),
        (None, None, None), ("organic", "baidu", "organic_search"), ("organic", "google", "organic_search"),
        ("自然搜索", "百度", "organic_search"), ("referral", "m.baidu.com", "organic_search"),
        ("referral", "so.com", "organic_search"), (None, "google", "organic_search"),
        ("cpc", "google", "paid_search"), ("CPC", "Baidu", "paid_search"), ("cpc", "unknown-engine", "paid_search"),
        ("竞价", "360", "paid_search"), ("sem", "sogou_pc", "paid_search"), ("baidu-cpc", "baidu", "paid_search"),
        ("cpc", "facebook", "paid_social"), ("paid_social", "meta", "paid_social"),
        ("paid-social", "weibo", "paid_social"), ("cpm", "douyin", "paid_social"), ("信息流", "抖音", "paid_social"),
        ("投放", "小红书", "paid_social"), ("cpc", "fb", "paid_social"), ("social", "weibo", "organic_social"),
        ("referral", "mp.weixin.qq.com", "organic_social"), ("referral", "t.co", "organic_social"),
        ("referral", "知乎", "organic_social"), ("社群", "企业微信群", "organic_social"),
        ("referral", "l.facebook.com", "organic_social"), ("referral", "youtube.com", "organic_video"),
        ("referral", "www.bilibili.com", "organic_video"), ("social", "B站", "organic_video"),
        ("cpv", "youtube", "paid_video"), ("display", "bilibili", "paid_video"), ("直播", "淘宝", "livestream"),
        ("referral", "淘宝直播", "livestream"), ("live", "douyin", "livestream"), ("cpc", "抖音直播", "livestream"),
        ("referral", "taobao.com", "organic_shopping"), ("cpc", "京东", "paid_shopping"),
        ("referral", "chatgpt.com", "assistants"), ("referral", "doubao.com", "assistants"),
        ("referral", "partner.example", "referral"), ("partner", "acme", "partner"), ("合作", "某机构", "partner"),
        ("affiliate", "awin", "affiliates"), ("cps", "blog.example", "affiliates"), ("kol", "李老师", "influencers"),
        ("email", "newsletter", "email"), ("e-mail", "x", "email"), (None, "newsletter", "email"),
        ("sms", "crm", "sms"), ("短信", "crm", "sms"), ("线下", "教育展", "offline"),
        ("exhibition", "hannover", "offline"), ("qr", "poster", "offline"), ("电话", "400", "phone"),
        ("display", "site", "display"), ("banner", "x.com", "paid_social"), ("paid", "anywhere", "paid_other"),
        ("邀请", "user", "referral_program"), ("strange", "somewhere", UNCLASSIFIED), ("xcpcx", "foo", UNCLASSIFIED),
        ("(none)", "someblog", UNCLASSIFIED),
    ],
)  # fmt: skip
def test_medium_and_source_tell_the_channel(medium: str | None, source: str | None, expected: str | None):
    assert channel(medium, source) == expected
    assert expected is None or expected in known().names


@pytest.mark.parametrize(
    ("visit", "expected"),
    [
        ({"gclid": "EAIa"}, "paid_search"),
        ({"source": "google", "medium": "organic", "gclid": "EAIa"}, "paid_search"),  # the click was paid for
        ({"landing": "https://shop.example/?gclid=EAIa&x=1"}, "paid_search"),
        ({"landing": "/a?bd_vid=77", "referrer": "https://www.baidu.com/"}, "paid_search"),
        ({"landing": "/a?fbclid=1"}, "organic_social"),  # every link on Facebook carries one
        ({"landing": "/a?fbclid=1&utm_source=fb&utm_medium=cpc"}, "paid_social"),
        ({"landing": "/a?utm_source=xhs&utm_medium=social"}, "organic_social"),
        ({"referrer": "https://www.google.com/"}, "organic_search"),
        ({"referrer": "https://www.zhihu.com/question/1"}, "organic_social"),
        ({"referrer": "https://blog.example/post"}, "referral"),
        ({"referrer": "http://[broken"}, "direct"),
        ({"source": "newsletter", "referrer": "https://www.google.com/"}, "email"),  # a tag outweighs the page
        ({"campaign": "spring"}, "direct"),
    ],
)
def test_click_ids_landing_pages_and_referrers_count(visit: dict[str, str], expected: str):
    assert classify(pd.DataFrame([visit], dtype="str"), known()).tolist() == [expected]


def test_rows_keep_their_order_and_nothing_known_stays_missing():
    visits = pd.DataFrame(
        {"medium": ["cpc", None, "cpc"], "source": ["google", None, "weibo"]}, index=[7, 3, 5]
    ).astype("str")
    found = classify(visits, known())
    assert found.index.tolist() == [7, 3, 5]
    assert found.isna().tolist() == [False, True, False]
    assert found.dropna().tolist() == ["paid_search", "paid_social"]
    assert classify(pd.DataFrame(index=[1, 2]), known()).isna().all()


def test_rules_of_the_workbook_come_first():
    own = ChannelRule(channel="school_fairs", source=["fair*"], landing={"city": ["*"]})
    rules = known((own,))
    visits = pd.DataFrame(
        {"source": ["fair-sh", "fair-sh"], "medium": ["offline"] * 2, "landing": ["/?city=Bonn", "/"]}
    )
    assert classify(visits.astype("str"), rules).tolist() == ["school_fairs", "offline"]
    assert rules.names[0] == "school_fairs"
    assert rules.version == known().version


def test_a_rule_may_name_only_lists_that_there_are():
    with pytest.raises(ConfigError, match="no such list") as error:
        known((ChannelRule(channel="x", source=["@serch"]),))
    assert "did you mean @search?" in str(error.value)


def test_what_no_rule_knows_is_counted():
    visits = pd.DataFrame({"source": ["a", "a", None, "google"], "medium": ["zzz", "zzz", "yyy", "cpc"]}).astype("str")
    assert unclassified(visits, classify(visits, known())) == {("a", "zzz"): 2, ("", "yyy"): 1}


TEXT = st.one_of(st.none(), st.text(max_size=12))


@given(
    st.lists(
        st.fixed_dictionaries({"medium": TEXT, "source": TEXT, "referrer": TEXT, "landing": TEXT}),
        min_size=1,
        max_size=6,
    )
)
def test_every_visit_has_one_channel_whatever_it_says(visits: list[dict[str, Any]]):
    frame = pd.DataFrame(visits).astype("str")
    found = classify(frame, known())
    assert set(found.dropna()) <= set(known().names)
    assert found.isna().tolist() == frame.isna().all(axis=1).tolist()
    assert classify(frame.iloc[::-1], known()).iloc[::-1].tolist() == found.tolist()
