"""`provision cache`: what is shown of packed generations, and what is removed, signed and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuraltalk_provision.cli import main
from neuraltalk_provision.mirror import cache_files
from neuraltalk_provision.settings import Settings
from tests.unit import signed
from tests.unit.test_cache import ID, published, right

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A site with one entry in its cache; we are in its directory."""
    settings = signed.site(tmp_path)
    published(settings, tmp_path)
    monkeypatch.chdir(settings.mirror.parent)
    return settings


def provision(capsys: Capture, *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main.boundary(list(words))
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out + said.err


def test_entries_are_listed_with_what_they_need(capsys: Capture) -> None:
    code, said = provision(capsys, "cache", "list")
    assert code == 0
    assert f"{ID}: debian-12-x86_64" in said
    assert "built on node1 on 2026-11-26 by provision 0.1.0" in said
    assert "needs x86_64, x86-64-v1, glibc 2.36, 3 libraries" in said
    code, said = provision(capsys, "cache", "list", "--hash", "--json")
    assert json.loads(said)["generations"][0]["usable"] is True


def test_entry_that_cannot_be_used_is_listed_with_the_reason(capsys: Capture, settings: Settings) -> None:
    (settings.mirror / "cache" / ID / "entry.json").unlink()
    code, said = provision(capsys, "cache", "list")
    assert code == 1
    assert f"{ID}: cannot be used: it is incomplete" in said


def test_entry_is_removed_once(capsys: Capture) -> None:
    assert provision(capsys, "cache", "remove", ID) == (0, f"removed {ID}: 0 MB\n")
    code, said = provision(capsys, "cache", "remove", ID)
    assert code == 2
    assert "the cache has no generation" in said
    assert provision(capsys, "cache", "list")[1].startswith("the mirror has no packed generations")


def test_nothing_is_removed_by_a_plan_or_if_one_is_not_there(capsys: Capture) -> None:
    assert provision(capsys, "cache", "remove", ID, "--plan") == (0, f"would remove {ID}: 0 MB\n")
    document = json.loads(provision(capsys, "cache", "remove", ID, "--plan", "--json")[1])
    assert list(document["removed"]) == [ID] and document["plan"] is True
    code, said = provision(capsys, "cache", "remove", ID, "0" * 16)
    assert (code, "removed" in said) == (2, False)
    assert f"{ID}: debian-12-x86_64" in provision(capsys, "cache", "list")[1]


def test_entry_is_signed(capsys: Capture, tmp_path: Path, settings: Settings) -> None:
    right(settings, tmp_path)
    key = signed.new_key(tmp_path, "alice")
    code, said = provision(capsys, "cache", "sign", ID, "--key", str(key))
    assert code == 0
    assert f"{ID}: signed" in said
    assert len(list((settings.mirror / "cache" / ID / cache_files.SIGNATURES).iterdir())) == 1
