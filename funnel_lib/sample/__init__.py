"""The demo: raw exports in the real vendors' formats with a planted truth, and large logs for benchmarks."""

from funnel_lib.sample.demo import write_demo
from funnel_lib.sample.log import write_events
from funnel_lib.sample.truth import Truth

__all__ = ["Truth", "write_demo", "write_events"]
