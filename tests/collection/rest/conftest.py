"""What the tests of fetching share: a server on the loopback, and a workbook whose source is fetched from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.collection.rest.server import Server, Shop, make_shop


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = Server()
    yield found
    found.close()


@pytest.fixture
def shop(tmp_path: Path, server: Server) -> Callable[..., Shop]:
    return partial(make_shop, tmp_path / "project", server)
