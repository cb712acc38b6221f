from __future__ import annotations

from pathlib import Path

import pytest

from funnel_lib.reporting import catalogue
from funnel_lib.reporting.catalogue import Message, faults, messages, placeholders

CODE = """
from funnel_lib.reporting.wording import Say
def f(say: Say, self, few):
    say("One {n}", n=1)
    say.text("Two " "halves")
    self.say("Three" if few else "Four")
    say.plural(2, "{n} step", "{n} steps")
    print("not said")
"""
PO = """msgid ""
msgstr "Content-Type: text/plain; charset=utf-8\\nPlural-Forms: nplurals=1; plural=0;\\n"

msgid "One {n}"
msgstr "一{n}"

msgid "{n} step"
msgid_plural "{n} steps"
msgstr[0] "{n}步"
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "b.py").write_text('say = print\nsay(f"not {1} of ours")', encoding="utf-8")
    (tmp_path / "c.j2").write_text('<p>{{ _("Label") }} {{ _("Grade {letter}", letter=1) }}</p>', encoding="utf-8")
    return tmp_path


def test_all_sentences_of_code_and_templates_are_found(code: Path) -> None:
    assert [message.forms for message in messages(code)] == [
        ("One {n}",), ("Two halves",), ("Three",), ("Four",),
        ("{n} step", "{n} steps"), ("Label",), ("Grade {letter}",),
    ]  # fmt: skip
    assert messages(code)[0].where == "a.py:4"


def test_a_sentence_put_together_cannot_be_translated(code: Path) -> None:
    (code / "a.py").write_text('from x import Say\nsay("a" + b)', encoding="utf-8")
    with pytest.raises(ValueError, match=r"a.py:2: a sentence must be a literal, found 'a' \+ b"):
        messages(code)


@pytest.mark.parametrize(
    ("po", "fault"),
    [
        (PO, None),
        (PO.replace("一{n}", ""), "no Chinese: One {n} (x:1)"),
        (PO.replace("一{n}", "一{m}"), "other placeholders: One {n} -> 一{m}"),
        (PO.replace("一{n}", "**一**{n}"), "other bold marks: One {n} -> **一**{n}"),
        (PO.replace("一{n}", "一{n} 7"), "a number typed into a sentence: 一{n} 7 (x:1)"),
        (PO.replace('msgid "One', '#, fuzzy\nmsgid "One'), "fuzzy: One {n}"),
        (PO + '\nmsgid "Gone"\nmsgstr "没了"\n', "no longer said: Gone"),
        (PO.replace('msgid_plural "{n} steps"\nmsgstr[0]', "msgstr"),
         "plural in one of code and catalogue only: {n} step (x:2)"),
    ],
)  # fmt: skip
def test_faults(po: str, fault: str | None, tmp_path: Path) -> None:
    file = tmp_path / "zh.po"
    file.write_text(po, encoding="utf-8")
    said = [Message("One {n}", None, "x:1"), Message("{n} step", "{n} steps", "x:2")]
    assert faults(said, file) == ([fault] if fault else [])


def test_main_appends_empty_entries_and_takes_out_what_is_no_longer_said(
    code: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = code / "zh.po"
    file.write_text("# A remark.\n" + PO + '\nmsgid "Gone"\nmsgstr "没了"\n', encoding="utf-8")
    monkeypatch.setattr(catalogue, "CHINESE", file)
    monkeypatch.setattr(catalogue, "faults", lambda said: faults(said, file))
    said = messages(code)
    monkeypatch.setattr(catalogue, "messages", lambda: said)
    assert catalogue.main() == 1
    assert "taken out: Gone\n" in (out := capsys.readouterr().out)
    assert "5 empty entries added" in out
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# A remark.\n" + PO.split("\n\n", 1)[0])
    assert 'msgid "Two halves"\nmsgstr ""' in text
    assert 'msgid "One {n}"\nmsgstr "一{n}"' in text
    assert 'msgid_plural "{n} steps"\nmsgstr[0] "{n}步"' in text
    assert "Gone" not in text
    assert catalogue.main() == 1
    assert "no Chinese: Two halves (a.py:5)" in (out := capsys.readouterr().out)
    assert "0 empty entries added" in out
    assert file.read_text(encoding="utf-8") == text


def test_placeholders() -> None:
    assert placeholders("Of {n}, {rate:value} {rate:ci} {{x}}") == {"n", "rate"}


def test_english_has_no_catalogue() -> None:
    assert catalogue.translations("en") == {}
    assert catalogue.translations("zh")["Data table"] == ("数据表",)
