import re
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

from funnel_lib.collection.catalogue import page
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.sources import OFFERS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_systems_is_what_the_modules_say():
    command = [sys.executable, "-m", "funnel_lib.collection.sources"]
    written = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    assert written == page(OFFERS.values())
    assert (DOCS / "sources.md").read_text(encoding="utf-8") == written, (
        f"write it anew: {' '.join(command)} > docs/sources.md"
    )


def test_a_system_is_told_with_its_files_its_interface_and_how_sure_it_is():
    class Api:
        title, sure = "API 2", "Nothing is confirmed."

    offer = Offer(
        name="radio", title="Radio", reads=lambda paths, export: iter(()), fills=("spend",), files="A CSV.",
        confirmed="All of it.", aliases={"spend": {"date": ["Day", "日期"], "_note": ["Note"]}}, api=Api(),
    )  # fmt: skip
    told = page([offer])
    assert "| [`radio`](#radio) | Radio | spend | yes |" in told
    assert "* **Files**: A CSV.\n* **Interface**: API 2. Nothing is confirmed.\n* **How sure**: All of it." in told
    assert "* **Header texts of `spend`**: `date`: Day, 日期." in told


def test_the_code_of_the_walk_through_is_that_of_the_module():
    """All of the guide's code stands in the module, without its docstring."""
    told = (DOCS / "add-a-source.md").read_text(encoding="utf-8")
    module = (DOCS.parent / "funnel_lib" / "collection" / "sources" / "optimizely.py").read_text(encoding="utf-8")
    parts = [line for block in re.findall(r"```python\n(.*?)```", told, flags=re.S) for line in block.splitlines()]
    assert len(parts) >= 25
    assert not [line for line in parts if line not in module.splitlines()]


def test_the_guide_tells_every_field_of_an_offer_and_nothing_that_is_not_there():
    told = (DOCS / "add-a-source.md").read_text(encoding="utf-8")
    rows = told.split("| field | what it says |\n|---|---|\n")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", rows, flags=re.M) == [field.name for field in fields(Offer)]
    mechanics = re.findall(r"`(\w+)\.(\w+)`", told.split("## The shared mechanics")[1].split("##")[0])
    modules = {name: import_module(f"funnel_lib.collection.{name}") for name, _ in mechanics}
    assert not [f"{module}.{name}" for module, name in mechanics if not hasattr(modules[module], name)]
