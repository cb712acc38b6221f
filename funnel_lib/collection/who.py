"""Who is who, once all files are read: the ids behind every row, the test accounts, and the tables of ids.

Everything here is a file or a table of DuckDB, as there may be as many ids as rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from funnel_lib.collection import identity
from funnel_lib.collection.clean import TEST
from funnel_lib.collection.identity import People
from funnel_lib.collection.keys import ANONYMOUS, LOGIN
from funnel_lib.collection.stage import DERIVED, PARQUET, SEQ, Stage, text
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.errors import DataError
from funnel_lib.schema import SOURCE, USER_ID, TableName

_NO_IDS = "SELECT NULL::VARCHAR AS user_id, NULL::VARCHAR AS kind, NULL::VARCHAR AS value WHERE false"
_TESTS = """
WITH marked AS (SELECT DISTINCT user_id AS id FROM staged WHERE _test),
people AS (SELECT DISTINCT coalesce(ids.user_id, marked.id) AS id FROM marked LEFT JOIN ids ON ids.value = marked.id)
SELECT id FROM marked UNION SELECT id FROM people
UNION SELECT ids.value FROM ids JOIN people ON people.id = ids.user_id ORDER BY 1
"""
_REGISTERED = """
WITH registered AS (SELECT DISTINCT coalesce(ids.user_id, l.user_id) AS id FROM link AS l
    LEFT JOIN ids ON ids.value = l.user_id WHERE l.kind = '{browser}' AND l.holder = '{login}'),
known AS (SELECT DISTINCT coalesce(ids.user_id, s.user_id) AS id FROM staged AS s
    LEFT JOIN ids ON ids.value = s.user_id WHERE NOT s._derived)
SELECT count(*) AS registered, count(known.id) AS with_record FROM registered ANTI JOIN tests USING (id)
LEFT JOIN known USING (id)
"""
_MET = """
SELECT DISTINCT s._source AS source, coalesce(ids.user_id, s.user_id) AS id FROM {name} AS s
LEFT JOIN ids ON ids.value = s.user_id ANTI JOIN tests ON tests.id = s.user_id
WHERE s.user_id IS NOT NULL AND NOT s._derived
"""
_OVERLAP = """
SELECT a.source, b.source, count(*) FROM met AS a JOIN met AS b USING (id) GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class Resolved:
    """Who is who.

    Parameters
    ----------
    workbook : the business.
    ids : Parquet with the `user_id` behind each linked id (`value`); None where nothing is linked.
    tests : all ids of test accounts.
    """

    workbook: Workbook
    ids: Path | None
    tests: frozenset[str]

    def person(self, ids: pd.Series[Any]) -> pd.Series[Any]:
        """Return the id of the person behind each id."""
        if self.ids is None:
            return ids
        asked = pa.table({"value": pa.array(ids.dropna().unique(), pa.string())})
        with duckdb.connect() as connection:
            connection.register("asked", asked)
            found = connection.read_parquet(str(self.ids)).join(connection.table("asked"), "value")
            known = found.project("value, user_id").to_arrow_table().to_pandas().set_index("value")[USER_ID]
        return ids.map(known).astype("str").fillna(ids)

    def show(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make `ids` (user_id, kind, value) and `tests` (id) visible to a connection."""
        if self.ids is None:
            connection.execute(f"CREATE OR REPLACE TEMP VIEW ids AS {_NO_IDS}")
        else:
            connection.read_parquet(str(self.ids)).create_view("ids", replace=True)
        connection.register("tests", pa.table({"id": pa.array(sorted(self.tests), pa.string())}))


def resolve(stage: Stage, workbook: Workbook) -> tuple[Resolved, People | None, dict[str, Any]]:
    """Bring the linked ids together, and find all ids of the people who are a test account under one of them.

    Returns
    -------
    Who is who; the links; and `registered` (people who logged in), `with_record` (those of them whom a source of
    people knows; both None where that cannot be told).
    """
    with stage.connected() as connection:
        linked = None
        if "identities" in stage.parts:
            _links(connection, stage)
            linked = identity.people(connection, workbook.identity, stage.folder)
        nobody = Resolved(workbook, None if linked is None else linked.ids, frozenset())
        nobody.show(connection)
        facts: dict[str, Any] = {"registered": None, "with_record": None}
        tests: list[str] = []
        if "users" in stage.parts:
            stage.view(connection, "users")
            if TEST in connection.view("staged").columns:
                tests = [str(value) for (value,) in connection.sql(_TESTS).fetchall()]
            if linked is not None:
                Resolved(workbook, linked.ids, frozenset(tests)).show(connection)
                facts = _join_rate(connection)
    return Resolved(workbook, nobody.ids, frozenset(tests)), linked, facts


def trace(store: Store, user: str) -> pd.DataFrame:
    """Return all links around one person, who may be named by any id: the columns of `links` and `person`.

    `person` is the id that stands for the link's `user_id`. Links that join nobody tell their `rule`. A person
    without any link has no rows.

    Raises
    ------
    DataError : nothing was collected, or nobody has this id.
    """
    identities, links = store.read("identities", [USER_ID, "value"]), store.path("links")
    known = identities.loc[identities["value"] == user, USER_ID]
    person = str(known.iloc[0]) if len(known) else user
    own = [person, *identities.loc[identities[USER_ID] == person, "value"]]
    found = pd.DataFrame(columns=[*_LINK_COLUMNS])
    if links.is_file():
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("own", pa.table({"id": pa.array(own, pa.string())}))
            asked = "user_id IN (SELECT id FROM own) OR value IN (SELECT id FROM own)"
            rows = connection.read_parquet(str(links)).filter(asked).order("first_seen, user_id, kind, value")
            found = rows.to_arrow_table().to_pandas()
    if found.empty and user not in set(store.read("users", [USER_ID])[USER_ID]):
        raise DataError(
            "Nobody has this id.", where=store.folder, found=user,
            allowed="a user_id of the tables, or a value of the table identities",
            do="Look for it in the tables users and identities; addresses and numbers are only there as hashes.",
        )  # fmt: skip
    people = identities.set_index("value")[USER_ID]
    return found.assign(person=found[USER_ID].map(people).astype("str").fillna(found[USER_ID].astype("str")))


def overlap(stage: Stage, resolved: Resolved) -> list[dict[str, Any]]:
    """Return how many people each source tells of, and how many of them each other source tells of, too.

    One entry per pair of sources, a source with itself included: `source`, `other`, `people`.
    """
    asked = [name for name in ("events", "users", "deals", "surveys") if name in stage.parts]
    with stage.connected() as connection:
        resolved.show(connection)
        parts = []
        for name in asked:
            stage.view(connection, name, f"of_{name}")
            if USER_ID in connection.view(f"of_{name}").columns:
                parts.append(_MET.format(name=f"of_{name}"))
        if not parts:
            return []
        connection.execute(f"CREATE TEMP TABLE met AS {' UNION '.join(parts)}")
        found = connection.sql(_OVERLAP).fetchall()
    return [{"source": str(source), "other": str(other), "people": int(people)} for source, other, people in found]


def tables(stage: Stage, resolved: Resolved, linked: People) -> dict[TableName, Path]:
    """Write the tables `identities` and `links`, without test accounts; return their files, empty ones left out."""
    made: dict[TableName, Path] = {}
    with stage.connected() as connection:
        resolved.show(connection)
        places = {
            SEQ: pa.array(stage.files, pa.int64()), SOURCE: [source for source, *_ in stage.files.values()],
            "file": [file for _, file, _ in stage.files.values()],
        }  # fmt: skip
        connection.register("places", pa.table(places))
        columns = {"identities": "user_id, kind, value, first_seen, source", "links": ", ".join(_LINK_COLUMNS)}
        files: dict[TableName, Path] = {"identities": linked.ids, "links": linked.links}
        for name, path in files.items():
            rows = f"SELECT {columns[name]} FROM read_parquet(?) JOIN places USING ({SEQ})"  # noqa: S608
            rows += " WHERE value NOT IN (SELECT id FROM tests) AND user_id NOT IN (SELECT id FROM tests)"
            target = stage.folder / f"finished-{name}.parquet"
            rows = f"{rows} ORDER BY user_id, kind, value"
            connection.execute(f"COPY ({rows}) TO {text(target)} {PARQUET}", [str(path)])
            if connection.read_parquet(str(target)).limit(1).project("1").fetchall():
                made[name] = target
    return made


_LINK_COLUMNS = (USER_ID, "value", "kind", "first_seen", SOURCE, "file", "rule")


def _links(connection: duckdb.DuckDBPyConnection, stage: Stage) -> None:
    """Make the view `link` that `identity.people` reads."""
    stage.view(connection, "identities", "linked")
    there = connection.view("linked").columns
    kind = f"coalesce(kind, '{ANONYMOUS}')" if "kind" in there else f"'{ANONYMOUS}'"
    holder = f"coalesce(holder, '{LOGIN}')" if "holder" in there else f"'{LOGIN}'"
    seen = "first_seen" if "first_seen" in there else "NULL::TIMESTAMPTZ"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW link AS SELECT user_id, value, {kind} AS kind, {holder} AS holder, "  # noqa: S608
        f"{seen} AS first_seen, {SEQ} FROM linked WHERE user_id IS NOT NULL AND value IS NOT NULL"
    )


def _join_rate(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    recorded = connection.view("staged").filter(f"NOT {DERIVED}").limit(1).project("1").fetchall()
    if not recorded:
        return {"registered": None, "with_record": None}
    registered, record = connection.sql(_REGISTERED.format(browser=ANONYMOUS, login=LOGIN)).fetchall()[0]
    return {"registered": int(registered), "with_record": int(record)}
