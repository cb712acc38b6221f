from __future__ import annotations

import re

import pytest

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.parts import (
    Card,
    Figure,
    Panels,
    SoWhat,
    TooFew,
    arrow,
    language_of,
    numbered,
    numbers,
    picture,
    sentences,
    tables,
)
from funnel_lib.reporting.wording import Say

say = Say("en")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{}</svg>'


def test_a_picture_is_described_and_loses_what_stands_before_it() -> None:
    made = picture("<?xml version='1.0'?>\n<!DOCTYPE svg>\n" + SVG.format("<text>A</text>"), 'Of "9" <b>')
    assert made.startswith('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" role="img"')
    assert 'aria-label="Of &#34;9&#34; &lt;b&gt;"' in made
    again = picture(SVG.replace("<svg", '<svg role="presentation" aria-label="old > new"').format(""), "new")
    assert again.count("role=") == again.count("aria-label=") == 1
    assert 'aria-label="new"' in again


def test_a_picture_may_stand_alone() -> None:
    assert picture(SVG.format("")) == SVG.format("")


def test_two_pictures_keep_their_ids_apart() -> None:
    inner = '<clipPath id="a"/><rect clip-path="url(#a)"/><use href="#a"/><text>id="a" url(#a)</text>'
    both = numbered(picture(SVG.format(inner)) + picture(SVG.format(inner)), "funnel")
    assert re.findall(r'<clipPath id="([^"]+)"', both) == ["funnel-1-a", "funnel-2-a"]
    assert both.count('clip-path="url(#funnel-2-a)"') == both.count('href="#funnel-2-a"') == 1


@pytest.mark.parametrize(
    "active",
    [
        "<script>alert(1)</script>",
        '<rect onclick="alert(1)"/>',
        '<rect ONLOAD="alert(1)"/>',
        '<a href="x"><text>A</text></a>',
        '<use href="http://host/x#a"/>',
        '<use xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="data:image/svg+xml,x"/>',
        '<image href="x.png"/>',
        '<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">A</p></foreignObject>',
        '<rect style="fill:url(http://host/x)"/>',
        "<style>@import 'http://host/x'</style>",
        '<rect><set attributeName="onclick" to="alert(1)"/></rect>',
        "<rect>",
    ],
)
def test_a_picture_that_acts_or_loads_is_refused(active: str) -> None:
    with pytest.raises(ConfigError):
        picture(SVG.format(active))


def test_text_in_a_picture_may_say_anything() -> None:
    text = "<text>javascript:alert(1) onclick= &lt;script&gt; http://host</text>"
    assert text in picture(SVG.format(text))


@pytest.mark.parametrize("widths", [(), (1052, 328), (1052, 700), (700, 300), (1052, 700, 328, 500)])
def test_a_figure_needs_its_widths(widths: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="lacks a width"):
        Figure(dict.fromkeys(widths, SVG.format("")), "A")


def test_widest_picture_first() -> None:
    figure = Figure(dict.fromkeys((328, 1052, 700), SVG.format("")), "A")
    assert [width for width, _ in figure.pictures] == [1052, 700, 328]
    assert figure.wide
    assert not Figure({700: SVG.format(""), 328: SVG.format("")}, "A").wide


def test_arrows_say_where_it_went_and_noise_has_none() -> None:
    assert [arrow("good"), arrow("bad"), arrow("noise"), arrow("")] == ["▲", "▼", "●", ""]
    assert [arrow("good", rising=False), arrow("bad", rising=True), arrow("noise", rising=True)] == [
        "▼",
        "▲",
        "●",
    ]


def test_sentences_tables_and_numbers_are_found_wherever_they_stand(sample) -> None:  # type: ignore[no-untyped-def]
    table = sample.table(say)
    figure = Figure({328: SVG.format("")}, say("{n}", key="alt", n=1), say("{n}", key="cap", n=2), table)
    parts = [
        Panels([figure, TooFew("t", say("{n}", key="few", n=3))]),
        SoWhat("x", [say("{n}", key="so", n=4)]),
        Card("a", "b"),
    ]
    assert numbers(parts) == {"alt.n": 1, "cap.n": 2, "few.n": 3, "so.n": 4}
    assert tables(parts) == [table]
    assert len(sentences(parts)) == 5  # the table's caption as well


def test_labels_follow_the_first_sentence() -> None:
    assert language_of("x", [("y", Say("zh")("a"))]) == "zh"
    assert language_of("x") == "en"
