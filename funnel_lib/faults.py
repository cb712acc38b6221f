"""What is wrong with a workbook file, or a definition, in words that name the key, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from funnel_lib.errors import ConfigError, choices

Fields = Mapping[str, Sequence[str]]
"""Names of fields that may be given: below a key, such as `steps`; of anything else below the empty one."""
Made = TypeVar("Made")


def field_names(made: type, **below: type) -> Fields:
    """Return the fields of a dataclass, and of those that its keys hold."""
    return {key: list(one.__dataclass_fields__) for key, one in {"": made, **below}.items()}  # type: ignore[attr-defined]


def taught(**below: type) -> Callable[[type[Made]], type[Made]]:
    """Let a dataclass that is called with what cannot be raise a ConfigError that lists all faults.

    Below the mapping of a workbook it is not called, so that there the faults of the whole file are listed together.
    """

    def teach(made: type[Made]) -> type[Made]:
        checked, fields = made.__init__, field_names(made, **below)

        @wraps(checked)
        def init(self: Made, *args: Any, **given: Any) -> None:
            try:
                checked(self, *args, **given)
            except ValidationError as error:
                raise refusal(
                    error, dict(zip(fields[""], args, strict=False)) | given, fields,
                    what=f"This {made.__name__} cannot be", where=made.__name__,
                    do=f"Correct the argument; help({made.__name__}) says what each one means.",
                ) from error  # fmt: skip

        made.__init__ = init  # type: ignore[assignment]
        return made

    return teach


def refusal(error: ValidationError, data: object, fields: Fields, *, what: str, where: object, do: str) -> ConfigError:
    """Return the error that lists all faults at once: the first in full, the others in a line each."""
    (path, (found, why, allowed)), *others = faults(error, data, fields).items()
    more = "".join(f"\n  also:    {where}: {p} = {f} - {w}; allowed: {ok}" for p, (f, w, ok) in others)
    place = f"{where}: {path or '(top level)'}"
    return ConfigError(f"{what}: {why}.", where=place, found=found, allowed=allowed, do=f"{do}{more}")


def faults(error: ValidationError, data: object, fields: Fields) -> dict[str, tuple[str, str, str]]:
    """Return key path -> (value found, what is wrong, what is allowed), one for each place in the file."""
    listed: dict[str, tuple[str, str, str]] = {}
    for detail in error.errors():
        path = _path(detail, data)
        found, what, allowed = _fault(detail, fields)
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


def _fault(detail: ErrorDetails, fields: Fields) -> tuple[str, str, str]:
    """Return (value found, what is wrong, what is allowed) of one validation error."""
    kind, context = detail["type"], detail.get("ctx", {})
    found, what = context.get("found", detail["input"]), detail["msg"]
    allowed = context.get("allowed") or context.get("expected_tags") or context.get("expected") or what
    if kind == "missing":
        found = None
    elif kind.startswith("union_tag"):
        found, what = context.get("tag"), "unknown kind" if context.get("tag") else "field required"
        allowed = context.get("expected_tags", "'trial', 'policy', 'release'")
    elif kind == "unexpected_keyword_argument":  # of a dataclass; sections say it themselves
        names = next((fields[str(key)] for key in reversed(detail["loc"]) if key in fields), fields[""])
        found, what, allowed = detail["loc"][-1], "unknown key", choices(names, detail["loc"][-1])
    if isinstance(found, dict):
        found = f"only {', '.join(map(str, found))}" if found else "{}"
    if "'" in str(allowed) and allowed is not what and isinstance(found, str | None):
        allowed = choices([name.strip(" '") for name in str(allowed).replace(" or ", ",").split(",")], found)
    return "(nothing)" if found is None else str(found), what[0].lower() + what[1:], str(allowed)
