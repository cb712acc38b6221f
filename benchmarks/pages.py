"""The pages of docs/ that measurements write: each run renews the sections that it measured and leaves the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.tables import markdown

DOCS = Path(__file__).parents[1] / "docs"
_HEADS = re.compile(r"(?m)^(?=## )")


def put(name: str, text: str) -> None:
    """Print the sections and write them into a page of docs/: sections of the same heading are replaced.

    Text before the first heading replaces the page's beginning.
    """
    print(text)
    page = DOCS / name
    old = _parts(page.read_text(encoding="utf-8")) if page.exists() else {}
    new = _parts(text)
    merged = {**old, **{head: body for head, body in new.items() if head or body.strip()}}
    page.write_text(
        "".join(body.rstrip("\n") + "\n\n" for body in merged.values()).rstrip("\n") + "\n", encoding="utf-8"
    )


def _parts(text: str) -> dict[str, str]:
    """Return the sections of a page by their headings; what stands before the first one, by an empty text."""
    pieces = _HEADS.split(text)
    return {"": pieces[0]} | {piece.split("\n", 1)[0]: piece for piece in pieces[1:]}


def section(title: str, said: Sequence[tuple[Callable[..., pd.DataFrame], Any]], *, intro: str = "") -> str:
    """Return a section of simulations: what each says of itself, and its table.

    Parameters
    ----------
    said : functions, whose docstrings are the text, each with the arguments of its call.
    intro : what holds for all of them.
    """
    parts = [f"## {title}\n", *([f"{intro}\n"] if intro else [])]
    for call, given in said:
        paragraphs = (
            " ".join((call.__doc__ or "").split("\n\n")[0].split()),
            *(" ".join(more.split()) for more in (call.__doc__ or "").split("\n\n")[1:]),
        )
        parts.append("\n\n".join(text for text in paragraphs if text) + "\n\n" + markdown(call(*given)))
    return "\n".join(parts)
