"""What people were told before: trouble is announced once, not every night, and its end is said.

The memory is one JSON file in the folder of the reports. It holds sentences of digests, no addresses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

FILE, SCHEMA = ".told.json", "funnel-told/1"
RUN = "run"
KEPT = timedelta(days=90)


@dataclass(frozen=True)
class Alert:
    """Something that needs attention.

    Parameters
    ----------
    about : what it is about: the path of a report, or `RUN`.
    text : what is said of it; lines that differ only in their numbers say the same trouble.
    failed : whether a report is missing because of it.
    counted : whether another number makes it another trouble.
    told : when it was announced; aware.
    """

    about: str
    text: str
    failed: bool = False
    counted: bool = False
    told: datetime | None = None

    @property
    def sign(self) -> tuple[str, str]:
        """What it is recognised by."""
        return self.about, self.text if self.counted else re.sub(r"\d+(?:[.,]\d+)*", "#", self.text)


@dataclass(frozen=True)
class News:
    """What is new about the trouble of a run.

    Parameters
    ----------
    fresh : what was not announced yet, or so long ago that it is time to remind.
    standing : what was announced and still stands.
    over : what was announced and is no more.
    kept : what is to be remembered once the digest was delivered.
    """

    fresh: tuple[Alert, ...] = ()
    standing: tuple[Alert, ...] = ()
    over: tuple[Alert, ...] = ()
    kept: tuple[Alert, ...] = ()


def news(
    known: Sequence[Alert], found: Sequence[Alert], looked: Mapping[str, bool], *, at: datetime, repeat: timedelta
) -> News:
    """Tell new trouble from old, and what is over.

    Parameters
    ----------
    known : what was announced before.
    found : all trouble of this run.
    looked : what this run has looked at, and whether it came out well: only of that can old trouble be over; where it
        did not come out well, only another failure takes the place of a failure.
    repeat : what stands for so long is announced again.
    """
    before = {one.sign: one for one in known}
    fresh, standing = [], []
    for one in {one.sign: one for one in found}.values():
        old = before.get(one.sign)
        if old is None or old.told is None or at - old.told >= repeat:
            fresh.append(replace(one, told=at))
        else:
            standing.append(replace(one, told=old.told))
    still = {one.sign for one in (*fresh, *standing)}
    gone = [one for one in known if one.sign not in still and one.about in looked]
    over = [one for one in gone if looked[one.about]]
    replaced = [one for one in gone if not looked[one.about] and one.failed]
    waiting = [one for one in known if one.sign not in still and one not in over and one not in replaced]
    waiting = [one for one in waiting if one.told is not None and at - one.told < max(KEPT, 2 * repeat)]
    return News(tuple(fresh), tuple(standing), tuple(over), (*fresh, *standing, *waiting))


def read(folder: Path) -> list[Alert]:
    """Return what was announced of the reports in `folder`; nothing where the memory is missing or damaged."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            return []
        return [Alert(**{**one, "told": datetime.fromisoformat(one["told"])}) for one in found["alerts"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write(folder: Path, kept: Sequence[Alert]) -> None:
    """Write the memory in one step; where it cannot be written, the next run announces again."""
    alerts = [{**asdict(one), "told": one.told.isoformat() if one.told else None} for one in kept]
    text = json.dumps({"schema": SCHEMA, "alerts": alerts}, ensure_ascii=False, indent=1)
    partial = folder / f"{FILE}.partial"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        partial.write_text(f"{text}\n", encoding="utf-8")
        partial.replace(folder / FILE)
