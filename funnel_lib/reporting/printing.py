"""Paper and pictures of pages, made by the Chromium of this machine: no network, a private profile, a time limit."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory

from funnel_lib.errors import ConfigError, FunnelError
from funnel_lib.notation import Language
from funnel_lib.reporting import render
from funnel_lib.reporting.render import PageFacts

VARIABLE = "FUNNEL_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
SECONDS = 90.0
KINDS = ("pdf", "summary.png")
"""What is printed of a report, as the ends of the files' names."""
# Nothing is looked up, nothing called home, nothing of the user's own browser touched.
QUIET = (
    "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-extensions",
    "--disable-sync", "--disable-domain-reliability", "--disable-breakpad", "--metrics-recording-only", "--mute-audio",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>",
)  # fmt: skip
POSTER_WIDTH, POSTER_HEIGHT, POSTER_SCALE = 760, 2400, 2


def pdf(html: Path, target: Path, *, seconds: float = SECONDS) -> Path:
    """Print the page `html` to `target` as A4 and return it; an older file is replaced in one step.

    Raises
    ------
    ConfigError : there is no Chromium.
    FunnelError : there is no such page, or it was not printed within `seconds`.
    """
    return _made(html, target, ["--no-pdf-header-footer"], "--print-to-pdf={}", b"%PDF", seconds)


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
    made = _made(html, target, size, "--screenshot={}", b"\x89PNG", seconds)
    _trim(made)
    return made


def printed(page: Path, *, seconds: float = SECONDS) -> list[Path]:
    """Print a report's page to the PDF beside it and draw its summary as a PNG; return the files.

    The summary is made from the executed notebook beside the page; a page without one, such as the catalogue,
    has only its PDF.

    Raises
    ------
    ConfigError : there is no Chromium.
    FunnelError : there is no such page, or it was not printed within `seconds`.
    """
    import nbformat

    made = [pdf(page, page.with_suffix(f".{KINDS[0]}"), seconds=seconds)]
    source = page.with_suffix(".ipynb")
    if source.is_file():
        notebook = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
        language: Language = "zh" if page.stem.endswith(".zh") else "en"
        with TemporaryDirectory(prefix="funnel-print-", ignore_cleanup_errors=True) as private:
            drawn = Path(private) / "poster.html"
            facts = PageFacts(page.stem, language, "", footer=_footer(page))
            drawn.write_text(render.poster(notebook, facts), encoding="utf-8")
            made.append(poster(drawn, page.with_suffix(f".{KINDS[1]}"), seconds=seconds))
    return made


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


def _made(html: Path, target: Path, options: Sequence[str], write: str, magic: bytes, seconds: float) -> Path:
    """Let Chromium write a file aside, check that it is one, and move it into place."""
    if not html.is_file():
        raise FunnelError("There is no such page.", where=html, found="no file", allowed="a report's .html file")
    program, partial = chromium(), target.with_name(f".{target.name}.partial")
    with TemporaryDirectory(prefix="funnel-print-", ignore_cleanup_errors=True) as private:
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # it refuses root otherwise
        place = Path(private) / f"made{target.suffix}"
        command = [
            program, *QUIET, *root, f"--user-data-dir={private}/profile", *options, write.format(place),
            html.resolve().as_uri(),
        ]  # fmt: skip
        said = _run(command, private, seconds)
        if not place.is_file() or not place.read_bytes().startswith(magic):
            raise _failed(html, said.strip().split("\n")[-1][:300] or "no file was written")
        try:
            shutil.copyfile(place, partial)
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise FunnelError(
                "The printed page cannot be written.", where=target, found=error.strerror or error,
                do="Choose a folder that you may write to.",
            ) from error  # fmt: skip
    return target


def _run(command: Sequence[str], home: str, seconds: float) -> str:
    """Run a program in a session of its own, so that all its processes end with it; return what it complained of."""
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
    partial = file.with_name(f".{file.name}.partial")
    image.save(partial, format="PNG", optimize=True)
    partial.replace(file)
