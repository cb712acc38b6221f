"""The shipped catalogue of key figures, and what a workbook makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from funnel_lib.errors import ConfigError, choices
from funnel_lib.scorecard import Board, Kpi, Stage


def stages(board: Board) -> dict[str, Stage]:
    """Return the stages of a board in order, with all their figures: the model's, then those that were added.

    A figure of the workbook replaces one of the same name in the same stage.

    Raises
    ------
    ConfigError : `leave_out` names a figure that the model does not have.
    """
    model = shipped(board.model)
    known = {name for stage in model.values() for name in stage.kpis}
    wrong = next((name for name in board.leave_out if name not in known), None)
    if wrong is not None:
        raise ConfigError(
            f"The model {board.model} has no figure {wrong!r}.", where="kpis.leave_out", found=wrong,
            allowed=choices(sorted(known), wrong), do="Correct the name, or take it out.",
        )  # fmt: skip
    found = {
        name: Stage(title=stage.title, kpis={n: k for n, k in stage.kpis.items() if n not in board.leave_out})
        for name, stage in model.items()
    }
    for name, own in board.stages.items():
        base = found.get(name, Stage())
        found[name] = Stage(title=own.title or base.title or {"en": name}, kpis={**base.kpis, **own.kpis})
    return found


def shipped(model: str) -> dict[str, Stage]:
    """Return the stages of a shipped model; `none` has none."""
    told = _read()
    if model == "none":
        return {}
    return {
        name: Stage(title=stage["title"], kpis={kpi: _kpi(kpi) for kpi in stage["kpis"]})
        for name, stage in told["models"][model].items()
    }


@cache
def _kpi(name: str) -> Kpi:
    return Kpi.model_validate(_read()["kpis"][name])


@cache
def _read() -> Mapping[str, Any]:
    text = (resources.files(__package__) / "catalogue.yml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml was built in
    found: Mapping[str, Any] = yaml.load(text, Loader=loader)  # noqa: S506
    return found
