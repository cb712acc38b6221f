"""Figures of events on small random logs are those of a plain count, row by row."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funnel_lib.collection.scope import Scope
from funnel_lib.collection.store import Store
from funnel_lib.config import parse
from funnel_lib.conversion.kpis.measures import measured
from funnel_lib.conversion.kpis.reading import Reading
from funnel_lib.scorecard import Formula
from tests.conversion.kpis.test_measures import BOOK

FIRST, AS_OF = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 4, tzinfo=UTC)
MAY = (FIRST, datetime(2026, 6, 1, tzinfo=UTC))
CELLS = st.tuples(
    st.sampled_from(["al", "bo", "cy", "dy", None]), st.sampled_from(["view", "buy", "buy", None]),
    st.one_of(st.none(), st.integers(-3, 40)), st.sampled_from([None, 5.0, 20.0, -1.0]),
    st.sampled_from([None, "CNY", "USD"]), st.sampled_from([None, "card", 1, True]),
)  # fmt: skip
NAMES = ["user_id", "event", "day", "amount", "currency", "method"]


def reading(folder, cells, units=None):
    """Return a reading of rows `(user, event, day after 1 May, amount, currency, method)`."""
    frame = pd.DataFrame(cells, columns=NAMES)
    days = pd.to_timedelta(frame["day"].astype("float64"), unit="D").dt.round("us")
    log = frame.assign(
        ts=(pd.Timestamp(FIRST) + days).astype("datetime64[us, UTC]"), amount=frame["amount"].astype("float64"),
        properties=[None if value is None else json.dumps({"method": value}) for value in frame["method"]],
    ).drop(columns=["day", "method"])  # fmt: skip
    log.astype(dict.fromkeys(("user_id", "event", "currency", "properties"), "str")).to_parquet(
        folder / "events.parquet"
    )
    (folder / "facts.json").write_text('{"tables": {}}')
    book = parse({**BOOK, "timezone": "UTC", "rules": {"min_units": 1, "min_events": 1}})
    period = book.period("2026-05", FIRST.date(), AS_OF.date())
    chosen = None if units is None else pd.Series(sorted(units), dtype="str")
    return Reading(Scope(book, Store(folder), period, "all", "en", AS_OF), chosen)


def plainly(cells, units, names):
    """Return the usable rows of some events in May, person by person in order of time."""
    rows = [
        dict(zip(NAMES, cell, strict=True)) | {"at": FIRST + timedelta(days=cell[2])}
        for cell in cells
        if cell[0] is not None and cell[2] is not None and (units is None or cell[0] in units) and cell[1] in names
    ]
    rows.sort(key=lambda row: (row["user_id"], row["at"]))
    return rows, [row for row in rows if MAY[0] <= row["at"] < MAY[1]]


def passing(cells, units, among, of, within):
    """Return for each person of May's `among` whose time is over: the days until `of`, None for never."""
    ever, _ = plainly(cells, units, [of])
    _, rows = plainly(cells, units, [among])
    found = {}
    for row in rows:
        if row["user_id"] in found:
            continue
        gaps = [(r["at"] - row["at"]) for r in ever if r["user_id"] == row["user_id"]]
        after = [g for g in gaps if (g > timedelta(0) if of == among else g >= timedelta(0)) and g <= within]
        found[row["user_id"]] = (row["at"], min(after, default=None))
    return {user: wait for user, (at, wait) in found.items() if at <= AS_OF - within}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(CELLS, max_size=18), st.sampled_from([None, {"al"}, {"al", "cy", "zo"}]), st.sampled_from(["view", "buy"]),
    st.sampled_from([0, 2, 10, 60]),
)  # fmt: skip
def test_figures_are_those_of_a_plain_count(tmp_path_factory, cells, units, among, days):
    data = reading(tmp_path_factory.mktemp("kpis"), cells, units)
    within = timedelta(days=days)

    def told(formula, by=None):
        found = measured(data, Formula.model_validate(formula), by=by)
        return {one.group: one for one in found}

    everything, _ = plainly(cells, None, ["view", "buy"])
    known = {row["event"] for row in everything}
    _, rows = plainly(cells, units, [among])
    people, events = told({"people": {"event": among}})[""], told({"events": {"event": among}})[""]
    if among not in known:
        assert people.reason == events.reason == "not_in_data"
    else:
        assert (people.value, events.value) == (len({row["user_id"] for row in rows}), len(rows))
    by_method = told({"events": {"event": among}}, "method")
    if any(row["method"] is not None for row in rows):
        texts = pd.Series([{None: "unknown", True: "true"}.get(row["method"], str(row["method"])) for row in rows])
        sizes = texts.value_counts().to_dict()
        assert {name: one.value for name, one in by_method.items()} == sizes
        assert list(by_method) == sorted(sizes, key=lambda name: (-sizes[name], name))

    waits = passing(cells, units, among, "buy", within)
    share = told({"share": {"of": {"event": "buy"}, "among": {"event": among}, "within": f"{days}d"}})[""]
    if waits and "buy" in known:
        assert share.n == len(waits)
        assert share.value == pytest.approx(sum(wait is not None for wait in waits.values()) / len(waits))
    else:
        assert share.reason in {"open", "nobody_there", "not_in_data"}

    _, bought = plainly(cells, units, ["buy"])
    paid = [row for row in bought if (row["amount"] or -1) >= 0 and row["currency"] != "USD"]
    whole, each = (told({"amount": {"event": "buy", "measure": measure}})[""] for measure in ("sum", "mean"))
    if "buy" in known and not (bought and all(row["amount"] is None for row in bought)):
        assert whole.value == pytest.approx(sum(row["amount"] for row in paid))
        assert (
            each.value == pytest.approx(np.mean([row["amount"] for row in paid]), nan_ok=True) if paid else each.reason
        )


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CELLS, max_size=18), st.sampled_from([2, 10]))
def test_days_and_averages_are_those_of_a_plain_count(tmp_path_factory, cells, days):
    data = reading(tmp_path_factory.mktemp("kpis"), [*cells, ("zo", "view", 1, 7.0, None, "x")])
    cells = [*cells, ("zo", "view", 1, 7.0, None, "x")]
    waits = passing(cells, None, "view", "buy", timedelta(days=days))
    formula = {"days": {"start": {"event": "view"}, "end": {"event": "buy"}, "within": f"{days}d"}}
    (found,) = measured(data, Formula.model_validate(formula))
    came = [wait / timedelta(days=1) for wait in waits.values() if wait is not None]
    assert (found.value == pytest.approx(np.median(came))) if came else found.reason in {"nobody_there", "not_in_data"}
    _, rows = plainly(cells, None, ["view"])
    values = [row["amount"] / 2 for row in rows if row["amount"] is not None]
    (mean,) = measured(data, Formula.model_validate({"average": {"event": "view", "of": "amount", "divide": 2}}))
    assert (mean.value, mean.n) == (pytest.approx(np.mean(values)), len(values))
