from __future__ import annotations

import json
import re

import numpy as np
import pytest

from funnel_lib.reporting import wording
from funnel_lib.reporting.wording import (
    Count,
    Day,
    Money,
    Name,
    Points,
    Rate,
    Say,
    Sentence,
    Share,
    merged,
    plain,
)

en = Say("en")
EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "{rate}",
    "**b**",
    "&lt;",
]


def test_a_sentence_has_text_html_and_numbers() -> None:
    said = en("Of {n} visitors, **{rate:value} paid** {rate:ci}.", key="paid", n=200, rate=Rate(0.25, 0.195, 0.314))
    assert said.text == "Of 200 visitors, 25.0% paid (19.5 to 31.4)."
    assert said.html == (
        'Of 200 visitors, <b>25.0% paid</b> <span class="ci">(<span class="nw">19.5 to 31.4</span>)</span>.'
    )
    assert said.metrics == {
        "paid.n": 200, "paid.rate": 0.25, "paid.rate.low": 0.195, "paid.rate.high": 0.314,
        "paid.rate.level": 0.95,
    }  # fmt: skip
    assert str(said) == said.text
    assert said.language == "en"


@pytest.mark.parametrize("evil", EVIL)
def test_data_stays_data(evil: str) -> None:
    said = en("Most leave before {step}.", step=evil)
    assert said.text == f"Most leave before {evil}."  # no braces or stars of the data are read
    assert "<" not in said.html
    assert wording.Name(evil).html("en") in said.html


def test_a_translation_is_taken_where_there_is_a_good_one(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"{n} paid": ("{n}人付款",), "{n} left": ("走了",), "Day": ("日",)}
    monkeypatch.setattr(wording, "translations", lambda language: known if language == "zh" else {})
    zh = Say("zh")
    assert zh("{n} paid", n=3).text == "3人付款"
    assert zh("{n} came", n=3).text == "3 came"  # missing: English
    assert zh("{n} left", n=3).text == "3 left"  # lost a placeholder: English
    assert zh.text("Day") == "日"
    assert en("{n} paid", n=3).text == "3 paid"


def test_plural(monkeypatch: pytest.MonkeyPatch) -> None:
    assert en.plural(1, "{n} step", "{n} steps").text == "1 step"
    assert en.plural(0, "{n} step of {x}", "{n} steps of {x}", x=9).text == "0 steps of 9"
    monkeypatch.setattr(wording, "translations", lambda language: {"{n} step": ("{n}步",)})
    said = Say("zh").plural(2, "{n} step", "{n} steps", key="k")
    assert said.text == "2步"
    assert said.metrics == {"k.n": 2}


def test_a_sentence_can_stand_in_another() -> None:
    first = en("**{r}** paid", key="paid", r=Share(0.5))
    both = en("{first}. {n} people.", key="all", first=first, n=3)
    assert both.text == "50% paid. 3 people."
    assert both.html == "<b>50%</b> paid. 3 people."
    assert both.metrics == {"paid.r": 0.5, "all.n": 3}


def test_a_value_can_stand_alone() -> None:
    said = en.value(Rate(0.25, 0.2, 0.3), key="kpi.rate", form="value")
    assert said == Sentence(
        "25.0%",
        "25.0%",
        {"kpi.rate": 0.25, "kpi.rate.low": 0.2, "kpi.rate.high": 0.3, "kpi.rate.level": 0.95},
    )


def test_numpy_numbers_become_plain_ones() -> None:
    said = en("{n} {r} {missing}", n=Count(np.int64(3)), r=Share(np.float64(0.5)), missing=Rate(np.nan))
    assert json.dumps(said.metrics, allow_nan=False) == '{"n": 3, "r": 0.5, "missing": null}'


def test_every_number_of_a_sentence_is_in_its_metrics() -> None:
    said = en(
        "Of {n} people {rate}; {points} more, worth {money}, in {share} of cases.", key="k", n=30_112,
        rate=Rate(0.0395, 0.0371, 0.042, digits=2, say_level=True),
        points=Points(-0.0031, -0.0046, -0.0016, digits=2),
        money=Money(497_000, "CNY", 436_000, 557_000), share=Share(0.52),
    )  # fmt: skip
    known = [abs(number) * scale for number in said.metrics.values() if number is not None for scale in (1, 100, 1e-3)]
    for number in re.findall(r"\d[\d,]*\.?\d*", said.text):
        written = float(number.replace(",", ""))
        assert any(abs(written - one) < 0.0051 for one in known), number


def test_days_and_names_have_no_numbers() -> None:
    import datetime

    assert en("{day} {name}", day=Day(datetime.date(2026, 5, 1)), name=Name("Group 7")).metrics == {}


def test_a_missing_value_is_an_error_of_the_programmer() -> None:
    with pytest.raises(KeyError):
        en("{n} of {m}", n=1)


def test_merged_loses_no_number() -> None:
    # the same number under the same key is one; another number gets a key of its own
    assert merged({"a": 1}, {"a": 1, "b": 2}, {"a": 3}, {"a": 4}) == {"a": 1, "b": 2, "a.2": 3, "a.3": 4}


def test_plain() -> None:
    assert [plain(text, "zh") for text in ("a", en("b"), Rate(0.5))] == ["a", "b", "50.0%"]


def test_templates_take_a_sentence_as_html() -> None:
    from markupsafe import escape

    assert escape(en("**{n}** <b>", n=1)) == "<b>1</b> &lt;b&gt;"
    assert en("{n}", n=1)._repr_html_() == "<p>1</p>"
