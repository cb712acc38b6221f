"""Which feeder reads which events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from funnel_lib.conversion.engine.database import DatabaseSource
from funnel_lib.conversion.engine.local import LocalSource
from funnel_lib.conversion.engine.source import Source
from funnel_lib.conversion.engine.spark import SparkSource
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError, DataError


def open_source(events: Any, funnel: Funnel, by: Sequence[str] = (), *, memory: str | int | None = None) -> Source:
    """Return the feeder for `events`: a Spark DataFrame, an Ibis table, or whatever DuckDB can read.

    Told apart by the name of their type, so that neither Ibis nor Spark is loaded for anything else.

    Raises
    ------
    ConfigError : memory is named for Spark, whose executors have their own.
    DataError : this kind of events is not known, or they cannot be read, or lack a column.
    """
    package = type(events).__module__.split(".")[0]
    if package == "pyspark":
        if memory is not None:
            raise ConfigError(
                "The memory of a Spark cluster is not set here.", where="memory", found=memory, allowed="nothing",
                do="Set spark.executor.memory and spark.executor.pyspark.memory for the session.",
            )  # fmt: skip
        return SparkSource(events, funnel, tuple(by))
    if package == "ibis":
        return DatabaseSource(events, funnel, tuple(by), memory=memory)
    if package in ("pandas", "pyarrow", "duckdb", "_duckdb") or isinstance(events, str | Path | list | tuple):
        return LocalSource(events, funnel, tuple(by), memory=memory)
    raise DataError(
        "Events of this kind cannot be read.", found=type(events).__name__,
        allowed="a pandas or Spark DataFrame, an Arrow table, a DuckDB relation, an Ibis table, or paths of files",
        do="Convert them to one of these.",
    )  # fmt: skip
