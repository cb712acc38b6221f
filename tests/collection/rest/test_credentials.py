from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from funnel_lib.collection.rest.credentials import FILE, HIDDEN, Hidden, load
from funnel_lib.errors import ConfigError


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "private" / "credentials.yml"
    path.parent.mkdir()
    path.write_text("crm: {token: from-the-file, number: 12}\nads:\n", encoding="utf-8")
    path.write_text("crm: {token: from-the-file, number: 12}\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def root(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir(exist_ok=True)
    return tmp_path / "project"


def test_the_environment_wins_over_the_file(stored: Path, tmp_path: Path):
    environ = {FILE: str(stored)}
    found = load("crm", ["token"], ["number", "other"], environ=environ, root=root(tmp_path))
    assert found == {"token": "from-the-file", "number": "12"}
    environ["FUNNEL_CRM_TOKEN"] = "from-the-environment"
    assert load("crm", ["token"], environ=environ, root=root(tmp_path)) == {"token": "from-the-environment"}


def test_what_is_missing_is_named_with_its_variable(tmp_path: Path):
    with pytest.raises(ConfigError, match="FUNNEL_WEB_SHOP_API_KEY, FUNNEL_WEB_SHOP_SECRET"):
        load("web-shop", ["api_key", "secret"], environ={"FUNNEL_WEB_SHOP_SECRET": ""}, root=root(tmp_path))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_can_read_is_refused(mode: int, stored: Path, tmp_path: Path):
    stored.chmod(mode)
    with pytest.raises(ConfigError, match="can be read by others") as caught:
        load("crm", ["token"], environ={FILE: str(stored)}, root=root(tmp_path))
    assert "chmod 600" in str(caught.value)


def test_a_file_inside_the_project_is_refused_also_through_a_link(stored: Path, tmp_path: Path):
    inside = root(tmp_path) / "keys.yml"
    inside.write_text("crm: {token: secret-in-the-project}", encoding="utf-8")
    inside.chmod(0o600)
    link = tmp_path / "link.yml"
    link.symlink_to(inside)
    for path in (inside, link):
        with pytest.raises(ConfigError, match="inside a project's folder") as caught:
            load("crm", ["token"], environ={FILE: str(path)}, root=root(tmp_path))
        assert "secret-in-the-project" not in str(caught.value)


def test_a_file_inside_any_repository_is_refused(stored: Path, tmp_path: Path):
    (stored.parent / ".git").mkdir()
    with pytest.raises(ConfigError, match="inside a project's folder"):
        load("crm", ["token"], environ={FILE: str(stored)}, root=root(tmp_path))


@pytest.mark.parametrize(
    "content", ["crm: [planted-secret", "planted-secret", "crm: planted-secret", "\x00planted-secret"]
)
def test_a_broken_file_is_refused_without_quoting_it(content: str, stored: Path, tmp_path: Path):
    stored.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load("crm", ["token"], environ={FILE: str(stored)}, root=root(tmp_path))
    told = f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"
    assert "planted-secret" not in told


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="no file of credentials"):
        load("crm", ["token"], environ={FILE: str(tmp_path / "none.yml")}, root=root(tmp_path))


def test_every_form_of_a_credential_is_hidden():
    secret = "p4ss+w/ rd=&"
    hidden = Hidden({"password": secret, "short": "abc"})
    hidden.add({"token": "first-token"})
    hidden.add({"token": "second-token"})
    forms = [secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode(), "first-token", "second-token"]
    assert hidden.mask(" ".join(forms)) == " ".join([HIDDEN] * len(forms))
    assert hidden.mask("abc stays: too short to be a secret") == "abc stays: too short to be a secret"
    assert secret not in repr(hidden)
    assert hidden.values["token"] == "second-token"


def test_a_credential_that_contains_another_is_hidden_wholly():
    assert Hidden({"a": "secret", "b": "secret-longer"}).mask("secret-longer") == HIDDEN
