"""What every report imports, imported once: the forkserver of a run preloads this module (see `kernels`).

Nothing here may start a thread, open a connection or leave a file open: reports are forked from this process.
"""

# ruff: noqa: E402 - nothing may be imported before the first statement
import sys

# Its only use is to check IRIs in notebooks' metadata, and importing it takes longer than all the rest.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

import atexit
import gc
import json
from contextlib import suppress
from datetime import date
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory

import pandas as pd

from funnel_lib.notation import Language
from funnel_lib.reporting import blocks, plots, render, sections, spreadsheet
from funnel_lib.reporting.markup import LANGUAGES
from funnel_lib.reporting.wording import Day, Rate, Say

MODULES = (
    "duckdb", "jupyter_client.manager", "nbconvert.exporters.html", "openpyxl", "papermill", "pyarrow.dataset",
    "pyarrow.parquet", "scipy.stats", "seaborn", "funnel_lib.optimisation.case", "funnel_lib.reporting.execute",
)  # fmt: skip
# What libraries import only when they first read a file, draw a halo or become a kernel.
LATE = (
    "encodings.utf_8_sig", "ipykernel.debugger", "ipykernel.kernelapp", "IPython.core.completerlib",
    "IPython.core.debugger", "IPython.core.logger", "IPython.core.oinspect", "IPython.extensions.storemagic",
    "matplotlib.patheffects", "openpyxl.packaging.extended", "pandas.core.arrays.arrow.extension_types", "sqlite3",
    "tornado.platform.asyncio",
)  # fmt: skip
for name in (*MODULES, *(found.name for found in iter_modules(sections.__path__, f"{sections.__name__}."))):
    import_module(name)
for name in LATE:  # some are a library's own affair, and may go away with its next version
    with suppress(ImportError):
        import_module(name)


def rehearse(language: Language) -> None:
    """Make a page and an Excel file of nothing: templates, patterns, catalogues and fonts are then ready for all."""
    say = Say(language)
    drawn = plots.figure(lambda ax, width: ax.plot([0, width]), alt="-")
    table = blocks.Table(pd.DataFrame({"n": [Rate(0.5, 0.4, 0.6)]}), [blocks.Column("n", say("Rate"))], "-", "-")
    shown = [
        blocks.header(say("Period"), "-", [blocks.Fact("-", Day(date(2026, 1, 1), "full"))]),
        blocks.summary(say("Everyone"), []),
        blocks.section(
            "x", kicker="-", finding=say("Everyone"), sub="", parts=[blocks.Figure(drawn, "-", table=table)]
        ),
    ]
    text = json.dumps({"cells": [_cell(block) for block in shown], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    nbformat = import_module("nbformat")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.writes(notebook)
    render.page(notebook, render.PageFacts(say("Everyone"), language, "-", downloads=[blocks.Download("-", "-")]))
    with TemporaryDirectory(prefix="funnel-") as folder:
        spreadsheet.write_xlsx(Path(folder) / "-.xlsx", {"-": "a\n1\n", **render.tables(notebook)}, [("-", "-")])


def _cell(block: blocks.Block) -> dict[str, object]:
    output = {"output_type": "display_data", "data": block._repr_mimebundle_(), "metadata": {}}
    return {
        "cell_type": "code", "id": block.id, "metadata": {}, "source": "", "execution_count": 1, "outputs": [output]
    }  # fmt: skip


for code in LANGUAGES:
    with suppress(Exception):  # what is wrong will be wrong in the reports, each of which says so
        rehearse(code)

# Looking through what never goes away would write to its pages, and each report would copy them.
gc.collect()
gc.freeze()
atexit.register(gc.unfreeze)  # else DuckDB takes what is still there at the end for leaks, and says so
