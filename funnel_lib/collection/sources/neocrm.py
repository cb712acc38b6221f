"""销售易 Neocrm (Xiaoshouyi): leads and opportunities, as lists (Excel, CSV) or rows of the interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from funnel_lib.collection import deals, layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.systems.neocrm import API
from funnel_lib.collection.standings import with_standing
from funnel_lib.collection.unpacking import each

_LOST_AT = "lost_stage"


def _deal(rows: pd.DataFrame, export: Export) -> pd.DataFrame:
    """Take a deal for lost where the stage that it was lost in is there, and nothing else tells its status."""
    if _LOST_AT in rows and "status" not in rows:
        lost = rows[_LOST_AT].str.strip().fillna("") != ""
        status = pd.Series(None, index=rows.index, dtype="str").mask(lost, "lost")
        rows = rows.assign(status=status)
    return with_standing(rows, export, {})


_DEALS = Layout(
    "deals",
    {
        "record_id": ("商机编号", "商机ID", "销售机会编号", "id"),
        "user_id": ("线索编号", "联系人编号", "leadId"),
        "name_of_deal": ("商机名称", "销售机会名称", "opportunityName"),
        "account": ("客户名称", "客户", "accountId"),
        "owner": ("商机所有人", "销售机会所有人", "所有人", "负责人", "ownerId"),
        "amount": ("销售金额", "商机金额", "金额", "money"),
        "currency": ("币种", "currencyUnit"),
        "created": ("创建日期", "创建时间", "createdAt"),
        "closing": ("结单日期", "预计结单日期", "closeDate"),
        "status": ("商机状态", "销售机会状态"),
        "stage": ("销售阶段", "商机阶段", "saleStage", "saleStageId"),
        "stage_since_at": ("阶段更新时间", "阶段更新日期", "stageUpdatedAt"),
        "probability": ("赢率", "winRate"),
        "deal_type": ("业务类型", "entityType"),
        _LOST_AT: ("输单阶段", "lostStage", "lostStageId"),
        "loss_reason": ("输单原因", "reason"),
    },
    ["record_id", "stage"],
    shape=_deal,
    derive=deals.stays,
)
_PEOPLE = Layout(
    "users",
    {
        "user_id": ("线索编号", "销售线索编号", "联系人编号", "id"),
        "first_seen": ("创建日期", "创建时间", "createdAt"),
        "full_name": ("姓名", "联系人姓名", "name"),
        "mobile": ("手机", "手机号", "mobile"),
        "phone": ("电话", "phone"),
        "email": ("电子邮件", "邮箱", "email"),
        "company": ("公司名称", "公司", "companyName"),
        "lead_status": ("线索状态", "跟进状态", "status"),
        "lead_source": ("线索来源", "来源", "leadSourceId"),
        "position": ("职务", "post"),
        "region": ("省份", "省"),
        "city": ("城市", "市"),
        "owner": ("线索所有人", "所有人", "负责人", "ownerId"),
    },
    ["user_id", "lead_status"],
)
_LAYOUTS = (deals.STAYS, _DEALS, _PEOPLE)
_ADVICE = "Export the list of opportunities with 商机编号 and 销售阶段, or leads with 线索编号 and 线索状态."


def _file(path: Path, export: Export) -> Iterator[Batch]:
    return layouts.read([path], export, _LAYOUTS, advice=_ADVICE)


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read opportunities into `deals`, leads and contacts into `users`.

    The system has no history of stages: `stage_history` gets the current stay of a deal, where the time of its last
    change of stage is there, and nothing else. Stages that the interface gives as codes stay codes, for the workbook's
    `values` to name.

    Raises
    ------
    DataError : a file is damaged, or is none of these lists.
    """
    return each(paths, export, _file)


SYSTEM = Offer(
    name="neocrm",
    title="销售易 Neocrm (Xiaoshouyi)",
    reads=read,
    fills=("deals", "users", "stage_history"),
    files="The lists of opportunities (商机) and leads (线索), as Excel or CSV.",
    confirmed="How the interface answers by the vendor's public library. Fields of opportunities by public code that "
    "is probably about this system; the Chinese header texts are not confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
    api=API,
)
