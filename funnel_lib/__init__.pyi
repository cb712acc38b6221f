from .collection.collect import collect
from .collection.scope import Scope
from .config import load
from .conversion.cohort import cohort, cohort_before
from .conversion.durations.timing import curve, time_to_convert
from .conversion.journeys import Journeys, journeys
from .conversion.movement.change import mix
from .conversion.movement.incidents import incidents
from .conversion.rates import compare, rates
from .definition import Exclusion, Funnel, Step
from .errors import FunnelError
from .optimisation.case import study
from .reporting.runs import run

__version__: str

__all__ = [
    "Exclusion",
    "Funnel",
    "FunnelError",
    "Journeys",
    "Scope",
    "Step",
    "cohort",
    "cohort_before",
    "collect",
    "compare",
    "curve",
    "incidents",
    "journeys",
    "load",
    "mix",
    "rates",
    "run",
    "study",
    "time_to_convert",
]
