"""Google Optimize (ended in 2023): who saw which variant, out of what other systems have kept of it.

In Google Analytics 4 these are the events `experience_impression`; of Universal Analytics there are tables with
the dimensions of experiments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from funnel_lib.collection import layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export, format_of
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.reading import is_json_lines
from funnel_lib.collection.sources import ga4

_COMBINED = r"^(?P<experiment>.+?)[:.](?P<variant>[^:.]+)$"
_UNIT = ("Client ID", "clientId", "ga:clientId", "Visitor ID", "User ID")
_TIME = ("Timestamp", "Date + hour", "Date", "ga:date", "ga:dateHourMinute", "dateHourMinute")


def _combined(rows: pd.DataFrame, _: Export) -> pd.DataFrame:
    parts = rows["combination"].str.strip().str.extract(_COMBINED).astype("str")
    return rows.drop(columns="combination").assign(experiment=parts["experiment"], variant=parts["variant"])


_LAYOUTS = (
    Layout(
        "exposures",
        {
            "unit_id": _UNIT,
            "experiment": ("Experiment ID", "experimentId", "ga:experimentId", "Experiment", "Experiment Name"),
            "variant": ("Variant", "experimentVariant", "ga:experimentVariant", "Experiment Variant"),
            "ts": _TIME,
        },
        ["unit_id", "experiment", "variant", "ts"],
    ),
    Layout(
        "exposures",
        {
            "unit_id": _UNIT,
            "combination": ("Experiment ID with Variant", "experimentCombination", "ga:experimentCombination"),
            "ts": _TIME,
        },
        ["unit_id", "combination", "ts"],
        shape=_combined,
    ),
)
_ADVICE = "Export the experiments' dimensions with the client id and the time, a row for each visitor and variant."


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read exports of Google Analytics 4 as the system `ga4` does, and tables of variants into `exposures`.

    Raises
    ------
    DataError : a file is damaged, or lacks the visitor, the experiment, the variant or the time.
    """
    for path in paths:
        kind = format_of(path)
        if kind == "parquet" or (kind == "text" and is_json_lines(path, export.source.encoding)):
            yield from ga4.read([path], export)
        else:
            yield from layouts.read([path], export, _LAYOUTS, advice=_ADVICE)


SYSTEM = Offer(
    name="google_optimize",
    title="Google Optimize (until 2023)",
    reads=read,
    fills=("exposures", "events", "users", "identities"),
    files="The BigQuery export of Google Analytics 4 with the events `experience_impression`, or a table of visitors "
    "and variants (CSV, Excel).",
    confirmed="The event and its parameter by the vendor's reference. The dimensions of Universal Analytics are not "
    "confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
)
