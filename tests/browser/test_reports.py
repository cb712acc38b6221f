"""Every report in a real Chromium: wide and narrow, light, dark and printed, with and without scripts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

pytestmark = pytest.mark.browser
WIDTHS = (1280, 360)
# Nothing in the page may depend on scripts; they are only switched on here to run axe-core.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MISSING = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src.slice(0, 80))"
ACTIVE = "[...document.querySelectorAll('script,iframe,object,embed,form,link')].map(e => e.localName)"
HANDLERS = "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames().filter(n => n.startsWith('on')))"
SMALL = """[...document.querySelectorAll('svg')].filter(s => s.checkVisibility())
  .filter(s => s.getBoundingClientRect().width < s.viewBox.baseVal.width * 0.8)
  .map(s => s.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a Chromium: playwright's own, or the one that CHROMIUM or the path names."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        yield playwright.chromium.launch(executable_path=program, args=flags)


@pytest.fixture(scope="session")
def files(report_folder: Path) -> list[Path]:
    """Return all HTML files of the folder; there must be some."""
    found = sorted(report_folder.rglob("*.html"))
    assert found, f"no reports below {report_folder}"
    return found


def opened(browser: Browser, file: Path, **options: object) -> tuple[Page, list[str]]:
    """Open a file and return its page, with everything that it asked for or complained about."""
    page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
    noise: list[str] = []
    page.on("request", lambda request: noise.append(f"request {request.url[:120]}"))
    page.on("console", lambda message: noise.append(f"console {message.text[:200]}"))
    page.on("pageerror", lambda error: noise.append(f"error {error}"))
    page.goto(file.as_uri())
    page.wait_for_load_state("load")
    return page, [n for n in noise if n != f"request {file.as_uri()}"[:128] and not n.startswith("request data:")]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scripts", [True, False])
def test_it_asks_for_nothing_and_stays_in_its_width(
    browser: Browser, files: list[Path], width: int, scripts: bool
) -> None:
    for file in files:
        size = {"width": width, "height": 800}
        page, noise = opened(browser, file, viewport=size, java_script_enabled=scripts)
        assert noise == [], file
        if scripts:
            assert page.evaluate(OVERFLOW) <= 0, f"{file} scrolls sideways at {width}"
            assert page.evaluate(MISSING) == [], file
            assert page.evaluate(ACTIVE) == [], file
            assert page.evaluate(HANDLERS) == [], file
            assert page.evaluate(SMALL) == [], f"{file}: pictures are shrunk at {width}"
        assert page.locator("h1:visible").count() == 1, file
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(browser: Browser, files: list[Path], width: int, scheme: str) -> None:
    for file in files:
        page, _ = opened(browser, file, viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
        # Closed tables are checked as readers see them when they open them.
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        report = Axe().run(page)
        assert report.violations_count == 0, f"{file} at {width}, {scheme}\n{report.generate_report()}"
        page.context.close()


def test_paper_is_light_and_shows_everything(browser: Browser, files: list[Path]) -> None:
    for file in files:
        page, _ = opened(browser, file, viewport={"width": 794, "height": 1123}, color_scheme="dark")
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", file
        assert page.evaluate(OVERFLOW) <= 0, f"{file} is wider than the paper"
        assert page.locator("nav:visible").count() == 0, file
        assert page.pdf(format="A4", prefer_css_page_size=True)[:4] == b"%PDF"
        page.context.close()


def test_links_inside_a_page_lead_somewhere(browser: Browser, files: list[Path]) -> None:
    for file in files:
        page, _ = opened(browser, file)
        targets = page.eval_on_selector_all("a[href^='#']", "all => all.map(a => a.getAttribute('href').slice(1))")
        ids = set(page.eval_on_selector_all("[id]", "all => all.map(e => e.id)"))
        assert [t for t in targets if t not in ids] == [], file
        assert len(ids) == page.locator("[id]").count(), f"{file}: an id stands twice"
        page.context.close()
