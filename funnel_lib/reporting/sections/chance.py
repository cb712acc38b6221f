"""Random draws for intervals: the same for the same slice of the same workbook, whatever is run before."""

from __future__ import annotations

import numpy as np

from funnel_lib.collection.scope import Scope


def chance(scope: Scope, topic: str) -> np.random.Generator:
    """Return a generator that depends on workbook, period, segment and topic alone."""
    name = f"{scope.workbook.name}/{scope.period.name}/{scope.segment}/{topic}"
    return np.random.default_rng(list(name.encode()))
