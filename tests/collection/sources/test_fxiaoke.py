import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import fxiaoke
from funnel_lib.errors import DataError

SOURCE = {"system": "fxiaoke", "files": "*", "timezone": "Asia/Shanghai"}
Exports = Callable[..., Export]
Sheets = Callable[..., bytes]
DEALS: list[list[Any]] = [
    ["商机名称", "商机编号", "客户名称", "商机金额（万元）", "销售阶段", "商机状态", "预计成交日期", "创建时间",
     "阶段变更时间", "输单原因"],
    ["甲项目", "SJ001", "甲公司", "１２.５", "方案报价", "进行中", "2026年6月30日", "2026-03-01 10:00",
     "2026-03-10 09:00", None],
    ["乙项目", "SJ002", "乙公司", "1,200", "赢单", "2", "2026/3/20", "2026-03-01 10:00", "2026-03-20 09:00", None],
    ["丙项目", "SJ003", "丙公司", 8, "输单", "3", "2026-03-11", "2026-03-02 10:00", None, "价格高"],
    ["丁项目", "SJ004", "丁公司", 8, "需求确认", "待定", "2026-04-11", "2026-03-02 10:00", None, None],
    ["合计", None, None, 1228.5, None, None, None, None, None, None],
]  # fmt: skip


def read(export: Exports, data: bytes | str, name: str = "a.xlsx", **source: Any) -> list[Batch]:
    made = export({**SOURCE, **source}, {name: data})
    return list(fxiaoke.read(made.files(), made))


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


def test_opportunities_become_deals(export: Exports, xlsx: Sheets):
    (batch,) = read(export, xlsx(DEALS))
    assert batch.table == "deals"
    assert shown(batch.rows, "record_id", "account", "amount", "stage", "status", "expected_close", "closed") == [
        ["SJ001", "甲公司", "125000.0", "方案报价", "open", "2026-06-29 16:00:00+00:00", None],
        ["SJ002", "乙公司", "12000000.0", "赢单", "won", None, "2026-03-20 01:00:00+00:00"],
        ["SJ003", "丙公司", "80000.0", "输单", "lost", None, "2026-03-10 16:00:00+00:00"],
    ]
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[5, "unknown_status"]]
    assert batch.merged == {("a.xlsx", "total_row"): 1}


def test_only_the_stay_that_the_list_proves_is_told(export: Exports, xlsx: Sheets):
    (batch,) = read(export, xlsx(DEALS))
    assert shown(batch.derived["stage_history"], "record_id", "stage", "entered_at", "left_at") == [
        ["SJ001", "方案报价", "2026-03-10 01:00:00+00:00", None],
        ["SJ002", "赢单", "2026-03-20 01:00:00+00:00", None],
    ]


def test_the_workbook_says_what_an_unknown_status_means(export: Exports, xlsx: Sheets):
    (batch,) = read(export, xlsx(DEALS), values={"status": {"待定": "open", "3": "open"}})
    assert batch.rows["status"].tolist() == ["open", "won", "open", "open"]


def test_leads_and_customers_become_people_without_what_names_them(export: Exports, xlsx: Sheets):
    leads = [["姓名", "线索编号", "手机", "线索状态", "线索来源", "创建时间", "分配时间"],
             ["张三", "XS1", "13800138000", "跟进中", "官网", "2026-03-01 10:00", "2026-03-02"]]  # fmt: skip
    (batch,) = read(export, xlsx(leads))
    assert shown(batch.rows, "user_id", "lead_status", "lead_source", "first_seen", "assigned_at") == [
        ["XS1", "跟进中", "官网", "2026-03-01 02:00:00+00:00", "2026-03-01 16:00:00+00:00"],
    ]
    assert not {"full_name", "mobile"} & set(batch.rows)
    assert "13800138000" not in batch.rows.to_csv()
    (batch,) = read(export, xlsx([["客户名称", "客户编号", "客户级别"], ["甲公司", "KH1", "重要"]]))
    assert shown(batch.rows, "user_id", "company", "customer_level") == [["KH1", "甲公司", "重要"]]


def test_rows_of_the_interface_are_read_as_well(export: Exports):
    row = {
        "_id": "5f1", "name": "甲项目", "amount": "88.00", "sales_stage__r": "方案报价", "sales_status": "1",
        "close_date": 1782748800000, "create_time": 1772330400000, "stg_changed_time": 1773104400000,
    }  # fmt: skip
    (batch,) = read(export, json.dumps(row, ensure_ascii=False), "a.jsonl")
    assert shown(batch.rows, "record_id", "amount", "stage", "status", "created") == [
        ["5f1", "88.0", "方案报价", "open", "2026-03-01 02:00:00+00:00"],
    ]


def test_a_renamed_column_is_found_by_an_alias_of_the_workbook(export: Exports, xlsx: Sheets):
    rows = [["机会号", "阶段名"], ["1", "赢单"]]
    with pytest.raises(DataError, match="lacks the columns '商机编号', '销售阶段'"):
        read(export, xlsx(rows))
    (batch,) = read(export, xlsx(rows), aliases={"record_id": ["机会号"], "stage": ["阶段名"]})
    assert shown(batch.rows, "record_id", "status") == [["1", "won"]]
