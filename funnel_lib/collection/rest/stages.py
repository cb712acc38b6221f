"""The stage history that follows from comparing the fetches, where a system keeps none."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.collection.rest.api import Stages
from funnel_lib.collection.rest.calls import member
from funnel_lib.collection.rest.landing import Landing, lines
from funnel_lib.collection.snapshot_history import CHANGED, COLUMNS, CREATED, RECORD, SEEN, STAGE, stage_history

FILE = Path("stages") / "stage_history.jsonl.gz"


def write_history(landing: Landing, stages: Stages, options: Mapping[str, str], folder: Path) -> Path | None:
    """Write the stays in stages that follow from the fetches of a stream; the same fetches give the same bytes.

    Parameters
    ----------
    landing : the stream's files, replaced ones included.
    stages : where its rows tell the stage.
    options : the workbook's, of which `stage` and `stage_label` overrule.
    folder : of the source; the file is ``stages/stage_history.jsonl.gz`` in it.

    Returns
    -------
    The file; None where no row tells a stage.
    """
    versions = pd.DataFrame(_versions(landing, stages, options), columns=[RECORD, STAGE, SEEN, CHANGED, CREATED])
    stays = stage_history(versions)
    if stays.empty:
        return None
    target = folder / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}")
    with part.open("wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
        for stay in stays[COLUMNS].itertuples(index=False, name=None):
            texts = {name: _text(value) for name, value in zip(COLUMNS, stay, strict=True)}
            packed.write(f"{json.dumps(texts, ensure_ascii=False)}\n".encode())
    os.replace(part, target)
    return target


def _versions(landing: Landing, stages: Stages, options: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    column, label = options.get("stage", stages.stage), options.get("stage_label", stages.label)
    for seen, path in landing.versions():
        for row in map(json.loads, lines(path)):
            stage = (member(row, label) if label else None) or member(row, column)
            record = member(row, stages.record)
            if stage in (None, "") or record is None:
                continue
            changed = instant(member(row, stages.changed)) if stages.changed else None
            created = instant(member(row, stages.created)) if stages.created else None
            yield str(record), str(stage), seen, changed, created


def instant(value: Any) -> datetime | None:
    """Read a time as interfaces give it: milliseconds since 1970 (number or text), or ISO text with its offset.

    Anything else, also a time that names no zone, is None: the snapshots then say what they can.
    """
    text = str(value).strip()
    try:
        if text.lstrip("-").isdigit():
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def _text(value: Any) -> str | None:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return None if pd.isna(value) else str(value)
