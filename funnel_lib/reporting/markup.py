"""The templates that everything in a report is written with: autoescaped, so that data stays data."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from funnel_lib.notation import Language
from funnel_lib.reporting.wording import Say, Text, Value, plain

FOLDER = Path(__file__).resolve().parent / "template"
LANGUAGES: Mapping[Language, tuple[str, str]] = {"en": ("en", "English"), "zh": ("zh-CN", "中文")}


def fragment(language: Language, macro: str, /, *values: object) -> Markup:
    """Return what the macro of `blocks.html.j2` writes for `values`, its labels in `language`."""
    module = _environment().get_template("blocks.html.j2").make_module(_globals(language))
    return Markup(getattr(module, macro)(*values))  # noqa: S704 - the environment escapes


def document(language: Language, template: str, /, **values: object) -> str:
    """Return a whole page, its labels in `language`."""
    return _environment().get_template(template).render(_globals(language) | values)


@cache
def style_sheet(*names: str) -> Markup:
    """Return the style sheets `names` without comments, as trusted text."""
    text = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
    return Markup(re.sub(r"\n\s*\n+", "\n", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)).strip())  # noqa: S704


@cache
def script(name: str) -> Markup:
    """Return a script of the templates as trusted text; the page's policy allows it by its hash (see `digest`)."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))  # noqa: S704 - of the package itself


def digest(text: str) -> str:
    """Return the hash of an inline script as a Content-Security-Policy names it.

    >>> digest("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def relative(href: str) -> str:
    """Return a link that cannot leave the folder tree or run anything, whatever name it was made from.

    >>> relative("a/b.html"), relative("javascript:alert(1)"), relative("//host/x"), relative("#run")
    ('a/b.html', './javascript:alert(1)', './/host/x', '#run')
    """
    # Browsers drop tabs and line breaks, trim spaces, and read a backslash as a slash.
    plain_href = re.sub(r"[\x00-\x20]", lambda match: f"%{ord(match[0]):02x}", href)
    if plain_href.startswith(("/", "\\")):
        return "." + plain_href
    return "./" + plain_href if ":" in re.split(r"[/\\#?]", plain_href, maxsplit=1)[0] else plain_href


def clauses(text: Text, language: Language) -> Markup:
    """Return a heading; in Chinese each clause keeps together, so that lines break at the commas."""
    html = text.html(language) if isinstance(text, Value) else escape(text)
    if language != "zh":
        return html
    parts = [part for part in re.split(r"(?<=[，：；、。])", str(html)) if part]
    # A clause that opens a tag and does not close it cannot be wrapped.
    if len(parts) < 2 or any(part.count("<") != 2 * part.count("</") for part in parts):
        return html
    return Markup("").join(Markup('<span class="cl">{}</span>').format(Markup(part)) for part in parts)  # noqa: S704


def css_string(text: str) -> Markup:
    r"""Return `text` as a CSS string; everything but letters and digits is escaped, so that it cannot end it.

    >>> str(css_string('a"b'))
    '"a\\22 b"'
    """
    return Markup('"' + "".join(c if c.isalnum() else f"\\{ord(c):x} " for c in text) + '"')  # noqa: S704


def _globals(language: Language) -> dict[str, object]:
    return {"_": Say(language).text, "language": language, "languages": LANGUAGES, "style": style_sheet}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined, finalize=_written,
    )  # fmt: skip
    environment.filters |= {
        "relative": relative,
        "clauses": clauses,
        "css_string": css_string,
        "digest": digest,
        "plain": plain,
    }
    return environment


@pass_context
def _written(context: Context, value: object) -> object:
    """Write a value in the language of the page."""
    return value.html(context["language"]) if isinstance(value, Value) else value
