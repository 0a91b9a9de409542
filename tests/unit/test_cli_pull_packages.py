"""`provision mirror pull` of OS packages on the command line."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.cli import main
from tests.unit.apt_repository import CATALOGUE, Repository
from tests.unit.pgp import KEEPER

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="this machine has no apt-get")
NAME = "packages-debian-12-x86_64"


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty site with a file that names a small repository."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.setattr(catalogue, "load", lambda: CATALOGUE)
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "300")
    Repository(tmp_path / "r").write()
    (place / "key.gpg").write_bytes(KEEPER.keyring)
    (place / "r.yml").write_text(
        f"debian-12-x86_64:\n  - uris: {(tmp_path / 'r').as_uri()}\n    suites: bookworm\n    components: main\n"
        "    signed_by: key.gpg\n"
    )
    return place


def pull(capsys: Capture, *words: str, key: str = "debian-12-x86_64") -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.boundary(["mirror", "pull", "--for", key, "--repositories", "r.yml", "--only", "packages", *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


def test_plan_has_one_line_for_all_packages_and_their_size(site: Path, capsys: Capture) -> None:
    code, out, _ = pull(capsys, "--plan")
    assert code == 0
    assert f"read index of {NAME}" in out
    assert out.count("7 files from file://") == 2
    assert "7 transfers would make 1 artifacts of" in out
    assert f"{NAME} has no sox-fmt, which is optional: the repositories do not have it" in out
    assert not (site / "mirror" / "mirror.lock").exists()
    document = json.loads(pull(capsys, "--plan", "--json")[1])
    (row,) = document["artifacts"]
    assert (row["state"], row["left_out"]) == ("pull", {"sox-fmt": "the repositories do not have it"})
    assert row["request"].startswith("apt for debian-12-x86_64 from file://")
    assert len(document["transfers"]) == 7
    assert {one["artifact"] for one in document["transfers"]} == {NAME}


def test_pull_adds_them_once(site: Path, tmp_path: Path, capsys: Capture) -> None:
    code, out, err = pull(capsys)
    assert (code, err) == (0, "")
    assert out.count("fetched") == 1
    assert f"added {NAME}: " in out
    assert "has no sox-fmt" in out
    shutil.rmtree(tmp_path / "r")
    begin = time.monotonic()
    code, out, _ = pull(capsys)
    assert time.monotonic() - begin < 3
    assert (code, "nothing to move" in out) == (0, True)


@pytest.mark.parametrize("words", [[], ["--plan"]])
def test_failure_of_one_platform_is_told_and_the_other_is_shown(site: Path, capsys: Capture, words: list[str]) -> None:
    file = site / "r.yml"
    text = file.read_text()
    file.write_text(text + text.replace("-12-", "-11-").replace("bookworm", "bullseye"))
    code, out, err = pull(capsys, "--for", "debian-11-x86_64", *words)
    assert code == 2
    assert NAME in out
    assert (
        "error: packages-debian-11-x86_64: the repository of debian-11-x86_64 cannot be used: there is no such" in err
    )
    assert "next: Old releases move to an archive" in err
    code, out, _ = pull(capsys, *words, key="debian-11-x86_64")
    assert (code, "already has" in out) == (2, False)
    code, out, _ = pull(capsys, "--for", "debian-11-x86_64", "--json", *words)
    document = json.loads(out)
    assert code == 2
    assert next(row["state"] for row in document["artifacts"]) == "failed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("debian-12-x86_64: []", "r.yml: debian-12-x86_64: it must be a list of repositories"),
        ("debian-12-x86_64: [{uris: x}]", "repository 1: uris.0: 'x' is not an address"),
    ],
)
def test_wrong_file_of_repositories_is_refused(site: Path, capsys: Capture, text: str, said: str) -> None:
    (site / "r.yml").write_text(text)
    code, _, err = pull(capsys)
    assert code == 2
    assert said in err
    assert "signed_by:" in err
