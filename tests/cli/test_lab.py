"""`funnel lab`: the command that opens the copies."""

from __future__ import annotations

import json
import os
import runpy
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

_SHOP = runpy.run_path(str(Path(__file__).parents[1] / "reporting" / "shop.py"))
collected, shop = _SHOP["collected"], _SHOP["shop"]
FUNNEL = str(Path(sys.executable).with_name("funnel"))


def test_the_command_is_shown_and_the_copies_are_there(shop: Path) -> None:
    done = subprocess.run(
        [FUNNEL, "lab", "params/shop.yml", "--report", "conversion", "--print"],
        cwd=shop,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *begin, file = shlex.split(done.stdout)
    assert begin[1:] == ["-m", "jupyterlab"]
    assert file == "lab/shop/03_conversion_analysis.ipynb"
    assert (shop / file).is_file()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def asked(port: int, path: str) -> Any:
    with urlopen(f"http://127.0.0.1:{port}{path}?token=0123", timeout=30) as answer:
        return json.loads(answer.read()) if path.startswith("/api") else answer.read().decode()


@pytest.mark.slow
def test_jupyterlab_opens_the_notebook_with_its_parameters(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    settings = {"ServerApp": {"allow_root": True, "ip": "127.0.0.1", "port_retries": 0}}
    (tmp_path / "config" / "jupyter_server_config.json").write_text(json.dumps(settings))
    places = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    port = free_port()
    lab = subprocess.Popen(
        [FUNNEL, "lab", "params/shop.yml", "--report", "conversion", "--no-browser", f"--port={port}"],
        cwd=shop, env={**os.environ, **places, "JUPYTER_TOKEN": "0123"}, stdout=subprocess.DEVNULL,
        stderr=(tmp_path / "said").open("w"),
    )  # fmt: skip
    try:
        until = time.monotonic() + 90
        while True:
            try:
                status = asked(port, "/api/status")
                break
            except OSError:
                said = (tmp_path / "said").read_text()
                assert lab.poll() is None, said
                assert time.monotonic() < until, said
                time.sleep(0.3)
        assert status["kernels"] == 0
        notebook = asked(port, "/api/contents/03_conversion_analysis.ipynb")["content"]
        filled = [
            cell["source"] for cell in notebook["cells"] if "injected-parameters" in cell["metadata"].get("tags", [])
        ]
        assert len(filled) == 1
        assert 'period = "2026-05"' in filled[0]
        assert 'workbook = "../../params/shop.yml"' in filled[0]
        assert "jupyter-config-data" in asked(port, "/lab/tree/03_conversion_analysis.ipynb")
    finally:
        lab.terminate()  # and JupyterLab with it
        lab.wait(30)
    with pytest.raises(OSError, match="refused"):
        asked(port, "/api/status")


def test_a_wrong_name_is_said_in_words(shop: Path) -> None:
    done = subprocess.run(
        [FUNNEL, "lab", "params/shop.yml", "--segment", "plan=non"], cwd=shop, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "There is no such segment." in done.stderr
