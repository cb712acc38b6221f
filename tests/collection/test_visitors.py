from collections.abc import Callable

import pandas as pd

from funnel_lib.collection.files import Export
from funnel_lib.collection.visitors import links, under_visitor


def test_events_stand_under_the_visitor_and_logins_are_linked_once(export: Callable[..., Export]):
    login = pd.Series(["u1", "u1", None, "u2", " "], dtype="str")
    visitor = pd.Series(["v1", "v1", "v1", " ", None], dtype="str")
    rows = under_visitor(pd.DataFrame({"event": ["e"] * 5}), login, visitor)
    assert [None if pd.isna(user) else user for user in rows["user_id"]] == ["v1", "v1", "v1", "u2", None]
    times = pd.to_datetime([f"2026-03-0{day}" for day in (2, 1, 3, 4, 5)], utc=True)
    found = links(rows.assign(ts=times, _file="a.csv"), export({"system": "ga4", "files": "*"}))
    assert found[["user_id", "value", "kind", "source"]].to_numpy().tolist() == [["u1", "v1", "anonymous", "s"]]
    assert found["first_seen"].iloc[0].isoformat() == "2026-03-01T00:00:00+00:00"
