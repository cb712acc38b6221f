"""Whole rows with odd cells, for every reader that there is: each row is kept, merged or set aside, none is lost."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import openpyxl
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import OFFERS
from funnel_lib.config import Workbook, load
from funnel_lib.errors import ConfigError, DataError

Rows = list[dict[str, str]]
Write = Callable[[Rows], bytes]
EVENTS = {"table": "events", "columns": {"user_id": "id", "event": "what", "ts": "at", "amount": "sum"}}
SPEND = {"date": "Day", "campaign": "Campaign", "impressions": "Shown", "clicks": "Clicks", "cost": "Cost"}
CHECKED = settings(deadline=None, suppress_health_check=list(HealthCheck))


def as_csv(rows: Rows) -> bytes:
    held = io.StringIO()
    writer = csv.writer(held, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([list(rows[0]), *(row.values() for row in rows)])
    return held.getvalue().encode()


def as_xlsx(rows: Rows) -> bytes:
    book = openpyxl.Workbook()
    for row in [list(rows[0]), *(row.values() for row in rows)]:
        book.active.append([ILLEGAL_CHARACTERS_RE.sub("", cell) for cell in row])
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def as_json(rows: Rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows: Rows) -> bytes:
    held = io.BytesIO()
    pd.DataFrame(rows).astype("str").to_parquet(held)
    return held.getvalue()


def as_feed(rows: Rows) -> bytes:
    """A data feed: no quotation marks; what would end a cell or a row is written with a backslash before it."""
    signs = str.maketrans({"\\": "\\\\", "\t": "\\\t", "\n": "\\\n", "\r": " "})
    lines = "".join("\t".join(cell.translate(signs) for cell in row.values()) + "\n" for row in rows)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("column_headers.tsv", "\t".join(rows[0]) + "\n")
        archive.writestr("hit_data.tsv", lines)
    return held.getvalue()


def as_log(rows: Rows) -> bytes:
    """Lines of a web server, which hold no control characters."""
    line = '{ip} - - [{at}] "{request}" 200 43 "-" "{agent}"'
    printed = (
        {name: "".join(c if c.isprintable() else "?" for c in cell) for name, cell in row.items()} for row in rows
    )
    return "".join(line.format(**row) + "\n" for row in printed).encode()


@dataclass(frozen=True)
class Sample:
    """A good row as a system writes it, in the forms that it comes in, and what the workbook has to say of it."""

    row: Mapping[str, str]
    forms: tuple[Write, ...] = (as_csv, as_xlsx)
    name: str = "a.txt"
    source: Mapping[str, Any] = field(default_factory=dict)


def row(names: str, cells: str) -> dict[str, str]:
    return dict(zip(names.split(","), cells.split(","), strict=True))


AT = "2026-03-01 10:00"
SAMPLES = {
    "adobe": Sample({
        "hit_time_gmt": "1772323200", "post_visid_high": "3", "post_visid_low": "4", "hitid_high": "5",
        "hitid_low": "1", "post_page_event": "0", "post_event_list": "", "post_campaign": "spring", "visit_num": "1",
    }, (as_feed,), "a.zip"),
    "amplitude": Sample({
        "$insert_id": "e1", "amplitude_id": "9", "user_id": "u1", "event_type": "buy", "platform": "Web",
        "event_time": "2026-03-01 07:00:00.5", "event_properties": "{}", "session_id": "5",
    }, (as_json,), "a.json"),
    "calls": Sample(row("sid,from,to,direction,start_time,duration,status",
                        f"1,+14155550100,+14155550199,inbound,{AT},5,completed")),
    "database": Sample(row("id,what,at,sum", f"u1,buy,{AT},5"), (as_parquet,), "a.parquet",
                       {**EVENTS, "query": "SELECT 1", "connection": "SHOP"}),
    "fxiaoke": Sample(row("商机编号,客户名称,商机金额,销售阶段,创建时间,输单原因", f"S1,甲,1.2万,报价,{AT},")),
    "ga4": Sample({
        "event_date": "20260301", "event_timestamp": "1772323200000000", "event_name": "page_view",
        "user_pseudo_id": "p", "user_id": "", "event_params": "",
    }, (as_json,), "a.jsonl"),
    "google_ads": Sample(row("Day,Campaign,Impr.,Clicks,Cost,Currency code", "2026-03-01,A,5,1,2.5,USD"), (as_csv,)),
    "google_optimize": Sample(row("Client ID,Experiment ID,Variant,Date,Sessions", "1.2,AbC,1,20260301,3")),
    "hotjar": Sample(row("Number,User,Date Submitted,Country,Why?", f"1,u,{AT},DE,fine")),
    "hubspot": Sample(row("Record ID,Deal Stage,Amount,Create Date", "1,Closed won,5,2026-03-01")),
    "jiandaoyun": Sample(row("线索编号,联系人,手机号,线索状态,提交时间", "L1,李,13800138000,跟进中,2026-03-01")),
    "kingdee": Sample(row("单据编号,单据日期,客户编码,价税合计,单据状态", "X1,2026-03-01,C1,5,已审核")),
    "linkedin_ads": Sample(row("Start Date (in UTC),Campaign Name,Total Spent,Impressions,Clicks,Currency",
                               "2026-03-01,A,2.5,5,1,USD"), (as_csv,)),
    "mailings": Sample(row("Timestamp,Subscriber ID,Event,Campaign", f"{AT},s1,open,Spring")),
    "meta_ads": Sample(row("Day,Campaign name,Impressions,Link clicks,Amount spent (USD),Currency",
                           "2026-03-01,A,5,1,2.5,USD"), (as_csv,)),
    "neocrm": Sample(row("商机编号,销售金额,销售阶段,结单日期,创建日期", "O1,12,方案,2026-06-30,2026-03-01")),
    "nps": Sample(row("Response ID,Submitted at,Score,Comment", f"1,{AT},9,fine")),
    "optimizely": Sample(row("uuid,timestamp,visitor_id,experiment_id,variation_id", "d,1772323200000,v,7,a"),
                         (as_parquet,), "a.parquet"),
    "pixel": Sample({
        "ip": "203.0.113.7", "at": "22/Nov/2026:02:20:45 +0800", "request": "GET /px.gif?e=a&aid=1 HTTP/1.1",
        "agent": "Mozilla",
    }, (as_log,)),
    "table": Sample(row("id,what,at,sum", f"u1,buy,{AT},5"), (as_csv, as_xlsx, as_json, as_parquet), source=EVENTS),
    "tableau": Sample(row("Day,Campaign,Shown,Clicks,Cost", "2026-03-01,A,5,1,2.5"), source={
        "table": "spend", "columns": SPEND, "constants": {"platform": "radio"}}),
    "zoho": Sample(row("Record Id,Stage,Closing Date,Amount", "zcrm_401,Closed Won,2026-03-01,5")),
}  # fmt: skip
ODD = st.one_of(
    st.sampled_from([
        "", " ", "--", "N/A", "合计", "Total", "1e999", "-0", "NaN", "9" * 40, "1,234.5", "1.234,5", "１２万", "=cmd()",
        "2026-13-45", "03/04/2026", "31.12.9999", "0000-00-00", "2026-03-01T10:00:00+25:00", "1772323200000000000000",
        "\x00", "\ufeff", "\u202e", "a\nb", 'a"b', "'", "{}", "[[", '{"a": {"b": 1}}', "\\N", "\\", "\t", ";", "ß",
        "null", "true", "%", "(3)", "won", "u1;u2", "u@x", "+86 138 0013 8000",
    ]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workbook:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "params").mkdir()
    steps = [{"name": "visit", "event": "page_view"}, {"name": "buy", "event": "buy"}]
    sources = {name: {"system": name, "files": f"{name}/{one.name}", **one.source} for name, one in SAMPLES.items()}
    content = {"name": "shop", "title": "Shop", "funnel": {"steps": steps}, "sources": sources}
    (folder / "params" / "shop.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    workbook = load(folder / "params" / "shop.yml")
    for name in SAMPLES:
        (workbook.raw / name).mkdir(parents=True)
    return workbook


def read(shop: Workbook, system: str, data: bytes) -> int:
    """Return how many rows a reader has found; that a batch adds up it asks itself."""
    export = Export(system, shop.sources[system], shop)
    (shop.raw / system / SAMPLES[system].name).write_bytes(data)
    return sum(rows for batch in OFFERS[system].reads(export.files(), export) for rows in batch.read.values())


def odd_rows(draw: st.DataObject, system: str, least: int, most: int) -> tuple[Rows, bytes]:
    """Rows of which each has up to two odd cells but the first, so that the file is still one of the system."""
    good = dict(SAMPLES[system].row)
    cells = st.dictionaries(st.sampled_from(list(good)), ODD, min_size=1, max_size=2)
    odd = draw.draw(st.lists(cells, min_size=least, max_size=most))
    rows = [good, *({**good, **changed} for changed in odd)]
    return rows, draw.draw(st.sampled_from(SAMPLES[system].forms))(rows)


def check(shop: Workbook, system: str, draw: st.DataObject, least: int, most: int) -> None:
    rows, data = odd_rows(draw, system, least, most)
    found = read(shop, system, data)
    packed = data.startswith((b"PK", b"PAR1"))
    if b"\x00" in data and not packed:  # a line with null bytes stands alone: the rest of its row is a line, too
        assert len(rows) <= found <= data.count(b"\n")
    else:
        assert found == len(rows)


def test_no_reader_is_left_out():
    assert set(SAMPLES) == set(OFFERS)


@pytest.mark.parametrize("system", SAMPLES)
def test_the_sample_is_a_good_row(shop: Workbook, system: str):
    sample = SAMPLES[system]
    export = Export(system, shop.sources[system], shop)
    for form in sample.forms:
        (shop.raw / system / sample.name).write_bytes(form([dict(sample.row)]))
        batches = list(OFFERS[system].reads(export.files(), export))
        assert sum(len(batch.rows) for batch in batches) == 1


@pytest.mark.parametrize("system", SAMPLES)
@settings(CHECKED, max_examples=2)
@given(draw=st.data())
def test_rows_with_odd_cells_are_all_accounted_for(shop: Workbook, system: str, draw: st.DataObject):
    check(shop, system, draw, 1, 10)


@pytest.mark.slow
@pytest.mark.parametrize("system", SAMPLES)
@settings(CHECKED, max_examples=10, phases=[Phase.generate])  # to shrink so many rows takes minutes
@given(draw=st.data())
def test_thousands_of_odd_rows_are_all_accounted_for(shop: Workbook, system: str, draw: st.DataObject):
    check(shop, system, draw, 20, 50)


@pytest.mark.parametrize("system", ["database", "tableau"])
@settings(CHECKED, max_examples=10)
@given(draw=st.data())
def test_damaged_files_are_read_or_refused(shop: Workbook, system: str, draw: st.DataObject):
    data = SAMPLES[system].forms[0]([dict(SAMPLES[system].row)] * 3)
    start = draw.draw(st.integers(0, len(data) - 1))
    piece = draw.draw(
        st.one_of(st.binary(max_size=20), st.sampled_from([b"\x00", b'"', b"\n", b"\xff\xfe", b"9" * 30]))
    )
    broken = data[:start] + piece + data[start + draw.draw(st.integers(0, 40)) :]
    found = ""
    try:
        read(shop, system, broken or b"\n")
    except (DataError, ConfigError) as error:
        found = str(error)
    assert "fault of the program" not in found
