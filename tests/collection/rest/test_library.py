from __future__ import annotations

import sys

import pytest

from funnel_lib.collection.rest.library import library
from funnel_lib.errors import ConfigError


def test_without_dlt_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "dlt", None)
    for name in [name for name in sys.modules if name.startswith("dlt.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "dlt.common.configuration.specs.runtime_configuration", None)
    with pytest.raises(ConfigError, match="extra collect"):
        library()
