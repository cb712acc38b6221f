"""Compile all that large inputs need: `python -m funnel_lib.conversion`, once, when the package is installed.

The engine compiles its own (see there); here are those functions that look into the log of events in numbers. Each is
called once with what it will meet: mapped arrays, of the kinds that a log has.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.returning import retention
from funnel_lib.conversion.engine import __main__ as engine
from funnel_lib.conversion.journeys import journeys
from funnel_lib.conversion.keeping import logfiles
from funnel_lib.conversion.keeping.arranging import arranged
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.kpis.rows import Rows
from funnel_lib.conversion.reasons.attribution import removal
from funnel_lib.conversion.reasons.dropoffs import after_drop
from funnel_lib.conversion.reasons.paths import paths
from funnel_lib.conversion.reasons.touches import touches
from funnel_lib.conversion.reasons.touchpoints import routes, touchpoints
from funnel_lib.definition import Funnel, Step
from funnel_lib.schema import CHANNEL, EVENT, TS, USER_ID

BEGIN, DAY = datetime(2026, 5, 1, tzinfo=UTC), timedelta(days=1)
FUNNEL = Funnel([Step("a", event="a"), Step("b", event="b")], window=7 * DAY)
RULES = Rules(min_units=1, min_events=0)


def main() -> None:
    """Compile the engine, and what asks the log."""
    engine.main()
    with tempfile.TemporaryDirectory() as folder:
        _write(events := Path(folder) / "events.parquet")
        for _ in range(2):  # what rows tell is mapped from the second time on
            kept = logfiles.kept(events.with_name("log"), lambda: arranged(events, USER_ID))
            ask(EventLog(events, USER_ID, *kept, events.with_name("log")))


def _write(events: Path) -> None:
    """Write a small file of events."""
    rows = [("u", "a", 0, "x"), ("u", "c", 1, None), ("u", "b", 2, "y"), ("v", "a", 0, "x"), ("v", "c", 9, None)]
    frame = pd.DataFrame(rows, columns=[USER_ID, EVENT, TS, CHANNEL])
    moments = (pd.Timestamp(BEGIN) + pd.to_timedelta(frame[TS], unit="D")).astype("datetime64[us, UTC]")
    frame.assign(**{TS: moments}).to_parquet(events)


def ask(log: EventLog) -> None:
    """Ask a log all that reports ask of it, so that everything on the way is compiled."""
    as_of = BEGIN + 30 * DAY
    found = journeys(log.events, FUNNEL, as_of=as_of)
    log.persons(found.frame["unit"])
    log.find(["a", "b"], since=BEGIN)
    Rows.of(log, log.find(["a"], since=BEGIN, before=as_of)).waits(log.find(["b"]).places, later=False)
    after_drop(log, found, 1, rules=RULES)
    touchpoints(log, found, 1, rules=RULES, after=timedelta(hours=1))
    routes(log, found, 1)
    retention(log, every="week", as_of=as_of, rules=RULES, zone=UTC)
    met = touches(log, since=BEGIN)
    sold = pd.DataFrame({USER_ID: np.array([0]), TS: [BEGIN + 2 * DAY]}).astype({TS: "datetime64[us, UTC]"})
    if met is not None:
        removal(paths(met, sold, as_of=as_of))


if __name__ == "__main__":
    main()
