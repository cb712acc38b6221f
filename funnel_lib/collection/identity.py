"""One person under several ids: links between ids become groups, each group one stable user id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from funnel_lib.schema import FIRST_SEEN, USER_ID

MOST_IDS = 50
MOST_LOGINS = 3
"""Larger groups come from shared devices or test machines, not from people."""


@dataclass(frozen=True)
class People:
    """Which ids belong together.

    Parameters
    ----------
    ids : one row per linked id: `value`, and the `user_id` that stands for its person.
    oversize : groups that were too large to be one person: `group`, `ids`, `logins`.
    """

    ids: pd.DataFrame
    oversize: pd.DataFrame


def people(links: pd.DataFrame, *, most_ids: int = MOST_IDS, most_logins: int = MOST_LOGINS) -> People:
    """Find the connected components of ids.

    The login id that was seen first stands for the person (the smallest of equals), so that later data does not
    rename anybody. A component with more than `most_ids` ids or `most_logins` login ids is not merged: there,
    only browsers with a single login id go to it, all else stays apart.

    Parameters
    ----------
    links : `user_id` (login id), `value` (anonymous id), `first_seen`; one row per link at least.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if links.empty:
        return People(_frame([], []), pd.DataFrame({"group": [], "ids": [], "logins": []}, dtype="int64"))
    logins = links.groupby(USER_ID)[FIRST_SEEN].min()
    nodes = pd.Index(np.unique(np.concatenate([links[USER_ID].astype(object), links["value"].astype(object)])))
    pairs = nodes.get_indexer(links[USER_ID]), nodes.get_indexer(links["value"])
    graph = coo_array((np.ones(len(links), dtype=np.int8), pairs), shape=(len(nodes), len(nodes)))
    _, group = connected_components(graph, directed=False)
    known = pd.DataFrame(
        {"value": nodes, "group": group, FIRST_SEEN: nodes.map(logins), "login": nodes.isin(logins.index)}
    )
    first = (
        known[known["login"]]
        .sort_values(["group", FIRST_SEEN, "value"])
        .drop_duplicates("group")
        .set_index("group")["value"]
    )
    sizes = known.groupby("group").agg(ids=("value", "size"), logins=("login", "sum"))
    oversize = sizes[(sizes["ids"] > most_ids) | (sizes["logins"] > most_logins)]
    person = known["group"].map(first)
    apart = known["group"].isin(oversize.index)
    own = known.loc[apart, "value"]
    person[apart] = own.map(_only_login(links)).astype("str").fillna(own)
    return People(_frame(known["value"], person), oversize.reset_index())


def _only_login(links: pd.DataFrame) -> pd.Series[str]:
    """Return for each anonymous id that has a single login id, this one."""
    per_value = links.groupby("value")[USER_ID].agg(["nunique", "min"])
    return per_value.loc[per_value["nunique"] == 1, "min"]


def _frame(values: object, users: object) -> pd.DataFrame:
    return pd.DataFrame({"value": pd.Series(values, dtype="str"), USER_ID: pd.Series(users, dtype="str")})
