"""A small made-up world: people on a road of four steps, collected as a store, opened as a scope."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from funnel_lib.collection.scope import Scope
from funnel_lib.collection.store import Store
from funnel_lib.config import load
from funnel_lib.schema import check

STEPS = {"visit": "page_view", "register": "sign_up", "trial": "lesson", "payment": "purchase"}
DAYS_AFTER = {"visit": 0, "register": 0, "trial": 1, "payment": 2}
BOOK: dict[str, Any] = {
    "name": "small",
    "title": "Small",
    "timezone": "Asia/Shanghai",
    "currency": "CNY",
    "sources": {"web": {"system": "ga4", "files": "*.jsonl"}},
    "funnel": {"window": "7d", "steps": [{"name": name, "event": event} for name, event in STEPS.items()]},
    "segments": {
        "audience": {"groups": {"student": {"where": {"job": "student"}}, "working": {"where": {"job": "employed"}}}},
        "channel": {"by": "channel"},
    },
    "periods": {"from": date(2026, 1, 1), "to": date(2026, 4, 30)},
    "rules": {"min_units": 10, "min_events": 2},
    "reports": {"case_study": {"over": "all"}},
    "value": {"event": "purchase", "margin": 0.5},
    "case_study": {
        "title": "Students",
        "split": "audience",
        "group": "student",
        "steps": ["register", "payment"],
        "within": "7d",
        "survey": "Why not?",
    },
}


class World:
    """People who did things; `scope()` collects them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.book: dict[str, Any] = deepcopy(BOOK)
        self.events: list[dict[str, Any]] = []
        self.users: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []

    def did(self, user: str, event: str, at: str, **more: object) -> None:
        """Add one event; `at` is a wall-clock time in Shanghai."""
        self.events.append({"user_id": user, "event": event, "ts": f"{at}+08:00", "channel": None, **more})

    def people(
        self,
        name: str,
        reached: Mapping[str, int],
        *,
        day: str,
        job: str | None = None,
        amount: float = 100,
        channel: str = "ads",
    ) -> list[str]:
        """Add people who enter at noon of `day`; of them `reached[step]` get to that step, days later.

        >>> world.people("a", {"register": 20, "payment": 5}, day="2026-01-05")  # doctest: +SKIP
        """
        names = [f"{name}{i}" for i in range(max(reached.values()))]
        for place, user in enumerate(names):
            self.users.append({"user_id": user, "job": job})
            furthest = max(list(STEPS).index(step) for step, n in reached.items() if place < n)
            for step in list(STEPS)[: furthest + 1]:
                at = pd.Timestamp(day) + pd.Timedelta(days=DAYS_AFTER[step], hours=12, minutes=list(STEPS).index(step))
                paid = {"amount": amount, "currency": "CNY"} if step == "payment" else {}
                self.did(user, STEPS[step], at.isoformat(), channel=channel, **paid)
        return names

    def expose(self, users: list[str], variant: str, *, day: str, experiment: str = "lesson") -> None:
        """Let users see a variant at noon of `day`."""
        rows = [{"unit_id": u, "experiment": experiment, "variant": variant, "ts": f"{day}T12:00+08:00"} for u in users]
        self.seen += rows

    def answer(
        self, users: list[str], text: str | None, *, day: str = "2026-01-20", score: float | None = None
    ) -> None:
        """Let users answer the survey's question."""
        self.answers += [
            {
                "user_id": u,
                "ts": f"{day}T12:00+08:00",
                "question": "Why not?",
                "score": score,
                "comment": text,
            }
            for u in users
        ]

    def change(self, **changes: object) -> None:
        """Add a change to the case study."""
        self.book["case_study"].setdefault("changes", []).append({"title": "A change", **changes})

    def scope(self) -> Scope:
        """Collect everything, and open it over its whole time."""
        path = self.root / "params" / "small.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(self.book), encoding="utf-8")
        workbook = load(path)
        tables = {
            "events": self._table("events", self.events, event_id="e", source="web"),
            "users": self._table("users", self.users),
            "exposures": self._table("exposures", self.seen),
            "surveys": self._table("surveys", self.answers, response_id="r", source="survey"),
        }
        rows = {"source": "web", "file": "a", "table": "events", "rule": ""}
        count = len(self.events)
        tally = pd.DataFrame([{**rows, "outcome": outcome, "rows": count} for outcome in ("read", "kept")])
        newest = tables["events"]["ts"].max()
        facts = {
            "first_day": "2026-01-01", "last_day": "2026-04-30", "data_through": newest.isoformat(),
            "inputs": [], "workbook_sha256": "",
        }  # fmt: skip
        store = Store(workbook.processed)
        store.write({name: frame for name, frame in tables.items() if len(frame)}, tally, facts)
        return Scope.open(workbook, period="all")

    @staticmethod
    def _table(name: Any, rows: list[dict[str, Any]], **numbered: str) -> pd.DataFrame:
        frame = pd.DataFrame(rows)
        for column, prefix in numbered.items():
            frame[column] = prefix if column == "source" else [f"{prefix}{i}" for i in range(len(frame))]
        for column in {"ts"} & {*frame}:
            frame[column] = pd.to_datetime(frame[column], format="ISO8601", utc=True)
        return check(name, frame) if len(frame) else frame


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
