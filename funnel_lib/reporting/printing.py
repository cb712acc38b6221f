"""Paper and pictures of pages, made by the Chromium of this machine: no network, a private profile, a time limit.

What is printed of a report belongs to it: the same page gives the same bytes, the page offers them, and the manifest
vouches for them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory

from funnel_lib.errors import ConfigError, FunnelError
from funnel_lib.notation import Language
from funnel_lib.reporting import manifest, render
from funnel_lib.reporting.manifest import Manifest
from funnel_lib.reporting.render import PageFacts
from funnel_lib.reporting.upkeep import locking

VARIABLE = "FUNNEL_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
SECONDS, LOCK_WAIT = 90.0, 900.0
KINDS = ("pdf", "summary.png")
"""What is printed of a report, as the ends of the files' names."""
# Nothing is looked up, nothing called home, nothing of the user's own browser touched.
QUIET = (
    "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-extensions",
    "--disable-sync", "--disable-domain-reliability", "--disable-breakpad", "--metrics-recording-only", "--mute-audio",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>",
)  # fmt: skip
# Links of a page to other files; those within the page and into the world stay.
LINKS = re.compile(r"""(?<=\s)href=(["'])(?!#|https?:|mailto:)[^"']*\1""")
DATES = re.compile(rb"(/(?:Creation|Mod)Date )(\(D:[^)]*\))")
POSTER_WIDTH, POSTER_HEIGHT, POSTER_SCALE = 760, 2400, 2


def pdf(html: Path, target: Path, *, made: datetime | None = None, seconds: float = SECONDS) -> Path:
    """Print the page `html` to `target` as A4 and return it; an older file is replaced in one step.

    Links to other files are left out: on paper they would name folders of this machine.

    Parameters
    ----------
    made : the aware time that the file gives as that of its making; the same page and time give the same bytes.
        That of the printing when None.

    Raises
    ------
    ConfigError : there is no Chromium.
    FunnelError : there is no such page, or it was not printed within `seconds`.
    """
    _check(html)
    with TemporaryDirectory(prefix="funnel-print-", ignore_cleanup_errors=True) as private:
        page, drawn = Path(private) / html.name, Path(private) / "drawn.pdf"
        page.write_text(LINKS.sub("", html.read_text(encoding="utf-8")), encoding="utf-8")
        _made(page, drawn, ["--no-pdf-header-footer"], "--print-to-pdf={}", b"%PDF", seconds)
        _dated(drawn, made)
        return _placed(drawn, target)


def poster(html: Path, target: Path, *, seconds: float = SECONDS) -> Path:
    """Draw the page `html` to `target` as a PNG as high as its content and return it.

    It is made for the pages of `render.poster`: white paper, twice as fine as a screen.

    Raises
    ------
    ConfigError : there is no Chromium.
    FunnelError : there is no such page, or it was not drawn within `seconds`.
    """
    size = [
        f"--window-size={POSTER_WIDTH},{POSTER_HEIGHT}", f"--force-device-scale-factor={POSTER_SCALE}",
        "--hide-scrollbars", "--default-background-color=ffffffff",
    ]  # fmt: skip
    with TemporaryDirectory(prefix="funnel-print-", ignore_cleanup_errors=True) as private:
        drawn = _made(html, Path(private) / "drawn.png", size, "--screenshot={}", b"\x89PNG", seconds)
        _trim(drawn)
        return _placed(drawn, target)


def printed(page: Path, *, made: datetime | None = None, seconds: float = SECONDS) -> list[Path]:
    """Print a report's page to the PDF beside it and draw its summary as a PNG; return the files.

    The summary is made from the executed notebook beside the page; a page without one, such as the catalogue,
    has only its PDF. `made` is the time that the PDF gives as its own.

    Raises
    ------
    ConfigError : there is no Chromium.
    FunnelError : there is no such page, or it was not printed within `seconds`.
    """
    import nbformat

    files = [pdf(page, page.with_suffix(f".{KINDS[0]}"), made=made, seconds=seconds)]
    source = page.with_suffix(".ipynb")
    if source.is_file():
        notebook = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
        language: Language = "zh" if page.stem.endswith(".zh") else "en"
        with TemporaryDirectory(prefix="funnel-print-", ignore_cleanup_errors=True) as private:
            drawn = Path(private) / "poster.html"
            facts = PageFacts(page.stem, language, "", footer=_footer(page))
            drawn.write_text(render.poster(notebook, facts), encoding="utf-8")
            files.append(poster(drawn, page.with_suffix(f".{KINDS[1]}"), seconds=seconds))
    return files


def print_published(page: Path, *, at: datetime, seconds: float = SECONDS) -> list[Path]:
    """Print a page where it lies, and let the report's manifest vouch for the files; return them.

    A run that works on the same reports is waited for. A page without a manifest, such as the catalogue, is only
    printed.

    Parameters
    ----------
    at : now, for whoever has to wait for this.

    Raises
    ------
    ConfigError : there is no Chromium.
    FunnelError : there is no such page, it was not printed within `seconds`, or a run keeps the reports locked.
    """
    place = page.with_suffix(".manifest.json")
    if manifest.read(place) is None:
        return printed(page, seconds=seconds)
    chromium()
    reports = page.resolve().parents[min(2, len(page.resolve().parents) - 1)]  # reports/<workbook>
    if not (reports / locking.LOCK).is_file():
        return _vouched(page, place, seconds)
    with locking.locked(reports, start=at, wait=LOCK_WAIT, tell=lambda _what, _share: None):
        return _vouched(page, place, seconds)


def kinds_beside(page: Path) -> list[str]:
    """Return which of `KINDS` lie beside a page."""
    return [kind for kind in KINDS if page.with_suffix(f".{kind}").is_file()]


def remove(page: Path) -> None:
    """Take away what is printed of a page."""
    for kind in KINDS:
        page.with_suffix(f".{kind}").unlink(missing_ok=True)


def possible() -> bool:
    """Tell whether there is a Chromium to print with."""
    try:
        return bool(chromium())
    except ConfigError:
        return False


def chromium() -> str:
    """Return the program that prints: what FUNNEL_CHROMIUM names, else the first Chromium or Chrome on the path.

    Raises
    ------
    ConfigError : there is none, or FUNNEL_CHROMIUM names none.
    """
    named = os.environ.get(VARIABLE)
    for name in (named,) if named else NAMES:
        if program := shutil.which(name):
            return program
    raise ConfigError(
        "Printing needs Chromium, and there is none.", where=VARIABLE if named else "the programs of this machine",
        found=named or "none of them", allowed=", ".join(NAMES),
        do=f"Install it (Debian, Ubuntu: apt-get install chromium), or let {VARIABLE} name its program.",
    )  # fmt: skip


def _footer(page: Path) -> str:
    """Return the footer of a page: when it was made, and by which code."""
    found = re.findall(r"<footer>(.*?)</footer>", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return unescape(found[-1]).strip() if found else ""


def _vouched(page: Path, place: Path, seconds: float) -> list[Path]:
    """Print a report and renew its manifest, which at no moment vouches for a file that is not there."""
    found = manifest.read(place)
    if found is None:  # taken away while this waited
        return printed(page, seconds=seconds)
    old = {f"{page.stem}.{kind}" for kind in KINDS}
    others = [output for output in found["outputs"] if output["path"] not in old]
    if len(others) < len(found["outputs"]):
        _rewrite({**found, "outputs": others}, place)
    files = printed(page, made=datetime.fromisoformat(found["timing"]["start"]), seconds=seconds)
    outputs = sorted([*others, *manifest.outputs(files)], key=lambda output: str(output["path"]))
    _rewrite({**found, "outputs": outputs}, place)
    return files


def _rewrite(record: Manifest, place: Path) -> None:
    partial = place.with_name(f".{place.name}.partial")
    manifest.write(record, partial)
    partial.replace(place)


def _check(html: Path) -> None:
    if not html.is_file():
        raise FunnelError("There is no such page.", where=html, found="no file", allowed="a report's .html file")


def _dated(file: Path, made: datetime | None) -> None:
    """Write a PDF's own dates as `made`; they are as long as before, so that its table of places stays right."""
    if made is not None:
        date = f"(D:{made.astimezone(UTC):%Y%m%d%H%M%S}+00'00')".encode()
        file.write_bytes(DATES.sub(lambda found: found[1] + date if len(found[2]) == len(date) else found[0],
                                   file.read_bytes()))  # fmt: skip


def _placed(made: Path, target: Path) -> Path:
    """Move a finished file to its place in one step."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.copyfile(made, partial)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise FunnelError(
            "The printed page cannot be written.", where=target, found=error.strerror or error,
            do="Choose a folder that you may write to.",
        ) from error  # fmt: skip
    return target


def _made(html: Path, target: Path, options: Sequence[str], write: str, magic: bytes, seconds: float) -> Path:
    """Let Chromium write a file and check that it is one."""
    _check(html)
    program = chromium()
    with TemporaryDirectory(prefix="funnel-print-", ignore_cleanup_errors=True) as private:
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # it refuses root otherwise
        command = [
            program, *QUIET, *root, f"--user-data-dir={private}/profile", *options, write.format(target),
            html.resolve().as_uri(),
        ]  # fmt: skip
        said = _run(command, private, seconds)
        if not target.is_file() or not target.read_bytes().startswith(magic):
            raise _failed(html, said.strip().split("\n")[-1][:300] or "no file was written")
    return target


def _run(command: Sequence[str], home: str, seconds: float) -> str:
    """Run a program in a session of its own, so that all its processes end with it; return what it complained of."""
    if os.name == "posix" and (watch := shutil.which("timeout")):  # should this process be killed meanwhile
        command = [watch, "-s", "KILL", f"{seconds + 1:g}", *command]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        errors="replace", start_new_session=True, env={**os.environ, "HOME": home, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    try:
        return process.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired as error:
        raise _failed(Path(command[-1]), f"not done within {seconds:g} seconds") from error
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
    else:
        process.kill()
    process.wait()


def _failed(html: Path, found: str) -> FunnelError:
    return FunnelError(
        "Chromium did not print the page.", where=html.name, found=found,
        do=f"Open the page in a browser and print it there; or let {VARIABLE} name another Chromium.",
    )  # fmt: skip


def _trim(file: Path) -> None:
    """Cut the empty paper below the content, but for a margin as wide as that at the sides."""
    from PIL import Image, ImageChops

    with Image.open(file) as opened:
        image = opened.convert("RGB")
    below = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox()
    if below is not None:
        margin = 24 * POSTER_SCALE
        image = image.crop((0, 0, image.width, min(image.height, below[3] + margin)))
    image.save(file, format="PNG", optimize=True)
