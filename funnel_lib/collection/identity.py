"""One person under several ids: links between ids become groups, each group one stable user id.

A link says that two ids were seen together: a login in a browser, an address in a record of the CRM. Groups are
the connected components of all links that the workbook's rules allow. Nothing is likely or probable here: each
merge can be explained by its links, and undone by forbidding one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from funnel_lib.collection.keys import ANONYMOUS, CLICKS, EMAIL, LOGIN, PHONE
from funnel_lib.collection.stage import PARQUET, text
from funnel_lib.settings import Identity

SPLIT, SHARED, OVERSIZE = "split", "shared", "oversize"
RULES = ("", SPLIT, SHARED, OVERSIZE)
"""Why a link joins nobody: the workbook forbids it, its value belongs to too many people, or the whole group would
be too large for one person. An empty text: it joins."""
LINK = ("user_id", "value", "kind", "holder", "first_seen", "_seq")
"""Columns of the table `link` that `people` reads: two ids, the kind of each (`holder` is that of `user_id`), when
they were first seen together, and in which file (its place in reading order)."""
_NODES = """
CREATE OR REPLACE TEMP TABLE node AS SELECT id, min(rank) AS rank, min(first_seen) AS first_seen, min(_seq) AS _seq
FROM (
    SELECT user_id AS id, rank, first_seen, _seq FROM link JOIN ranks ON ranks.kind = holder
    UNION ALL SELECT value, rank, first_seen, _seq FROM link JOIN ranks USING (kind)
) GROUP BY id
"""
_EDGES = """
CREATE OR REPLACE TEMP TABLE edge AS
SELECT a, b, min(rank) AS rank, min(first_seen) AS first_seen, min(_seq) AS _seq FROM (
    SELECT u.rowid::INTEGER AS a, v.rowid::INTEGER AS b, ranks.rank, l.first_seen, l._seq
    FROM link AS l JOIN ranks USING (kind) JOIN node AS u ON u.id = l.user_id JOIN node AS v ON v.id = l.value
) WHERE a != b GROUP BY a, b
"""
_HEADS = "SELECT part, min(id) AS id FROM candidate JOIN node ON node.rowid = code GROUP BY part"
_IDS = """
COPY (
    SELECT h.id AS user_id, ranks.kind, node.id AS value, node.first_seen, node._seq
    FROM node JOIN parts ON parts.code = node.rowid JOIN head AS h USING (part) JOIN ranks USING (rank)
    WHERE h.id != node.id ORDER BY ALL
) TO {file} {form}
"""
_LINKS = """
COPY (
    SELECT u.id AS user_id, v.id AS value, ranks.kind, edge.first_seen, edge._seq, fates.rule
    FROM edge JOIN fates ON fates.code = edge.rowid JOIN node AS u ON u.rowid = edge.a
    JOIN node AS v ON v.rowid = edge.b JOIN ranks ON ranks.rank = edge.rank ORDER BY ALL
) TO {file} {form}
"""
_LATEST = np.iinfo(np.int64).max >> 6
_Codes = npt.NDArray[np.int32]
_Fates = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class People:
    """Which ids belong together.

    Parameters
    ----------
    ids : Parquet; one row per id that another one stands for: `user_id`, `kind`, `value`, `first_seen`, `_seq`.
    links : Parquet; one row per pair of linked ids: `user_id`, `value`, `kind`, `first_seen`, `_seq`, and `rule`, the
        one of `RULES` by which the link joins nobody (empty: it joins).
    refused : `kind`, `rule`, `values` (how many join nobody), `links`.
    hashed : whether any of the ids is the hash of an address or a number.
    """

    ids: Path
    links: Path
    refused: pd.DataFrame
    hashed: bool


def people(connection: duckdb.DuckDBPyConnection, rules: Identity, folder: Path) -> People:
    """Find who is who in the table or view `link` (columns `LINK`) of the connection.

    The login id that was seen first stands for the person (without a login the next best kind of id; the smallest
    of equals), so that later data renames nobody but the younger of two people who turn out to be one. Memory
    grows by some bytes per id; texts stay on disk where they do not fit.

    Parameters
    ----------
    folder : where the two Parquet files are written, `ids.parquet` and `links.parquet`.
    """
    ids, links = folder / "ids.parquet", folder / "links.parquet"
    ranks = _ranks(connection, rules)
    _register(connection, "ranks", {"kind": list(ranks), "rank": pa.array(range(len(ranks)), pa.int8())})
    connection.execute(_NODES)
    connection.execute(_EDGES)
    a, b, kind = _columns(connection, "SELECT a, b, rank FROM edge ORDER BY rowid")
    rank, seen = _columns(connection, "SELECT rank, coalesce(epoch_us(first_seen), -1) FROM node ORDER BY rowid")
    listed = _listed(connection, rules)
    limits = np.array([rules.at_most(name) for name in ranks], dtype=np.int64)
    fates = _fates(a, b, limits[kind], listed=listed, login=rank == list(ranks).index(LOGIN), rules=rules)
    parts = _parts(a, b, fates, len(rank))
    _register(connection, "parts", {"code": np.arange(len(parts), dtype=np.int32), "part": parts})
    _register(connection, "candidate", _candidates(parts, rank, seen))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE head AS {_HEADS}")
    rule = pa.DictionaryArray.from_arrays(pa.array(fates), pa.array(RULES))
    _register(connection, "fates", {"code": np.arange(len(a), dtype=np.int32), "rule": rule})
    connection.execute(_IDS.format(file=text(ids), form=PARQUET))
    connection.execute(_LINKS.format(file=text(links), form=PARQUET))
    return People(ids, links, _refused(connection, links), hashed=bool({EMAIL, PHONE} & {*ranks}))


def _ranks(connection: duckdb.DuckDBPyConnection, rules: Identity) -> dict[str, int]:
    """Return the kinds of ids, those first that best stand for a person."""
    there = connection.sql("SELECT kind FROM link UNION SELECT holder FROM link ORDER BY 1").fetchall()
    kinds = [str(kind) for (kind,) in there]
    last = [ANONYMOUS, EMAIL, PHONE, *CLICKS]
    own = [*rules.join, *kinds]
    order = dict.fromkeys([LOGIN, *(kind for kind in own if kind not in last), *(kind for kind in last if kind in own)])
    return {kind: place for place, kind in enumerate(order)}


def _listed(connection: duckdb.DuckDBPyConnection, rules: Identity) -> _Codes:
    _register(connection, "listed", {"id": pa.array(rules.split, pa.string())})
    (codes,) = _columns(connection, "SELECT rowid::INTEGER FROM node SEMI JOIN listed USING (id)")
    return np.asarray(codes, dtype=np.int32)


def _fates(
    a: _Codes, b: _Codes, limit: npt.NDArray[np.int64], *, listed: _Codes, login: npt.NDArray[np.bool_], rules: Identity
) -> _Fates:
    """Return for each link the place in `RULES` of what forbids it.

    An id on the workbook's list joins nobody: as a value it has no link, as a person it keeps only what nobody
    else has. A group that is too large falls apart into people with what only they have.
    """
    size = len(login)
    fates = np.zeros(len(a), dtype=np.uint8)
    of_one = np.bincount(b, minlength=size) == 1
    fates[np.isin(b, listed) | (np.isin(a, listed) & ~of_one[b])] = RULES.index(SPLIT)
    holders = np.bincount(b[fates == 0], minlength=size)
    fates[(fates == 0) & (holders[b] > limit)] = RULES.index(SHARED)
    parts = _parts(a, b, fates, size)
    ids, logins = np.bincount(parts), np.bincount(parts, weights=login)
    large = (ids > rules.largest) | (logins > rules.logins)
    fates[(fates == 0) & large[parts[a]] & (holders[b] > 1)] = RULES.index(OVERSIZE)
    return fates


def _parts(a: _Codes, b: _Codes, fates: _Fates, size: int) -> _Codes:
    """Return the number of the connected component of each of `size` ids."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joins = fates == 0
    graph = coo_array((np.ones(int(joins.sum()), dtype=np.int8), (a[joins], b[joins])), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int32)


def _candidates(parts: _Codes, rank: npt.NDArray[np.int8], seen: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return the ids of the best kind that were seen first in their component; several where they are equal."""
    known = np.where(seen < 0, _LATEST, seen)
    best_rank = np.full(parts.max(initial=-1) + 1, np.iinfo(np.int8).max, dtype=np.int8)
    np.minimum.at(best_rank, parts, rank)
    known = np.where(rank == best_rank[parts], known, _LATEST + 1)
    best = np.full(len(best_rank), _LATEST + 1, dtype=np.int64)
    np.minimum.at(best, parts, known)
    codes = np.flatnonzero((known == best[parts]) & (rank == best_rank[parts])).astype(np.int32)
    return {"code": codes, "part": parts[codes]}


def _refused(connection: duckdb.DuckDBPyConnection, links: Path) -> pd.DataFrame:
    found = connection.read_parquet(str(links)).filter(f"rule != '{RULES[0]}'")
    counted = found.aggregate('kind, rule, count(DISTINCT value) AS "values", count(*) AS links', "kind, rule")
    frame: pd.DataFrame = counted.order("kind, rule").to_arrow_table().to_pandas()
    return frame


def _columns(connection: duckdb.DuckDBPyConnection, query: str) -> list[npt.NDArray[Any]]:
    return [np.asarray(column) for column in connection.sql(query).fetchnumpy().values()]


def _register(connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, Any]) -> None:
    connection.register(name, pa.table(columns))
