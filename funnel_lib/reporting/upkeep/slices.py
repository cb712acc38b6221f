"""Which part of the collected data a report depends on, and one short text that changes when that part does.

A report over a period takes in late rows until its period is *settled*: the periods that the funnel's window
reaches have passed, and one more (or as many as the workbook's `periods.settle` says). From then on it looks at the
data as of that moment, so that newer rows cannot change it, while a row that comes late for the time before does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.periods import Period, containing

# The column that tells when a row of a table came to be; tables that are not named here are taken whole.
TIMES: Mapping[str, str] = {
    "events": "ts", "users": "first_seen", "identities": "first_seen", "deals": "created",
    "stage_history": "entered_at", "spend": "date", "surveys": "ts", "exposures": "ts",
}  # fmt: skip
ASIDE = ("quarantine",)  # rows that no report counts
MEMORY = ".slices.json"


def settled_at(workbook: Workbook, period: Period) -> datetime | None:
    """Return the moment from which newer rows no longer change a report over `period`.

    None where there is no such moment: the funnel has no window, or the period is the whole data.
    """
    window = workbook.funnel.window
    if period.kind == "all" or window is None:
        return None
    later, last = workbook.periods.settle, period
    if later is None:  # those that the window of the last person reaches, and one more
        closes = period.end + window
        while last.end < closes:
            last = _after(last)
        return _after(last).end
    for _ in range(later):
        last = _after(last)
    return max(last.end, period.end + window)


def _after(period: Period) -> Period:
    """Return the period of the same kind, or of as many days, just after."""
    day = period.last_day + timedelta(days=1)
    if period.kind in ("month", "week", "quarter"):
        return containing(day, period.kind, period.start.tzinfo)  # type: ignore[arg-type]
    return Period("", period.kind, period.end, period.end + timedelta(days=period.days))


@dataclass(frozen=True)
class Slices:
    """Says which rows of the collected tables lie before a moment, each part as one short text.

    Parameters
    ----------
    store : the collected tables.
    hashes : the hash of each table's file.
    folder : where what was found is remembered; it need not be writable.
    """

    store: Store
    hashes: Mapping[str, str]
    folder: Path

    def before(self, cut: datetime | None) -> dict[str, str]:
        """Return per table what tells its rows before `cut` from any others; the files' hashes when None.

        The order of rows and the way they are written do not matter. A row without a time counts as before.
        """
        if cut is None:
            return dict(self.hashes)
        return self.all_before([cut])[cut]

    def all_before(self, cuts: Iterable[datetime]) -> dict[datetime, dict[str, str]]:
        """Return `before` for several moments; the data is read only where it, or a moment, is new."""
        wanted, known = sorted(set(cuts)), self._known()
        found: dict[datetime, dict[str, str]] = {cut: {} for cut in wanted}
        told: dict[str, str] = {}
        for name, digest in self.hashes.items():
            if name in ASIDE:
                continue
            keys = {cut: f"{name} {digest} {cut.isoformat()}" for cut in wanted}
            missing = [cut for cut in wanted if keys[cut] not in known]
            if missing and name in TIMES:
                known |= {keys[cut]: text for cut, text in self._read(name, missing).items()}
            for cut in wanted:
                found[cut][name] = known[keys[cut]] if name in TIMES else digest
                told |= {keys[cut]: found[cut][name]} if name in TIMES else {}
        self._remember(told)
        return found

    def _read(self, name: str, cuts: list[datetime]) -> dict[datetime, str]:
        """Count and hash the rows between the cuts in one pass, and add up what lies before each."""
        path, column = self.store.folder / f"{name}.parquet", TIMES[name]
        with duckdb.connect() as connection:
            rows = connection.read_parquet(str(path))
            if column not in rows.columns:
                return dict.fromkeys(cuts, str(self.hashes[name]))
            by_day = name == "spend"  # its days are those of the business, without a zone
            ends = [(cut.replace(tzinfo=None) if by_day else cut).isoformat(sep=" ") for cut in cuts]
            kind = "TIMESTAMP" if by_day else "TIMESTAMPTZ"
            parts = " ".join(
                f"WHEN epoch_us({column}::{kind}) < epoch_us('{end}'::{kind}) THEN {place}"
                for place, end in enumerate(ends)
            )
            query = (
                f"SELECT CASE WHEN {column} IS NULL THEN 0 {parts} END AS part, "  # noqa: S608 - names of our own
                "count(*), bit_xor(hash(r)), sum(hash(r)::HUGEINT)::VARCHAR FROM rows AS r GROUP BY ALL"
            )
            counted = {row[0]: row[1:] for row in connection.sql(query).fetchall()}
        total, mixed, summed, texts = 0, 0, 0, {}
        for place, cut in enumerate(cuts):
            count, mix, amount = counted.get(place, (0, 0, "0"))
            total, mixed, summed = total + count, mixed ^ mix, summed + int(amount)
            texts[cut] = f"{total}-{mixed:016x}-{summed % 2**64:016x}"
        return texts

    def _known(self) -> dict[str, str]:
        try:
            known = json.loads((self.folder / MEMORY).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _remember(self, told: dict[str, str]) -> None:
        """Keep what is true of the tables as they are now; where nothing can be written, it is found again."""
        current = tuple(f"{name} {digest} " for name, digest in self.hashes.items())
        known = self._known()
        kept = {key: text for key, text in known.items() if key.startswith(current)} | told
        if kept == known or not self.folder.is_dir():
            return
        part = self.folder / f"{MEMORY}.partial"
        try:
            part.write_text(json.dumps(kept, indent=0, sort_keys=True), encoding="utf-8")
            part.replace(self.folder / MEMORY)
        except OSError:
            return


def table_hashes(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of every collected table's file, from what the store says about its data."""
    return {name: str(table["sha256"]) for name, table in sorted(facts.get("tables", {}).items())}
