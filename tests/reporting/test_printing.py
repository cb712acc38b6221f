"""Printing through a stand-in for Chromium; tests/browser prints with the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from unittest.mock import Mock

import nbformat
import pytest
from PIL import Image

from funnel_lib.errors import ConfigError, FunnelError
from funnel_lib.reporting import manifest, printing, render

WRITES = """
import sys
from pathlib import Path
options = dict(a.split("=", 1) for a in sys.argv[1:] if a.startswith("--") and "=" in a)
Path(sys.argv[0]).with_name("asked").write_text("\\n".join(sys.argv[1:]))
Path(sys.argv[0]).with_name("page").write_text(Path(sys.argv[-1].removeprefix("file://")).read_text())
if "--print-to-pdf" in options:
    Path(options["--print-to-pdf"]).write_bytes(b"%PDF-1.7 /CreationDate (D:20260101000000+00'00')")
if "--screenshot" in options:
    from PIL import Image
    image = Image.new("RGB", (100, 1000), "white")
    image.paste("black", (10, 0, 90, 300))
    image.save(options["--screenshot"])
"""
HANGS = """
import subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
Path(sys.argv[0]).with_name("child").write_text(str(child.pid))
time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for Chromium that writes what it is asked for; `asked` beside it holds its arguments."""
    return stand_in(tmp_path, monkeypatch, WRITES)


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> Path:
    place = folder / "browser"
    place.mkdir()
    program = place / "chromium"
    program.write_text(f"#!{sys.executable}\n{source}")
    program.chmod(0o755)
    monkeypatch.setenv("FUNNEL_CHROMIUM", str(program))
    return program


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "conversion.en.html"
    file.write_text("<html><footer>Made 2026 by funnel &amp; co</footer></html>", encoding="utf-8")
    return file


def test_a_page_becomes_a_pdf_in_one_step(program: Path, page: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.pdf"
    target.write_text("the last one")
    assert printing.pdf(page, target) == target
    assert target.read_bytes().startswith(b"%PDF-1.7")
    asked = (program.parent / "asked").read_text().split("\n")
    assert asked[-1].endswith("/conversion.en.html")
    assert str(tmp_path) not in asked[-1]
    assert "--host-resolver-rules=MAP * ~NOTFOUND" in asked
    assert [o for o in asked if o.startswith("--user-data-dir=") and str(tmp_path) not in o]
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")]


def test_paper_names_no_folder_of_this_machine(program: Path, page: Path, tmp_path: Path) -> None:
    kept = ["#top", "https://example.com/a", "mailto:a@example.com"]
    gone = ["conversion.en.steps.csv", "../../2026-04/all/conversion.en.html", "/etc/hosts"]
    page.write_text("".join(f'<a class="x" href="{href}">{href}</a>' for href in [*kept, *gone]) + "href=x")
    printing.pdf(page, tmp_path / "a.pdf")
    drawn = (program.parent / "page").read_text()
    assert [href for href in [*kept, *gone] if f'href="{href}"' in drawn] == kept
    assert [href for href in [*kept, *gone] if f">{href}</a>" in drawn] == [*kept, *gone]


def test_a_pdf_gives_the_time_of_its_report_as_its_own(program: Path, page: Path, tmp_path: Path) -> None:
    made = datetime(2026, 6, 1, 8, 30, tzinfo=timezone(timedelta(hours=8)))
    printing.pdf(page, tmp_path / "a.pdf", made=made)
    assert b"/CreationDate (D:20260601003000+00'00')" in (tmp_path / "a.pdf").read_bytes()


def test_what_is_printed_afterwards_belongs_to_the_report(
    program: Path, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = {"schema": manifest.SCHEMA, "timing": {"start": "2026-06-01T00:00:00+00:00"}}
    others = [{"path": "conversion.en.html", "sha256": "0", "bytes": 1}]
    place = page.with_suffix(".manifest.json")
    manifest.write({**record, "outputs": others}, place)
    for _ in range(2):  # printed again, it is listed once
        [made] = printing.print_published(page, at=datetime(2026, 6, 2, tzinfo=UTC))
        assert manifest.read(place) == {**record, "outputs": [*others, *manifest.outputs([made])]}
    monkeypatch.setattr(printing, "printed", fails := Mock(side_effect=FunnelError("No.")))
    with pytest.raises(FunnelError):
        printing.print_published(page, at=datetime(2026, 6, 2, tzinfo=UTC))
    assert fails.called
    assert manifest.read(place) == {**record, "outputs": others}  # nothing is vouched for that may be half replaced
    assert [path.name for path in page.parent.iterdir() if "partial" in path.name] == []


def test_a_poster_ends_where_its_content_ends(program: Path, page: Path, tmp_path: Path) -> None:
    printing.poster(page, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:  # 300 rows of content and a margin of 24 CSS pixels, twice as fine
        assert image.size == (100, 348)
    assert "--window-size=760,2400" in (program.parent / "asked").read_text()


def test_a_report_has_a_pdf_and_a_summary(program: Path, page: Path, sample) -> None:  # type: ignore[no-untyped-def]
    assert printing.printed(page) == [page.with_suffix(".pdf")]
    nbformat.write(
        sample.notebook([*sample.head(sample.Say("en")), *sample.body(sample.Say("en"))]), page.with_suffix(".ipynb")
    )
    assert printing.printed(page) == [page.with_suffix(".pdf"), page.with_name("conversion.en.summary.png")]
    drawn = (program.parent / "page").read_text()
    assert "<footer>Made 2026 by funnel &amp; co</footer>" in drawn
    assert drawn.index("<h1") < drawn.index('class="lead"') < drawn.index('class="kpis"') < drawn.index("<figure")


def test_without_chromium_the_error_says_what_to_do(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FUNNEL_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="apt-get install chromium"):
        printing.pdf(page, tmp_path / "a.pdf")
    monkeypatch.setenv("FUNNEL_CHROMIUM", "no-such-program")
    with pytest.raises(ConfigError, match="no-such-program"):
        printing.pdf(page, tmp_path / "a.pdf")


def test_a_hanging_chromium_ends_with_all_its_processes(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = stand_in(tmp_path, monkeypatch, HANGS)
    (tmp_path / "a.pdf").write_text("the last one")
    with pytest.raises(FunnelError, match="not done within 2 seconds"):
        printing.pdf(page, tmp_path / "a.pdf", seconds=2)
    child = int((program.parent / "child").read_text())
    until = time.monotonic() + 10
    while _runs(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(child)
    assert (tmp_path / "a.pdf").read_text() == "the last one"


def test_what_chromium_complains_of_is_said(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "import sys; sys.stderr.write('first\\nno display\\n')")
    with pytest.raises(FunnelError, match="no display"):
        printing.pdf(page, tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()


def test_a_page_that_is_not_there(program: Path, tmp_path: Path) -> None:
    with pytest.raises(FunnelError, match="There is no such page"):
        printing.pdf(tmp_path / "no.html", tmp_path / "a.pdf")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_in_a_poster_acts(sample, language: str) -> None:  # type: ignore[no-untyped-def]
    from bs4 import BeautifulSoup

    def shape(evil: str) -> list[str]:
        say = sample.Say(language)
        html = render.poster(
            sample.notebook([*sample.head(say, evil), *sample.body(say, evil)]), sample.facts(language, evil)
        )
        return [element.name for element in BeautifulSoup(html, "html.parser").find_all(True)]

    for evil in ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><b>"):
        assert shape(evil) == shape("x")


def _runs(pid: int) -> bool:
    if shutil.which("ps"):
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
        return bool(state) and not state.startswith("Z")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
