"""What moved between two reports, and what can have moved it."""

from __future__ import annotations

from pathlib import Path

import pytest

from funnel_lib.reporting.upkeep.comparing import Move, causes, metrics_of, moves

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "moved"),
    [
        (100, 100, 0.0, False), (100, 101, 0.01, False), (100, 102, 0.01, True), (0.1, 0.1 + 1e-12, 1e-9, False),
        (0.1, 0.1 + 1e-8, 1e-9, True), (0, 0.0, 1e-9, False), (0, 1e-12, 1e-9, True), (-1, 1, 0.5, True),
        (NAN, None, 1e-9, False), (NAN, 1, 1e-9, True), (None, 0, 1.0, True), (INFINITE, INFINITE, 1e-9, False),
        (5, None, 1e-9, True),
    ],
)  # fmt: skip
def test_when_a_number_has_moved(old: float | None, new: float | None, tolerance: float, moved: bool) -> None:
    assert bool(moves({"a": old}, {"a": new}, tolerance)) is moved
    assert bool(moves({"a": new}, {"a": old}, tolerance)) is moved


def test_numbers_that_come_and_go_have_moved() -> None:
    found = moves({"a": 1, "b": 2, "c": NAN}, {"b": 2.0, "d": 4, "a": 3})
    assert found == [Move("a", 1, 3), Move("d", None, 4)]
    assert found[0].plain() == {"number": "a", "old": 1, "new": 3}


BASE = {
    "report": "conversion", "config_sha256": "c", "slice": {"tables": {"events": "e", "users": "u"}},
    "params": {"segment": "all", "as_of": None, "language": "en"},
    "code": {"package_sha256": "p", "notebook_sha256": "n"},
    "env": {"packages": {"pandas": "3", "numpy": "2"}, "lock_sha256": "l", "platform": "Linux"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, {}),
        ({"slice": {"tables": {"events": "E", "users": "u"}}}, {"data": ["slice.tables.events"]}),
        ({"slice": {"tables": {"events": "e"}}}, {"data": ["slice.tables.users"]}),
        ({"config_sha256": "C"}, {"definition": ["config_sha256"]}),
        ({"params": {"segment": "a=b", "as_of": None}}, {"definition": ["params.segment"]}),
        ({"params": {"segment": "all", "as_of": None, "language": "zh"}}, {}),
        ({"env": BASE["env"] | {"packages": {"pandas": "4", "numpy": "2"}}}, {"code": ["env.packages.pandas"]}),
        ({"env": BASE["env"] | {"platform": "Windows"}}, {}),
        (
            {"code": {}, "slice": {}},
            {"data": ["slice.tables"], "code": ["code.package_sha256", "code.notebook_sha256"]},
        ),
    ],
)  # fmt: skip
def test_what_a_change_is_because_of(change: dict[str, object], found: dict[str, list[str]]) -> None:
    assert causes(BASE, BASE | change) == found
    assert causes(BASE | change, BASE) == found


def test_numbers_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": NaN, "b": 1}')
    found = metrics_of(tmp_path / "a.json")
    assert found is not None
    assert moves(found, {"b": 1}) == []
    for text in ("[1]", "{"):
        (tmp_path / "a.json").write_text(text)
        assert metrics_of(tmp_path / "a.json") is None
    assert metrics_of(tmp_path / "b.json") is None
