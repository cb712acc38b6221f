"""金蝶云星辰 Kingdee: quotes, orders, deliveries and receipts, as lists (Excel) or rows of the interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.collection import layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.clean import batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.pages import Page
from funnel_lib.collection.rest.systems.kingdee import API
from funnel_lib.collection.values import numbers
from funnel_lib.schema import AMOUNT, EVENT, EVENT_ID, USER_ID

_DOCUMENTS = {
    "销售报价单": "quote", "报价单": "quote", "sal_quota": "quote", "销售订单": "order", "sal_order": "order",
    "销售出库单": "delivered", "出库单": "delivered", "sal_out_bound": "delivered", "销售退货单": "returned",
    "收款单": "paid", "销售收款单": "paid",
}  # fmt: skip
_STANDINGS = {
    "Z": "draft", "暂存": "draft", "草稿": "draft", "未审核": "draft", "待审核": "draft", "审核中": "draft",
    "作废": "void", "已作废": "void",
}  # fmt: skip
_LAYOUT = Layout(
    "events",
    {
        "bill": ("单据编号", "单据编码", "订单编号", "bill_no"),
        "ts": ("单据日期", "日期", "下单时间", "bill_date"),
        USER_ID: ("客户编码", "客户编号", "customer_number", "客户", "客户名称", "customer_name"),
        AMOUNT: ("价税合计", "含税金额", "价税合计(本位币)", "金额", "total_amount", "all_amount"),
        "currency": ("币别", "币种", "currency_number"),
        "document": ("单据类型", "业务类型", "bill_type"),
        "bill_status": ("单据状态", "审核状态", "bill_status"),
        "product": ("商品名称", "商品", "物料名称", "material_name"),
        "quantity": ("数量", "qty"),
        "salesperson": ("业务员", "销售员", "emp_name"),
        "department": ("部门", "dept_name"),
    },
    ["bill", "ts", USER_ID],
)
_ADVICE = "Export the list with 单据编号, 单据日期, 客户编码 and 价税合计."


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read documents into `events`: ``quote``, ``order``, ``delivered``, ``returned``, ``paid``.

    A document of several lines is one event with the sum of their amounts; its further lines count as merged. Drafts
    and void documents are events of their own (``order_draft``, ``order_void``): they are no orders. The kind is that
    of the column 单据类型, ``order`` without one; the workbook's `constants` may say another.

    Raises
    ------
    DataError : a file is damaged, or lacks the number, the date or the customer.
    """
    for path in paths:
        parts = [page for _, page in layouts.fitted([path], export, [_LAYOUT], advice=_ADVICE)]
        yield _batch(_whole(parts), export)


def _whole(parts: Sequence[Page]) -> Page:
    """Return the pages of one file as one: the lines of a document may lie on two of them."""
    first = parts[0]
    return replace(
        first, read=sum(page.read for page in parts), rows=pd.concat([page.rows for page in parts], ignore_index=True),
        aside=pd.concat([page.aside for page in parts], ignore_index=True),
        merged={place: sum(page.merged.get(place, 0) for page in parts) for page in parts for place in page.merged},
    )  # fmt: skip


def _batch(page: Page, export: Export) -> Batch:
    rows = page.rows
    bill = rows["bill"].str.strip()
    number = bill.mask(bill == "")
    if AMOUNT in rows:
        rows = rows.assign(**{AMOUNT: _sums(rows[AMOUNT], number)})
    named = {EVENT: _events(rows), EVENT_ID: export.name + "-" + number}
    again = (number.duplicated() & number.notna()).to_numpy(dtype=bool)
    kept = rows.assign(**named).rename(columns={"bill": "bill_number"})[~again].reset_index(drop=True)
    lines = {(page.file, "order_line"): int(again.sum())} if again.any() else {}
    return batch(replace(page, rows=kept, merged={**page.merged, **lines}), "events", export)


def _sums(text: pd.Series[Any], number: pd.Series[Any]) -> pd.Series[Any]:
    """Return for each line the sum of its document, as a text; or the text of a line of it that is no number."""
    value = numbers(text)
    unreadable = text.where(value.isna() & (text.str.strip().fillna("") != ""))
    groups = number.fillna(pd.Series(number.index.astype("str"), index=number.index) + "?")
    total = value.groupby(groups).transform(lambda amounts: amounts.sum(min_count=1))
    wrong = unreadable.groupby(groups).transform("first")
    return wrong.fillna(total.map(repr, na_action="ignore").astype("str")).astype("str")


def _events(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return the name of each event: the kind of the document, and whether it is a draft or void."""
    order = pd.Series(["order"] * len(rows), index=rows.index, dtype="str")
    kind = order
    if "document" in rows:
        text = rows["document"].str.strip()
        kind = text.mask(text == "").map(lambda name: _DOCUMENTS.get(name, name), na_action="ignore").astype("str")
        kind = kind.fillna(order)
    if "bill_status" not in rows:
        return kind
    standing = rows["bill_status"].str.strip().map(_STANDINGS).astype("str")
    return (kind + "_" + standing).fillna(kind)


SYSTEM = Offer(
    name="kingdee",
    title="金蝶云星辰 Kingdee",
    reads=read,
    fills=("events",),
    files="The list of sales orders (or quotes, deliveries, receipts) with its lines, as Excel.",
    confirmed="Fields, states and times of the interface by copies of the vendor's pages and public code; the Chinese "
    "header texts of lists are not confirmed.",
    aliases=layouts.aliases([_LAYOUT]),
    api=API,
)
