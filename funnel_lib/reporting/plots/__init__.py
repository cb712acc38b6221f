"""Pictures: one function for each, drawn from a result frame and the reader's words.

Each takes the frame that the analysis returned, draws with seaborn and matplotlib (imported only then) and
returns the Axes, which a notebook shows as an image; none computes a statistic. `figure` draws one as SVG for
the three layouts of a page, `svg` for one width:

>>> from funnel_lib.reporting import plots
>>> draw = lambda ax, width: plots.funnel(rates, ax=ax, width=width)
>>> shapes = plots.figure(draw, alt="Funnel of 38,214 visitors: …")  # doctest: +SKIP
"""

from funnel_lib.reporting.plots.bars import histogram
from funnel_lib.reporting.plots.bridge import bridge
from funnel_lib.reporting.plots.bullets import bullets
from funnel_lib.reporting.plots.control import control
from funnel_lib.reporting.plots.curves import curve
from funnel_lib.reporting.plots.effects import differences, mix
from funnel_lib.reporting.plots.funnels import funnel
from funnel_lib.reporting.plots.levels import levels
from funnel_lib.reporting.plots.paper import SERIES, TOKENS, WIDTHS, figure, svg
from funnel_lib.reporting.plots.segments import answers, panel, ranked, small_multiples
from funnel_lib.reporting.plots.shares import shares
from funnel_lib.reporting.plots.sources import coverage
from funnel_lib.reporting.plots.sparks import spark, sparkline
from funnel_lib.reporting.plots.trends import trend
from funnel_lib.reporting.plots.words import Words
from funnel_lib.reporting.plots.worth import balance, margins

__all__ = [
    "SERIES", "TOKENS", "WIDTHS", "Words", "answers", "balance", "bridge", "bullets", "control", "coverage",
    "curve", "differences", "figure", "funnel", "histogram", "levels", "margins", "mix", "panel", "ranked",
    "shares", "small_multiples", "spark", "sparkline", "svg", "trend",
]  # fmt: skip
