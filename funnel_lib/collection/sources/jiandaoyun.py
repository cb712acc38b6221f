"""简道云 Jiandaoyun: the forms of its CRM - leads, opportunities, follow-ups - as Excel or rows of the interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from funnel_lib.collection import deals, layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.systems.jiandaoyun import API
from funnel_lib.collection.standings import with_standing
from funnel_lib.collection.unpacking import each


def _deal(rows: pd.DataFrame, export: Export) -> pd.DataFrame:
    return with_standing(rows, export, {})


_DEALS = Layout(
    "deals",
    {
        "record_id": ("商机编号", "商机ID", "流水号", "数据ID", "_id"),
        "user_id": ("线索编号", "客户编号"),
        "name_of_deal": ("商机名称",),
        "account": ("客户名称", "关联客户"),
        "owner": ("负责人", "跟进人", "销售负责人"),
        "amount": ("商机金额", "预计金额", "预计成交金额", "预计销售金额"),
        "currency": ("币种",),
        "created": ("提交时间", "创建时间", "createTime"),
        "closing": ("预计成交日期", "预计成交时间", "预计结单日期"),
        "status": ("商机状态",),
        "stage": ("商机阶段", "销售阶段", "当前阶段"),
        "stage_since_at": ("阶段更新时间", "进入阶段时间", "阶段变更时间"),
        "probability": ("赢率",),
        "loss_reason": ("输单原因", "丢单原因", "失败原因"),
    },
    ["record_id", "stage"],
    shape=_deal,
    derive=deals.stays,
)
_STAYS = Layout(
    "stage_history",
    {
        "record_id": ("商机编号", "关联商机", "商机ID"),
        "stage": ("跟进后阶段", "变更后阶段"),
        "entered_at": ("变更时间", "跟进时间", "提交时间"),
    },
    ["record_id", "stage", "entered_at"],
    shape=lambda rows, export: rows.assign(left_at=deals.next_of_record(rows, export)),
)
_PEOPLE = Layout(
    "users",
    {
        "user_id": ("线索编号", "客户编号", "流水号", "数据ID", "_id"),
        "first_seen": ("提交时间", "创建时间", "createTime"),
        "full_name": ("联系人", "姓名", "联系人姓名"),
        "mobile": ("手机号", "手机", "联系电话"),
        "email": ("邮箱", "电子邮箱"),
        "company": ("客户名称", "公司名称"),
        "department": ("部门",),
        "position": ("职务",),
        "lead_source": ("线索来源", "客户来源"),
        "lead_status": ("线索状态", "客户状态"),
        "pool": ("线索池",),
        "owner": ("负责人", "归属人"),
        "assigned_at": ("领取时间",),
        "last_followed_at": ("最后跟进时间",),
    },
    ["user_id", "lead_status"],
)
_LAYOUTS = (deals.STAYS, _STAYS, _DEALS, _PEOPLE)
_ADVICE = "Export the form with its number (线索编号, 商机编号 or 数据ID) and 线索状态, or 商机阶段."


def _file(path: Path, export: Export) -> Iterator[Batch]:
    return layouts.read([path], export, _LAYOUTS, advice=_ADVICE)


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read leads and customers into `users`, opportunities into `deals`, changes of stage into `stage_history`.

    A form whose sub-form makes a header of two rows is read as one table; the rows of a sub-form carry the values of
    their record. Without a form of changes, `stage_history` gets the current stay only, where its time is known.

    Raises
    ------
    DataError : a file is damaged, or is none of these forms.
    """
    return each(paths, export, _file)


SYSTEM = Offer(
    name="jiandaoyun",
    title="简道云 Jiandaoyun",
    reads=read,
    fills=("deals", "users", "stage_history"),
    files="The data of the forms for leads, customers, opportunities and changes of stage, as Excel.",
    confirmed="The preset fields of leads, and the fields of every row of the interface, by the vendor's help. Names "
    "of all other forms are the tenant's own and not confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
    api=API,
)
