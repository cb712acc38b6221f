from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from funnel_lib.collection.rest.paging import Cursor, Follow, paginator


def answer(body: Any) -> SimpleNamespace:
    return SimpleNamespace(json=lambda: body)


def test_a_function_changes_the_parameters_of_the_next_call():
    made = paginator(Follow(lambda _answer, rows, sent: {"at": sent["at"] + 1} if rows else None), None)
    request = SimpleNamespace(params={"at": 1, "kind": "a"}, json=None)
    made.init_request(request)
    made.update_state(answer({}), [{}])
    made.update_request(request)
    assert made.has_next_page
    assert request.params == {"at": 2, "kind": "a"}
    made.update_state(answer({}), [{}])
    made.update_request(request)
    assert request.params["at"] == 3
    made.update_state(answer({}), [])
    made.update_request(request)
    assert not made.has_next_page
    assert request.params["at"] == 3


def test_a_function_may_change_the_body():
    made = paginator(Follow(lambda *_: {"after": "z"}, in_body=True), None)
    request = SimpleNamespace(params=None, json={"kind": "a"})
    made.init_request(request)
    made.update_state(answer({}), [])
    made.update_request(request)
    assert (request.json, request.params) == ({"kind": "a", "after": "z"}, None)


def test_a_cursor_may_depend_on_something_else():
    made = paginator(Cursor("paging.cursors.after", "after", while_path="paging.next"), None)
    request = SimpleNamespace(params={}, json=None)
    made.init_request(request)
    made.update_state(answer({"paging": {"cursors": {"after": "c1"}, "next": "there"}}), [{}])
    made.update_request(request)
    assert request.params == {"after": "c1"}
    made.update_state(answer({"paging": {"cursors": {"after": "c2"}}}), [{}])
    assert not made.has_next_page
