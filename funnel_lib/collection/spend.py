"""What the exports of advertising platforms have in common: days and campaigns with what they cost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.collection.batch import INTERNAL, RAW, Batch, rejected
from funnel_lib.collection.clean import canonical, screen
from funnel_lib.collection.files import Export
from funnel_lib.collection.pages import Page, Wanted
from funnel_lib.collection.reading import pages
from funnel_lib.schema import CAMPAIGN, CURRENCY

_COUNTED = ("impressions", "clicks", "cost")
_TOTAL = r"(?i)(?:^|[,;\t|\"])\s*(?:totals?\b|gesamt|总计|合计|总和|汇总|results from )"
_CODE = re.compile(r"\(([A-Z]{3})\)")


def wanted(names: Mapping[str, str], spellings: Mapping[str, Sequence[str]], *, advice: str) -> Wanted:
    """Return the columns of a platform: its English header texts, and patterns for other ones (capitals ignored)."""
    patterns = {name: tuple(re.compile(text, re.IGNORECASE) for text in texts) for name, texts in spellings.items()}
    return Wanted(names, patterns, optional=frozenset([CURRENCY]), advice=advice)


def read(paths: Sequence[Path], export: Export, columns: Wanted, *, platform: str) -> Iterator[Batch]:
    """Read daily exports of `platform` into the table `spend`.

    Rows of totals (no day, and a total's name or no campaign) are already in the other rows: they count as
    merged by the rule `total_row`. Impressions, clicks and cost that are empty or ``--`` are zero, as the
    platforms leave zeros out. The currency is that of its column, else of the header of the cost, else the
    workbook's.

    Raises
    ------
    DataError : a file is damaged or lacks a column; the day above all, without which nothing can be compared.
    """
    for path in paths:
        for page in pages(path, export, columns):
            yield _batch(page, export, platform)


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
    totals = int(total.sum() + short.sum())
    merged = {(page.file, "total_row"): totals} if totals else {}
    return Batch("spend", kept, rejected(pd.concat([page.aside[~short], aside])), {page.file: page.read}, merged)


def _empty(text: pd.Series[Any]) -> pd.Series[Any]:
    trimmed = text.str.strip()
    return trimmed.mask(trimmed.isin(["", "--", "-", "—"]))
