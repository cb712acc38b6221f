"""What is wrong with a workbook file, in words that name the key, the value and what is allowed."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import choices


def faults(error: ValidationError, data: object) -> dict[str, tuple[str, str, str]]:
    """Return key path -> (value found, what is wrong, what is allowed), one for each place in the file."""
    listed: dict[str, tuple[str, str, str]] = {}
    for detail in error.errors():
        path = _path(detail, data)
        found, what, allowed = _fault(detail)
        if path in listed:  # one for each kind of value that would do
            allowed = f"{listed[path][2]}; or {allowed}"
        listed[path] = found, what, allowed
    return listed


def _path(detail: ErrorDetails, data: object) -> str:
    """Return the keys that lead to the fault; pydantic also names the kinds of value that it tried there."""
    keys: list[str] = []
    for place, key in enumerate(detail["loc"], start=1):
        if (isinstance(data, dict) and key in data) or (isinstance(data, list) and key in range(len(data))):
            data = data[key]  # type: ignore[index]
            keys.append(str(key))
        elif place == len(detail["loc"]) and detail["type"] in ("missing", "unknown_key"):
            keys.append(str(key))
    return ".".join([*keys, "kind"] if detail["type"].startswith("union_tag") else keys)


def _fault(detail: ErrorDetails) -> tuple[str, str, str]:
    """Return (value found, what is wrong, what is allowed) of one validation error."""
    kind, context = detail["type"], detail.get("ctx", {})
    found, what = context.get("found", detail["input"]), detail["msg"]
    allowed = context.get("allowed") or context.get("expected_tags") or context.get("expected") or what
    if kind == "missing":
        found = None
    elif kind.startswith("union_tag"):
        found, what = context.get("tag"), "unknown kind" if context.get("tag") else "field required"
        allowed = context.get("expected_tags", "'trial', 'policy', 'release'")
    elif kind == "unexpected_keyword_argument":  # Funnel and Step are dataclasses, not sections
        names = list((Step if "steps" in detail["loc"] else Funnel).__dataclass_fields__)
        found, what, allowed = detail["loc"][-1], "unknown key", choices(names, detail["loc"][-1])
    if isinstance(found, dict):
        found = f"only {', '.join(map(str, found))}" if found else "{}"
    if "'" in str(allowed) and allowed is not what and isinstance(found, str | None):
        allowed = choices([name.strip(" '") for name in str(allowed).replace(" or ", ",").split(",")], found)
    return "(nothing)" if found is None else str(found), what[0].lower() + what[1:], str(allowed)
