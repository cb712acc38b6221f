"""`funnel print`: files are named one below the other; a missing browser is one line of advice."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

_SHOP = runpy.run_path(str(Path(__file__).parents[1] / "reporting" / "shop.py"))
collected, shop = _SHOP["collected"], _SHOP["shop"]
FUNNEL = str(Path(sys.executable).with_name("funnel"))


def funnel(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([FUNNEL, *arguments], capture_output=True, text=True, env={**os.environ, **environment})


@pytest.fixture
def browser(tmp_path: Path) -> str:
    """A stand-in for Chromium that writes what it is asked for."""
    program = tmp_path / "chromium"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\nfrom PIL import Image\n"
        "asked = dict(a.split('=', 1) for a in sys.argv if '=' in a)\n"
        "if '--screenshot' in asked:\n    Image.new('RGB', (9, 9)).save(asked['--screenshot'])\n"
        "else:\n    Path(asked['--print-to-pdf']).write_bytes(b'%PDF')\n"
    )
    program.chmod(0o755)
    return str(program)


def test_each_page_is_printed_beside_itself(browser: str, tmp_path: Path) -> None:
    pages = [tmp_path / "a.en.html", tmp_path / "index.html"]
    for page in pages:
        page.write_text("<html></html>")
    done = funnel("print", *map(str, pages), FUNNEL_CHROMIUM=browser)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(tmp_path / "a.en.pdf"), str(tmp_path / "index.pdf")]
    assert (tmp_path / "a.en.pdf").read_bytes() == b"%PDF"


def test_without_a_browser_the_user_is_told_what_to_install(tmp_path: Path) -> None:
    page = tmp_path / "a.en.html"
    page.write_text("<html></html>")
    done = funnel("print", str(page), FUNNEL_CHROMIUM="no-such-browser")
    assert done.returncode == 1
    assert "FUNNEL_CHROMIUM" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_prints_what_it_makes_or_does_not_begin(shop: Path, browser: str) -> None:
    asked = ("run", str(shop / "params/shop.yml"), "--report", "conversion", "--period", "2026-05", "--segment", "all",
             "--language", "en", "--pdf")  # fmt: skip
    assert funnel(*asked, FUNNEL_CHROMIUM="no-such-browser").returncode == 1
    assert not (shop / "reports").exists()
    assert funnel(*asked, FUNNEL_CHROMIUM=browser).returncode == 0
    made = {file.name for file in (shop / "reports/shop/2026-05/all").iterdir()}
    assert {"conversion.en.pdf", "conversion.en.summary.png", "conversion.en.html"} <= made
