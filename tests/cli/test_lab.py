"""`funnel lab`: the command that opens the copies."""

from __future__ import annotations

import runpy
import shlex
import subprocess
import sys
from pathlib import Path

_SHOP = runpy.run_path(str(Path(__file__).parents[1] / "reporting" / "shop.py"))
collected, shop = _SHOP["collected"], _SHOP["shop"]
FUNNEL = str(Path(sys.executable).with_name("funnel"))


def test_the_command_is_shown_and_the_copies_are_there(shop: Path) -> None:
    done = subprocess.run(
        [FUNNEL, "lab", "params/shop.yml", "--report", "conversion", "--print"],
        cwd=shop,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *begin, file = shlex.split(done.stdout)
    assert begin[1:] == ["-m", "jupyterlab"]
    assert file == "lab/shop/03_conversion_analysis.ipynb"
    assert (shop / file).is_file()


def test_a_wrong_name_is_said_in_words(shop: Path) -> None:
    done = subprocess.run(
        [FUNNEL, "lab", "params/shop.yml", "--segment", "plan=non"], cwd=shop, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "There is no such segment." in done.stderr
