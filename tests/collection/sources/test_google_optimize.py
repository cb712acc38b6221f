from collections.abc import Callable
from typing import Any

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import google_optimize

SOURCE = {"system": "google_optimize", "files": "*"}
Exports = Callable[..., Export]


def read(export: Exports, data: bytes | str, name: str = "a.csv") -> Batch:
    made = export(SOURCE, {name: data})
    (batch,) = google_optimize.read(made.files(), made)
    return batch


def test_impressions_of_an_export_of_analytics(export: Exports, hit: Callable[..., Any], jsonl: Callable[..., bytes]):
    shown = hit(name="experience_impression", params={"exp_variant_string": "OPT-Hero-2"})
    batch = read(export, jsonl(shown, hit(at=5)), name="a.jsonl")
    assert batch.derived["exposures"][["unit_id", "experiment", "variant"]].to_numpy().tolist() == [["p", "Hero", "2"]]
    assert len(batch.rows) == 2


def test_a_table_of_visitors_and_variants(export: Exports):
    rows = "Client ID,Experiment ID,Variant,Date\n111.222,AbC-1,1,20260301\n,AbC-1,0,20260301\n"
    batch = read(export, rows)
    assert batch.rows[["unit_id", "experiment", "variant"]].to_numpy().tolist() == [["111.222", "AbC-1", "1"]]
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[3, "missing_value"]]


def test_experiment_and_variant_in_one_column(export: Exports):
    rows = "ga:clientId,ga:experimentCombination,ga:date\n111.222,AbC_1:2,20260301\n111.333,broken,20260301\n"
    batch = read(export, rows)
    assert batch.rows[["unit_id", "experiment", "variant"]].to_numpy().tolist() == [["111.222", "AbC_1", "2"]]
    assert batch.rejected["rule"].tolist() == ["missing_value"]
