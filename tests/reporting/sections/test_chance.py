from pathlib import Path

import funnel_lib as fl
from funnel_lib.reporting.sections.chance import chance


def test_the_same_slice_has_the_same_chance_and_another_slice_another(demo: Path):
    may = fl.Scope.open(demo / "params" / "education.yml", period="2026-05")
    june = fl.Scope.open(demo / "params" / "education.yml", period="2026-06")
    draws = [chance(*which).random() for which in ((may, "a"), (may, "a"), (may, "b"), (june, "a"))]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3
