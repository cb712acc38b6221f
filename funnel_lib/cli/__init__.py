"""The command `funnel`: thin, it calls the rooms and shows what they found.

Exit codes: 0 done, 1 failed, 2 the data is not ready or not good enough, 3 nothing to do.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import lazy_loader
import typer

from funnel_lib.cli import fetching, funnels, lab, notifying, people, printing, running
from funnel_lib.cli.options import Finished, WorkbookFile, argument, option
from funnel_lib.errors import ConfigError, DataError, FunnelError
from funnel_lib.reporting import terminal

if TYPE_CHECKING:
    from funnel_lib import config, sample
    from funnel_lib.collection import collect as collecting
    from funnel_lib.collection import files, quality
    from funnel_lib.collection import store as stores
    from funnel_lib.reporting import plan
else:  # the help must not wait for pandas
    _ROOMS = (
        "config", "sample", "collection.collect", "collection.files", "collection.quality",
        "collection.store", "reporting.plan",
    )  # fmt: skip
    config, sample, collecting, files, quality, stores, plan = (
        lazy_loader.load(f"funnel_lib.{name}", suppress_warning=True) for name in _ROOMS
    )

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


def main() -> None:
    """Run the command line and exit with its code; users see no traceback unless they ask with --debug."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # tidy up, as after Ctrl-C
    sys.exit(_exit_code())


def _show_version(asked: bool) -> None:
    if asked:
        terminal.plain(f"funnel {metadata.version('funnel-lib')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, option("Show the traceback of an error.", "--debug")] = False,
    version: Annotated[
        bool, option("Show the version and end.", "--version", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Turn raw exports into funnel reports.

    Exit codes: 0 done, 1 failed, 2 the data is not ready or not good enough, 3 nothing to do.
    """


@app.command(epilog="Example: [bold]funnel new bakery --like retail[/] writes params/bakery.yml and data/raw/bakery/.")
def new(
    name: Annotated[str, argument("A short name: letters, digits, - and _.")],
    folder: Annotated[Path, option("The project's folder.")] = Path(),
    like: Annotated[str | None, option("Start from this workbook of the folder's params/, such as retail.")] = None,
) -> None:
    """Write a new, commented workbook file and a folder for its exports."""
    file, raw = folder / "params" / f"{name}.yml", folder / "data" / "raw" / name
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) is None:
        raise ConfigError(
            "This cannot be a workbook's name.", found=name, allowed="letters, digits, - and _; first no sign",
            do="Choose a name such as bakery or web-shop.",
        )  # fmt: skip
    if file.exists():
        raise ConfigError(
            "There is such a workbook already; it stays as it is.", where=file, found="an existing file",
            do="Choose another name, or remove the file first.",
        )  # fmt: skip
    _write(file, _template("template_workbook.yml", name) if like is None else _copy(file.with_stem(like), name))
    _write(raw / "README.txt", _template("template_readme.txt", name))
    terminal.say(f"Written: {file} and {raw}")
    terminal.say(f"Next: put the exports into {raw}, describe them in {file}, then: funnel check {file}")


@app.command(epilog="Example: [bold]funnel demo[/], then [bold]funnel collect params/education.yml[/].")
def demo(
    users: Annotated[int, option("How many visitors.")] = 30_000,
    seed: Annotated[int, option("The only source of chance.")] = 20260101,
) -> None:
    """Write the demo's raw exports into data/raw/education/."""
    workbook, raw, truth = Path("params/education.yml"), Path("data/raw/education"), Path("data/truth/education.json")
    if not workbook.is_file():
        raise ConfigError(
            "The demo belongs to the project's folder.", where=Path.cwd(), found="no params/education.yml",
            do="Change to the folder of the project, then run: funnel demo",
        )  # fmt: skip
    with terminal.progress() as tell:
        sample.write_demo(raw, users=users, seed=seed, truth_file=truth, progress=tell)
    terminal.say(f"Written: {raw} ({users:,} visitors)")
    terminal.say(f"Next: funnel collect {workbook}")


@app.command(epilog="Example: [bold]funnel collect params/education.yml[/]")
def collect(
    workbook: WorkbookFile,
    anew: Annotated[bool, option("Read every file again, also those that have not changed.", "--anew")] = False,
) -> None:
    """Read new and changed exports into tables; what cannot be used is set aside with its reason."""
    book = config.load(workbook)
    with terminal.progress() as tell:
        store = collecting.collect(book, progress=tell, anew=anew)
    terminal.tally(store.tally())
    people.warn(store)
    _show_grade(store, book)
    terminal.say(f"Next: funnel run {workbook}")


@app.command(epilog="Example: [bold]funnel check params/education.yml[/]")
def check(workbook: WorkbookFile) -> None:
    """Check the workbook file, its exports and notebooks, and the collected data's quality."""
    book = config.load(workbook)
    for report in book.reports:
        plan.check_parameters(plan.find_notebook(book, report))
    for name, source in book.sources.items():
        count = len(files.Export(name, source, book).files())
        terminal.say(f"Source {name}: {count} {'file' if count == 1 else 'files'} ({source.files})")
    terminal.say(f"The workbook {book.name} can be used.", "green")
    store = stores.Store(book.processed)
    try:
        tally = store.tally()
    except DataError:
        terminal.say(f"Nothing is collected yet. Next: funnel collect {workbook}")
        return
    terminal.tally(tally)
    if _show_grade(store, book) == "fail":
        raise Finished(DataError.exit_code)


for _name, _command, _example in running.COMMANDS:
    app.command(_name, epilog=_example)(_command)
app.add_typer(running.schedules, name="schedule")
app.command("fetch", epilog=fetching.FETCH_EXAMPLE)(fetching.fetch)
app.command("identity", epilog=people.EXAMPLE)(people.identity)
app.command("count", epilog=funnels.COUNT_EXAMPLE)(funnels.count)
app.command("explain", epilog=funnels.EXPLAIN_EXAMPLE)(funnels.explain)
app.command("print", epilog=printing.PRINT_EXAMPLE)(printing.print_)
app.add_typer(notifying.app, name="notify")
app.command("lab", epilog=lab.LAB_EXAMPLE)(lab.lab)


@app.command(epilog="Example: [bold]funnel schema --out params/workbook.schema.json[/]")
def schema(out: Annotated[Path | None, option("Write into this file.", show_default=False)] = None) -> None:
    """Give the JSON Schema of workbook files, for editors."""
    text = json.dumps(config.schema(), ensure_ascii=False, indent=1)
    if out is None:
        terminal.plain(text)
        return
    _write(out, f"{text}\n")
    terminal.say(f"Written: {out}")


def _show_grade(store: stores.Store, book: config.Workbook) -> str:
    """Show the checks of the collected data and return their grade."""
    found = quality.checks(store, book)
    grade: str = quality.grade(found)
    terminal.checks(found, grade)
    return grade


def _template(template: str, name: str) -> str:
    return resources.files("funnel_lib").joinpath(template).read_text(encoding="utf-8").replace("{name}", name)


def _copy(model: Path, name: str) -> str:
    """Return the text of another workbook under a new name, with its comments and the paths in them."""
    old = config.load(model).name
    text = re.sub(r"(?m)^name:.*$", f"name: {name}", model.read_text(encoding="utf-8-sig"), count=1)
    text = re.sub(r"(?m)^# Start from this one:.*\n", "", text)
    return text.replace(f"data/raw/{old}/", f"data/raw/{name}/")


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise FunnelError(
            "The file cannot be written.", where=file, found=fault.strerror, do="Choose a folder that you may write to."
        ) from fault  # fmt: skip


def _exit_code() -> int:
    try:
        app()
    except SystemExit as ending:  # typer's own: wrong usage ends with 2, which has another meaning here
        return 1 if ending.code == 2 else int(ending.code or 0)
    except Finished as finished:
        return finished.code
    except Exception as fault:  # noqa: BLE001 - the last resort, said in one line
        if "--debug" in sys.argv:
            terminal.traceback()
        if isinstance(fault, FunnelError):
            terminal.error(fault)
            return fault.exit_code
        terminal.unexpected(fault)
        return 1
    return 0
