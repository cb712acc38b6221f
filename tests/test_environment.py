"""The environment is described three times (pyproject, conda, lock): the descriptions must agree."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {
    "python-duckdb": "duckdb", "matplotlib-base": "matplotlib", "python-tzdata": "tzdata",
    "python-editables": "editables",
}  # fmt: skip


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def needs() -> dict[str, str]:
    project = pyproject()
    requirements = map(Requirement, project["dependencies"] + project["optional-dependencies"]["dev"])
    return {r.name.lower(): str(r.specifier) for r in requirements}


def test_conda_environment_equals_pyproject():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = {}
    for entry in listed:
        if isinstance(entry, str) and entry != "pip":
            requirement = Requirement(entry)
            conda[CONDA_NAMES.get(requirement.name, requirement.name)] = str(requirement.specifier)
    assert conda.pop("python") == pyproject()["requires-python"]
    assert conda == needs()


def test_lock_holds_every_need_with_hashes_and_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==([^ \\]+)", lock, flags=re.M))
    requirements = map(Requirement, [f"{name}{spec}" for name, spec in needs().items()])
    wrong = [r.name for r in requirements if r.name not in pinned or not r.specifier.contains(pinned[r.name])]
    assert wrong == []
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert "://" not in lock
    assert "index-url" not in lock


def test_browser_lock_agrees_with_lock():
    pins, extra = (
        dict(re.findall(r"^([a-z0-9._-]+)==([^ \\]+)", (ROOT / name).read_text(), flags=re.M))
        for name in ("requirements.lock", "requirements-browser.lock")
    )
    assert {name for name in extra if name in pins and pins[name] != extra[name]} == set()
    browser = map(Requirement, pyproject()["optional-dependencies"]["browser"])
    assert all(r.specifier.contains(extra[r.name]) for r in browser)


def test_engines_lock_agrees_with_lock():
    pins, extra = (
        dict(re.findall(r"^([a-z0-9._-]+)==([^ \\]+)", (ROOT / name).read_text(), flags=re.M))
        for name in ("requirements.lock", "requirements-engines.lock")
    )
    assert {name for name in extra if name in pins and pins[name] != extra[name]} == set()
    optional = pyproject()["optional-dependencies"]
    extras = ("collect", "dask", "databases", "engines", "notify", "spark", "tableau")
    wanted = map(Requirement, [need for extra_name in extras for need in optional[extra_name]])
    assert all(r.specifier.contains(extra[r.name]) for r in wanted)
