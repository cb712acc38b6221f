"""The process that reports are forked from: it has imported everything and started nothing."""

from __future__ import annotations

import os
import subprocess
import sys

from funnel_lib.reporting.kernels import SETTINGS

CODE = """
import os, sys
from funnel_lib.reporting import warm
for language in ("en", "zh"):
    warm.rehearse(language)  # raises where the rehearsal does not fit the blocks any more
if os.path.isdir("/proc/self/task"):
    print(len(os.listdir("/proc/self/task")), "thread")
for name in (*warm.MODULES, *warm.LATE):
    assert name in sys.modules, name
import matplotlib, warnings
print(matplotlib.get_backend(auto_select=False))
"""


def test_nothing_was_started_and_all_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", CODE], env={**os.environ, **SETTINGS},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *threads, backend = done.stdout.split("\n")[:-1]
    assert threads in (["1 thread"], [])
    assert "inline" in backend
