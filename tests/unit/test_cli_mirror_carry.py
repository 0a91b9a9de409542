"""`provision mirror bundle`, `unbundle` and `state` on the command line: exit codes, words, and one JSON document."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from neuraltalk_provision.cli import main
from tests.unit import carrying

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a space and a quote, where we are, with a mirror of 3.1 MB."""
    here = tmp_path / "the operator's site"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    carrying.make(here / "mirror", {"torch": 90_000, "weights": 2_400_000, "wheels": 600_000})
    return here


def provision(capsys: Capture, *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.boundary(["mirror", *(str(word) for word in words)])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


def test_plan_of_a_bundle_writes_nothing(capsys: Capture, place: Path) -> None:
    code, out, _ = provision(capsys, "bundle", "--to", "parts", "--size", "1M", "--plan")
    assert code == 0
    assert out.count("would write neuraltalk-mirror-") == 4
    assert "    weights.tgz, bytes 0 to " in out
    document = json.loads(provision(capsys, "bundle", "--to", "parts", "--size", "1M", "--plan", "--json")[1])
    assert (len(document["parts"]), document["written"]) == (4, False)
    assert all(part["bytes"] <= 10**6 for part in document["parts"])
    assert [path.name for path in place.iterdir()] == ["mirror"]


def test_mirror_is_carried_on_two_media(capsys: Capture, place: Path) -> None:
    code, out, err = provision(capsys, "bundle", "--to", "parts", "--size", "1M")
    assert (code, err) == (0, "")
    assert "next: carry the parts from parts to the other side" in out
    (place / "medium").mkdir()
    for part in sorted((place / "parts").glob("*.tar"))[1:3]:
        part.rename(place / "medium" / part.name)
    code, out, _ = provision(capsys, "unbundle", "parts", "-m", "other", "--plan")
    assert (code, out.count("would take"), out.count("missing: ")) == (0, 2, 2)
    assert not (place / "other").exists()
    code, out, _ = provision(capsys, "unbundle", "parts", "-m", "other")
    assert (code, out.count("took "), out.count("missing: ")) == (1, 2, 2)
    assert "was not changed yet. next: insert the medium" in out
    code, out, _ = provision(capsys, "unbundle", "medium", "-m", "other", "--json")
    document = json.loads(out)
    assert (code, document["complete"], document["missing"], len(document["installed"])) == (0, True, [], 3)
    assert carrying.tree(place / "other") == carrying.tree(place / "mirror")
    assert provision(capsys, "unbundle", "medium", "-m", "other")[0] == 0


def test_nothing_is_carried_to_a_mirror_that_has_everything(capsys: Capture, place: Path) -> None:
    assert provision(capsys, "state", "--out", "state.json")[0] == 0
    code, out, _ = provision(capsys, "bundle", "--to", "parts", "--against", "state.json")
    assert (code, out) == (0, "nothing to carry: the other side has this lock and every file that it names\n")
    assert not (place / "parts").exists()


def test_state_is_printed_and_a_damaged_file_is_not_in_it(capsys: Capture, place: Path) -> None:
    code, out, _ = provision(capsys, "state")
    assert (code, len(json.loads(out)["files"])) == (0, 3)
    assert json.loads(provision(capsys, "state", "--json")[1]) == json.loads(out)
    (place / "mirror" / "torch.tgz").unlink()
    code, out, err = provision(capsys, "state")
    assert (code, len(json.loads(out)["files"])) == (1, 2)
    assert "torch.tgz" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("bundle --to parts --size 25", "--size 25: this is not a size"),
        ("bundle --to parts --size 900K", "this is not a size"),
        ("bundle --to mirror/parts", "is in the mirror"),
        ("bundle --to parts -m none", "there is no such mirror directory"),
        ("bundle --to parts --against none.json", "none.json cannot be read: No such file"),
        ("bundle --to parts --against mirror", "mirror cannot be read: "),
        ("bundle --to mirror/torch.tgz/parts", "torch.tgz"),
        ("bundle --to /proc/parts", "/proc/parts cannot be written"),
        ("unbundle none", "none: there is no such directory or file"),
        ("unbundle mirror", "there is no part of a bundle"),
        ("unbundle mirror/torch.tgz", "it does not begin like a part"),
        ("state --out mirror", "mirror is a directory"),
        ("state --out none/state.json", "none/state.json cannot be written"),
        ("state -m none", "there is no such mirror directory"),
    ],
)
def test_what_is_wrong_is_told_in_words(capsys: Capture, words: str, said: str) -> None:
    code, _, err = provision(capsys, *words.split())
    assert code == 2
    assert said in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_directory_that_cannot_be_written_is_named(capsys: Capture, place: Path) -> None:
    (place / "parts").mkdir(mode=0o500)
    code, _, err = provision(capsys, "bundle", "--to", "parts")
    assert (code, "parts" in err) == (2, True)
