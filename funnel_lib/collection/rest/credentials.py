"""Credentials: from the environment, or from a file outside the project; never shown, never stored.

The credential `token` of the source `crm` is the environment variable ``FUNNEL_CRM_TOKEN``; or it stands in the YAML
file that ``FUNNEL_CREDENTIALS`` names, as ``crm: {token: ...}``. The variable wins.
"""

from __future__ import annotations

import base64
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import yaml

from funnel_lib.errors import ConfigError

FILE = "FUNNEL_CREDENTIALS"
HIDDEN = "•••"
_SHORTEST = 4
"""Shorter texts are not hidden: they would blot out words at random, and are no secret."""


def variable(source: str, name: str) -> str:
    """Return the environment variable of a source's credential.

    >>> variable("web-shop", "api_key")
    'FUNNEL_WEB_SHOP_API_KEY'
    """
    return re.sub(r"[^A-Z0-9]", "_", f"FUNNEL_{source}_{name}".upper())


def load(
    source: str, needs: Iterable[str], optional: Iterable[str] = (), *, environ: Mapping[str, str], root: Path
) -> dict[str, str]:
    """Return the credentials of a source.

    Parameters
    ----------
    source : name in the workbook.
    needs, optional : names of the credentials.
    environ : the environment.
    root : the project's folder, in which no credentials may lie.

    Raises
    ------
    ConfigError : one is missing; or the file lies in the project, can be read by others, or is not readable.
    """
    stored = _stored(environ, root).get(source, {})
    found: dict[str, str] = {}
    missing = []
    for name in needs:
        value = environ.get(variable(source, name)) or stored.get(name)
        if value:
            found[name] = value
        else:
            missing.append(name)
    if missing:
        raise ConfigError(
            f"The source {source!r} has no credentials to fetch with.", where=f"sources.{source}.api",
            found="nothing in " + ", ".join(variable(source, name) for name in missing),
            allowed=f"these environment variables, or {source}: {{{', '.join(f'{n}: ...' for n in missing)}}} in the "
            f"file that {FILE} names", do="Set them where the command runs; never write them into the workbook.",
        )  # fmt: skip
    for name in optional:
        value = environ.get(variable(source, name)) or stored.get(name)
        if value:
            found[name] = value
    return found


def _stored(environ: Mapping[str, str], root: Path) -> dict[str, dict[str, str]]:
    named = environ.get(FILE)
    if not named:
        return {}
    path = Path(named).expanduser()
    if not path.is_file():
        raise ConfigError(
            "There is no file of credentials.", where=FILE, found=path, allowed="an existing YAML file",
            do="Correct the environment variable, or unset it.",
        )  # fmt: skip
    path = path.resolve()
    _outside(path, root)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            "The file of credentials can be read by others.", where=path, found=stat.filemode(path.stat().st_mode),
            allowed="-rw------- (only its owner)", do=f"Run: chmod 600 {path}",
        )  # fmt: skip
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError):
        content = None  # the parser's message would quote the file
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise ConfigError(
            "The file of credentials cannot be read.", where=path, found="no mapping of sources (its content is "
            "not shown)", allowed="YAML such as  crm: {token: ...}", do="Correct the file.",
        )  # fmt: skip
    return {
        str(source): {str(name): str(value) for name, value in part.items() if value is not None}
        for source, part in content.items()
    }


def _outside(path: Path, root: Path) -> None:
    """Refuse a file within the project, or within any checkout: it would be committed one day."""
    inside = path.is_relative_to(root.resolve())
    if inside or any((parent / ".git").exists() for parent in path.parents):
        raise ConfigError(
            "The file of credentials lies inside a project's folder.", where=path,
            found=root if inside else path.parent, allowed="a file outside of every repository",
            do="Move it, for example into ~/.config/funnel/.",
        )  # fmt: skip


class Hidden:
    """Credentials, and the tokens that they brought; hides them in every text that leaves the program."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._values = dict(secrets)
        self._forms: list[str] = []
        self._learn(secrets.values())

    @property
    def values(self) -> Mapping[str, str]:
        """All credentials by name."""
        return self._values

    def add(self, more: Mapping[str, str]) -> None:
        """Add tokens; older ones of the same name stay hidden."""
        self._values |= more
        self._learn(more.values())

    def mask(self, text: object) -> str:
        """Return a text with every credential, also in its encoded forms, replaced."""
        shown = str(text)
        for form in self._forms:
            shown = shown.replace(form, HIDDEN)
        return shown

    def __repr__(self) -> str:
        """Name the credentials, without their values."""
        return f"Hidden({', '.join(self._values)})"

    def _learn(self, values: Iterable[str]) -> None:
        forms = {*self._forms}
        for value in values:
            if len(value) >= _SHORTEST:
                forms |= {value, quote(value, safe=""), quote_plus(value), base64.b64encode(value.encode()).decode()}
                forms.add(value.encode("unicode_escape").decode())
        self._forms = sorted(forms, key=len, reverse=True)
