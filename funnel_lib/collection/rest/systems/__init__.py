"""The interfaces that can be fetched from: one module each, found by its name alone; its constant is `API`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from funnel_lib.collection.rest.api import Api

INTERFACES: Mapping[str, Api] = {
    module.name: import_module(f"{__name__}.{module.name}").API
    for module in sorted(iter_modules(__path__), key=lambda module: module.name)
    if not module.name.startswith("_")
}
"""Every interface by the name of its system."""
