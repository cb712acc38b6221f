"""Why a report was not made, in each language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from funnel_lib.errors import DataError
from funnel_lib.reporting import failures
from funnel_lib.reporting.catalogue import translations
from funnel_lib.reporting.failures import failure
from funnel_lib.reporting.faults import KNOWN, OF_ANALYSES, OF_DATA, OF_PLANS


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


ROOT = Path(failures.__file__).parents[1]
OURS = ("ConfigError", "DataError", "FunnelError", "NothingToDo")
# What a report runs through; the store is the only place that it reads events from.
CALLED = (
    "collection/scope.py", "collection/store.py", "collection/channels.py", "collection/quality.py", "conditions.py",
    "config.py", "conversion", "optimisation", "periods.py", "reporting/blocks.py", "reporting/execute.py",
    "reporting/parts.py", "reporting/plan.py", "reporting/plots", "reporting/printing.py", "reporting/runs.py",
    "reporting/sections", "reporting/tables.py", "reporting/upkeep/locking.py", "schema.py", "segmentation",
)  # fmt: skip
ELSEWHERE = ("conversion/engine/spark", "conversion/engine/database.py", "conversion/keeping/eventfiles.py")


def raised(places: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield where an error of ours is made and its message, values replaced by x."""
    for file in sorted(ROOT.rglob("*.py")):
        place = file.relative_to(ROOT).as_posix()
        if place.startswith(tuple(places)) and not place.startswith(ELSEWHERE):
            for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in OURS:
                    yield from ((place, text) for text in texts(call.args[0]))
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "refusal":
                    heads = [one.value for one in call.keywords if one.arg == "what"]
                    yield from ((place, f"{text}: x.") for head in heads for text in texts(head))


def texts(message: ast.expr) -> Iterator[str]:
    if isinstance(message, ast.IfExp):
        yield from (*texts(message.body), *texts(message.orelse))
    elif isinstance(message, ast.Constant):
        yield str(message.value)
    elif isinstance(message, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else "'x'" if part.conversion == ord("r") else "x"
            for part in message.values
            if isinstance(part, ast.Constant | ast.FormattedValue)
        )


# Written by a helper, with one of its own words in it: `collection.scope` says them.
SCOPE = [f"There is no such {name}." for name in ("segment", "language", "as_of", "period")]


def test_every_error_of_ours_that_can_stop_a_report_has_chinese_words() -> None:
    found = [one for one in raised(CALLED) if one[1] != "There is no such x."]
    assert len(found) > 100
    assert [one for one in found if failure(one[1], "zh").original != one[1] or not says(one[1])] == []
    assert [text for text in SCOPE if not says(text)] == []


def says(text: str) -> bool:
    return not any(frame in str(failure(text, "zh").what) for frame in ("笔记本运行出错", "程序错误"))


def test_no_message_is_listed_that_nobody_writes() -> None:
    said = [text for _, text in raised([""])] + SCOPE
    unsaid = [msgid for msgid, _ in (*OF_PLANS, *OF_DATA, *OF_ANALYSES) if not any(matches(msgid, one) for one in said)]
    assert unsaid == []


def matches(msgid: str, text: str) -> bool:
    return re.fullmatch(re.sub(r"\\\{\w+\\\}", ".*", re.escape(msgid)), text) is not None


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
        ("A cell of the notebook ran longer than 600 seconds.", "600秒"),
        ("OSError: [Errno 28] No space left on device: 'a.html'", "磁盘空间已满"),
        ("OSError: [Errno 5] Input/output error", "无法读写文件"),
        ("KeyError: 'x'", "程序错误（KeyError）"),
        ("duckdb.duckdb.BinderException: Binder Error: x", "程序错误（duckdb.duckdb.BinderException）"),
        ("ModuleNotFoundError: No module named 'xgboost'", "缺少 Python 库“xgboost”"),
        ("Something of which nobody knows.", "笔记本运行出错"),
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
