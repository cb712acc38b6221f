"""What holds for every reader: columns in any order, more of them, one fewer; and whatever bytes a file holds."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funnel_lib.collection.batch import INTERNAL, Batch
from funnel_lib.collection.collect import collect
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import OFFERS
from funnel_lib.config import Workbook, load
from funnel_lib.errors import ConfigError, DataError

Rows = list[dict[str, Any]]


def csv(rows: Rows) -> bytes:
    lines = [list(rows[0]), *([str(row[name]) for name in rows[0]] for row in rows)]
    return "".join(",".join(f'"{cell}"' if "," in cell else cell for cell in line) + "\n" for line in lines).encode()


def jsonl(rows: Rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(rows: Rows) -> bytes:
    held = io.BytesIO()
    pd.DataFrame(rows).to_parquet(held)
    return held.getvalue()


def feed(rows: Rows) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("column_headers.tsv", "\t".join(rows[0]) + "\n")
        archive.writestr("hit_data.tsv", "".join("\t".join(map(str, row.values())) + "\n" for row in rows))
    return held.getvalue()


@dataclass(frozen=True)
class Sample:
    """Rows as a system writes them, how, and a column that may be missing with the canonical ones that it feeds."""

    rows: Rows
    name: str
    written: Callable[[Rows], bytes]
    optional: str
    feeds: frozenset[str]
    further: str = "x"

    def data(self) -> bytes:
        return self.written(self.rows)


def rows_of(header: str, *lines: str) -> Rows:
    names = header.split(",")
    return [dict(zip(names, line.split(","), strict=True)) for line in lines]


HIT = {"hit_time_gmt": "1772323200", "post_visid_high": "3", "post_visid_low": "4", "hitid_high": "5", "hitid_low": "1",
       "post_page_event": "0", "post_event_list": "", "post_campaign": "spring", "visit_num": "1"}  # fmt: skip
GA4 = {"event_date": "20260301", "event_timestamp": "1772323200000000", "event_name": "page_view",
       "user_pseudo_id": "p", "event_params": [{"key": "value", "value": {"int_value": "3"}}],
       "device": {"category": "mobile"}}  # fmt: skip
AMPLITUDE = {"$insert_id": "e1", "amplitude_id": 9, "user_id": "u1", "event_type": "buy", "platform": "Web",
             "event_time": "2026-03-01 07:00:00.5", "event_properties": {"revenue": 3}, "session_id": 5}  # fmt: skip
DECISION = {"uuid": "d", "timestamp": 1_772_323_200_000, "visitor_id": "v", "experiment_id": "7", "variation_id": "a",
            "is_holdback": False}  # fmt: skip
SAMPLES = {
    "adobe": Sample([HIT, {**HIT, "hitid_low": "2"}], "a.zip", feed, "post_campaign", frozenset(["campaign"])),
    "amplitude": Sample([AMPLITUDE], "a.json", jsonl, "platform", frozenset(["device"])),
    "ga4": Sample([GA4, {**GA4, "event_name": "buy"}], "a.jsonl", jsonl, "device", frozenset(["device"])),
    "google_ads": Sample(
        rows_of("Day,Campaign,Impr.,Clicks,Cost,Currency code", "2026-03-01,A,5,1,2.5,USD"),
        "a.csv", csv, "Currency code", frozenset(["currency"]),
    ),
    "google_optimize": Sample(
        rows_of("Client ID,Experiment ID,Variant,Date,Sessions", "1.2,AbC,1,20260301,3"), "a.csv", csv,
        "Sessions", frozenset(),
    ),
    "hotjar": Sample(
        rows_of("Number,User,Date Submitted,Country,Why?", "1,u,2026-03-01 10:00,DE,fine"), "a.csv", csv, "Country",
        frozenset(), further="",
    ),
    "hubspot": Sample(
        rows_of("Record ID,Deal Stage,Amount,Create Date", "1,Closed won,5,2026-03-01", "2,Demo,,2026-03-02"), "a.csv",
        csv, "Amount", frozenset(["amount"]),
    ),
    "linkedin_ads": Sample(
        rows_of(
            "Start Date (in UTC),Campaign Name,Total Spent,Impressions,Clicks,Currency", "2026-03-01,A,2.5,5,1,USD",
        ),
        "a.csv", csv, "Currency", frozenset(["currency"]),
    ),
    "mailings": Sample(
        rows_of("Timestamp,Subscriber ID,Event,Campaign", "2026-03-01 10:00,s1,open,Spring"), "a.csv", csv, "Campaign",
        frozenset(["campaign"]),
    ),
    "meta_ads": Sample(
        rows_of("Day,Campaign name,Impressions,Link clicks,Amount spent (USD),Currency", "2026-03-01,A,5,1,2.5,USD"),
        "a.csv", csv, "Currency", frozenset(["currency"]),
    ),
    "nps": Sample(
        rows_of("Response ID,Submitted at,Score,Comment", "1,2026-03-01 10:00,9,fine"), "a.csv", csv, "Comment",
        frozenset(["comment"]),
    ),
    "optimizely": Sample([DECISION, {**DECISION, "visitor_id": "w"}], "a.parquet", parquet, "is_holdback", frozenset()),
    "zoho": Sample(
        rows_of("Record Id,Stage,Closing Date,Amount", "zcrm_401,Closed Won,2026-03-01,5"), "a.csv", csv, "Amount",
        frozenset(["amount"]),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workbook:
    folder = tmp_path_factory.mktemp("every")
    (folder / "params").mkdir()
    funnel = {"steps": [{"name": "visit", "event": "page_view"}, {"name": "buy", "event": "buy"}]}
    sources = {name: {"system": name, "files": f"{name}/*"} for name in SAMPLES}
    content = {"name": "shop", "title": "Shop", "funnel": funnel, "sources": sources}
    (folder / "params" / "shop.yml").write_text(yaml.safe_dump(content))
    for name in SAMPLES:
        (folder / "data" / "raw" / "shop" / name).mkdir(parents=True)
    return load(folder / "params" / "shop.yml")


def read(shop: Workbook, system: str, data: bytes) -> list[Batch]:
    export = Export(system, shop.sources[system], shop)
    (shop.raw / system / SAMPLES[system].name).write_bytes(data)
    return list(OFFERS[system].reads(export.files(), export))


def kept(batches: list[Batch], without: frozenset[str] = frozenset()) -> pd.DataFrame:
    rows = pd.concat([batch.rows for batch in batches], ignore_index=True)
    # An id that the export does not hold follows from the whole row.
    made = {name for name in ("event_id",) if name in rows and rows[name].str.startswith(("mailings-",)).any()}
    return rows.drop(columns=[*(set(rows) & {*INTERNAL, *without, *made, "properties"})])


@pytest.mark.parametrize("system", SAMPLES)
def test_columns_may_come_in_any_order_and_with_others(shop: Workbook, system: str):
    sample = SAMPLES[system]
    right = kept(read(shop, system, sample.data()))
    assert len(right) == len(sample.rows)
    names = list(sample.rows[0])
    random.Random(5).shuffle(names)
    mixed = [{name: row[name] for name in names} for row in sample.rows]
    extra = [{"An extra column": sample.further, **row, "Another one": sample.further} for row in mixed]
    for rows in (mixed, extra):
        found = kept(read(shop, system, sample.written(rows)))
        pd.testing.assert_frame_equal(found, right, check_like=True)


@pytest.mark.parametrize("system", SAMPLES)
def test_an_optional_column_may_be_missing(shop: Workbook, system: str):
    sample = SAMPLES[system]
    fewer = [{name: value for name, value in row.items() if name != sample.optional} for row in sample.rows]
    right = kept(read(shop, system, sample.data()), sample.feeds)
    found = kept(read(shop, system, sample.written(fewer)), sample.feeds)
    pd.testing.assert_frame_equal(found, right, check_like=True)


def test_all_systems_together_fill_the_tables(shop: Workbook):
    for name, sample in SAMPLES.items():
        for old in (shop.raw / name).iterdir():
            old.unlink()
        (shop.raw / name / sample.name).write_bytes(sample.data())
    store = collect(shop)
    tally = store.tally()
    kept_ = tally[tally["outcome"] == "kept"].groupby("source")["rows"].sum()
    assert kept_.to_dict() == {name: len(sample.rows) for name, sample in SAMPLES.items()}
    rows = {name: len(store.read(name)) for name in ("events", "deals", "spend", "surveys", "exposures")}
    assert rows == {"events": 2 + 1 + 2 + 1, "deals": 2 + 1, "spend": 3, "surveys": 2, "exposures": 1 + 2}


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes of a file, cut, repeated, overwritten or mixed with others."""
    found = data
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, max(len(found) - 1, 0)))
        end = min(len(found), start + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["cut", "end", "repeat", "bytes", "text"]))
        piece = {
            "cut": b"", "end": None, "repeat": found[start:end] * 3, "bytes": draw(st.binary(max_size=20)),
            "text": draw(st.sampled_from([b'"', b"\n", b"\x00", b"\xff\xfe", b",,,,", b"1e999", b"NaN", b"{}", b"[[",
                                          "总计".encode("gb18030"), b"\\", b"\t", b"-1", b"9" * 30, b"2026-02-30"])),
        }[kind]  # fmt: skip
        found = found[:start] if piece is None else found[:start] + piece + found[end:]
    return found or b"\n"


def survives(shop: Workbook, system: str, data: bytes) -> None:
    """A batch whose counts do not add up cannot be made, so that reading to the end is the check."""
    found = ""
    try:
        read(shop, system, data)
    except (DataError, ConfigError) as error:
        found = str(error)
    assert "fault of the program" not in found


@pytest.mark.parametrize("system", SAMPLES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_damaged_files_are_read_or_refused(shop: Workbook, system: str, draw: st.DataObject):
    survives(shop, system, draw.draw(damaged(SAMPLES[system].data())))


@pytest.mark.slow
@pytest.mark.parametrize("system", SAMPLES)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_many_damaged_files_are_read_or_refused(shop: Workbook, system: str, draw: st.DataObject):
    survives(shop, system, draw.draw(damaged(SAMPLES[system].data())))


@pytest.mark.parametrize("system", SAMPLES)
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(min_size=1, max_size=200))
def test_any_bytes_are_read_or_refused(shop: Workbook, system: str, data: bytes):
    survives(shop, system, data)


@pytest.mark.parametrize("system", SAMPLES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_strange_values_are_read_or_set_aside(shop: Workbook, system: str, draw: st.DataObject):
    """Whole rows with odd cells: every one of them is kept, merged or set aside."""
    sample = SAMPLES[system]
    if sample.written is parquet:
        strange = st.sampled_from([None, "", "x", "1e999", "-0", "\x00"])
    else:
        strange = st.one_of(st.sampled_from(["", "--", "1e999", "2026-13-45", "0", "ß", "=1+1"]), st.text(max_size=8))
    name = draw.draw(st.sampled_from(list(sample.rows[0])))
    rows = [{**{key: str(v) for key, v in row.items()}, name: draw.draw(strange)} for row in sample.rows]
    survives(shop, system, sample.written(rows))
