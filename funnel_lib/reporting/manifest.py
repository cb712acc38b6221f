"""What a report was made from: the cache key that tells whether it is still current, and its manifest.

A manifest is the JSON file beside each report. It holds no absolute path, no user name and no secret.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from funnel_lib.config import Workbook
from funnel_lib.errors import ConfigError
from funnel_lib.reporting.plan import CHECKOUT, Job
from funnel_lib.reporting.upkeep.slices import table_hashes

SCHEMA = "funnel-manifest/1"
# What a run adds to that which a report is made from.
MADE = (
    "run_id", "status", "reason", "headline", "timing", "restates", "outputs", "metrics_sha256", "trigger",
)  # fmt: skip
LOCK = "requirements.lock"
BENCHMARKS = Path(__file__).resolve().parents[1] / "conversion" / "worth" / "benchmarks.csv"
PACKAGES = (
    "duckdb", "ipykernel", "matplotlib", "nbconvert", "numba", "numpy", "pandas", "papermill", "pyarrow",
    "pydantic", "scipy", "seaborn", "statsmodels",
)  # fmt: skip

Manifest = dict[str, Any]
State = Literal["current", "provisional", "stale", "missing", "failed", "no data"]


@dataclass(frozen=True)
class Origin:
    """Everything, beside its own parameters, that decides what a report says."""

    tables: Mapping[str, str]
    config_sha256: str
    package_sha256: str
    lock_sha256: str | None
    packages: Mapping[str, str]

    @classmethod
    def of(cls, workbook: Workbook, facts: Mapping[str, Any]) -> Origin:
        """Gather the origin of reports on `workbook` from the store's `facts`, the package and its lock file.

        Raises
        ------
        ConfigError : the workbook was not read from a file.
        """
        tables = table_hashes(facts)
        locks = [_sha256(p) for p in (workbook.root / LOCK, CHECKOUT / LOCK) if p.is_file()]
        return cls(tables, _sha256(file_of(workbook)), package_sha256(), locks[0] if locks else None, packages())


def file_of(workbook: Workbook) -> Path:
    """Return the file that the workbook was read from.

    Raises
    ------
    ConfigError : it was not read from a file.
    """
    if workbook.file is None:
        raise ConfigError(
            "Reports need a workbook that was read from a file.", found="a workbook without a file",
            allowed="funnel_lib.load(path)", do="Save the workbook as a .yml file and load it.",
        )  # fmt: skip
    return workbook.file.resolve()


def cache_key(job: Job, origin: Origin, as_of: datetime | None) -> str:
    """Return the hash of all that the report depends on; equal keys mean equal reports."""
    parts = {
        **asdict(origin), "notebook": _sha256(job.notebook), "report": job.report, "period": job.period,
        "segment": job.segment, "language": job.language, "as_of": as_of.isoformat() if as_of else None,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def state(job: Job, folder: Path, key: str) -> State:
    """Return how the report stands in `folder`: `current`, `provisional` and `no data` need not be made again."""
    failed = read(folder / job.folder / f"{job.stem}.failed.json")
    if failed is not None and failed.get("status") == "no data":
        return "no data" if failed.get("cache_key") == key else "stale"
    if failed is not None:
        return "failed"
    manifest = read(folder / job.folder / f"{job.stem}.manifest.json")
    if manifest is None:
        return "missing"
    outputs = manifest.get("outputs", [])
    if not outputs or not all(_same_size(folder / job.folder / output["path"], output["bytes"]) for output in outputs):
        return "missing"
    if manifest.get("cache_key") != key:
        return "stale"
    return "provisional" if manifest.get("provisional") else "current"


def describe(job: Job, origin: Origin, facts: Mapping[str, Any], *, key: str, as_of: datetime | None) -> Manifest:
    """Return what a report is made from: `key` is its cache key, `facts` what the store says about its data."""
    code = {
        "package": version("funnel-lib"), "package_sha256": origin.package_sha256,
        "notebook": job.notebook.name, "notebook_sha256": _sha256(job.notebook), **git(),
    }  # fmt: skip
    env = {
        "python": platform.python_version(), "platform": platform.system(), "packages": dict(origin.packages),
        "lock_sha256": origin.lock_sha256,
    }  # fmt: skip
    return {
        "schema": SCHEMA,
        "report": job.report,
        "params": {
            "segment": job.segment, "language": job.language, "as_of": as_of.isoformat() if as_of else None
        },
        "code": code,
        "inputs": facts.get("inputs", []),
        "tables": facts.get("tables", {}),
        "slice": {"tables": dict(origin.tables)},
        "data_through": facts.get("data_through"),
        "config_sha256": origin.config_sha256,
        "benchmarks": {"sha256": _sha256(BENCHMARKS)},
        "cache_key": key,
        "env": env,
    }  # fmt: skip


def outputs(files: Iterable[Path]) -> list[dict[str, str | int]]:
    """Return what a manifest says of a report's files: name, hash and size."""
    return [{"path": p.name, "sha256": _sha256(p), "bytes": p.stat().st_size} for p in files]


def completed(described: Manifest, outcome: Mapping[str, Any], start: datetime, files: Iterable[Path]) -> Manifest:
    """Return the manifest of a report that was made or failed.

    `outcome` has its `status`, `reason`, `headline` and `seconds`, and for one that was made also its `slowest` cells
    and what it `restates`; `start` is when the run began; `files` are the report's, all in one folder.
    """
    made = outputs(files)
    timing = {
        "start": start.isoformat(timespec="seconds"), "seconds": round(outcome["seconds"], 3),
        "slowest_cells": list(outcome.get("slowest", ())),
    }  # fmt: skip
    return {
        **described,
        "run_id": hashlib.sha256(f"{described['cache_key']}{timing['start']}".encode()).hexdigest()[:16],
        "status": outcome["status"],
        "reason": outcome["reason"],
        "headline": outcome["headline"],
        "timing": timing,
        "restates": list(outcome.get("restates", ())),
        "outputs": made,
        "metrics_sha256": next((file["sha256"] for file in made if str(file["path"]).endswith(".metrics.json")), None),
    }


def read(path: Path) -> Manifest | None:
    """Return the manifest in `path`, or None where there is none that can be read."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("schema") == SCHEMA else None


def write(manifest: Manifest, path: Path) -> None:
    """Write a manifest as indented JSON."""
    path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@cache
def package_sha256() -> str:
    """Return one hash of all files of the package, whatever their dates."""
    root = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


@cache
def packages() -> dict[str, str]:
    """Return the versions of the libraries that make the numbers and the page."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def git() -> dict[str, str | bool | None]:
    """Return the checkout's commit, whether files differ from it and the hash of how; None outside a git checkout."""
    program = shutil.which("git")
    nothing: dict[str, str | bool | None] = {"git_commit": None, "dirty": None, "diff_sha256": None}
    if program is None or not (CHECKOUT / ".git").exists():
        return nothing

    def told(*arguments: str) -> bytes | None:
        done = subprocess.run([program, *arguments], cwd=CHECKOUT, capture_output=True, check=False)
        return None if done.returncode else done.stdout

    head, changes = told("rev-parse", "HEAD"), told("status", "--porcelain")
    if head is None or changes is None:
        return nothing
    difference = told("diff", "HEAD") if changes else None
    digest = hashlib.sha256(difference).hexdigest() if difference is not None else None
    return {"git_commit": head.decode().strip(), "dirty": bool(changes.strip()), "diff_sha256": digest}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _same_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
