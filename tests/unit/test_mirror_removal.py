"""`provision mirror remove`: an entry leaves the lock together with its file, or both stay."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.cli import main
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import guard, incoming, lock, removal, store
from tests.unit import archives
from tests.unit.archives import pack
from tests.unit.catalogue import SMALL

Capture = pytest.CaptureFixture[str]
WHEELS = "python-wheels-debian-11-x86_64"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with nn, torch, weights, and the wheels of a platform that nobody wants any more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(catalogue, "load", lambda: SMALL)
    pack(tmp_path / "torch.tgz", archives.TORCH)
    pack(tmp_path / "nn.tgz", archives.NN)
    pack(tmp_path / f"{WHEELS}.tar", {"./h5py.whl": "h"}, mode="w")
    (tmp_path / "w.bin").write_bytes(bytes(700))
    for name in ("nn.tgz", "torch.tgz", f"{WHEELS}.tar", "w.bin"):
        store.add(tmp_path / "the site's mirror", tmp_path / name, SMALL)
    return tmp_path / "the site's mirror"


def remove(capsys: Capture, mirror: Path, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main.boundary(["mirror", "remove", *words, "--mirror", str(mirror)])
    said = capsys.readouterr()
    return code, said.out, said.err


def files(mirror: Path) -> list[str]:
    return sorted(path.name for path in mirror.iterdir() if path.name not in (".mirror.lock-guard", lock.FILE_NAME))


def names(mirror: Path) -> list[str]:
    return list(lock.read(mirror).by_name())


def test_artifact_is_removed_from_the_lock_and_from_the_mirror(capsys: Capture, mirror: Path) -> None:
    code, out, err = remove(capsys, mirror, WHEELS, "weights")
    assert (code, err) == (0, "")
    size = len((mirror.parent / f"{WHEELS}.tar").read_bytes())
    assert f"removed {WHEELS}: {WHEELS}.tar, {size:,} bytes" in out
    assert "removed weights: w.bin, 700 bytes" in out
    assert (names(mirror), files(mirror)) == (["nn", "torch"], ["nn.tgz", "torch.tgz"])
    assert store.verify(mirror, SMALL).findings == ()


def test_plan_says_what_would_be_removed_and_removes_nothing(capsys: Capture, mirror: Path) -> None:
    code, out, _ = remove(capsys, mirror, "weights", "--plan")
    assert (code, out) == (0, "would remove weights: w.bin, 700 bytes\n")
    document = json.loads(remove(capsys, mirror, "weights", "--plan", "--json")[1])
    expected = {"name": "weights", "file": "w.bin", "there": True, "bytes": 700, "stays": ""}
    assert document == {"mirror": str(mirror), "removed": [expected], "plan": True}
    assert "weights" in names(mirror)
    assert json.loads(remove(capsys, mirror, "weights", "--json")[1]) == {**document, "plan": False}
    assert "weights" not in names(mirror)


def test_nothing_is_removed_if_the_lock_lacks_one_of_the_names(capsys: Capture, mirror: Path) -> None:
    code, _, err = remove(capsys, mirror, "weights", f"{WHEELS}.tar")
    assert code == 2
    assert f"the lock of {mirror} has no artifact {WHEELS}.tar" in err
    assert f"Did you mean {WHEELS}?" in err
    assert len(names(mirror)) == len(files(mirror)) == 4


def test_entry_that_this_version_does_not_know_is_removed_too(capsys: Capture, mirror: Path) -> None:
    """An entry for a platform that no host can have stays in a lock of an earlier version."""
    (mirror / "x.tar").write_bytes(b"x")
    entry = lock.read(mirror).by_name()["weights"]
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    odd = entry.model_copy(
        update={"name": "packages-linuxmint-22-x86_64", "file": "x.tar", "sha256": digest, "size": 1}
    )
    lock.write(mirror, lock.read(mirror).with_entry(odd))
    assert remove(capsys, mirror, odd.name)[0] == 0
    assert "x.tar" not in files(mirror)


def test_entry_whose_file_is_gone_is_removed(capsys: Capture, mirror: Path) -> None:
    (mirror / "w.bin").unlink()
    assert remove(capsys, mirror, "weights")[:2] == (0, "removed weights: w.bin is not there\n")
    assert "weights" not in names(mirror)


def test_file_with_the_longest_name_is_replaced_and_removed(capsys: Capture, mirror: Path) -> None:
    """Its second name was longer than file systems allow, so that no command could replace or remove it."""
    remove(capsys, mirror, "weights")
    long = mirror.parent / f"{'w' * 196}.bin"
    for content in (b"old", b"new"):
        long.write_bytes(content)
        store.add(mirror, long, SMALL, given="weights")
    assert (mirror / long.name).read_bytes() == b"new"
    assert remove(capsys, mirror, "weights")[0] == 0
    assert files(mirror) == ["nn.tgz", f"{WHEELS}.tar", "torch.tgz"]


@pytest.mark.parametrize("digits", [32, 64])
def test_file_that_a_killed_command_renamed_gets_its_name_back(mirror: Path, digits: int) -> None:
    """The second names of earlier versions had all digits of the digest."""
    entry = lock.read(mirror).by_name()["weights"]
    (mirror / "w.bin").rename(mirror / f".replaced-{entry.sha256[:digits]}-w.bin")
    (mirror / f".replaced-{'0' * digits}-nn.tgz").write_bytes(b"older")
    with lock.changing(mirror):
        assert files(mirror) == ["nn.tgz", f"{WHEELS}.tar", "torch.tgz", "w.bin"]
    assert store.verify(mirror, SMALL).findings == ()


@pytest.mark.parametrize("kind", ["other content", "shorter", "link", "directory"])
def test_file_that_is_not_the_one_of_the_lock_stays_and_is_named(capsys: Capture, mirror: Path, kind: str) -> None:
    file = mirror / "w.bin"
    file.unlink()
    if kind == "link":
        file.symlink_to(mirror.parent / "w.bin")
    elif kind == "directory":
        file.mkdir()
    else:
        file.write_bytes(b"x" * (700 if kind == "other content" else 5))
    code, out, _ = remove(capsys, mirror, "weights")
    assert code == 0
    assert f"removed weights from the lock; {file} stays, because it is not the file that the lock describes" in out
    assert json.loads(remove(capsys, mirror, "nn", "--json")[1])["removed"][0]["bytes"] > 0
    assert (names(mirror), os.path.lexists(file)) == ([WHEELS, "torch"], True)
    assert [found.file for found in store.verify(mirror, SMALL).findings] == ["w.bin"]


@pytest.mark.parametrize("at", range(4))
def test_kill_at_any_moment_leaves_both_or_none(
    capsys: Capture, mirror: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Here the kill is played: after some steps on files nothing more is done. The next command cleans up."""
    steps = [0]

    def counted(real: object) -> object:
        def step(self: Path, *given: object, **named: object) -> object:
            if self.name.startswith((".replaced-", ".mirror.lock-", "w.bin", "nn.tgz")):
                steps[0] += 1
                if steps[0] > at:
                    raise SystemExit
            return real(self, *given, **named)  # type: ignore[operator]

        return step

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        with pytest.raises(SystemExit):
            removal.remove(mirror, ["nn", "weights"])
    store.add(mirror, mirror.parent / "torch.tgz", SMALL)  # any command that changes the mirror
    assert store.verify(mirror, SMALL).findings == ()
    assert len(names(mirror)) == len(files(mirror)) == (4 if at < 3 else 2)


@pytest.mark.parametrize("change", ["none", "file", "file that stays", "lock"])
def test_other_commands_can_change_the_mirror_while_files_are_hashed(
    capsys: Capture, mirror: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """With many gigabytes, other commands waited in vain. What they change meanwhile is not removed."""
    real = incoming.digest
    if change == "file that stays":
        (mirror / "w.bin").write_bytes(b"x" * 700)

    def hashed(file: Path, advance: store.Advance) -> tuple[str, int]:
        found = real(file, advance)
        with lock.changing(mirror) as before:
            if change == "lock":
                lock.write(mirror, before.without([before.by_name()["weights"]]))
            elif change != "none":
                (mirror / "w.bin").write_bytes(b"y" * 700)
        return found

    monkeypatch.setattr(guard, "PATIENCE", 0.0)
    monkeypatch.setattr(incoming, "digest", hashed)
    code, _, err = remove(capsys, mirror, "weights")
    assert (code, "another command changed weights" in err) == ((0, False) if change == "none" else (2, True)), err
    assert os.path.lexists(mirror / "w.bin") == (change != "none")
    assert ("weights" in names(mirror)) == change.startswith("file")


@pytest.mark.parametrize("act", [removal.look, removal.remove])
def test_hashing_tells_its_progress(mirror: Path, act: Callable[..., object]) -> None:
    total, done = removal.size(mirror, ["weights", "nn"]), list[int]()
    act(mirror, ["weights", "nn"], done.append)
    assert sum(done) == total > 700


def test_failure_in_the_middle_changes_nothing(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "w.bin":
            raise PermissionError(1, "Operation not permitted", str(self))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(MirrorError, match="cannot be written by"):
        removal.remove(mirror, ["nn", "weights"])
    assert len(names(mirror)) == len(files(mirror)) == 4
    assert store.verify(mirror, SMALL).findings == ()


def test_mirror_without_a_lock_is_not_made(capsys: Capture, tmp_path: Path, mirror: Path) -> None:
    shutil.rmtree(mirror)
    for words in (["weights"], ["weights", "--plan"]):
        code, _, err = remove(capsys, mirror, *words)
        assert (code, "no such mirror directory" in err) == (2, True)
    assert not mirror.exists()
