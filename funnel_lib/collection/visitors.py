"""Visitors of web and product analytics: one id of the system, and perhaps a login beside it."""

from __future__ import annotations

import pandas as pd

from funnel_lib.collection.batch import FILE
from funnel_lib.collection.files import Export
from funnel_lib.collection.keys import ANONYMOUS, LOGIN
from funnel_lib.schema import FIRST_SEEN, SOURCE, TS, USER_ID

LOGIN_ID, VISITOR_ID = "_login", "_visitor"
"""Columns of events, until the tables are made: the person's login, and the system's own id of the visitor."""


def under_visitor(rows: pd.DataFrame, login: pd.Series[str], visitor: pd.Series[str]) -> pd.DataFrame:
    """Return events under the visitor's id, else the login, as `user_id`; both stay as LOGIN_ID and VISITOR_ID."""
    trimmed = {name: ids.str.strip() for name, ids in ((LOGIN_ID, login), (VISITOR_ID, visitor))}
    known = {name: ids.mask(ids == "") for name, ids in trimmed.items()}
    return rows.assign(**{USER_ID: known[VISITOR_ID].fillna(known[LOGIN_ID]), **known})


def links(kept: pd.DataFrame, export: Export) -> pd.DataFrame:
    """Return the links between logins and visitors, with the time of the first event that has both."""
    both = kept[kept[LOGIN_ID].notna() & kept[VISITOR_ID].notna()]
    first = both.groupby([FILE, LOGIN_ID, VISITOR_ID])[TS].min().reset_index()
    found = first.rename(columns={LOGIN_ID: USER_ID, VISITOR_ID: "value", TS: FIRST_SEEN})
    return found.assign(kind=ANONYMOUS, holder=LOGIN, **{SOURCE: export.name})
