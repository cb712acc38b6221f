"""Frames as Markdown tables."""

from __future__ import annotations

import pandas as pd


def markdown(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table; all cells as text, numbers to the right."""
    heads = [str(column) for column in frame]
    rule = ["---:" if pd.api.types.is_numeric_dtype(frame[column]) else "---" for column in frame]
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rule, *rows]) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
