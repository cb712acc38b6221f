"""Every report in a real Chromium: wide and narrow, light, dark and printed, with and without scripts.

The catalogue is the only page with a script; its policy names it, and the page does without.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from funnel_lib.reporting import printing

pytestmark = pytest.mark.browser
WIDTHS = (1280, 360)
# Reports have no scripts; they are only switched on here to look at the page and to run axe-core.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MISSING = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src.slice(0, 80))"
ACTIVE = "[...document.querySelectorAll('script,iframe,object,embed,form,link')].map(e => e.localName)"
SIZE = 1_500_000
# What the fonts lack is drawn like a sign that no font has.
GLYPHS = """() => {
  const canvas = document.createElement('canvas'), size = 24;
  canvas.width = canvas.height = 2 * size;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.font = size + 'px ' + getComputedStyle(document.body).fontFamily;
  const drawn = sign => {
    context.clearRect(0, 0, 2 * size, 2 * size);
    context.fillText(sign, 4, size + 8);
    return context.getImageData(0, 0, 2 * size, 2 * size).data.join();
  };
  const lacking = new Set(['\\ue123', '\\u{10fffe}'].map(drawn));
  return [...new Set(document.body.textContent)].filter(c => !/\\s/.test(c) && lacking.has(drawn(c)));
}"""
# On paper a picture is cut where it is higher than a page, or where nothing keeps it together.
CUT = """height => [...document.querySelectorAll('figure svg, .kpis svg, .loss svg')].filter(s => s.checkVisibility())
  .filter(s => {
    const kept = [];
    for (let e = s; e && e.localName !== 'section'; e = e.parentElement) kept.push(getComputedStyle(e).breakInside);
    return s.getBoundingClientRect().height > height || !kept.includes('avoid');
  }).map(s => s.outerHTML.slice(0, 120))"""
PAINT = """() => performance.getEntriesByType('paint').find(e => e.name === 'first-contentful-paint')?.startTime"""
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


def chosen(file: Path) -> bool:
    """Tell whether a page is a catalogue with reports to choose from."""
    return "<select" in file.read_text(encoding="utf-8")


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
            assert page.evaluate(ACTIVE) == (["script"] if chosen(file) else []), file
            assert page.evaluate(HANDLERS) == [], file
            assert page.evaluate(SMALL) == [], f"{file}: pictures are shrunk at {width}"
        assert page.locator("h1:visible").count() == 1, file
        page.context.close()


# The sizes and the colours are each seen once; the two have nothing to do with each other.
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_axe_finds_nothing(browser: Browser, files: list[Path], width: int, scheme: str) -> None:
    # On a phone, one page of each kind and language: others differ in their words only.
    for file in files if width == max(WIDTHS) else {file.name: file for file in files}.values():
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
        assert page.locator("nav:visible, select:visible").count() == 0, file
        page.set_viewport_size({"width": 688, "height": 1004})  # what A4 leaves between the margins
        assert page.evaluate(CUT, 1004) == [], f"{file}: a picture is cut"
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


def test_links_to_other_files_lead_somewhere(files: list[Path]) -> None:
    if not os.environ.get("FUNNEL_REPORTS"):
        files = [file for file in files if file.name == "failed.html"]
    for file in files:
        targets = re.findall(r'href="([^"#]+)"', file.read_text(encoding="utf-8"))
        assert [t for t in targets if re.match(r"[a-z]+:|/", t)] == [], file
        if os.environ.get("FUNNEL_REPORTS"):
            assert [t for t in targets if not (file.parent / unquote(t)).is_file()] == [], file


def test_no_glyph_is_missing_and_no_page_is_heavy(browser: Browser, files: list[Path]) -> None:
    for file in files:
        assert file.stat().st_size <= SIZE, file
        page, _ = opened(browser, file)
        assert page.evaluate(GLYPHS) == [], file
        page.context.close()


def test_the_largest_page_is_seen_within_a_second(browser: Browser, files: list[Path]) -> None:
    largest = max(files, key=lambda file: file.stat().st_size)
    seen = []
    for _ in range(3):
        page, _ = opened(browser, largest, viewport={"width": 360, "height": 800})
        for _ in range(100):  # asked from here: the page's policy forbids what waits inside of it
            if (paint := page.evaluate(PAINT)) is not None:
                break
            page.wait_for_timeout(20)
        seen.append(paint)
        page.context.close()
    assert min(seen) < 1000, seen


@pytest.mark.parametrize("scripts", [True, False])
def test_the_catalogue_is_filtered(browser: Browser, files: list[Path], scripts: bool) -> None:
    indexes = [file for file in files if chosen(file)]
    assert indexes
    for file in indexes:
        page, noise = opened(browser, file, java_script_enabled=scripts)
        lines = page.locator(".cat tbody tr:not(.per)")
        every = lines.count()
        for name in ("period", "report"):
            field = page.locator(f"#f-{name}")
            mark = field.locator("option").nth(1).get_attribute("value")
            field.select_option(mark)
            wanted = page.locator(f'.cat tr[data-{name}="{mark}"]').count()
            assert 0 < wanted < every
            assert page.locator(".cat tbody tr:not(.per):visible").count() == wanted, (file, name)
            field.select_option("")
        assert page.locator(".cat tbody tr:not(.per):visible").count() == every
        assert page.locator("#f-words").is_visible() is scripts
        assert noise == []
        page.context.close()


def test_words_are_found_and_the_choice_stays_in_the_address(browser: Browser, files: list[Path]) -> None:
    file = next(file for file in files if chosen(file) and file.name == "index.html")
    page, _ = opened(browser, file)
    page.locator("#f-words").fill("CONVERSION no-such-word")
    assert page.locator(".cat tbody tr:visible").count() == 0
    page.locator("#f-words").fill("conversion")
    found = page.locator(".cat tbody tr:not(.per):visible").count()
    assert 0 < found < page.locator(".cat tbody tr:not(.per)").count()
    assert page.locator("#f-count").inner_text().startswith(f"{found} of ")
    again = page.context.new_page()
    again.goto(page.url)
    assert again.locator("#f-words").input_value() == "conversion"
    assert again.locator(".cat tbody tr:not(.per):visible").count() == found
    page.context.close()


def test_a_report_is_printed_by_the_command_line_too(files: list[Path], tmp_path: Path) -> None:
    source = next((file for file in files if file.with_suffix(".ipynb").is_file()), files[0])
    page = tmp_path / source.name
    shutil.copy(source, page)
    if source.with_suffix(".ipynb").is_file():
        shutil.copy(source.with_suffix(".ipynb"), page.with_suffix(".ipynb"))
    moment = datetime(2026, 6, 1, tzinfo=UTC)
    before = printing.printed(page, made=moment)[0].read_bytes()
    assert str(tmp_path).encode() not in before  # no folder of this machine
    made = printing.printed(page, made=moment)
    assert made[0].read_bytes() == before
    assert made[0].read_bytes()[:4] == b"%PDF"
    for picture in made[1:]:
        with Image.open(picture) as image:
            assert image.width == printing.POSTER_WIDTH * printing.POSTER_SCALE
            assert 800 < image.height < printing.POSTER_HEIGHT * printing.POSTER_SCALE
