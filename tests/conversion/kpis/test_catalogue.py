from __future__ import annotations

from typing import get_args

import pytest

from funnel_lib.conversion.kpis.catalogue import shipped, stages
from funnel_lib.errors import ConfigError
from funnel_lib.scorecard import Board, Kpi, Model, Stage


@pytest.mark.parametrize("model", [name for name in get_args(Model) if name != "none"])
def test_every_shipped_figure_is_whole(model: str):
    for stage in shipped(model).values():
        assert set(stage.title or {}) == {"en", "zh"}
        assert stage.kpis
        for kpi in stage.kpis.values():
            assert set(kpi.title) == {"en", "zh"}
            assert set(kpi.source or {}) == {"en", "zh"}
            assert kpi.owner in ("marketing", "sales", "service", "product")


def test_the_stages_of_the_usual_models():
    assert list(shipped("classic")) == ["awareness", "interest", "consideration", "decision", "purchase", "retention"]
    assert list(shipped("commerce"))[:5] == ["exposure", "click", "cart", "order", "payment"]
    assert list(shipped("sales"))[:4] == ["lead", "mql", "sql", "won"]
    assert {"intent", "evaluation"} <= set(shipped("evaluation"))
    assert shipped("none") == {}


def test_a_workbook_adds_replaces_and_leaves_out():
    own = Kpi.model_validate({"title": "Own", "formula": {"people": {"event": "own"}}})
    board = Board(
        leave_out=["reach"],
        stages={"awareness": Stage(kpis={"visitors": own, "new": own}), "extra": Stage(kpis={"new": own})},
    )
    found = stages(board)
    assert "reach" not in found["awareness"].kpis
    assert found["awareness"].kpis["visitors"] is own
    assert list(found["awareness"].kpis)[-1] == "new"
    assert found["awareness"].title == shipped("classic")["awareness"].title
    assert list(found)[-1] == "extra"
    assert found["extra"].title == {"en": "extra"}
    assert "reach" in shipped("classic")["awareness"].kpis  # the catalogue itself stays


def test_a_wrong_name_is_refused():
    with pytest.raises(ConfigError, match="no figure 'reech'") as refused:
        stages(Board(leave_out=["reech"]))
    assert "did you mean reach" in str(refused.value)
