"""Compiling plain Python functions with numba, where the input is large enough for it to pay."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

# Below this, running uncompiled (1 s a million rows) is faster than loading compiled code (0.4 s).
COMPILE_ABOVE = 400_000
_loaded: set[str] = set()


def worth_compiling(rows: int) -> bool:
    """Return whether compiled code is the faster way to handle so many rows: always, once it is loaded."""
    return rows > COMPILE_ABOVE or bool(_loaded)


def jit(*functions: Callable[..., Any], names: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    """Return the functions compiled, by name; they may call those that stand before them.

    The compiled code is kept in numba's cache: beside the source, else in the user's cache folder; where
    neither can be written to, it is compiled anew in each process.

    Parameters
    ----------
    functions : plain Python functions that numba understands.
    names : what the functions refer to: `globals()` of their module.
    """
    import numba

    found = dict(names)
    made: dict[str, Callable[..., Any]] = {}
    for plain in functions:
        # A namespace of its own, in which the functions before are the compiled ones: the module's stay
        # plain.
        function = FunctionType(plain.__code__, found, plain.__name__)
        function.__module__ = plain.__module__
        try:
            made[plain.__name__] = numba.njit(nogil=True, cache=True)(function)
        except RuntimeError:
            made[plain.__name__] = numba.njit(nogil=True)(function)
        found[plain.__name__] = made[plain.__name__]
        _loaded.add(plain.__name__)
    return made
