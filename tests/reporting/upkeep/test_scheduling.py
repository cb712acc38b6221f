"""Texts for schedulers: each is read by what will read it, and says what to run when."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.upkeep.scheduling import MARK, Timetable, schedule

ROOT = Path("/srv/my reports/100%")
TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
FIELD = r"(\*|\d+)"


def timetable(**changes: Any) -> Timetable:
    told = {"name": "shop", "workbook": "params/shop & co.yml", "root": ROOT, "program": "/opt/funnel env/bin/funnel",
            "zone": "Asia/Shanghai"}  # fmt: skip
    return Timetable(**{**told, **changes})


CALLS = [
    ["/opt/funnel env/bin/funnel", "collect", "params/shop & co.yml"],
    ["/opt/funnel env/bin/funnel", "run", "params/shop & co.yml", "--due"],
]


def calls(line: str) -> list[list[str]]:
    """Return what a shell would call, of a line of calls joined by `&&`."""
    found: list[list[str]] = [[]]
    for word in shlex.split(line):
        found.append([]) if word == "&&" else found[-1].append(word)
    return found


@pytest.mark.parametrize(("day", "number"), [(None, "*"), ("Mon", "1"), ("Sat", "6"), ("Sun", "0")])
def test_cron(day: str | None, number: str) -> None:
    lines = schedule("cron", timetable(day=day)).splitlines()
    assert "CRON_TZ=Asia/Shanghai" in lines
    match = re.fullmatch(rf"{FIELD} {FIELD} {FIELD} {FIELD} {FIELD} (.*)", lines[-1])
    assert match is not None
    assert match.groups()[:5] == ("23", "7", "*", "*", number)
    # cron ends a command at a % that is not escaped.
    assert not re.search(r"(?<!\\)%", match[6])
    command = match[6].replace("\\%", "%")
    assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0
    cd, mkdir, locked = calls(command)
    assert (cd, mkdir) == (["cd", str(ROOT)], ["mkdir", "-p", "reports"])
    assert locked[:5] == ["flock", "-n", "reports/.shop.cron", "sh", "-c"]
    assert calls(locked[5]) == CALLS
    assert locked[6:] == [">>", "reports/shop.log", "2>&1"]


@pytest.mark.parametrize("day", [None, "Mon"])
def test_systemd(tmp_path: Path, day: str | None) -> None:
    root = tmp_path / "100% mine"
    program = root / "bin" / "funnel"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = schedule("systemd", timetable(root=root, program=str(program), day=day))
    parts = re.split(rf"^{MARK}(.*)\n", text, flags=re.M)[1:]
    units = dict(zip(parts[::2], parts[1::2], strict=True))
    assert list(units) == ["funnel-shop.service", "funnel-shop.timer"]
    for unit in units.values():
        assert all(re.fullmatch(r"|#.*|\[[A-Z]\w+\]|[A-Z]\w+=.+", line) for line in unit.splitlines())
    assert "SuccessExitStatus=3" in units["funnel-shop.service"]
    assert f"OnCalendar={day + ' ' if day else ''}*-*-* 07:23:00 Asia/Shanghai" in units["funnel-shop.timer"]
    starts = re.findall("^ExecStart=(.*)$", units["funnel-shop.service"], flags=re.M)
    assert [shlex.split(line.replace("%%", "%")) for line in starts] == [[str(program), *call[1:]] for call in CALLS]
    if shutil.which("systemd-analyze"):
        for name, unit in units.items():
            (tmp_path / name).write_text(unit)
        done = subprocess.run(
            ["systemd-analyze", "verify", *(str(tmp_path / name) for name in units)],
            capture_output=True, text=True, check=False,
            env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert "funnel-shop" not in done.stderr


@pytest.mark.parametrize(
    ("zone", "at", "day", "cron"),
    [
        ("UTC", "07:23", None, "23 7 * * *"), ("Asia/Shanghai", "07:23", None, "23 23 * * *"),
        # 07:23 on Monday in Shanghai is 23:23 on Sunday by UTC; 20:10 on Sunday in New York is 01:10 on Monday.
        ("Asia/Shanghai", "07:23", "Mon", "23 23 * * 0"), ("America/New_York", "20:10", "Sun", "10 1 * * 1"),
        ("Asia/Kolkata", "00:00", "Tue", "30 18 * * 1"),
    ],
)  # fmt: skip
def test_github(zone: str, at: str, day: str | None, cron: str) -> None:
    found = yaml.safe_load(schedule("github", timetable(zone=zone, at=at, day=day)))
    assert found["on"]["schedule"] == [{"cron": cron}]  # not the key True, as which YAML reads a bare on
    assert "workflow_dispatch" in found["on"]
    assert found["concurrency"]["group"] == "funnel-shop"
    lines = [step["run"] for step in found["jobs"]["reports"]["steps"] if "run" in step]
    assert [shlex.split(line)[1:] for line in lines[1:]] == [
        CALLS[0][1:], [*CALLS[1][1:], "||", "test", "$?", "-eq", "3"]
    ]  # fmt: skip


def test_airflow() -> None:
    tree = ast.parse(schedule("airflow", timetable(name="a-b", day="Sun")))
    given = {
        word.arg: word.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for word in node.keywords
        if isinstance(word.value, ast.Constant)
    }
    assert given["dag_id"] == "funnel_a-b"
    assert given["schedule"] == "23 7 * * 0"
    assert given["tz"] == "Asia/Shanghai"
    assert calls(str(given["bash_command"])) == [["cd", str(ROOT)], *CALLS]


@pytest.mark.parametrize(("day", "trigger"), [(None, "ScheduleByDay"), ("Wed", "ScheduleByWeek")])
def test_windows(day: str | None, trigger: str) -> None:
    task = ET.fromstring(schedule("windows", timetable(day=day)))
    # The order is that of Microsoft's schema, which takes no other.
    assert [part.tag for part in task] == [
        TASK + name for name in ("RegistrationInfo", "Triggers", "Principals", "Settings", "Actions")
    ]  # fmt: skip
    [calendar] = task.findall(f"{TASK}Triggers/{TASK}CalendarTrigger")
    assert calendar[0].text == "2026-01-01T07:23:00"
    assert calendar[-1].tag == TASK + trigger
    if day:
        assert calendar.find(f".//{TASK}Wednesday") is not None
    runs = [[part.text for part in call] for call in task.findall(f"{TASK}Actions/{TASK}Exec")]
    assert runs == [
        [CALLS[0][0], 'collect "params/shop & co.yml"', str(ROOT)],
        [CALLS[1][0], 'run "params/shop & co.yml" --due', str(ROOT)],
    ]


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [({"at": "24:00"}, "23:59"), ({"at": "7:23"}, "00:00"), ({"day": "Mo"}, "did you mean Mon?")],
)  # fmt: skip
def test_times_that_cannot_be(changes: dict[str, str], allowed: str) -> None:
    with pytest.raises(ConfigError) as error:
        timetable(**changes)
    assert allowed in str(error.value)


def test_an_unknown_scheduler() -> None:
    with pytest.raises(ConfigError) as error:
        schedule("crom", timetable())
    assert "did you mean cron?" in str(error.value)
