"""How much room a text takes, how it breaks into lines, how labels keep clear of each other.

The reader's browser draws the text, in a font that is not known here. Widths are estimated on the wide side
(a wide common Latin font; Chinese characters one em), so that what has room here has room there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from unicodedata import east_asian_width

SMALL = 12.5
"""Size of small chart text in CSS pixels; nothing is smaller."""
LABEL = 14
"""Size of the labels and numbers that are read first."""

_EM = {
    **dict.fromkeys("ijl'|", 0.3), **dict.fromkeys(" .,!/:;I[]()ftr-·‘’", 0.4),
    **dict.fromkeys("mwMW%@—…", 1.0), **dict.fromkeys("0123456789abcdeghknopqsuvxyz¥$?_*–“”", 0.64),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ", 0.76),
}  # fmt: skip
_OTHER, _BOLD = 0.88, 1.1
_SPACING = 0.125  # browsers set Chinese and Latin text apart
_CJK = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_TOKENS = re.compile(rf"[（《「【“(]*(?:[{_CJK}]|[^\s{_CJK}]+)[，。、；：！？）》」』】”％,.)]*\s*")
_SEAMS = re.compile(rf"(?<=[{_CJK}])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9%])(?=[{_CJK}])")


@lru_cache(maxsize=4096)
def extent(text: str, size: float = SMALL, bold: bool = False) -> float:
    """Return the estimated width of one line of `text` in CSS pixels.

    >>> extent("访客", 14)
    28.0
    """
    ems = sum(1.0 if east_asian_width(char) in "WF" else _EM.get(char, _OTHER) for char in text)
    return (ems * (_BOLD if bold else 1) + _SPACING * len(_SEAMS.findall(text))) * size


def wrap(text: str, width: float, size: float = SMALL, *, bold: bool = False, lines: int = 3) -> list[str]:
    """Break `text` into at most `lines` lines of `width`; what has no room ends in an ellipsis.

    Latin text breaks at spaces, Chinese text at any character but not before closing punctuation; a word
    wider than the line is cut.

    >>> wrap("Ask for a quotation", 90)
    ['Ask for a', 'quotation']
    """
    found: list[str] = []
    for token in _TOKENS.findall(text):
        line = (found[-1] if found else "") + token
        if found and extent(line.rstrip(), size, bold) <= width:
            found[-1] = line
            continue
        rest = token
        while extent(rest.rstrip(), size, bold) > width and len(rest) > 1:
            head = _fitting(rest, width, size, bold)
            found.append(head)
            rest = rest[len(head) :]
        found.append(rest)
    broken = [line.rstrip() for line in found] or [text]
    if len(broken) <= lines:
        return broken
    last = "".join(found[lines - 1 :])
    cut = _fitting(last, width - extent("…", size, bold), size, bold)
    return [*broken[: lines - 1], cut.rstrip() + "…"]


def spread(wanted: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Move the centres of labels as little as needed so that none overlap, within [low, high].

    Labels that together are larger than the room still do not overlap; they then run past `high`.

    >>> spread([10, 12], [8, 8], 0, 100)
    [7.0, 15.0]
    """
    blocks: list[tuple[list[int], float]] = []  # touching labels from top to bottom, and their top edge
    for index in sorted(range(len(wanted)), key=lambda index: wanted[index]):
        members = [index]
        top = _held(wanted[index] - sizes[index] / 2, sizes[index], low, high)
        while blocks and blocks[-1][1] + sum(sizes[i] for i in blocks[-1][0]) > top:
            members = blocks.pop()[0] + members
            above = [sum(sizes[i] for i in members[:place]) for place in range(len(members))]
            aims = [wanted[i] - sizes[i] / 2 - gone for i, gone in zip(members, above, strict=True)]
            top = _held(sum(aims) / len(aims), sum(sizes[i] for i in members), low, high)
        blocks.append((members, top))
    centres = [0.0] * len(wanted)
    for members, top in blocks:
        for index in members:
            centres[index] = top + sizes[index] / 2
            top += sizes[index]
    return centres


def _held(top: float, size: float, low: float, high: float) -> float:
    return max(low, min(top, high - size))


def _fitting(text: str, width: float, size: float, bold: bool) -> str:
    """Return the longest beginning of `text` that fits, one character at least."""
    count = 1
    while count < len(text) and extent(text[: count + 1], size, bold) <= width:
        count += 1
    return text[:count]
