"""Compiling: when it is worth it, and that it works where nothing can be written beside the source."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import funnel_lib
from funnel_lib.conversion.engine import compiling

PACKAGE = Path(funnel_lib.__file__).parent


def test_small_inputs_run_plain_until_something_is_loaded(monkeypatch):
    monkeypatch.setattr(compiling, "_loaded", set())
    assert not compiling.worth_compiling(compiling.COMPILE_ABOVE)
    assert compiling.worth_compiling(compiling.COMPILE_ABOVE + 1)
    compiling.jit(twice, names=globals())
    assert compiling.worth_compiling(1)


def twice(number):
    return 2 * number


def four_times(number):
    return twice(twice(number))


def test_compiled_functions_call_compiled_ones_and_the_plain_ones_stay_plain():
    made = compiling.jit(twice, four_times, names=globals())
    assert made["four_times"](3) == four_times(3) == 12
    assert made["four_times"].nopython_signatures
    assert not hasattr(twice, "nopython_signatures")


@pytest.mark.slow
@pytest.mark.parametrize("home_is_writable", [True, False])
def test_the_kernel_compiles_where_the_package_cannot_be_written_to(tmp_path, home_is_writable):
    copy = tmp_path / "funnel_lib"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "reporting", "collection"))
    (copy / "conversion" / "engine" / "__pycache__").write_text("")  # a file there: not even root can write
    home = tmp_path / "home"
    home.mkdir() if home_is_writable else home.write_text("")
    env = {
        **os.environ,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    env.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, "-m", "funnel_lib.conversion.engine"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert any(home.rglob("single.run-*.nbi")) == home_is_writable


@pytest.mark.slow
def test_compiled_code_is_found_again_by_the_next_process(tmp_path):
    """What `python -m funnel_lib.conversion` writes is what importing the kernel reads."""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-m", "funnel_lib.conversion"], env=env, check=True)
    code = """if True:
        import numpy as np
        from funnel_lib.conversion.engine import kernel
        kernel.compiled()
        for kind in (np.uint8, np.int64):
            kernel.measure(np.array([0, 1]), np.array([0]), np.array([1], dtype=kind), kernel.Settings(1))
        used = [made for made in kernel.compiled().values() if made.signatures]
        print(sum(sum(made.stats.cache_misses.values()) for made in used), len(used) > 0)
    """
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]
