"""纷享销客 Fxiaoke (ShareCRM): leads, customers and opportunities, as lists (Excel) or rows of the interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from funnel_lib.collection import deals, layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.systems.fxiaoke import API
from funnel_lib.collection.standings import with_standing
from funnel_lib.collection.unpacking import each

_CODES = {"1": "open", "2": "won", "3": "lost", "4": "lost"}


def _deal(rows: pd.DataFrame, export: Export) -> pd.DataFrame:
    return with_standing(rows, export, _CODES)


_DEALS = Layout(
    "deals",
    {
        "record_id": ("商机编号", "商机ID", "商机2.0编号", "数据ID", "唯一性ID", "_id"),
        "user_id": ("线索编号", "联系人编号", "leads_id", "contact_id"),
        "name_of_deal": ("商机名称",),
        "account": ("客户名称", "客户", "account_id__r", "account_id"),
        "owner": ("负责人", "负责人（必填）", "owner__r"),
        "amount": ("商机金额", "预计成交金额", "金额", "amount"),
        "currency": ("币种", "mc_currency"),
        "created": ("创建时间", "create_time"),
        "closing": ("预计成交日期", "结单日期", "close_date", "expected_deal_closed_date"),
        "status": ("商机状态", "赢单状态", "sales_status", "biz_status"),
        "stage": ("销售阶段", "商机阶段", "阶段", "sales_stage__r", "sales_stage", "oppo_stage_id"),
        "stage_since_at": ("阶段变更时间", "进入阶段时间", "stg_changed_time", "sales_stg_changed_time"),
        "pipeline": ("销售流程", "sales_process_id__r", "sales_process_name"),
        "probability": ("赢率", "probability"),
        "deal_type": ("业务类型", "record_type"),
        "loss_reason": ("输单原因", "丢单原因", "lost_reason"),
    },
    ["record_id", "stage"],
    shape=_deal,
    derive=deals.stays,
)
_LEADS = Layout(
    "users",
    {
        "user_id": ("线索编号", "销售线索编号", "线索ID", "联系人编号", "数据ID", "唯一性ID", "_id"),
        "first_seen": ("创建时间", "create_time"),
        "full_name": ("姓名", "联系人", "线索名称", "name"),
        "mobile": ("手机", "手机号", "mobile", "mobile1"),
        "phone": ("电话", "tel"),
        "email": ("邮件", "邮箱", "email"),
        "company": ("公司", "公司名称", "客户名称", "company"),
        "lead_status": ("线索状态", "状态", "biz_status"),
        "lead_source": ("线索来源", "来源", "source__r", "source"),
        "lead_stage": ("线索阶段", "leads_stage"),
        "pool": ("线索池", "leads_pool_id__r"),
        "region": ("省", "省份"),
        "city": ("市", "城市"),
        "owner": ("负责人", "owner__r"),
        "assigned_at": ("分配时间", "领取时间", "assigned_time"),
    },
    ["user_id", "lead_status"],
)
_CUSTOMERS = Layout(
    "users",
    {
        "user_id": ("客户编号", "客户ID", "数据ID", "唯一性ID", "_id"),
        "first_seen": ("创建时间", "create_time"),
        "company": ("客户名称", "name"),
        "customer_level": ("客户级别", "客户等级", "account_level"),
        "customer_source": ("客户来源", "来源", "account_source"),
        "deal_status": ("成交状态", "deal_status"),
        "industry": ("行业", "所属行业", "industry_level1"),
        "phone": ("电话", "tel"),
        "email": ("邮件", "email"),
        "region": ("省", "省份"),
        "city": ("市", "城市"),
        "owner": ("负责人", "owner__r"),
    },
    ["user_id", "company"],
)
_LAYOUTS = (deals.STAYS, _DEALS, _LEADS, _CUSTOMERS)
_ADVICE = "Export opportunities with 商机编号 and 销售阶段, leads with 线索编号 and 线索状态, customers with 客户编号."


def _file(path: Path, export: Export) -> Iterator[Batch]:
    return layouts.read([path], export, _LAYOUTS, advice=_ADVICE)


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read opportunities into `deals`, leads and customers into `users`.

    The system has no history of stages: `stage_history` gets the current stay of a deal, where the time of its last
    change of stage is there, and nothing else.

    Raises
    ------
    DataError : a file is damaged, or is none of these lists.
    """
    return each(paths, export, _file)


SYSTEM = Offer(
    name="fxiaoke",
    title="纷享销客 Fxiaoke (ShareCRM)",
    reads=read,
    fills=("deals", "users", "stage_history"),
    files="The lists of opportunities (商机), leads (销售线索) and customers (客户), as Excel.",
    confirmed="Common fields and those of leads in the interface by its reference, those of opportunities by public "
    "code. The Chinese header texts differ between tenants and are not confirmed, nor are the codes of lost and void "
    "opportunities.",
    aliases=layouts.aliases(_LAYOUTS),
    api=API,
)
