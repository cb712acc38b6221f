import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import neocrm

SOURCE = {"system": "neocrm", "files": "*", "timezone": "Asia/Shanghai"}
Exports = Callable[..., Export]
DEALS = (
    "商机名称,商机编号,客户名称,销售金额,销售阶段,赢率,结单日期,输单阶段,输单原因,创建日期\n"
    "甲,O1,甲公司,\"￥12,000.00\",方案,60%,2026-06-30,,,2026-03-01\n"
    "乙,O2,乙公司,8000元,谈判,0%,2026-03-20,谈判,价格,2026-03-01\n"
    "丙,O3,丙公司,3.5万,赢单,100%,2026-03-21,,,2026-03-01\n"
)  # fmt: skip


def read(export: Exports, data: bytes | str, name: str = "a.csv", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: data})
    (batch,) = neocrm.read(made.files(), made)
    return batch


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_opportunities_become_deals_in_any_encoding(export: Exports, encoding: str):
    batch = read(export, DEALS.encode(encoding))
    assert shown(batch.rows, "record_id", "amount", "status", "loss_reason", "lost_stage") == [
        ["O1", "12000.0", "open", None, None], ["O2", "8000.0", "lost", "价格", "谈判"],
        ["O3", "35000.0", "won", None, None],
    ]  # fmt: skip
    assert "stage_history" not in batch.derived  # no list says since when a deal is in its stage


def test_rows_of_the_interface_keep_their_codes_for_the_workbook_to_name(export: Exports):
    row = {"id": 7, "opportunityName": "甲", "money": 10, "saleStageId": 3, "stageUpdatedAt": "1773104400000",
           "createdAt": 1772330400000}  # fmt: skip
    batch = read(export, json.dumps(row), "a.jsonl", values={"stage": {"3": "报价"}, "status": {"3": "won"}})
    assert shown(batch.rows, "record_id", "stage", "status", "created") == [
        ["7", "报价", "won", "2026-03-01 02:00:00+00:00"]
    ]
    assert shown(batch.derived["stage_history"], "stage", "entered_at") == [["报价", "2026-03-10 01:00:00+00:00"]]


def test_leads_become_people(export: Exports):
    batch = read(export, "线索编号,姓名,手机,线索状态,创建日期\nX1,张,13800138000,未处理,2026-03-01\n")
    assert shown(batch.rows, "user_id", "lead_status") == [["X1", "未处理"]]
    assert "13800138000" not in batch.rows.to_csv()
