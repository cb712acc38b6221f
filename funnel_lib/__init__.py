"""Turn raw exports into funnel reports that a board can trust.

>>> import funnel_lib as fl
>>> workbook = fl.load("params/education.yml")  # doctest: +SKIP
>>> scope = fl.Scope.open(workbook, period="2026-05")  # doctest: +SKIP
>>> fl.rates(fl.cohort(scope), rules=workbook.rules)  # doctest: +SKIP

Names are imported when they are first used, so that importing the package costs nothing.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__.sort()
