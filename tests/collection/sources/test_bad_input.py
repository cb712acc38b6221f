"""What holds for every reader of tables and logs: columns in any order, and any bytes whatsoever."""

import gzip
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funnel_lib.collection.batch import FILE, LINE, RAW, ROW, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import OFFERS
from funnel_lib.config import load
from funnel_lib.errors import ConfigError, DataError

TABLES: dict[str, list[list[str]]] = {
    "fxiaoke": [
        ["商机编号", "客户名称", "商机金额", "销售阶段", "创建时间", "输单原因"],
        ["S1", "甲", "1.2万", "报价", "2026-03-01 10:00", ""], ["S2", "乙", "5,000", "输单", "2026/3/2", "价格"],
    ],
    "jiandaoyun": [
        ["线索编号", "联系人", "手机号", "线索状态", "提交时间"],
        ["L1", "李", "13800138000", "跟进中", "2026-03-01"], ["L2", "王", "", "新建", "2026-03-02"],
    ],
    "neocrm": [
        ["商机编号", "销售金额", "销售阶段", "结单日期", "创建日期"],
        ["O1", "12", "方案", "2026-06-30", "2026-03-01"], ["O2", "8000元", "赢单", "2026-03-20", "2026-03-01"],
    ],
    "kingdee": [
        ["单据编号", "单据日期", "客户编码", "价税合计", "单据状态"],
        ["X1", "2026-03-01", "C1", "5", "已审核"], ["X2", "2026-03-02", "C2", "6", "未审核"],
    ],
    "calls": [
        ["sid", "from", "to", "direction", "start_time", "duration", "status"],
        ["1", "+14155550100", "+14155550199", "inbound", "2026-03-01 10:00", "5", "completed"],
        ["2", "+14155550199", "+14155550101", "outbound", "2026-03-01 11:00", "0", "busy"],
    ],
    "table": [["id", "what", "at", "city"], ["u1", "buy", "2026-03-01", "北京"], ["u2", "buy", "2026-03-02", "上海"]],
}  # fmt: skip
LOG = b'203.0.113.7 - - [22/Nov/2026:02:20:45 +0800] "GET /px.gif?e=a&aid=1 HTTP/1.1" 200 43 "-" "Mozilla"'
OPTIONAL = {"fxiaoke": 5, "jiandaoyun": 1, "neocrm": 1, "kingdee": 4, "calls": 6, "table": 3}
MAPPED = {"table": "events", "columns": {"user_id": "id", "event": "what", "ts": "at"}}
CHECKED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
Reading = Callable[[str, bytes], list[Batch]]


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    """Read bytes as a file of a system."""
    root = tmp_path_factory.mktemp("bad")
    (root / "params").mkdir()
    exports: dict[str, Export] = {}
    for system in [*TABLES, "pixel"]:
        source: dict[str, Any] = {"system": system, "files": "a"} | (MAPPED if system == "table" else {})
        steps = [{"name": "a", "event": "b"}]
        content = {"name": system, "title": "x", "funnel": {"steps": steps}, "sources": {"s": source}}
        path = root / "params" / f"{system}.yml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        workbook = load(path)
        workbook.raw.mkdir(parents=True)
        exports[system] = Export("s", workbook.sources["s"], workbook)

    def read(system: str, data: bytes) -> list[Batch]:
        export = exports[system]
        Path(export.workbook.raw / "a").write_bytes(data)
        return list(OFFERS[system].reads(export.files(), export))

    return read


def csv(rows: Sequence[Sequence[str]]) -> bytes:
    return "\n".join(",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in rows).encode()


def content(batches: Sequence[Batch]) -> pd.DataFrame:
    (batch,) = batches
    drawn = [name for name in batch.rows if name in (FILE, RAW, ROW)]
    named = batch.rows.drop(columns=drawn)
    return (
        named
        if "event_id" not in named or not str(named["event_id"].iloc[0]).startswith("s-")
        else named.drop(columns="event_id")
    )  # an id made of the whole row changes with it


@pytest.mark.parametrize("system", TABLES)
def test_the_order_of_columns_and_further_ones_change_nothing(reading: Reading, system: str):
    rows = TABLES[system]
    expected = content(reading(system, csv(rows)))
    assert expected[LINE].tolist() == [2, 3]
    order = random.Random(7).sample(range(len(rows[0])), len(rows[0]))
    other = [[*(row[i] for i in order[:2]), extra, *(row[i] for i in order[2:]), ""]
             for row, extra in zip(rows, ["更多", "x", "=1+1"], strict=True)]  # fmt: skip
    found = content(reading(system, csv([[*other[0][:-1], "Another column"], *other[1:]])))
    pd.testing.assert_frame_equal(found, expected, check_like=True)


@pytest.mark.parametrize("system", TABLES)
def test_an_optional_column_may_be_missing(reading: Reading, system: str):
    rows = TABLES[system]
    expected = content(reading(system, csv(rows)))
    found = content(reading(system, csv([[c for i, c in enumerate(row) if i != OPTIONAL[system]] for row in rows])))
    assert found[LINE].tolist() == expected[LINE].tolist()


def survives(reading: Reading, system: str, data: bytes) -> None:
    try:
        batches = reading(system, data)
    except (DataError, ConfigError):
        return
    for batch in batches:  # a batch adds up, or cannot be made
        assert sum(batch.read.values()) == len(batch.rows) + len(batch.rejected) + sum(batch.merged.values())


CELLS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        ['"', ",", "\n", "\x00", "合计", "03/04/2026", "1e999", "=cmd()", "9" * 30, "-", "２０２６年3月", "\ufeff"]
    ),
)


@st.composite
def mutated(draw: st.DrawFn, good: bytes) -> bytes:
    """A good file with pieces cut out, doubled, put in, packed or in another encoding."""
    data = good
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
        piece = draw(
            st.one_of(st.binary(max_size=8), CELLS.map(lambda text: text.encode()), st.just(data[start:end] * 2))
        )
        data = data[:start] + piece + data[draw(st.sampled_from([start, end])) :]
    packed = draw(st.sampled_from(["plain", "plain", "gzip", "cut", "gb18030", "utf-16"]))
    if packed in ("gb18030", "utf-16"):
        return data.decode("utf-8", "ignore").encode(packed, "ignore")
    return data if packed == "plain" else gzip.compress(data)[: None if packed == "gzip" else -draw(st.integers(1, 12))]


def files(system: str) -> st.SearchStrategy[bytes]:
    good = "\n".join([LOG.decode()] * 3).encode() if system == "pixel" else csv(TABLES[system])
    header = good.split(b"\n")[0] + b"\n"
    rows = st.lists(st.lists(CELLS, max_size=8).map(",".join), max_size=8).map("\n".join).map(str.encode)
    return st.one_of(st.binary(max_size=200), mutated(good), rows.map(lambda text: header + text))


@pytest.mark.parametrize("system", [*TABLES, "pixel"])
def test_any_bytes_are_read_or_refused_and_no_row_is_lost(reading: Reading, system: str):
    @settings(CHECKED, max_examples=30)
    @given(files(system))
    def check(data: bytes) -> None:
        survives(reading, system, data)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("system", [*TABLES, "pixel"])
def test_thousands_of_files_are_read_or_refused(reading: Reading, system: str):
    @settings(CHECKED, max_examples=150)
    @given(files(system))
    def check(data: bytes) -> None:
        survives(reading, system, data)

    check()
