"""Copies of the notebooks for analysts: the slice is filled in, what was changed in them stays."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import nbformat
import pytest

from funnel_lib import config
from funnel_lib.config import Workbook
from funnel_lib.errors import ConfigError, DataError, FunnelError
from funnel_lib.reporting.laboratory import SHOW, prepare

_SHOP = runpy.run_path(str(Path(__file__).with_name("shop.py")))
collected, shop = _SHOP["collected"], _SHOP["shop"]


@pytest.fixture
def workbook(shop: Path) -> Workbook:
    return config.load(shop / "params" / "shop.yml")


def injected(file: Path) -> dict[str, object]:
    """The parameters that a copy runs with: those of its last cell that assigns them."""
    notebook = nbformat.read(file, as_version=4)
    found: dict[str, object] = {}
    for cell in notebook.cells:
        if {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", [])):
            exec(cell.source.removesuffix(f"{SHOW}\n"), {}, found)
    return found


def test_every_notebook_is_copied_with_the_newest_period(workbook: Workbook, shop: Path) -> None:
    written = prepare(workbook)
    assert [file.relative_to(shop).as_posix() for file in written] == ["lab/shop/03_conversion_analysis.ipynb"]
    values = injected(written[0])
    assert {**values, "workbook": 0} == {
        "workbook": 0, "period": "2026-05", "segment": "all", "language": "en", "as_of": None,
    }  # fmt: skip
    assert (written[0].parent / str(values["workbook"])).resolve() == (shop / "params" / "shop.yml").resolve()
    assert "papermill" not in json.loads(written[0].read_text())["metadata"]


def test_changes_stay_and_parameters_are_renewed(workbook: Workbook, tmp_path: Path) -> None:
    (file,) = prepare(workbook, folder=tmp_path / "mine")
    notebook = nbformat.read(file, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("my_own = 1", outputs=[nbformat.v4.new_output("stream", text="x")]))
    nbformat.write(notebook, file)
    prepare(workbook, period="2026-04", segment="plan=paid", language="zh", folder=tmp_path / "mine")
    values, changed = injected(file), nbformat.read(file, as_version=4)
    assert (values["period"], values["segment"], values["language"]) == ("2026-04", "plan=paid", "zh")
    assert (changed.cells[-1].source, len(changed.cells[-1].outputs)) == ("my_own = 1", 1)
    assert len([c for c in changed.cells if "injected-parameters" in c.metadata.get("tags", [])]) == 1
    prepare(workbook, folder=tmp_path / "mine", fresh=True)
    assert "my_own" not in file.read_text()
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    "wrong", [{"report": "collection"}, {"language": "de"}, {"segment": "plan=no"}, {"period": "2026-13"}]
)
def test_names_that_there_are_not(workbook: Workbook, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        prepare(workbook, **wrong)  # type: ignore[arg-type]
    assert not (workbook.root / "lab").exists()


def test_without_data_there_is_nothing_to_open(workbook: Workbook) -> None:
    with pytest.raises(DataError):
        prepare(workbook, period="2020-01")


def test_a_folder_that_is_a_file(workbook: Workbook, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("a file")
    with pytest.raises(FunnelError, match="--folder"):
        prepare(workbook, folder=tmp_path / "mine")
