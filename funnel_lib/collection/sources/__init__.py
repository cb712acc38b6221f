"""The systems that exports come from: one module each, found by its name alone.

A module offers itself by its constant `SYSTEM`; nothing else has to be edited for a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from funnel_lib.collection.offer import Offer
from funnel_lib.settings import SYSTEMS


def _offers() -> dict[str, Offer]:
    modules = {name: import_module(f"{__name__}.{name}") for name in SYSTEMS}
    return {name: module.SYSTEM for name, module in modules.items()}


OFFERS: Mapping[str, Offer] = _offers()
"""Every system by the name that workbooks use, in the order of the names."""

__all__ = ["OFFERS"]
