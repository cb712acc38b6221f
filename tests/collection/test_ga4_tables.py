import io
import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funnel_lib.collection.batch import LINE
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import ga4
from funnel_lib.errors import DataError

SOURCE = {"system": "ga4", "files": "*", "timezone": "Asia/Shanghai"}
Exports = Callable[..., Export]
Hit = Callable[..., dict[str, Any]]


def parquet(*rows: dict[str, Any]) -> bytes:
    held = io.BytesIO()
    typed = [{**row, "event_timestamp": int(row["event_timestamp"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(typed), held)
    return held.getvalue()


def test_parquet_gives_what_json_lines_give(export: Exports, hit: Hit, jsonl: Callable[..., bytes]):
    first = hit(at=1, user_id="u7", params={"value": 2.5, "plan": "pro"}, props={"city": "Bonn"})
    rows = [first, hit("q", 2, "purchase", user_id=None, props={"city": "Köln"})]
    made = export(SOURCE, {"a.jsonl": jsonl(*rows), "b.parquet": parquet(*rows)})
    (lines,) = ga4.read(made.files()[:1], made)
    (columns,) = ga4.read(made.files()[1:], made)
    same = [name for name in lines.rows if name not in ("_file", "_raw")]
    pd.testing.assert_frame_equal(columns.rows[same], lines.rows[same])
    for name in lines.derived:
        left, right = (batch.derived[name].drop(columns="_file") for batch in (columns, lines))
        pd.testing.assert_frame_equal(left, right)


def test_another_or_a_damaged_parquet_file_is_refused(export: Exports, hit: Hit):
    held = io.BytesIO()
    pd.DataFrame({"a": [1]}).to_parquet(held)
    for data, what in ((held.getvalue(), "lacks the columns"), (parquet(hit())[:-20], "cannot be read")):
        made = export(SOURCE, {"a.parquet": data})
        with pytest.raises(DataError, match=what):
            list(ga4.read(made.files(), made))


def test_a_table_of_an_exploration_below_its_comments(export: Exports):
    above = "# ----------------------------------------\n# Free form 1\n# 20260301-20260302\n# -----\n\n"
    rows = [
        "Effective user ID,Event name,Date + hour (YYYYMMDDHH),Session source,Session medium,Event count",
        "u1,page_view,2026030109,google,organic,3", "u1,purchase,2026030110,google,organic,1", "Grand total,,,,,4",
        "u2,page_view,2026-03-02,,,1",
    ]  # fmt: skip
    made = export(SOURCE, {"a.csv": above + "\n".join(rows)})
    (batch,) = ga4.read(made.files(), made)
    assert batch.rows[["user_id", "event", LINE]].to_numpy().tolist() == [
        ["u1", "page_view", 7], ["u1", "purchase", 8], ["u2", "page_view", 10]
    ]  # fmt: skip
    assert batch.rows["ts"].iloc[0].isoformat() == "2026-03-01T01:00:00+00:00"
    assert batch.rows["channel"].tolist()[:2] == ["organic_search"] * 2
    assert json.loads(batch.rows["properties"].iloc[0])["count"] == "3"
    assert batch.merged == {("a.csv", "total_row"): 1}


def test_a_report_that_names_nobody_says_what_to_export_instead(export: Exports):
    made = export(SOURCE, {"a.csv": "Event name,Event count,Total users\npage_view,10,4\n"})
    with pytest.raises(DataError, match="lacks the columns 'Effective user ID'") as error:
        list(ga4.read(made.files(), made))
    assert "never says who did what" in str(error.value.do)
