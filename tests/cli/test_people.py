import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from funnel_lib import cli

CRM = {
    "system": "table", "table": "users", "files": "crm.csv",
    "columns": {"user_id": "id", "first_seen": "at", "email": "mail"},
}  # fmt: skip
Funnel = Callable[..., tuple[int, str]]


@pytest.fixture
def funnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Funnel:
    """Run the command on a shop with two people who share an address; return the exit code and what was said."""
    (tmp_path / "params").mkdir()
    (tmp_path / "data" / "raw" / "shop").mkdir(parents=True)
    steps = {"snapshot": "users", "steps": [{"name": "lead"}, {"name": "buyer", "column": "first_seen"}]}
    content = {"name": "shop", "title": "Shop", "funnel": steps, "sources": {"crm": CRM}}
    (tmp_path / "params" / "shop.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    rows = "id,at,mail\nU1,2026-03-01,a@b.example\nU2,2026-03-02,A@b.example\nU3,2026-03-03,\n"
    (tmp_path / "data" / "raw" / "shop" / "crm.csv").write_text(rows, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FUNNEL_KEY", raising=False)

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["funnel", *words])
        with pytest.raises(SystemExit) as ending:
            cli.main()
        said = capsys.readouterr()
        return int(ending.value.code or 0), said.out + said.err

    return run


def test_a_person_is_explained_and_the_demo_s_key_is_warned_of(funnel: Funnel, monkeypatch: pytest.MonkeyPatch):
    assert "demo's key" in funnel("collect", "params/shop.yml")[1]
    code, said = funnel("identity", "params/shop.yml", "U2")
    assert code == 0
    assert "One person: U1" in said
    assert said.count("email_hash") == 2
    assert "crm.csv" in said
    assert "b.example" not in said
    assert "linked with no other id" in funnel("identity", "params/shop.yml", "U3")[1]
    assert funnel("identity", "params/shop.yml", "U4")[0] == 2
    monkeypatch.setenv("FUNNEL_KEY", "our own")
    assert "demo's key" not in funnel("collect", "params/shop.yml", "--anew")[1]
