"""How deals stand, in the words and codes of Chinese sales systems."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from funnel_lib.collection import deals
from funnel_lib.collection.files import Export

WORDS: Mapping[str, str] = {
    "进行中": "open", "跟进中": "open", "未成交": "open", "未关闭": "open", "处理中": "open", "新建": "open",
    "赢单": "won", "已赢单": "won", "赢单关闭": "won", "成交": "won", "已成交": "won", "已签约": "won", "成功": "won",
    "输单": "lost", "已输单": "lost", "输单关闭": "lost", "丢单": "lost", "已丢单": "lost", "失败": "lost",
    "无效": "lost", "作废": "lost", "已作废": "lost", "终止": "lost",
}  # fmt: skip


def with_standing(rows: pd.DataFrame, export: Export, codes: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows with `status` as open, won or lost, and the date of closing where it belongs.

    What the workbook says about a status (`values: {status: …}`) comes first, then `codes`, then `WORDS`; a text
    that none of them knows stays, and its row is set aside later. Without a status, the stage tells.

    Parameters
    ----------
    rows : text columns, `status` or `stage` among them.
    codes : what the system writes in place of a word.
    """
    if "status" in rows:
        told = rows["status"].str.strip()
        own = export.source.values.get("status", {})  # noqa: PD011 - a workbook's section, no frame
        known = {text: text if text in own else codes.get(text, WORDS.get(text, text)) for text in told.dropna()}
        rows = rows.assign(status=told.mask(told == "").map(known).astype("str"))
    return deals.with_closing(deals.with_status(rows, export))
