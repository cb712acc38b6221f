"""How each planned report stands, whether it is due, and why: what `funnel status` and a dry run show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from funnel_lib.reporting import printing
from funnel_lib.reporting.manifest import State
from funnel_lib.reporting.plan import Job
from funnel_lib.reporting.publish import Desk
from funnel_lib.reporting.upkeep.comparing import causes
from funnel_lib.reporting.upkeep.restating import Restated

# What would come out as it is already need not be made again.
SETTLED: tuple[State, ...] = ("current", "provisional", "no data")


@dataclass(frozen=True)
class Standing:
    """How one report stands.

    Parameters
    ----------
    due : its period has ended, and it is missing, stale or failed.
    why : what has changed since a stale report was made: data, definition, code.
    reason : why a failed report was not made.
    restated : published numbers that have moved since they were first published.
    """

    job: Job
    state: State
    due: bool
    why: tuple[str, ...] = ()
    reason: str | None = None
    restated: tuple[Restated, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether a run would make it."""
        return self.state not in SETTLED

    def plain(self) -> dict[str, Any]:
        """Return the standing as plain values for JSON."""
        job = self.job
        return {
            "report": job.report, "period": job.period, "segment": job.segment, "language": job.language,
            "path": job.path, "state": self.state, "due": self.due, "why": list(self.why), "reason": self.reason,
            "restated": list(self.restated),
        }  # fmt: skip


def standings(desk: Desk, jobs: Sequence[Job]) -> list[Standing]:
    """Return how each report stands, in the order of `jobs`.

    A report is due once the time at which the run began lies behind its period; one over the whole data always is.
    """
    return [_standing(desk, job) for job in jobs]


def told(workbook: str, found: Iterable[Standing]) -> dict[str, Any]:
    """Return the standings of a workbook's reports as plain values for JSON, counted by state."""
    listed = list(found)
    counts = Counter(one.state for one in listed)
    return {"workbook": workbook, "counts": dict(sorted(counts.items())), "reports": [one.plain() for one in listed]}


def unprinted(desk: Desk, job: Job) -> bool:
    """Tell whether a good report is to be printed, has not been, and can be."""
    if not desk.paper:
        return False
    good, failed = desk.records(job)
    if good is None or failed is not None or not printing.possible():
        return False
    return f"{job.stem}.{printing.KINDS[0]}" not in {output["path"] for output in good["outputs"]}


def ended(desk: Desk, job: Job, now: datetime) -> bool:
    """Tell whether a report's period has ended at `now`."""
    return job.period == "all" or desk.scope(job).period.end <= now


def _standing(desk: Desk, job: Job) -> Standing:
    state = desk.state(job)
    good, failed = desk.records(job)
    last = failed or good
    why = tuple(causes(last, desk.described(job))) if state == "stale" and last else ()
    reason = failed.get("reason") if failed and state in ("failed", "no data") else None
    due = state not in SETTLED and ended(desk, job, desk.start)
    return Standing(job, state, due, why, reason, tuple((good or {}).get("restates") or ()))
