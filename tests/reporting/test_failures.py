"""Why a report was not made, in each language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from funnel_lib.errors import DataError
from funnel_lib.reporting import failures
from funnel_lib.reporting.catalogue import translations
from funnel_lib.reporting.failures import KNOWN, failure


def test_every_known_message_has_its_chinese() -> None:
    said = translations("zh")
    assert [msgid for pair in KNOWN for msgid in pair if msgid not in said] == []


def test_what_runs_say_themselves_is_known() -> None:
    """Every sentence that the modules of the runs give as a reason, with its values replaced, has its Chinese."""
    runs = Path(failures.__file__).parent
    text = "".join(
        file.read_text() for file in (runs / "execute.py", runs / "runs.py", runs / "upkeep" / "spreading.py")
    )
    said = set(re.findall(r'(?:text|reason) = f?"(The [^"]*)"|Outcome\("failed", [^"]*, f?"(The [^"]*)"', text))
    reasons = [re.sub(r"\{[^}]*\}", "9", one or other) for one, other in said]
    assert len(reasons) >= 6
    assert [reason for reason in reasons if "出错" in str(failure(reason, "zh").what)] == []


def test_an_error_keeps_its_parts_and_gets_words() -> None:
    error = DataError("Nobody entered the funnel in this period.", where="a.yml", found="2026-05", do="Wait.")
    english, chinese = failure(str(error), "en"), failure(str(error), "zh")
    assert (str(english.what), str(english.do), english.original) == (error.what, "Wait.", "")
    assert (str(chinese.what), chinese.original) == ("本期没有用户进入漏斗。", error.what)
    assert "期次" in str(chinese.do)
    assert [text for _, text in chinese.details] == [text for _, text in english.details] == ["a.yml", "2026-05"]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("The step 'pay' matches no event of the whole data.", "环节“pay”"),
        ("A cell of the notebook ran longer than 600 seconds.", "600 秒"),
        ("OSError: [Errno 28] No space left on device: 'a.html'", "磁盘空间已满"),
        ("OSError: [Errno 5] Input/output error", "无法读写文件"),
        ("KeyError: 'x'", "笔记本运行出错"),
        ("", "笔记本运行出错"),
    ],
)
def test_what_stops_reports_is_said_in_chinese(reason: str, said: str) -> None:
    found = failure(reason, "zh")
    assert said in str(found.what)
    assert found.original == reason
    assert str(found.do)


def test_what_is_not_known_is_shown_as_it_is() -> None:
    found = failure("KeyError: 'x'\nof several lines\n  allowed: a,\n  b\n  do:      Ask.", "en")
    assert (str(found.what), str(found.do), found.original) == ("KeyError: 'x' of several lines", "Ask.", "")
    assert [(str(label), text) for label, text in found.details] == [("What is allowed", "a, b")]
