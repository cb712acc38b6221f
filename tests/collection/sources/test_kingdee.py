import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection import grid
from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import kingdee
from funnel_lib.errors import DataError

SOURCE = {"system": "kingdee", "files": "*", "timezone": "Asia/Shanghai"}
Exports = Callable[..., Export]
ORDERS: list[list[Any]] = [
    ["销售订单列表"], [],
    ["单据编号", "单据日期", "客户编码", "客户", "商品名称", "数量", "价税合计", "单据状态"],
    ["XSDD-1", "2026-03-01", "C1", "甲公司", "A", 1, "1,000.50", "已审核"],
    ["XSDD-1", "2026-03-01", "C1", "甲公司", "B", 2, 200, "已审核"],
    ["XSDD-2", "2026-03-02", "C2", "乙公司", "A", 1, 300, "未审核"],
    ["XSDD-3", "2026-03-02", "C2", "乙公司", "A", 1, 300, "已审核"],
    ["XSDD-3", "2026-03-02", "C2", "乙公司", "B", 1, "面议", "已审核"],
    ["XSDD-4", "2026-03-03", "C3", "丙公司", "A", 1, None, "作废"],
    ["合计", None, None, None, None, None, 1800.5, None],
]  # fmt: skip


def read(export: Exports, data: bytes | str, name: str = "a.xlsx", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: data})
    (batch,) = kingdee.read(made.files(), made)
    return batch


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


@pytest.mark.parametrize("rows", [2, 100_000])
def test_a_document_is_one_event_with_the_sum_of_its_lines(
    export: Exports, xlsx: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, rows: int
):
    monkeypatch.setattr(grid, "PAGE_ROWS", rows)  # a document may lie on two pages
    batch = read(export, xlsx(ORDERS))
    assert shown(batch.rows, "event_id", "user_id", "event", "amount", "ts") == [
        ["s-XSDD-1", "C1", "order", "1200.5", "2026-02-28 16:00:00+00:00"],
        ["s-XSDD-2", "C2", "order_draft", "300.0", "2026-03-01 16:00:00+00:00"],
        ["s-XSDD-4", "C3", "order_void", None, "2026-03-02 16:00:00+00:00"],
    ]
    # The amount of one line of the third cannot be read, so neither can that of the document.
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[7, "unreadable_number"]]
    assert batch.merged == {("a.xlsx", "total_row"): 1, ("a.xlsx", "order_line"): 2}
    assert batch.read == {"a.xlsx": 7}


def test_the_kind_of_document_names_the_event(export: Exports):
    kinds = ["销售报价单", "销售出库单", "其他", ""]
    rows = "\n".join(
        ["单据编号,单据日期,客户,单据类型", *(f"{i},2026-03-01,甲,{kind}" for i, kind in enumerate(kinds))]
    )
    assert read(export, rows, "a.csv").rows["event"].tolist() == ["quote", "delivered", "其他", "order"]
    assert set(read(export, rows, "a.csv", constants={"event": "paid"}).rows["event"]) == {"paid"}


def test_documents_without_a_number_are_set_aside(export: Exports):
    rows = "单据编号,单据日期,客户,价税合计\n,2026-03-01,甲,1\n,2026-03-01,甲,2\n"
    batch = read(export, rows, "a.csv")
    assert batch.rejected["rule"].tolist() == ["missing_value", "missing_value"]


def test_rows_of_the_interface_are_read_as_well(export: Exports):
    row = {"bill_no": "X1", "bill_date": "2026-03-01", "bill_status": "C", "customer_number": "C1", "all_amount": "12"}
    assert shown(read(export, json.dumps(row), "a.jsonl").rows, "event", "amount", "user_id") == [
        ["order", "12.0", "C1"]
    ]


def test_a_list_without_customers_is_refused(export: Exports):
    with pytest.raises(DataError, match="lacks the column '客户编码'"):
        read(export, "单据编号,单据日期\n1,2026-03-01\n", "a.csv")
