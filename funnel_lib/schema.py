"""The canonical tables: column names as constants, and one check for every table.

Timestamps are UTC with microseconds, money is float64 beside a currency column. Optional columns may be
left out; columns of people (`users`) may carry any further attribute. Ids that a system gives to its records, answers
and events are its own: two systems may count alike, so that `source` belongs to the key of such a table.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from funnel_lib.errors import ConfigError, DataError, choices

if TYPE_CHECKING:
    import pandas as pd

USER_ID, EVENT, TS, EVENT_ID, SOURCE = "user_id", "event", "ts", "event_id", "source"
SESSION_ID, AMOUNT, CURRENCY = "session_id", "amount", "currency"
CHANNEL, CAMPAIGN, DEVICE, PROPERTIES = "channel", "campaign", "device", "properties"
FIRST_SEEN = "first_seen"

Kind = Literal["text", "time", "number", "count", "date"]
TableName = Literal[
    "events", "users", "identities", "links", "deals", "stage_history", "spend", "surveys", "exposures", "quarantine"
]


@dataclass(frozen=True)
class Column:
    """A canonical column: the kind of its values, and whether it may be absent or empty."""

    kind: Kind
    required: bool = True
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A canonical table: its columns, the key that makes a row unique, and whether more columns may follow."""

    columns: Mapping[str, Column]
    key: tuple[str, ...] = ()
    open: bool = False


_TEXT, _TIME, _NUMBER, _COUNT = Column("text"), Column("time"), Column("number"), Column("count")
_TEXT_MAYBE = Column("text", required=False, nullable=True)
_TIME_MAYBE = Column("time", required=False, nullable=True)
_NUMBER_MAYBE = Column("number", required=False, nullable=True)

TABLES: Mapping[str, Table] = {
    "events": Table(
        {
            EVENT_ID: _TEXT, USER_ID: _TEXT, EVENT: _TEXT, TS: _TIME, SOURCE: _TEXT, SESSION_ID: _TEXT_MAYBE,
            AMOUNT: _NUMBER_MAYBE, CURRENCY: _TEXT_MAYBE, CHANNEL: _TEXT_MAYBE, CAMPAIGN: _TEXT_MAYBE,
            DEVICE: _TEXT_MAYBE, PROPERTIES: _TEXT_MAYBE,
        },
        key=(EVENT_ID, SOURCE),
    ),
    "users": Table({USER_ID: _TEXT, FIRST_SEEN: _TIME_MAYBE}, key=(USER_ID,), open=True),
    "identities": Table({USER_ID: _TEXT, "kind": _TEXT, "value": _TEXT, FIRST_SEEN: _TIME_MAYBE, SOURCE: _TEXT}),
    "links": Table(
        {
            USER_ID: _TEXT, "value": _TEXT, "kind": _TEXT, FIRST_SEEN: _TIME_MAYBE, SOURCE: _TEXT, "file": _TEXT,
            "rule": _TEXT,
        }
    ),
    "deals": Table(
        {
            "record_id": _TEXT, SOURCE: _TEXT, USER_ID: _TEXT_MAYBE, "account": _TEXT_MAYBE, "owner": _TEXT_MAYBE,
            AMOUNT: _NUMBER_MAYBE, CURRENCY: _TEXT_MAYBE, "created": _TIME_MAYBE, "expected_close": _TIME_MAYBE,
            "closed": _TIME_MAYBE, "status": _TEXT, "loss_reason": _TEXT_MAYBE,
        },
        key=("record_id", SOURCE),
        open=True,
    ),
    "stage_history": Table(
        {"record_id": _TEXT, SOURCE: _TEXT, "stage": _TEXT, "entered_at": _TIME, "left_at": _TIME_MAYBE}
    ),
    "spend": Table(
        {
            "date": Column("date"), "platform": _TEXT, CAMPAIGN: _TEXT, "impressions": _COUNT, "clicks": _COUNT,
            "cost": _NUMBER, CURRENCY: _TEXT,
        },
        key=("date", "platform", CAMPAIGN),
    ),
    "surveys": Table(
        {
            "response_id": _TEXT, SOURCE: _TEXT, USER_ID: _TEXT_MAYBE, TS: _TIME, "question": _TEXT,
            "score": _NUMBER_MAYBE, "comment": _TEXT_MAYBE,
        },
        key=("response_id", SOURCE, "question"),
    ),
    "exposures": Table({"unit_id": _TEXT, "experiment": _TEXT, "variant": _TEXT, TS: _TIME}),
    "quarantine": Table(
        {
            SOURCE: _TEXT, "file": _TEXT, "line": _COUNT, "rule": _TEXT, "reason": _TEXT, "raw": _TEXT_MAYBE,
            TS: _TIME_MAYBE,
        }
    ),
}  # fmt: skip

DTYPES: Mapping[Kind, str] = {
    "text": "str", "time": "datetime64[us, UTC]", "number": "float64", "count": "int64", "date": "datetime64[us]",
}  # fmt: skip

# Unlike int64, Int64 refuses 1.5 where it would be cut off silently.
_COERCED: Mapping[Kind, str] = {**DTYPES, "count": "Int64"}


def table(name: str) -> Table:
    """Return the canonical table `name`; raises ConfigError with the allowed names otherwise."""
    if name not in TABLES:
        raise ConfigError(f"There is no table {name!r}.", found=name, allowed=choices(TABLES, name))
    return TABLES[name]


@contextmanager
def unwarned() -> Iterator[None]:
    """Let pandera load and validate without the warning that Spark gives about pandas, where it is installed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet", category=FutureWarning)
        yield


def check(name: TableName, frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` with the dtypes and the column order of table `name`.

    All faults of the frame are found at once (pandera, lazily). Optional columns that are absent stay absent.

    Raises
    ------
    DataError : a required column is missing, a value has the wrong kind or is empty where it must not be,
        a key is not unique.
    """
    with unwarned():
        import pandera.pandas as pa
        from pandera.errors import SchemaErrors

    spec = table(name)
    columns = {
        column: pa.Column(_COERCED[c.kind], required=c.required, nullable=c.nullable, coerce=True)
        for column, c in spec.columns.items()
    }
    schema = pa.DataFrameSchema(columns, strict=not spec.open, unique=list(spec.key) or None, ordered=False, name=name)
    try:
        with unwarned():
            checked = schema.validate(frame.reset_index(drop=True), lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.drop_duplicates(["column", "check"])  # one example of each fault
        cases = cases[~cases["check"].astype("str").str.startswith("dtype(")]  # coercion has said it already
        faults = "; ".join(f"{c.column}: {c.check} ({c.failure_case})" for c in cases.itertuples())
        raise DataError(f"The table {name!r} does not have its canonical form.", where=name, found=faults) from error
    order = [c for c in spec.columns if c in checked] + [c for c in checked if c not in spec.columns]
    exact = {c: DTYPES[k.kind] for c, k in spec.columns.items() if c in checked and k.kind in ("count", "date")}
    return checked[order].astype(exact)


def empty(name: TableName) -> pd.DataFrame:
    """Return the table `name` without rows, all columns present and typed."""
    import pandas as pd

    columns = {c: pd.Series(dtype=DTYPES[spec.kind]) for c, spec in table(name).columns.items()}
    return pd.DataFrame(columns)
