"""What the exports of advertising platforms have in common: days and campaigns with what they cost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.collection.batch import INTERNAL, RAW, Batch, rejected
from funnel_lib.collection.clean import canonical, screen
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout, fitted
from funnel_lib.collection.pages import Page
from funnel_lib.collection.values import numbers
from funnel_lib.schema import CAMPAIGN, CURRENCY

_COUNTED = ("impressions", "clicks", "cost")
_MICROS = "cost_micros"
_TOTAL = r"(?i)(?:^|[,;\t|\"])\s*(?:totals?\b|gesamt|总计|合计|总和|汇总|results from )"
_CODE = re.compile(r"\(([A-Z]{3})\)")


def layouts(columns: Mapping[str, Sequence[str]], *, micros: Sequence[str] = ()) -> list[Layout]:
    """Return the layouts of a platform: its report, and its rows with the cost in millionths (`micros`) if any.

    Parameters
    ----------
    columns : `date`, `campaign`, `impressions`, `clicks`, `cost` and perhaps `currency` -> header texts.
    """
    needs = ("date", CAMPAIGN, *_COUNTED)
    report = [Layout("spend", columns, needs)]
    if micros:
        exact = {**{name: texts for name, texts in columns.items() if name != "cost"}, _MICROS: micros}
        report.append(Layout("spend", exact, [*needs[:-1], _MICROS]))
    return report


def read(
    paths: Sequence[Path], export: Export, known: Sequence[Layout], *, platform: str, advice: str
) -> Iterator[Batch]:
    """Read daily exports of `platform` into the table `spend`.

    Rows of totals (no day, and a total's name or no campaign) are already in the other rows: they count as
    merged by the rule `total_row`. Impressions, clicks and cost that are empty or ``--`` are zero, as the
    platforms leave zeros out. The currency is that of its column, else of the header of the cost, else the
    workbook's.

    Raises
    ------
    DataError : a file is damaged or lacks a column; the day above all, without which nothing can be compared.
    """
    for layout, page in fitted(paths, export, known, advice=advice):
        yield _batch(_in_units(page) if _MICROS in layout.columns else page, export, platform)


def _in_units(page: Page) -> Page:
    """Return the page with the cost in units of its currency instead of millionths."""
    cost = numbers(page.rows[_MICROS]) / 1e6
    texts = cost.map(repr, na_action="ignore").astype("str").fillna(page.rows[_MICROS])  # unreadable stays as it is
    rows = page.rows.drop(columns=_MICROS).assign(cost=texts)
    return replace(page, rows=rows, header={**page.header, "cost": page.header[_MICROS]})


def _batch(page: Page, export: Export, platform: str) -> Batch:
    cells = {str(name): _empty(page.rows[name]) for name in page.rows if name not in INTERNAL}
    cells |= {name: cells[name].fillna("0") for name in _COUNTED}
    code = _CODE.search(page.header["cost"])
    currency = cells.get(CURRENCY, pd.Series(None, index=page.rows.index, dtype="str"))
    cells[CURRENCY] = currency.fillna(code[1] if code else export.workbook.currency)
    cells["platform"] = pd.Series([platform] * len(page.rows), index=page.rows.index, dtype="str")
    named = page.rows[RAW].str.contains(_TOTAL, regex=True)
    total = cells["date"].str.contains(_TOTAL, regex=True).fillna(value=False) | (
        cells["date"].isna() & (named | cells[CAMPAIGN].isna())
    )
    rows = page.rows.assign(**cells)[~total].reset_index(drop=True)
    sieve = canonical(rows, "spend", export)
    screen(sieve, "spend", export)
    kept, aside = sieve.split()
    short = page.aside[RAW].str.contains(_TOTAL, regex=True).fillna(value=False).astype(bool)
    totals = int(total.sum() + short.sum()) + sum(page.merged.values())
    merged = {(page.file, "total_row"): totals} if totals else {}
    return Batch(
        "spend", kept, rejected(pd.concat([page.aside[~short], aside])), {page.file: page.read}, merged,
        columns={page.file: page.columns},
    )  # fmt: skip


def _empty(text: pd.Series[Any]) -> pd.Series[Any]:
    trimmed = text.str.strip()
    return trimmed.mask(trimmed.isin(["", "--", "-", "—"]))
