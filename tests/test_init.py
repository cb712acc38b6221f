"""The menu: small, lazy, complete."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import funnel_lib

ROOT = Path(__file__).parent.parent
CODE = """
import time
start = time.process_time()
import funnel_lib
spent = time.process_time() - start
import sys
assert not {"pandas", "pydantic", "numpy", "duckdb"} & set(sys.modules)
assert spent < 0.3, spent
assert "run" in dir(funnel_lib)
"""


def test_importing_the_package_is_quick() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_menu_is_small_and_every_name_is_there() -> None:
    assert len(funnel_lib.__all__) < 20
    assert sorted(funnel_lib.__all__) == funnel_lib.__all__
    assert all(getattr(funnel_lib, name) is not None for name in funnel_lib.__all__)


def test_the_stub_tells_the_same_names() -> None:
    tree = ast.parse((ROOT / "funnel_lib" / "__init__.pyi").read_text())
    imported = [
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert sorted(imported) == funnel_lib.__all__


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert funnel_lib.__version__ == project["version"]
