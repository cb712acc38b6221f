"""What collecting costs: a day of a web shop as the export of Google Analytics 4, against DuckDB reading the same file.

`python -m benchmarks.collect 1000000` prints seconds, CPU, the most memory held, and the ratio to the floor. The floor
is DuckDB parsing the same fields of the same packed file, without a table, a check or a count coming out of it.
"""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import yaml

from benchmarks.tables import markdown
from funnel_lib.collection.collect import collect
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import OFFERS
from funnel_lib.config import Workbook, load

DAY = 1_772_323_200_000_000
NAMES = ["page_view"] * 6 + ["scroll", "sign_up", "begin_checkout", "purchase"]
_VALUE = "STRUCT(string_value VARCHAR, int_value VARCHAR, double_value VARCHAR)"
_PAIRS = f'STRUCT("key" VARCHAR, "value" {_VALUE})[]'
COLUMNS = {
    "event_date": "VARCHAR", "event_timestamp": "VARCHAR", "event_name": "VARCHAR", "user_id": "VARCHAR",
    "user_pseudo_id": "VARCHAR", "event_params": _PAIRS, "user_properties": _PAIRS,
    "device": "STRUCT(category VARCHAR, web_info STRUCT(browser VARCHAR))",
    "traffic_source": "STRUCT(name VARCHAR, medium VARCHAR, source VARCHAR)", "batch_page_id": "VARCHAR",
    "batch_ordering_id": "VARCHAR", "batch_event_index": "VARCHAR",
}  # fmt: skip
_HASHES = ", ".join(f"bit_xor(hash({name}))" for name in COLUMNS)


def write(folder: Path, events: int, *, files: int = 10) -> None:
    """Write a workbook and its export: `events` rows of eight events a person, in `files` files of one day."""
    raw = folder / "data" / "raw" / "shop"
    raw.mkdir(parents=True)
    (folder / "params").mkdir()
    steps = [{"name": name, "event": name} for name in ("page_view", "purchase")]
    content = {
        "name": "shop", "title": "Shop", "funnel": {"steps": steps}, "sources": {"web": {"system": "ga4", "files": "*"}}
    }  # fmt: skip
    (folder / "params" / "shop.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    rng = np.random.default_rng(1)
    for part in range(files):
        with gzip.open(raw / f"events_20260301_{part:02}.jsonl.gz", "wt", compresslevel=3) as file:
            for start in range(part * events // files, (part + 1) * events // files, 20_000):
                file.write(_text(start, min(20_000, (part + 1) * events // files - start), events, rng))


def _text(start: int, rows: int, events: int, rng: np.random.Generator) -> str:
    people = rng.integers(0, max(events // 8, 1), rows).tolist()
    times = (DAY + rng.integers(0, 86_400_000_000, rows)).tolist()
    names = rng.integers(0, len(NAMES), rows).tolist()
    return "".join(
        _line(start + i, *row) for i, row in enumerate(zip(people, times, names, strict=True))
    )  # fmt: skip


def _line(number: int, person: int, at: int, name: int) -> str:
    params = [
        {"key": "ga_session_id", "value": {"int_value": str(person * 3)}},
        {"key": "page_location", "value": {"string_value": f"https://www.shop.example/p/{person % 50}"}},
    ]
    if NAMES[name] in ("begin_checkout", "purchase"):
        params.append({"key": "value", "value": {"double_value": person % 900 + 0.5}})
    row = {
        "event_date": "20260301", "event_timestamp": str(at), "event_name": NAMES[name], "event_params": params,
        "user_pseudo_id": f"{person}.{DAY // 1_000_000}",
        "user_properties": [{"key": "occupation", "value": {"string_value": ["student", "employed"][person % 2]}}],
        "device": {"category": "mobile", "operating_system": "Android", "web_info": {"browser": "Chrome"}},
        "geo": {"country": "China", "region": "Shanghai", "city": "Shanghai"},
        "traffic_source": {"name": "(organic)", "medium": "organic", "source": "baidu"},
        "stream_id": "1", "platform": "WEB", "batch_page_id": str(person), "batch_ordering_id": str(number),
        "batch_event_index": "1",
    }  # fmt: skip
    return json.dumps({**row, "user_id": f"U{person}"} if person % 3 == 0 else row, separators=(",", ":")) + "\n"


def floor(workbook: Workbook) -> None:
    """Parse all fields that collecting reads, and forget them."""
    files = [str(path) for path in sorted(workbook.raw.iterdir())]
    query = f"SELECT {_HASHES} FROM read_json(?, format='newline_delimited', columns=?)"
    duckdb.connect().execute(query, [files, COLUMNS]).fetchall()


def reading(workbook: Workbook) -> None:
    """Read the files into batches, and forget them."""
    export = Export("web", workbook.sources["web"], workbook)
    for _ in OFFERS["ga4"].reads(export.files(), export):
        pass


def collecting(workbook: Workbook) -> None:
    """Make the canonical tables."""
    collect(workbook, anew=True)


CALLS = {"floor": floor, "read": reading, "collect": collecting}


def child(what: str, folder: Path) -> None:
    """Measure one call in this process."""
    workbook = load(folder / "params" / "shop.yml")
    wall, cpu = time.perf_counter(), time.process_time()
    CALLS[what](workbook)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": held}))


def measure(events: int) -> str:
    """Return the table of all calls on `events` rows, each in a process of its own."""
    rows: list[dict[str, object]] = []
    base = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "business"
        write(folder, events)
        for what in CALLS:
            command = [sys.executable, "-m", "benchmarks.collect", what, str(folder)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            base = base or found["cpu"]
            rows.append({
                "": what, "events": events, "wall s": found["wall"], "CPU s": found["cpu"], "peak MB": found["peak"],
                "CPU, of the floor": found["cpu"] / base,
            })  # fmt: skip
    return markdown(pd.DataFrame(rows))


if __name__ == "__main__":
    if sys.argv[1] in CALLS:
        child(sys.argv[1], Path(sys.argv[2]))
    else:
        print(measure(int(sys.argv[1])))
