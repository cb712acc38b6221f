"""The systems that exports come from: one module each, and the registry that names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import ga4, google_ads, meta_ads, table
from funnel_lib.config import System

Reader = Callable[[Sequence[Path], Export], Iterator[Batch]]
"""Reads the files of one source, in their order, into batches whose counts add up."""

READERS: Mapping[System, Reader] = {
    "ga4": ga4.read, "google_ads": google_ads.read, "meta_ads": meta_ads.read, "table": table.read,
}  # fmt: skip

__all__ = ["READERS", "Reader"]
