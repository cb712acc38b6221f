from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser

import pytest
from bs4 import BeautifulSoup

from funnel_lib.errors import ConfigError
from funnel_lib.reporting import blocks
from funnel_lib.reporting.blocks import MIME, Block, Card, Fact, Figure, Grade, Link, SoWhat, TooFew
from funnel_lib.reporting.wording import Name, Rate, Say, Sentence, Value, merged

en, zh = Say("en"), Say("zh")
EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</svg><b>",
    "]]>",
]
ACTIVE = {"script", "img", "iframe", "object", "embed", "form", "link", "meta", "base"}


def elements(html: str) -> list[tuple[str, dict[str, str | None]]]:
    found: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Reader().feed(html)
    return found


def all_blocks(sample, evil: str = "", language: str = "en") -> list[Block]:  # type: ignore[no-untyped-def]
    say = Say(language)  # type: ignore[arg-type]
    shown: list[Block] = [*sample.head(say, evil), *sample.body(say, evil)]
    return [*shown, blocks.downloads(sample.facts("en", evil).downloads)]


def test_the_sample_has_every_block(sample) -> None:  # type: ignore[no-untyped-def]
    assert {block.kind for block in all_blocks(sample)} | {"style"} == set(blocks.Kind.__args__)


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_becomes_markup_in_any_block(sample, evil: str) -> None:  # type: ignore[no-untyped-def]
    clean, planted = all_blocks(sample, "x"), all_blocks(sample, evil)
    for before, after in zip(clean, planted, strict=True):
        tags = [(tag, sorted(attributes)) for tag, attributes in elements(after.html)]
        assert tags == [(tag, sorted(attributes)) for tag, attributes in elements(before.html)], after.id
        assert not ACTIVE & {tag for tag, _ in tags}
        assert not [name for _, names in tags for name in names if name.startswith("on")]
        hrefs = [attributes.get("href") or "" for _, attributes in elements(after.html)]
        assert not [href for href in hrefs if re.match(r"\s*[a-z]+:|//", href, re.IGNORECASE)]
        text = BeautifulSoup(after.html, "html.parser").get_text()
        assert evil in text or evil not in after.text, after.id  # it is there to be read


@pytest.mark.parametrize("language", ["en", "zh"])
def test_tags_are_closed(sample, language: str) -> None:  # type: ignore[no-untyped-def]
    void = {"br", "wbr", "hr"}
    for block in all_blocks(sample, language=language):
        open_tags: list[str] = []

        class Reader(HTMLParser):
            def handle_starttag(self, tag: str, attrs: object) -> None:
                if tag not in void:
                    open_tags.append(tag)  # noqa: B023

            def handle_startendtag(self, tag: str, attrs: object) -> None:
                pass

            def handle_endtag(self, tag: str) -> None:
                assert open_tags.pop() == tag, block.id  # noqa: B023

        Reader().feed(block.html)
        assert open_tags == [], block.id


def test_a_block_is_html_text_and_numbers_for_jupyter(sample) -> None:  # type: ignore[no-untyped-def]
    block = blocks.section(
        "funnel",
        kicker=en("The funnel"),
        finding=en("{r} paid", key="f", r=Rate(0.5, 0.4, 0.6)),
        parts=[sample.figure(en, table=sample.table(en))],
    )
    bundle = block._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain", MIME}
    assert bundle["text/html"].startswith('<div class="funnel" lang="en">')
    assert bundle["text/plain"].startswith("50.0% (40.0 to 60.0) paid")
    payload = json.loads(json.dumps(bundle[MIME], allow_nan=False))
    assert (payload["kind"], payload["id"], payload["label"]) == ("section", "funnel", "The funnel")
    assert payload["metrics"]["f.r.low"] == 0.4
    assert payload["tables"]["groups"].startswith("Group,People,Rate,Rate (low),Rate (high),Change")


class Recording(Say):
    """Remembers what it said."""

    def __init__(self) -> None:
        super().__init__("en")
        self.said: list[Sentence] = []

    def _fill(self, template: str, key: str, values: Mapping[str, Value]) -> Sentence:
        sentence = super()._fill(template, key, values)
        self.said.append(sentence)
        return sentence


def test_every_number_of_every_sentence_is_in_the_blocks_metrics(sample) -> None:  # type: ignore[no-untyped-def]
    recording = Recording()
    shown = [*sample.head(recording), *sample.body(recording)]
    known = set(merged(*(block.metrics for block in shown)).values())
    checked = 0
    for sentence in recording.said:
        numbers = [abs(n) for n in sentence.metrics.values() if n is not None]
        for written in re.findall(r"\d[\d,]*\.?\d*", sentence.text) if numbers else []:
            digits = float(written.replace(",", ""))
            assert any(abs(digits - n * scale) < 0.051 for n in numbers for scale in (1, 100, 1e-3)), sentence.text
            checked += 1
        if "too few" not in sentence.text:  # these stand in tables, whose numbers are in the CSV
            assert set(sentence.metrics.values()) <= known, sentence.text
    assert checked > 20


def test_labels_follow_the_language(sample) -> None:  # type: ignore[no-untyped-def]
    html = "".join(block.html for block in all_blocks(sample, language="zh"))
    for label in (
        "数据质量",
        "摘要",
        "核心指标",
        "数据表",
        "样本太少，不予展示",
        "负责人",
        "指标口径",
        "数据如何得出",
        "运行记录",
        "暂定",
    ):
        assert label in html
    assert "Data table" not in html
    assert 'lang="zh-CN"' in html


def test_a_conclusion_stands_beside_a_narrow_picture_and_below_a_wide_one(sample) -> None:  # type: ignore[no-untyped-def]
    so_what = SoWhat("So what", [en("That.")])

    def html(*parts: object) -> str:
        return blocks.section("s", kicker="k", finding="f", parts=parts).html  # type: ignore[arg-type]

    assert '<div class="side">' in html(sample.figure(en, widths=(700, 328)), so_what)
    assert '<div class="side">' in html(sample.heat(en), so_what)
    assert '<div class="side">' not in html(sample.figure(en), so_what)
    assert html(sample.figure(en, widths=(700, 328)), so_what, so_what).count('<div class="note">') == 1
    assert '<div class="side">' not in html(so_what)


def test_pictures_are_shown_once_for_each_width_with_their_table(sample) -> None:  # type: ignore[no-untyped-def]
    block = blocks.section("s", kicker="k", finding="f", parts=[sample.figure(en, table=sample.table(en))])
    soup = BeautifulSoup(block.html, "html.parser")
    assert [box["class"] for box in soup.select("figure > div")] == [["vl"], ["vm"], ["vs"]]
    for picture in soup.select("svg"):
        assert picture["role"] == "img"
        assert picture["aria-label"] == "41 visitors of A."
    assert soup.select_one("figure details.data table caption") is not None
    single = blocks.section("s", kicker="k", finding="f", parts=[sample.figure(en, widths=(328,))])
    assert BeautifulSoup(single.html, "html.parser").select("figure > div")[0].get("class") is None


def test_grades_and_states_have_words_beside_their_colours() -> None:
    made = blocks.header("k", "t", [Fact("Status", "Provisional", provisional=True)], grade=Grade("C", "Do not decide"))
    assert 'class="grade c"' in made.html
    assert 'aria-label="Grade C"' in made.html
    assert made.label == "Provisional · Do not decide"  # what every printed page says
    assert blocks.header("k", "t", [], grade=Grade("A", "Good")).label == ""
    failed = blocks.header("k", "t", [], grade=Grade("fail", "Not good enough")).html
    assert ">✕</span>Not good enough" in failed


def test_alerts_have_a_thick_border_only_where_it_matters() -> None:
    link = Link("Last good report", "../a.html")
    assert (
        '<div class="alert bad"><h2><span class="t">✕ Failed'
        in blocks.alert("failed", "Failed", ["Why."], link=link).html
    )
    assert 'href="../a.html"' in blocks.alert("warning", "x", [], link=link).html
    assert '<div class="alert calm"><h2><span class="t">● ' in blocks.alert("noise", "Noise", []).html


def test_cards_say_good_or_bad_by_colour_and_up_or_down_by_arrow() -> None:
    cost = Card("Cost", "¥412", change="−¥9", direction="good", rising=False)
    assert '<p class="chg good"><span class="sy" aria-hidden="true">▼</span> −¥9</p>' in blocks.kpis([cost]).html
    few = blocks.kpis([TooFew("Value", "12 customers.")])
    assert "○ Too few to show" in few.html
    assert few.text == "Value: 12 customers."


@pytest.mark.parametrize("id_", ["A b", "", 'x"y', "Ä", "../x"])
def test_ids_are_plain(id_: str) -> None:
    with pytest.raises(ConfigError, match="not an id"):
        blocks.section(id_, kicker="k", finding="f")


def test_values_may_stand_for_texts() -> None:
    block = blocks.header(zh("a"), Name("<b>"), [Fact("x", Rate(0.5, 0.4, 0.6))])
    assert "&lt;b&gt;" in block.html
    assert "50.0%" in block.html
    assert "（<span" in block.html


def test_the_style_for_notebooks_stays_inside_the_blocks() -> None:
    html = blocks.style().html
    outside = re.sub(r"\.funnel \{.*\}", "", html, flags=re.DOTALL)
    assert "{" not in outside.replace("@media screen and (prefers-color-scheme: dark) {", "")
    assert html.count("<style>") == html.count("</style>") == 1
    assert html.count("{") == html.count("}")


def test_wide_figures_are_checked_once() -> None:
    with pytest.raises(ConfigError, match="acts or loads something"):
        blocks.section("s", kicker="k", finding="f", parts=[Figure({700: "<svg><script/></svg>"}, "A")])
