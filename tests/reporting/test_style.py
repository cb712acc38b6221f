from __future__ import annotations

import re

import pytest

from funnel_lib.reporting.markup import FOLDER

TOKENS = (FOLDER / "tokens.css").read_text(encoding="utf-8")
SHEETS = "".join(file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.css")))
TEXT = ("ink", "ink2", "ink3", "link", "good", "bad")  # WCAG 1.4.3
GRAPHIC = ("c1", "c2", "c3", "c4", "c5", "c6", "grey", "axis")  # WCAG 1.4.11


def palette(dark: bool) -> dict[str, str]:
    """Return the tokens of one scheme; the dark ones stand in the media query after the light ones."""
    light, night = TOKENS.split("@media", 1)
    return dict(re.findall(r"--([a-z]+\d?): (#[0-9a-f]{3,6});", night if dark else light))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        digits = "".join(c * 2 for c in colour[1:]) if len(colour) == 4 else colour[1:]
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_itself() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)  # the textbook's grey


@pytest.mark.parametrize("dark", [False, True])
def test_texts_and_graphics_are_told_from_the_page(dark: bool) -> None:
    colours = palette(dark)
    low = {name: contrast(colours[name], colours["bg"]) for name in (*TEXT, *GRAPHIC)}
    assert {name: c for name, c in low.items() if c < (4.5 if name in TEXT else 3)} == {}
    assert {name: c for name in TEXT if (c := contrast(colours[name], colours["tint"])) < 4.5} == {}


@pytest.mark.parametrize("dark", [False, True])
def test_numbers_in_the_heat_map_can_be_read(dark: bool) -> None:
    colours = palette(dark)
    for step in range(1, 7):
        text = colours["hi" if step < 5 else "hw"]
        assert contrast(text, colours[f"h{step}"]) >= 4.5, step


def test_both_schemes_have_the_same_tokens() -> None:
    assert palette(True).keys() - {"halo"} == palette(False).keys()  # light halos are transparent


def test_only_tokens_are_used_and_all_are_defined() -> None:
    used = set(re.findall(r"var\(--([a-z0-9]+)\)", SHEETS))
    assert used <= {*palette(False), "halo", "font"}


def test_dark_colours_are_for_screens_only() -> None:
    assert "@media screen and (prefers-color-scheme: dark)" in TOKENS
    assert TOKENS.count("prefers-color-scheme") == 1
