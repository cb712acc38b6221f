"""The visits by which people came: read from the events person by person, in numbers instead of names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.schema import CHANNEL, TS, USER_ID

OTHER = "other"


@dataclass(frozen=True)
class Touches:
    """Events that name a channel.

    `frame` : `user_id` (the person's number), `channel`, `ts` (UTC); those of a person together. `users` : who has
    which number, from 0, in order.
    """

    frame: pd.DataFrame
    users: pa.Array

    def numbered(self, users: pd.Series[str]) -> pd.Series[int]:
        """Return the number of each person; those without a touch get numbers of their own, as they come."""
        texts = pa.array(users.astype("str"), type=self.users.type)
        found = pc.fill_null(pc.index_in(texts, value_set=self.users), -1).to_numpy(zero_copy_only=False)
        places = found.astype(np.int64)
        new = places < 0
        places[new] = len(self.users) + pd.factorize(users[new])[0]
        return pd.Series(places, index=users.index)


def touches(
    events: Path, *, since: datetime, until: datetime | None = None, units: pd.Series[str] | None = None, least: int = 0
) -> Touches | None:
    """Return the events with a channel, from `since` on; None where events name no channels or no people.

    Parameters
    ----------
    events : the canonical events (Parquet).
    since, until : the first moment, and the one before which they lie; None: to the end of the data.
    units : only those of these people; None: of everybody.
    least : a channel by which fewer people came is called `other`: it is not published.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        log = connection.read_parquet(str(events))
        if not {CHANNEL, USER_ID} <= {*log.columns}:
            return None
        log.create_view("log")
        names = sorted(name for (name,) in log.aggregate(CHANNEL).fetchall() if name is not None)
        if units is not None:
            connection.register("people", pa.table({"unit": pa.array(units, pa.large_string())}))
        chosen = "" if units is None else f"AND {USER_ID} IN (SELECT unit FROM people)"  # noqa: S608
        query = (
            f"SELECT {USER_ID}, list({{'us': epoch_us({TS}), 'channel': list_position($names, {CHANNEL}) - 1}}) AS own "  # noqa: S608
            f"FROM log WHERE {CHANNEL} IS NOT NULL AND {USER_ID} IS NOT NULL AND {TS} >= $since "
            f"AND ($until IS NULL OR {TS} < $until) {chosen} GROUP BY {USER_ID} ORDER BY {USER_ID}"
        )
        found = connection.sql(query, params={"names": names, "since": since, "until": until}).to_arrow_table()
    return _flat(found, names, least)


def _flat(found: pa.Table, names: list[str], least: int) -> Touches:
    """Return one row per touch from one row per person."""
    users, own = (found[name].combine_chunks() for name in found.column_names)
    rows = own.flatten()
    person = np.repeat(np.arange(len(users)), own.value_lengths().to_numpy())
    code = rows.field("channel").to_numpy().astype(np.int64)
    size = max(len(names), 1)
    people = np.bincount(np.unique(person * size + code) % size, minlength=size)
    titles = [name if count >= least else OTHER for name, count in zip(names, people, strict=False)]
    at = rows.field("us").to_numpy().astype(np.int64)
    frame = pd.DataFrame({
        USER_ID: person, CHANNEL: pd.array(titles, dtype="str").take(code),
        TS: pd.array(at, dtype="datetime64[us, UTC]"),
    })  # fmt: skip
    return Touches(frame, users.cast(pa.large_string()))
