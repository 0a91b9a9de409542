"""`provision mirror pull` on the command line: the plan, one JSON document, and failures in words."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue, yaml_file
from neuraltalk_provision.cli import main
from tests.unit import repositories

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty site, with sources of the small catalogue and a map of their addresses."""
    place, sources = tmp_path / "the operator's site", tmp_path / "sources"
    place.mkdir()
    sources.mkdir()
    small, known = repositories.farm(sources)
    monkeypatch.setattr(catalogue, "load", lambda: small)
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("COLUMNS", "300")
    (place / "map.yml").write_text("".join(f"{old}: {new}\n" for old, new in known.items()))
    return place


def pull(capsys: Capture, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.boundary(["mirror", "pull", "--for", "debian-12-x86_64", "--addresses", "map.yml", *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


def test_plan_shows_what_would_be_moved_and_moves_nothing(site: Path, capsys: Capture) -> None:
    code, out, _ = pull(capsys, "--plan")
    assert code == 0
    assert "torch.git and 1 submodules" in out
    assert "4 transfers would make 3 artifacts" in out
    assert "without 2 whose size is not known" in out
    assert "optional python-wheels-debian-12-x86_64: not pulled yet: see docs/mirror-by-hand.md" in out
    assert "--profile legacy" in out
    assert not (site / "mirror").exists()


def test_pull_fills_the_mirror_and_the_second_one_says_that_there_is_nothing(site: Path, capsys: Capture) -> None:
    code, out, err = pull(capsys)
    assert (code, err) == (0, "")
    assert "added torch: " in out
    assert "s: 3; that it already had: 0" in out
    begin = time.monotonic()
    code, out, _ = pull(capsys)
    assert code == 0
    assert "nothing to move" in out
    assert "already has all 3 artifacts that can be pulled" in out
    assert time.monotonic() - begin < 3
    assert "nothing to move" in pull(capsys, "--plan")[1]


def test_line_of_the_addresses_that_replaces_nothing_is_named(site: Path, capsys: Capture) -> None:
    """A misspelt line was not used, and the command asked the server that it was to replace."""
    used = next(iter(yaml_file.read(site / "map.yml")))
    with (site / "map.yml").open("a") as file:
        file.write(f"{used}x: file:///srv/git\nhttp://deb.example.org/debian: file:///srv/debian\n")
    begin = "remark: map.yml: nothing that is pulled has an address that begins with "
    err = pull(capsys, "--plan")[2]
    assert f"{begin}{used}x; did you mean {used}?\n" in err
    assert f"{begin}http://deb.example.org/debian\n" in err
    some = pull(capsys, "--plan", "--only", "nn")[2]
    assert some.count(begin) == 1, "other artifacts may have such an address"


def test_json_is_one_document(site: Path, capsys: Capture) -> None:
    planned = json.loads(pull(capsys, "--plan", "--json")[1])
    assert [row["state"] for row in planned["artifacts"] if row["name"] == "torch"] == ["pull"]
    assert len(planned["transfers"]) == 4
    done = json.loads(pull(capsys, "--json")[1])
    assert [entry["name"] for entry in done["added"]] == ["nn", "torch", "weights"]
    assert done["failures"] == []


def test_failure_is_told_with_its_artifact_and_the_next_step(site: Path, tmp_path: Path, capsys: Capture) -> None:
    shutil.rmtree(tmp_path / "sources" / "nn.git")
    code, out, err = pull(capsys)
    assert code == 2
    assert "added torch" in out
    assert "error: nn: file://" in err
    assert "there is no such repository" in err
    assert "next: " in err
    code, out, _ = pull(capsys, "--json")
    document = json.loads(out)
    assert code == 2
    assert [failure["name"] for failure in document["failures"]] == ["nn"]
    assert document["error"].startswith("nn: file://")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "torhc"], "there is no artifact torhc"),
        (["--for", "ubuntu-22.04-x86_64"], "hosts report only the major version"),
        (["--profile", "gpu"], "'gpu' is not one of 'cpu', 'legacy', 'modern'"),
        (["--addresses", "nowhere.yml"], "nowhere.yml: there is no such file"),
        (["--jobs", "0"], "Invalid value for '--jobs'"),
    ],
)
def test_wrong_option_is_refused(capsys: Capture, words: list[str], said: str) -> None:
    code, _, err = pull(capsys, *words)
    assert code == 2
    assert said in err


def test_damaged_lock_stops_the_pull(site: Path, capsys: Capture) -> None:
    (site / "mirror").mkdir()
    (site / "mirror" / "mirror.lock").write_text("artifacts: 1\n")
    code, _, err = pull(capsys)
    assert code == 2
    assert "does not parse" in err
    assert (site / "mirror" / "mirror.lock").read_text() == "artifacts: 1\n"
