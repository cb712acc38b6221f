"""The house keeps its order: one road, no cycles, no clock, no hidden import."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "funnel_lib"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]
LEFTMOST = (
    "errors", "schema", "notation", "presets", "faults", "definition", "conditions", "periods", "settings", "casebook",
    "ledger", "scorecard", "notices", "config", "connection",
)  # fmt: skip
# Imports go only to the left; rooms at the same place do not know each other.
ROAD = (
    LEFTMOST,
    ("sample", "collection"),
    ("segmentation",),
    ("conversion",),
    ("optimisation",),
    ("reporting",),
    ("cli",),
)
PLACE = {room: place for place, rooms in enumerate(ROAD) for room in rooms}
CLOCKS = {"now", "utcnow", "today"}
MAY_READ_THE_CLOCK = (
    "funnel_lib/reporting/runs.py",
    "funnel_lib/cli/__init__.py",
    "funnel_lib/cli/fetching.py",
    "funnel_lib/cli/notifying.py",
    "funnel_lib/cli/printing.py",
)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in FILES}


def imports(node: ast.AST, path: Path) -> Iterator[tuple[str, int]]:
    """Yield (module, line) of every import in `node`; `from a import b` yields a.b where that is a module."""
    for found in ast.walk(node):
        if isinstance(found, ast.Import):
            yield from ((alias.name, found.lineno) for alias in found.names)
        elif isinstance(found, ast.ImportFrom):
            base = found.module or ""
            if found.level:
                package = module(path).split(".") if path.name == "__init__.py" else module(path).split(".")[:-1]
                base = ".".join([*package[: len(package) - found.level + 1], *filter(None, [base])])
            names = [f"{base}.{alias.name}" for alias in found.names]
            yield from ((name if name in MODULES else base, found.lineno) for name in names)


def ours(node: ast.AST, path: Path) -> Iterator[tuple[str, int]]:
    yield from ((name, line) for name, line in imports(node, path) if name.split(".")[0] == "funnel_lib")


def functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    yield from (found for found in ast.walk(node) if isinstance(found, kinds))


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (dotted name, line) of everything that is called."""
    yield from ((ast.unparse(n.func), n.lineno) for n in ast.walk(tree(path)) if isinstance(n, ast.Call))


def misplaced(room: str, other: str) -> bool:
    return PLACE[other] > PLACE[room] or (PLACE[other] == PLACE[room] > 0 and other != room)


def test_every_module_stands_on_the_road():
    rooms = {name.split(".")[1] for name in MODULES if name != "funnel_lib"}
    assert rooms <= set(PLACE), f"not on the road: {rooms - set(PLACE)}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_go_only_to_the_left(path: Path):
    name = module(path)
    if name == "funnel_lib":  # the menu shows all rooms, lazily
        return
    room = name.split(".")[1]
    found = [(other, line) for other, line in ours(tree(path), path) if other != "funnel_lib"]
    assert not [f"line {line}: {other}" for other, line in found if misplaced(room, other.split(".")[1])]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_room_takes_from_the_menu(path: Path):
    """The package itself may be asked where it lies and for its version, not for what other rooms make."""
    menu = [
        ast.unparse(node)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "funnel_lib"
        and not node.attr.startswith("__")
    ]
    names = [
        name
        for name, _ in imported_names(path)
        if name.startswith("funnel_lib.") and name.count(".") == 1 and name not in MODULES
    ]
    assert not menu
    assert not [name for name in names if not name.split(".")[1].startswith("__")]


def test_the_rule_of_the_road_itself():
    assert misplaced("segmentation", "conversion")
    assert misplaced("sample", "collection")
    assert misplaced("collection", "sample")
    assert misplaced("config", "sample")
    assert not misplaced("conversion", "segmentation")
    assert not misplaced("conversion", "conversion")
    assert not misplaced("schema", "errors")
    assert not misplaced("errors", "schema")


def test_there_is_no_import_cycle():
    graph = {
        name: {other for other, _ in ours(tree(path), path) if other in MODULES and other != name}
        for name, path in MODULES.items()
        if name != "funnel_lib"
    }
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)  # CycleError names the cycle


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_function_imports_our_own_code(path: Path):
    found = [f"line {line}: {other}" for f in functions(tree(path)) for other, line in ours(f, path)]
    assert not found


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_only_the_plots_import_a_plotting_library(path: Path):
    libraries = {name.split(".")[0] for name, _ in imports(tree(path), path)} & {"matplotlib", "seaborn"}
    relative = path.relative_to(PACKAGE).as_posix()
    assert not libraries or relative.startswith("reporting/plots")


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_nothing_is_printed(path: Path):
    assert not [line for name, line in calls(path) if name == "print"]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_input_is_checked_by_assert(path: Path):
    checks = [node for f in functions(tree(path)) for node in ast.walk(f) if isinstance(node, ast.Assert)]
    assert not [check.lineno for check in checks]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_nothing_reads_the_clock_but_the_runs_and_the_command(path: Path):
    reads = [
        f"line {line}: {name}"
        for name, line in calls(path)
        if name in ("time.time", "time.time_ns") or ("." in name and name.rsplit(".", 1)[1] in CLOCKS)
    ]
    bare = [name for name, _ in imported_names(path) if name in ("time.time", "time.time_ns")]
    assert not [*reads, *bare] or path.relative_to(ROOT).as_posix() in MAY_READ_THE_CLOCK


def imported_names(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_chance_but_the_one_that_is_passed(path: Path):
    allowed = {"default_rng", "Generator", "SeedSequence", "PCG64"}
    chance = [
        f"line {line}: {name}"
        for name, line in calls(path)
        if (name.startswith(("np.random.", "numpy.random.")) and name.rsplit(".", 1)[1] not in allowed)
        or name.startswith("random.")
        or name in ("np.random.default_rng()", "default_rng()")
    ]
    assert not chance


@pytest.mark.parametrize("library", ["pandas", "numpy", "pydantic", "duckdb", "matplotlib", "scipy"])
def test_importing_the_package_loads_nothing_heavy(library: str):
    code = f"import sys, funnel_lib; sys.exit({library!r} in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr or f"{library} is loaded"
