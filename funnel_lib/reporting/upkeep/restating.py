"""Published numbers that a later run has changed: which, from what to what, and why; for manifest and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.notation import Language
from funnel_lib.reporting import blocks, manifest
from funnel_lib.reporting.blocks import Block, Column, Table
from funnel_lib.reporting.manifest import Manifest
from funnel_lib.reporting.upkeep.comparing import Cause, causes, metrics_of, moves
from funnel_lib.reporting.values import Number
from funnel_lib.reporting.wording import Say

Restated = dict[str, Any]
MOST = 500  # as many are remembered
SHOWN = 20
OWN = "restated"  # the key of this module's own numbers


@dataclass(frozen=True)
class Published:
    """The report that stands at a place before another takes it: its manifest, its numbers."""

    manifest: Manifest
    metrics: Mapping[str, Number]

    @classmethod
    def at(cls, folder: Path, stem: str) -> Published | None:
        """Return what is published in `folder` as `stem`; None where there is nothing whole."""
        found, numbers = manifest.read(folder / f"{stem}.manifest.json"), metrics_of(folder / f"{stem}.metrics.json")
        return None if found is None or numbers is None else cls(found, numbers)


def restated(
    before: Published | None, now: Mapping[str, Any], metrics: Mapping[str, Number], *, tolerance: float
) -> list[Restated]:
    """Return which published numbers have moved, oldest first: `number, old, new, why, data_through`.

    Numbers of a provisional report are expected to move and are not listed. What was listed before stays listed.
    `tolerance` is a share of the number; `now` is what the new report is made from.
    """
    if before is None:
        return []
    listed: list[Restated] = list(before.manifest.get("restates") or [])
    if before.manifest.get("cache_key") == now.get("cache_key") or before.manifest.get("provisional"):
        return listed
    why: list[Cause] = list(causes(before.manifest, now))
    through = now.get("data_through")
    published = {name: number for name, number in before.metrics.items() if not name.startswith(f"{OWN}.")}
    moved = moves(published, metrics, tolerance)
    return [*listed, *({**move.plain(), "why": why, "data_through": through} for move in moved)][-MOST:]


def section(found: Sequence[Restated], language: Language) -> Block:
    """Return the part of a page that lists what has moved since it was first published, the newest first."""
    say = Say(language)
    reasons = {
        "data": say("the data"), "definition": say("the definition"), "code": say("the code or its libraries"),
    }  # fmt: skip
    newest = list(reversed(found))
    rows = pd.DataFrame(
        {
            "number": [str(item["number"]) for item in newest],
            "old": [_shown(item["old"]) for item in newest],
            "new": [_shown(item["new"]) for item in newest],
            "why": [", ".join(reasons[cause].text for cause in item["why"]) or "–" for item in newest],
            "through": [str(item["data_through"] or "–")[:10] for item in newest],
        }
    )
    columns = [
        Column("number", say("Number")), Column("old", say("Before")), Column("new", say("Now")),
        Column("why", say("Because of")), Column("through", say("Data through")),
    ]  # fmt: skip
    table = Table(rows.head(SHOWN), columns, caption=say("Numbers that were published and have moved"), name="restated")
    finding = say.plural(
        len(found), "{n} published number has moved since", "{n} published numbers have moved since", key=OWN
    )
    sub = say("The newest ones; the manifest lists all")
    return blocks.section("restated", kicker=say("Restated numbers"), finding=finding, sub=sub, parts=[table])


def _shown(number: Number) -> str:
    return "–" if number is None else f"{number:.6g}"
