"""Ready texts for schedulers: each collects the exports and makes the reports that are due, every day or week."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import yaml

from funnel_lib.errors import ConfigError, choices

Scheduler = Literal["cron", "systemd", "github", "airflow", "windows"]
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONG = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MARK = "# ---- "  # before the name of each file, where a text is several


@dataclass(frozen=True)
class Timetable:
    """What is to run when.

    Parameters
    ----------
    name : the workbook's name; jobs are called after it.
    workbook : its file as seen from `root`, the project's folder.
    program : the command `funnel` on this machine.
    at, zone : the time of day, such as ``07:23``, in this zone.
    day : only on this day of the week, such as ``Mon``; every day when None.
    """

    name: str
    workbook: str
    root: Path
    program: str
    at: str = "07:23"
    zone: str = "UTC"
    day: str | None = None

    def __post_init__(self) -> None:
        if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", self.at) is None:
            raise ConfigError("This is no time of day.", where="--at", found=self.at, allowed="00:00 to 23:59")
        if self.day is not None and self.day not in DAYS:
            raise ConfigError("There is no such day.", where="--day", found=self.day, allowed=choices(DAYS, self.day))

    @property
    def hour(self) -> int:
        """The hour."""
        return int(self.at[:2])

    @property
    def minute(self) -> int:
        """The minute."""
        return int(self.at[3:])

    @property
    def arguments(self) -> tuple[list[str], list[str]]:
        """The arguments of `funnel`: of its first call, and of its second where the first has not failed."""
        return ["collect", self.workbook], ["run", self.workbook, "--due"]

    def command(self, program: str) -> str:
        """Return both calls as one line for a shell."""
        return " && ".join(shlex.join([program, *arguments]) for arguments in self.arguments)

    @property
    def utc(self) -> tuple[int, int, int | None]:
        """Minute, hour and day (0 is Monday) by UTC, with the zone's time of winter."""
        day = DAYS.index(self.day) if self.day else 0
        local = datetime(2026, 1, 5, self.hour, self.minute, tzinfo=ZoneInfo(self.zone)) + timedelta(days=day)
        there = local.astimezone(ZoneInfo("UTC"))
        return there.minute, there.hour, there.weekday() if self.day else None


def schedule(kind: str, timetable: Timetable) -> str:
    """Return the text for a scheduler.

    A run that finds nothing to do ends with 3, which no scheduler may take for a failure. Runs do not overlap: where
    the scheduler can, it starts none beside another, and a run waits for another in the same folder.

    Raises
    ------
    ConfigError : there is no such scheduler.
    """
    if kind not in _TEXTS:
        raise ConfigError(
            "There is no text for this scheduler.", where="schedule print", found=kind, allowed=choices(_TEXTS, kind)
        )
    return _TEXTS[kind](timetable)


def _cron(t: Timetable) -> str:
    log = f"reports/{t.name}.log"
    command = (
        f"cd {shlex.quote(str(t.root))} && mkdir -p reports && flock -n reports/.{t.name}.cron "
        f"sh -c {shlex.quote(t.command(t.program))} >> {log} 2>&1"
    )
    day = "*" if t.day is None else str((DAYS.index(t.day) + 1) % 7)
    return (
        f"# Add with: crontab -e. Reports of the workbook {t.name}, at {t.at} {t.zone}.\n"
        "# Not every cron knows CRON_TZ; where it does not, times are those of the machine.\n"
        f"CRON_TZ={t.zone}\nPATH=/usr/local/bin:/usr/bin:/bin\n"
        f"{t.minute} {t.hour} * * {day} {command.replace('%', chr(92) + '%')}\n"
    )


def _systemd(t: Timetable) -> str:
    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace("%", "%%")

    def line(arguments: list[str]) -> str:
        return "ExecStart=" + " ".join(f'"{quoted(word)}"' for word in (t.program, *arguments))

    when = " ".join(filter(None, [t.day, "*-*-*", f"{t.at}:00", t.zone]))
    unit = f"funnel-{t.name}"
    service = (
        f"[Unit]\nDescription=Funnel reports of {t.name}\n\n"
        f"[Service]\nType=oneshot\nWorkingDirectory={quoted(str(t.root))}\n" + "\n".join(map(line, t.arguments)) + "\n"
        "# 3: nothing to do\nSuccessExitStatus=3\nTimeoutStartSec=4h\nNice=10\n"
    )
    timer = (
        f"[Unit]\nDescription=When funnel reports of {t.name} are made\n\n"
        f"[Timer]\nOnCalendar={when}\n# a run that was missed is made up for\nPersistent=true\nRandomizedDelaySec=120\n"
        f"Unit={unit}.service\n\n[Install]\nWantedBy=timers.target\n"
    )
    return (
        f"# Write both into ~/.config/systemd/user/, then: systemctl --user enable --now {unit}.timer\n"
        f"{MARK}{unit}.service\n{service}\n{MARK}{unit}.timer\n{timer}"
    )


def _github(t: Timetable) -> str:
    minute, hour, day = t.utc
    name = f"funnel-{t.name}"
    collect, run = (shlex.join([".venv/bin/funnel", *arguments]) for arguments in t.arguments)
    steps: list[dict[str, object]] = [
        {"uses": "actions/checkout@v4"},
        {"uses": "actions/setup-python@v5", "with": {"python-version": "3.12"}},
        {"run": "make setup"},
        {"run": collect},
        {"name": "Reports (3 means that there was nothing to do)", "run": f"{run} || test $? -eq 3"},
        {
            "uses": "actions/upload-artifact@v4", "if": "always()",
            "with": {"name": name, "path": f"reports/{t.name}", "if-no-files-found": "ignore"},
        },
    ]  # fmt: skip
    cron = f"{minute} {hour} * * {'*' if day is None else (day + 1) % 7}"
    workflow = {
        "name": f"Funnel reports of {t.name}",
        "on": {"schedule": [{"cron": cron}], "workflow_dispatch": {}},
        "concurrency": {"group": name, "cancel-in-progress": False},
        "permissions": {"contents": "read"},
        "jobs": {"reports": {"runs-on": "ubuntu-latest", "timeout-minutes": 240, "steps": steps}},
    }
    head = (
        f"# .github/workflows/{name}.yml: in a file of its own, because schedules end after 60 days without activity.\n"
        f"# Times are UTC: {t.at} {t.zone} in winter. The exports must be in the checkout, or be fetched by a step.\n"
    )
    return head + yaml.safe_dump(workflow, sort_keys=False, allow_unicode=True, width=120)


def _airflow(t: Timetable) -> str:
    day = "*" if t.day is None else str((DAYS.index(t.day) + 1) % 7)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", t.name)
    command = f"cd {shlex.quote(str(t.root))} && {t.command(t.program)}"
    return f'''"""Funnel reports of {t.name}; put this file into Airflow's folder of DAGs."""

from datetime import timedelta

import pendulum
from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

with DAG(
    dag_id={f"funnel_{name}"!r},
    schedule={f"{t.minute} {t.hour} * * {day}"!r},
    start_date=pendulum.datetime(2026, 1, 1, tz={t.zone!r}),
    catchup=False,  # the command itself finds what is due
    max_active_runs=1,
    tags=["funnel"],
):
    BashOperator(
        task_id="reports",
        bash_command={command!r},
        skip_on_exit_code=[3],  # nothing to do
        execution_timeout=timedelta(hours=4),
    )
'''


def _windows(t: Timetable) -> str:
    every = "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>"
    if t.day is not None:
        on = f"<DaysOfWeek><{_LONG[DAYS.index(t.day)]} /></DaysOfWeek>"
        every = f"<ScheduleByWeek><WeeksInterval>1</WeeksInterval>{on}</ScheduleByWeek>"
    calls = "".join(_windows_call(t, arguments) for arguments in t.arguments)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- schtasks /Create /TN "funnel {escape(t.name)}" /XML THIS_FILE. Times are those of the machine, not {t.zone}. -->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Funnel reports of {escape(t.name)}; a result of 3 means that there was nothing to do</Description>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>2026-01-01T{t.at}:00</StartBoundary>
      <Enabled>true</Enabled>
      {every}
    </CalendarTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author"><LogonType>InteractiveToken</LogonType><RunLevel>LeastPrivilege</RunLevel></Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT4H</ExecutionTimeLimit>
  </Settings>
  <Actions Context="Author">
{calls}  </Actions>
</Task>
"""


def _windows_call(t: Timetable, arguments: list[str]) -> str:
    words = " ".join(f'"{word}"' if re.search(r"\s", word) else word for word in arguments)
    return f"""    <Exec>
      <Command>{escape(t.program)}</Command>
      <Arguments>{escape(words)}</Arguments>
      <WorkingDirectory>{escape(str(t.root))}</WorkingDirectory>
    </Exec>
"""


_TEXTS: Mapping[str, Callable[[Timetable], str]] = {
    "cron": _cron, "systemd": _systemd, "github": _github, "airflow": _airflow, "windows": _windows,
}  # fmt: skip
