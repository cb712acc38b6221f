"""What a row is about: its page where it tells one, else its event."""

import numpy as np
import pytest

import funnel_lib as fl
from funnel_lib.conversion.keeping import contents as subject
from funnel_lib.conversion.keeping.contents import contents
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.errors import DataError
from tests.conversion.keeping.test_arranging import write

ROWS = [
    ("al", "view", '{"page_location": "https://shop.example/b?x=1#top"}', "/b"),
    ("al", "view", '{"page_location": "https://shop.example/c", "page_path": "/a?x"}', "/a"),
    ("al", "view", '{"page": null, "url": "/d"}', "/d"),
    ("al", "view", '{"page": "", "url": "/d"}', "view"),  # the first that is there says nothing
    ("al", "view", '{"page": "?x=1"}', "view"),
    ("al", "view", '{"plan": "pro"}', "view"),
    ("al", "error", '{"page": "/a"}', "error"),
    ("al", "view", "[1, 2]", "view"),
    ("al", None, '{"page": "/a"}', "/a"),
    ("al", "view", None, "view"),
    ("al", None, None, None),
]


def logged(folder, rows):
    events = [(user, event, place % 3) for place, (user, event, _, _) in enumerate(rows)]
    path = write(folder / "events.parquet", events, properties=[row[2] for row in rows])
    return EventLog.made(path, "user_id")


def told(found):
    """Return what each row is about, None where it is nothing."""
    names = [*found.distinct()[:-1], None]
    return [names[code] for code in found.codes]


@pytest.mark.parametrize("batch", [2, 1000])
def test_the_path_of_the_page_else_the_event(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(subject, "_BATCH", batch)
    log = logged(tmp_path, ROWS)
    found = contents(log)
    assert found.distinct()[:-1].tolist() == sorted({row[3] for row in ROWS if row[3]})
    assert told(found) == [ROWS[row][3] for row in log.arrays["row"]]


def test_without_properties_it_is_the_event(tmp_path):
    log = EventLog.made(write(tmp_path / "events.parquet", [("al", "view", 1), ("al", None, 2)]), "user_id")
    assert told(contents(log)) == ["view", None]


def test_properties_that_are_no_json_are_said(tmp_path):
    log = logged(tmp_path, [("al", "view", "{page", None)])
    with pytest.raises(DataError, match="cannot be read"):
        contents(log)


def test_it_is_kept_beside_the_log(demo):
    log = EventLog.of(fl.Scope.open(demo / "params" / "education.yml"))
    once = contents(log)
    again = contents(log)
    np.testing.assert_array_equal(once.codes, again.codes)
    assert isinstance(again.codes, np.memmap)
    assert told(again) == told(once)
    assert "/" in again.distinct().tolist()
