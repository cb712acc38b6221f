"""The catalogue of translations: read it, and compare it with the sentences that code and templates say."""

from __future__ import annotations

import ast
import re
import string
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Message as Entry
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from funnel_lib.notation import Language

LIBRARY = Path(__file__).resolve().parent.parent
CHINESE = Path(__file__).resolve().parent / "locale" / "zh.po"


@dataclass(frozen=True)
class Message:
    """A sentence that the package says: its id, its plural (if it has one) and where it stands."""

    msgid: str
    plural: str | None
    where: str

    @property
    def forms(self) -> tuple[str, ...]:
        """The English forms."""
        return (self.msgid,) if self.plural is None else (self.msgid, self.plural)


@cache
def translations(language: Language) -> Mapping[str, tuple[str, ...]]:
    """Return the translated forms by English sentence (by its singular); empty for English itself."""
    if language == "en":
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for entry in _entries(CHINESE):
        forms = _forms(entry.string)
        if all(forms) and not entry.fuzzy:
            found[_forms(entry.id)[0]] = forms
    return found


def placeholders(template: str) -> frozenset[str]:
    """Return the names of a template's placeholders.

    >>> sorted(placeholders("Of {n} visitors, {rate:value} paid {rate:ci}."))
    ['n', 'rate']
    """
    return frozenset(name for _, name, _, _ in string.Formatter().parse(template) if name is not None)


def messages(folder: Path = LIBRARY) -> list[Message]:
    """Return all sentences said below `folder`, ordered by place; each once.

    In modules that import `Say` these are the first arguments of `say(...)` and `say.text(...)` and the two
    texts of `say.plural(n, ...)`; in those that mark sentences with a `_` of their own, and in templates, the first
    arguments of `_(...)`.

    Raises
    ------
    ValueError : a sentence is not a literal, so that nobody could translate it.

    """
    found: dict[str, Message] = {}
    for file in sorted(folder.rglob("*.py")):
        for message in _said(file, folder):
            found.setdefault(message.msgid, message)
    for file in sorted(folder.rglob("*.j2")):
        with file.open("rb") as lines:
            for line, _, arguments, _ in babel_extract(lines, ["_"], [], {}):
                text = str(arguments[0] if isinstance(arguments, tuple) else arguments)
                where = f"{file.relative_to(folder).as_posix()}:{line}"
                found.setdefault(text, Message(text, None, where))
    return list(found.values())


def faults(said: list[Message], file: Path = CHINESE) -> list[str]:
    """Return what is wrong with the catalogue, one line each; empty when it is complete and exact."""
    entries = {_forms(entry.id)[0]: entry for entry in _entries(file)}
    ids = {message.msgid for message in said}
    found = [f"no longer said: {msgid}" for msgid in sorted(entries) if msgid not in ids]
    for message in said:
        entry = entries.get(message.msgid)
        if entry is None or not all(_forms(entry.string)):
            found.append(f"no Chinese: {message.msgid} ({message.where})")
            continue
        if entry.fuzzy:
            found.append(f"fuzzy: {message.msgid}")
        if (len(_forms(entry.id)) > 1) != (message.plural is not None):
            found.append(f"plural in one of code and catalogue only: {message.msgid} ({message.where})")
        found.extend(_form_faults(message, entry))
    return found


def main() -> int:
    """Append empty entries for new sentences, take out those no longer said, list the faults; 1 if there are any."""
    said = {message.msgid: message for message in messages()}
    head = CHINESE.read_text(encoding="utf-8").split("\n\n", 1)[0]
    with CHINESE.open("rb") as lines:
        kept = read_po(lines, locale="zh_Hans_CN", abort_invalid=True)
    known = {_forms(entry.id)[0]: entry for entry in kept if entry.id}
    gone, new = sorted(known.keys() - said.keys()), [m for m in said.values() if m.msgid not in known]
    for msgid in gone:
        kept.delete(known[msgid].id)
    for message in new:
        kept.add(message.msgid if message.plural is None else message.forms)
    if gone or new:
        text = BytesIO()
        write_po(text, kept, omit_header=True, no_location=True, width=0)
        CHINESE.write_text(head + "\n\n" + text.getvalue().decode(), encoding="utf-8")
    found = faults(list(said.values()))
    sys.stdout.writelines([*(f"taken out: {msgid}\n" for msgid in gone), *(f"{fault}\n" for fault in found)])
    sys.stdout.write(f"{len(said)} sentences, {len(found)} faults; {len(new)} empty entries added to {CHINESE}\n")
    return 1 if found else 0


def _entries(file: Path) -> list[Entry]:
    with file.open("rb") as lines:
        return [entry for entry in read_po(lines, locale="zh_Hans_CN", abort_invalid=True) if entry.id]


def _forms(id_or_string: object) -> tuple[str, ...]:
    if isinstance(id_or_string, tuple | list):
        return tuple(str(form) for form in id_or_string)
    return (str(id_or_string),)


def _form_faults(message: Message, entry: Entry) -> Iterator[str]:
    """Yield the faults of an entry that has its Chinese: placeholders, bold marks, typed-in numbers."""
    wanted = frozenset().union(*(placeholders(form) for form in message.forms))
    for form in _forms(entry.string):
        if placeholders(form) != wanted:
            yield f"other placeholders: {message.msgid} -> {form}"
        if form.count("**") != message.msgid.count("**"):
            yield f"other bold marks: {message.msgid} -> {form}"
    for form in (*message.forms, *_forms(entry.string)):
        if re.search(r"(?<![A-Za-z_])\d", re.sub(r"\{[^}]*\}", "", form)):
            yield f"a number typed into a sentence: {form} ({message.where})"


def _said(file: Path, folder: Path) -> Iterator[Message]:
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    marks = any(isinstance(node, ast.FunctionDef) and node.name == "_" for node in nodes)
    for node in nodes if "Say" in imported or marks else []:
        if not isinstance(node, ast.Call):
            continue
        kind = _kind(node.func)
        if kind is None:
            continue
        where = f"{file.relative_to(folder).as_posix()}:{node.lineno}"
        if kind == "plural":
            one, many = (_literals(arg, where)[0] for arg in node.args[1:3])
            yield Message(one, many, where)
        else:
            yield from (Message(text, None, where) for text in _literals(node.args[0], where))


def _kind(function: ast.expr) -> str | None:
    """Return how a call says something: `say`, `text`, `plural`, or None where it says nothing."""
    if isinstance(function, ast.Attribute) and function.attr in ("text", "plural") and _is_say(function.value):
        return function.attr
    return "say" if _is_say(function) else None


def _is_say(expression: ast.expr) -> bool:
    name = expression.id if isinstance(expression, ast.Name) else getattr(expression, "attr", None)
    return name in ("say", "_")


def _literals(argument: ast.expr, where: str) -> list[str]:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [argument.value]
    if isinstance(argument, ast.IfExp):
        return _literals(argument.body, where) + _literals(argument.orelse, where)
    raise ValueError(f"{where}: a sentence must be a literal, found {ast.unparse(argument)[:80]}")
