"""The section of a workbook file that says who hears of its runs."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from funnel_lib.notation import Duration, Language
from funnel_lib.settings import Section


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise PydanticCustomError(
            "variable", "this is not the name of an environment variable",
            {"found": "a text that is not shown, as it may be a secret", "allowed": "a name such as FUNNEL_FEISHU_URL"},
        )  # fmt: skip
    return name


class Notify(Section):
    """Who hears of a run: one digest to each address.

    `to` names environment variables that hold the addresses; an address is a secret and never stands in the file.
    `when`: after every run (`always`), when a report was made or failed (`change`), or only when one failed
    (`failure`). `link` is where readers can open the folder of this workbook's reports. `language` is the first of
    the workbook's where none is named. Trouble is announced once, and again when it still stands after `repeat`.
    """

    to: Annotated[list[Annotated[str, AfterValidator(_variable)]], Field(min_length=1)]
    when: Literal["always", "change", "failure"] = "change"
    link: Annotated[str, Field(pattern=r"^https?://[^\s<>\"']+$")] | None = None
    language: Language | None = None
    repeat: Duration = Field(default="7d", validate_default=True)
