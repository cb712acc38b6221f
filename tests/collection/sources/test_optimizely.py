import io
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import optimizely
from funnel_lib.errors import DataError

SOURCE = {"system": "optimizely", "files": "**/*"}
AT = 1_772_323_200_000  # 2026-03-01 00:00 UTC in milliseconds
Exports = Callable[..., Export]


def parquet(*rows: dict[str, Any]) -> bytes:
    held = io.BytesIO()
    pd.DataFrame(rows).to_parquet(held)
    return held.getvalue()


def read(export: Exports, data: bytes, **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {"type=decisions/date=2026-03-01/part-0.parquet": data})
    (batch,) = optimizely.read(made.files(), made)
    return batch


def decision(visitor: str, variation: str, at: int = AT, **more: Any) -> dict[str, Any]:
    return {"uuid": f"d-{visitor}", "timestamp": at, "process_timestamp": at + 5, "visitor_id": visitor,
            "campaign_id": "c", "experiment_id": "9300000000002", "variation_id": variation, "is_holdback": False,
            "attributes": [{"id": "1", "name": "plan", "type": "custom", "value": "pro"}], **more}  # fmt: skip


def test_decisions_are_exposures_and_held_back_visitors_a_variant(export: Exports):
    batch = read(export, parquet(decision("v1", "a"), decision("v2", "b", AT + 1500, is_holdback=True)))
    assert batch.table == "exposures"
    assert batch.rows[["unit_id", "experiment", "variant"]].to_numpy().tolist() == [
        ["v1", "9300000000002", "a"],
        ["v2", "9300000000002", "holdback"],
    ]
    assert batch.rows["ts"].iloc[1].isoformat() == "2026-03-01T00:00:01.500000+00:00"


def test_conversions_are_events_with_amounts_in_units(export: Exports):
    row = {"uuid": "e1", "timestamp": AT, "visitor_id": "v1", "entity_id": "77", "event_name": "order", "revenue": 1999,
           "value": 3.5, "quantity": 2, "tags": {"color": "red"}}  # fmt: skip
    batch = read(export, parquet(row, {**row, "uuid": "e2", "revenue": None}))
    assert batch.rows[["event_id", "user_id", "event", "amount"]].fillna(-1).to_numpy().tolist() == [
        ["e1", "v1", "order", 19.99],
        ["e2", "v1", "order", -1],
    ]
    assert '"quantity": "2"' in batch.rows["properties"].iloc[0]


def test_the_workbook_can_say_that_revenue_is_in_units(export: Exports):
    row = {"uuid": "e1", "timestamp": AT, "visitor_id": "v1", "event_name": "order", "revenue": 1999}
    assert read(export, parquet(row), aliases={"amount": ["revenue"]}).rows["amount"].tolist() == [1999.0]


def test_another_table_is_refused(export: Exports):
    with pytest.raises(DataError, match="lacks the column"):
        read(export, parquet({"a": 1}))
