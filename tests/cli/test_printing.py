"""`funnel print`: files are named one below the other; a missing browser is one line of advice."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from funnel_lib.reporting import manifest
from funnel_lib.reporting.upkeep.verifying import verify

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


def listed(page: Path) -> set[str]:
    """What is printed and the report's manifest vouches for."""
    outputs = json.loads(page.with_suffix(".manifest.json").read_text(encoding="utf-8"))["outputs"]
    return {output["path"] for output in outputs if output["path"].endswith((".pdf", ".png"))}


def test_each_page_is_printed_beside_itself(browser: str, tmp_path: Path) -> None:
    pages = [tmp_path / "a.en.html", tmp_path / "index.html"]
    for page in pages:
        page.write_text("<html></html>")
    manifest.write(
        {"schema": manifest.SCHEMA, "timing": {"start": "2026-06-01T00:00:00+00:00"}, "outputs": []},
        tmp_path / "a.en.manifest.json",
    )
    done = funnel("print", *map(str, pages), FUNNEL_CHROMIUM=browser)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(tmp_path / "a.en.pdf"), str(tmp_path / "index.pdf")]
    assert (tmp_path / "a.en.pdf").read_bytes() == b"%PDF"
    assert listed(pages[0]) == {"a.en.pdf"}  # its manifest vouches for what is printed afterwards, too
    assert verify(tmp_path).faults == ()


def test_without_a_browser_the_user_is_told_what_to_install(tmp_path: Path) -> None:
    page = tmp_path / "a.en.html"
    page.write_text("<html></html>")
    done = funnel("print", str(page), FUNNEL_CHROMIUM="no-such-browser")
    assert done.returncode == 1
    assert "FUNNEL_CHROMIUM" in done.stderr
    assert "Traceback" not in done.stderr


ASKED = ("--report", "conversion", "--period", "2026-05", "--segment", "all", "--language", "en")


def offered(page: Path) -> list[str]:
    """What is printed and the page offers."""
    return re.findall(r'href="conversion\.en\.(pdf|summary\.png)"', page.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_what_a_run_prints_belongs_to_the_report(shop: Path, browser: str) -> None:
    workbook, page = str(shop / "params/shop.yml"), shop / "reports/shop/2026-05/all/conversion.en.html"
    # Without a browser the report is published all the same; the exit code and one message say what is missing.
    poor = funnel("run", workbook, *ASKED, "--pdf", FUNNEL_CHROMIUM="no-such-browser")
    assert poor.returncode == 1
    assert poor.stderr.count("Published, but not printed: Printing needs Chromium") == 1
    assert offered(page) == []
    # As soon as there is one, the report that is current but not printed is printed.
    assert funnel("run", workbook, *ASKED, "--pdf", FUNNEL_CHROMIUM=browser).returncode == 0
    assert offered(page) == ["pdf", "summary.png"]
    assert listed(page) == {"conversion.en.pdf", "conversion.en.summary.png"}
    assert verify(page.parent).faults == ()
    # Made again from its manifest, the page is the same, offers included, and nothing need be printed for that.
    again = funnel("rerun", str(page), "--strict", FUNNEL_CHROMIUM="no-such-browser")
    assert (again.returncode, again.stdout) == (0, "no numbers moved; the pages are the same but for the footer\n")
