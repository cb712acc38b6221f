from __future__ import annotations

from math import nan
from types import SimpleNamespace
from xml.etree import ElementTree as ET

from funnel_lib.reporting.plots import TOKENS, spark, sparkline


def test_the_last_point_is_open_where_it_is_not_final(rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: sparkline([3, 4, 8], [True, True, False], ax=ax, width=width), 160)
    settled, loose, dot = ax.child_axes[0].lines
    assert settled.get_ydata() == [3, 4]
    assert (loose.get_ydata(), loose.is_dashed()) == ([4, 8], True)
    assert (dot.get_ydata(), dot.get_markerfacecolor()) == ([8], TOKENS["bg"])
    final = rule.draw_on(lambda ax, width: sparkline([3, 4, 8], [True] * 3, ax=ax, width=width), 160)
    assert final.child_axes[0].lines[-1].get_markerfacecolor() == TOKENS["c1"]


def test_a_spark_is_a_small_picture_without_text(rule: SimpleNamespace):
    shape = spark([3, 4, nan, 5, 5.5, 5, 6, 6.5, 6, 7, 7.2, 8], [True] * 11 + [False], alt="Visitors, last 12 periods")
    root = ET.fromstring(shape)
    assert (root.get("width"), root.get("height")) == ("160", "34")
    assert root.get("aria-label") == "Visitors, last 12 periods"
    assert rule.faults(shape, 160) == []
    assert not rule.said(shape)
    assert len(shape) < 1_000


def test_one_value_equal_values_and_none(rule: SimpleNamespace):
    for values in ([5.0], [5.0, 5.0, 5.0], [nan, 5.0], [5.0, nan], [nan, nan], []):
        assert rule.faults(spark(values, [True] * len(values), alt="x"), 160) == []
    assert "<circle" not in spark([nan], [True], alt="x")
