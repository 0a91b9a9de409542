"""Fetching one commit by git: complete or not at all, with the reason in words, and nothing of the source executed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuraltalk_provision.errors import ProvisionError
from neuraltalk_provision.mirror import git
from tests.unit import pages
from tests.unit.repositories import NN, make
from tests.unit.repositories import git as git_in


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of this machine's user, and no pauses."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setattr(git, "PAUSE", 0.0)


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, str]:
    """A repository, and a commit of it that is not its newest."""
    place = tmp_path / "the source.git"
    commit = make(place, NN)
    make(place, {**NN, "more": "1"})
    return place, commit


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a web server that answers every request with a page and code 200, as the login of a proxy does."""
    with pages.answering(b"<html><head><title>Please log in</title></head></html>") as address:
        yield address


def refused(cache: Path, address: str, commit: str = "1" * 40) -> ProvisionError:
    with pytest.raises(ProvisionError) as caught:
        git.fetch(cache, address, commit)
    assert caught.value.advice
    assert not cache.exists() or [path.name for path in cache.iterdir()] == []
    return caught.value


def test_one_commit_is_fetched_with_its_files_and_without_its_history(tmp_path: Path, source: tuple[Path, str]) -> None:
    place, commit = source
    found = git.fetch(tmp_path / "cache", place.as_uri(), commit)
    assert found == tmp_path / "cache" / f"{git.name_of(place.as_uri(), commit)}"
    assert [member.path for member in git.members(found, commit)] == [b"rocks/nn-scm-1.rockspec"]
    assert len(git_in(found, "rev-list", "--all").splitlines()) == 1


def test_commit_that_is_there_is_not_fetched_again(tmp_path: Path, source: tuple[Path, str]) -> None:
    place, commit = source
    found = git.fetch(tmp_path / "cache", place.as_uri(), commit)
    shutil.rmtree(place)
    assert git.fetch(tmp_path / "cache", place.as_uri(), commit) == found


@pytest.mark.parametrize("version", ["0", "2"])
def test_server_that_gives_no_single_commit_is_asked_for_everything(
    tmp_path: Path, source: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    place, commit = source
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(f"[protocol]\n\tversion = {version}\n")
    found = git.fetch(tmp_path / "cache", place.as_uri(), commit)
    assert git.members(found, commit)
    assert len(git_in(found, "rev-list", "--all").splitlines()) == (2 if version == "0" else 1)


def test_insteadof_of_the_user_is_used(tmp_path: Path, source: tuple[Path, str]) -> None:
    place, commit = source
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        f'[url "file://{place.parent}/"]\n\tinsteadOf = https://git.example.org/\n'
    )
    assert git.members(git.fetch(tmp_path / "cache", f"https://git.example.org/{place.name}", commit), commit)


def test_nothing_of_a_source_is_executed(tmp_path: Path, source: tuple[Path, str]) -> None:
    place, commit = source
    seen = tmp_path / "seen"
    (place / "hooks").mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "post-update", "pre-auto-gc", "update"):
        (place / "hooks" / name).write_text(f"#!/bin/sh\ntouch '{seen}'\n")
        (place / "hooks" / name).chmod(0o755)
    git_in(place, "config", "uploadpack.packObjectsHook", f"touch '{seen}'")
    git_in(place, "config", "core.fsmonitor", f"touch '{seen}'")
    template = tmp_path / "home" / "template"
    template.mkdir(parents=True)
    (template / "planted").touch()
    (tmp_path / "home" / ".gitconfig").write_text(
        f'[init]\n\ttemplateDir = {template}\n[core]\n\thooksPath = "{place}/hooks"\n'
    )
    found = git.fetch(tmp_path / "cache", place.as_uri(), commit)
    assert not seen.exists()
    assert not (found / "planted").exists()


def test_commit_that_is_gone_is_told(tmp_path: Path, source: tuple[Path, str]) -> None:
    error = refused(tmp_path / "cache", source[0].as_uri())
    assert f"commit {'1' * 40}: this repository does not have the commit (any more)" in error.message
    assert "--addresses" in error.advice


def test_repository_that_is_gone_is_told(tmp_path: Path) -> None:
    error = refused(tmp_path / "cache", f"file://{tmp_path}/nowhere.git")
    assert "there is no such repository: it was removed, or it has moved" in error.message


def test_repository_that_lacks_a_file_is_told(tmp_path: Path, source: tuple[Path, str]) -> None:
    place, commit = source
    blob = git_in(place, "rev-parse", f"{commit}:rocks/nn-scm-1.rockspec")
    for pack in (place / "objects" / "pack").glob("*.pack"):
        data = pack.read_bytes()
        for file in pack.parent.glob(f"{pack.stem}.*"):
            file.unlink()
        git_in(place, "unpack-objects", "-q", data=data)
    (place / "objects" / blob[:2] / blob[2:]).unlink()
    assert "damaged or not complete at the source" in refused(tmp_path / "cache", place.as_uri(), commit).message


@pytest.mark.parametrize("address", ["git://git.example.org/torch", "ext::sh -c touch% /tmp/x", "ftp://example.org/x"])
def test_protocol_that_is_not_safe_is_refused_before_git_uses_it(tmp_path: Path, address: str) -> None:
    error = refused(tmp_path / "cache", address)
    assert "has the protocol" in error.message
    assert "Use https://" in error.advice


def test_insteadof_does_not_lead_to_another_protocol(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        '[url "git://old.example.org/"]\n\tinsteadOf = https://git.example.org/\n'
    )
    error = refused(tmp_path / "cache", "https://git.example.org/torch")
    assert "which your git configuration replaces by git://old.example.org/torch" in error.message


def test_unknown_server_is_told_with_the_proxy(tmp_path: Path) -> None:
    error = refused(tmp_path / "cache", "https://nowhere.invalid/torch")
    assert "https://nowhere.invalid/torch" in error.message
    assert "cannot be resolved" in error.message or "cannot be reached" in error.message
    assert "HTTPS_PROXY" in error.advice


def test_server_that_refuses_the_connection_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ProvisionError, match="the server cannot be reached"):
        git.fetch(tmp_path / "cache", "http://127.0.0.1:1/torch", "1" * 40, watch=said.append)
    assert [line[:17] for line in said if line.startswith("attempt")] == ["attempt 1 failed:", "attempt 2 failed:"]


def test_web_page_in_place_of_a_repository_is_told(tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert "it looks like a web page" in refused(tmp_path / "cache", f"{web}/torch").message


def test_proxy_of_the_environment_is_used(tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower() in ("no_proxy", "http_proxy", "https_proxy", "all_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", web)
    assert "it looks like a web page" in refused(tmp_path / "cache", "http://nowhere.invalid/torch").message


def test_git_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/somewhere")
    monkeypatch.setenv("SSH_ASKPASS", "/usr/bin/window")
    found = git.environment("https")
    assert "GIT_DIR" not in found
    assert (found["GIT_TERMINAL_PROMPT"], found["GIT_ASKPASS"], found["SSH_ASKPASS"]) == ("0", "true", "true")
    assert "BatchMode=yes" in found["GIT_SSH_COMMAND"]
