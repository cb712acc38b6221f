import io
import json
from collections.abc import Callable
from typing import Any

import openpyxl
import pandas as pd

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import jiandaoyun

SOURCE = {"system": "jiandaoyun", "files": "*", "timezone": "Asia/Shanghai"}
Exports = Callable[..., Export]
Sheets = Callable[..., bytes]


def read(export: Exports, data: bytes | str, name: str = "a.xlsx", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: data})
    (batch,) = jiandaoyun.read(made.files(), made)
    return batch


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


def test_leads_become_people(export: Exports, xlsx: Sheets):
    rows = [
        ["线索编号", "联系人", "手机号", "客户名称", "线索来源", "线索状态", "领取时间", "提交时间"],
        ["L1", "李四", "13800138000", "甲公司", "展会", "跟进中", "2026-03-02 09:00", "2026-03-01 08:00:00"],
        ["L2", "王五", None, "乙公司", "官网", "待处理", None, "03/04/2026"],
    ]
    batch = read(export, xlsx(rows))
    assert shown(batch.rows, "user_id", "company", "lead_source", "lead_status", "assigned_at", "first_seen") == [
        ["L1", "甲公司", "展会", "跟进中", "2026-03-02 01:00:00+00:00", "2026-03-01 00:00:00+00:00"],
    ]
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[3, "unreadable_time"]]
    assert "李四" not in batch.rows.to_csv()


def test_a_sub_form_under_a_header_of_two_rows_is_read_as_one_table(export: Exports):
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    for row in (
        ["商机编号", "商机阶段", "产品明细", None, "提交时间"], [None, None, "产品", "数量", None],
        ["S1", "赢单", "课程A", 1, "2026-03-01"], [None, None, "课程B", 2, None],
        ["S2", "报价", "课程A", 1, "2026-03-02"],
    ):  # fmt: skip
        page.append(row)
    for area in ("A1:A2", "B1:B2", "C1:D1", "E1:E2", "A3:A4", "B3:B4", "E3:E4"):
        page.merge_cells(area)
    held = io.BytesIO()
    book.save(held)
    batch = read(export, held.getvalue())
    assert shown(batch.rows, "record_id", "status", "created") == [
        ["S1", "won", "2026-02-28 16:00:00+00:00"], ["S1", "won", "2026-02-28 16:00:00+00:00"],
        ["S2", "open", "2026-03-01 16:00:00+00:00"],
    ]  # fmt: skip


def test_a_form_of_changes_is_a_history_of_stages(export: Exports, xlsx: Sheets):
    rows = [["关联商机", "跟进后阶段", "变更时间"], ["S1", "报价", "2026-03-05"], ["S1", "初步接触", "2026-03-01"],
            ["S1", "赢单", "2026-03-09"]]  # fmt: skip
    batch = read(export, xlsx(rows))
    assert batch.table == "stage_history"
    found = shown(batch.rows, "stage", "entered_at", "left_at")
    assert [[stage, entered[:10], left and left[:10]] for stage, entered, left in found] == [
        ["报价", "2026-03-04", "2026-03-08"], ["初步接触", "2026-02-28", "2026-03-04"], ["赢单", "2026-03-08", None],
    ]  # fmt: skip


def test_rows_of_the_interface_are_read_by_the_aliases_of_the_workbook(export: Exports):
    row = {"_id": "65a", "createTime": "2026-03-01T02:00:00.430Z", "_widget_1": "赢单", "_widget_2": 5000}
    aliases = {"deals.stage": ["_widget_1"], "amount": ["_widget_2"]}
    batch = read(export, json.dumps(row, ensure_ascii=False), "a.jsonl", aliases=aliases)
    assert shown(batch.rows, "record_id", "stage", "status", "amount", "created") == [
        ["65a", "赢单", "won", "5000.0", "2026-03-01 02:00:00.430000+00:00"],
    ]
