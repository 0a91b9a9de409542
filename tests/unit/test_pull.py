"""A whole pull from local repositories: the same lock everywhere, after any kill, and nothing good is ever lost."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.catalogue import target
from neuraltalk_provision.catalogue.model import Catalogue, GitSource, Source
from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import git, lock, pull, pull_folder, pull_plan, source_archive, store, tar_writer
from neuraltalk_provision.mirror.pull import Pulled
from tests.unit import repositories
from tests.unit.repositories import make

DEBIAN = target.parse("debian-12-x86_64")


@dataclass
class Said:
    """A report that keeps what it was told."""

    lines: list[str] = field(default_factory=list)

    def begin(self, name: str, size: int) -> None:
        self.lines.append(f"begin {name}")

    def at(self, name: str, fraction: float, words: str) -> None:
        assert 0 <= fraction <= 1

    def end(self, name: str, words: str) -> None:
        self.lines.append(f"{words} {name}")


@dataclass
class Farm:
    """The places of the sources, and a catalogue for them."""

    place: Path
    catalogue: Catalogue
    known: dict[str, str]

    def pull(self, mirror: Path, said: Said | None = None, **more: Any) -> Pulled:
        inventory = pull.inventory(mirror)
        plan = pull_plan.plan(self.catalogue, [DEBIAN], ["cpu"], inventory, known=self.known, **more)
        return pull.pull(mirror, plan, self.catalogue, said or Said(), jobs=3)

    def with_source(self, name: str, **changes: object) -> Farm:
        changed: dict[str, Source] = {name: self.catalogue.sources[name].model_copy(update=changes)}
        sources = {**self.catalogue.sources, **changed}
        return Farm(self.place, self.catalogue.model_copy(update={"sources": sources}), self.known)

    def git(self, name: str) -> GitSource:
        source = self.catalogue.sources[name]
        assert isinstance(source, GitSource)
        return source


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Farm:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setattr(git, "PAUSE", 0.0)
    place = tmp_path / "the farm's sources"
    place.mkdir()
    return Farm(place, *repositories.farm(place))


def content(mirror: Path) -> Mapping[str, bytes]:
    """The files of a mirror that have a final name, with their bytes."""
    return {path.name: path.read_bytes() for path in mirror.iterdir() if path.is_file() and path.name[0] != "."}


def test_everything_is_moved_into_a_new_mirror(tmp_path: Path, farm: Farm) -> None:
    said = Said()
    done = farm.pull(tmp_path / "mirror", said)
    assert done.failures == ()
    assert [entry.name for entry in done.added] == ["nn", "torch", "weights"]
    assert sorted(content(tmp_path / "mirror")) == ["mirror.lock", "nn.tar", "torch.tar", "w.bin"]
    entry = lock.read(tmp_path / "mirror").by_name()["torch"]
    assert entry.origin == f"https://git.example.org/torch {farm.git('torch').commit}"
    assert entry.version == farm.git("torch").commit[:12]
    assert store.verify(tmp_path / "mirror", farm.catalogue).findings == ()
    assert len([line for line in said.lines if line.startswith("fetched")]) == 4


def test_disk_without_hard_links_is_enough(tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: object, **_options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert len(farm.pull(tmp_path / "mirror").added) == 3


def test_two_pulls_in_two_directories_give_the_same_mirror(tmp_path: Path, farm: Farm) -> None:
    """One of them from other copies of the repositories, at other addresses."""
    farm.pull(tmp_path / "one")
    other = tmp_path / "other place"
    shutil.copytree(farm.place, other)
    make(other / "torch.git", {"later": "x"})
    git_in = repositories.git
    git_in(other / "torch.git", "gc", "--quiet")
    moved = {old: new.replace(farm.place.as_uri(), other.as_uri()) for old, new in farm.known.items()}
    Farm(other, farm.catalogue, moved).pull(tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_second_pull_moves_nothing(tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.pull(tmp_path / "mirror")
    before = content(tmp_path / "mirror")
    shutil.rmtree(farm.place)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert farm.pull(tmp_path / "mirror") == Pulled((), ())
    assert content(tmp_path / "mirror") == before


def test_what_was_fetched_once_is_not_fetched_for_another_mirror_file(tmp_path: Path, farm: Farm) -> None:
    farm.pull(tmp_path / "mirror")
    (tmp_path / "mirror" / "torch.tar").unlink()
    shutil.rmtree(farm.place)
    assert [entry.name for entry in farm.pull(tmp_path / "mirror").added] == ["torch"]
    assert store.verify(tmp_path / "mirror", farm.catalogue).findings == ()


def test_archive_with_another_digest_is_refused_by_name(tmp_path: Path, farm: Farm) -> None:
    done = farm.with_source("nn", sha256="0" * 64).pull(tmp_path / "mirror")
    assert [entry.name for entry in done.added] == ["torch", "weights"]
    (failure,) = done.failures
    assert failure.name == "nn"
    assert "nn.tar from https://git.example.org/nn at" in failure.message
    assert "0" * 64 in failure.message
    assert sorted(content(tmp_path / "mirror")) == ["mirror.lock", "torch.tar", "w.bin"]


def test_failure_of_one_source_does_not_stop_the_others(tmp_path: Path, farm: Farm) -> None:
    shutil.rmtree(farm.place / "luajit.git")
    done = farm.pull(tmp_path / "mirror")
    assert [entry.name for entry in done.added] == ["nn", "weights"]
    assert [failure.name for failure in done.failures] == ["torch"]
    assert "luajit.git" in done.failures[0].message
    assert "--addresses" in done.failures[0].advice
    make(farm.place / "luajit.git", repositories.LUAJIT)
    said = Said()
    assert [entry.name for entry in farm.pull(tmp_path / "mirror", said).added] == ["torch"]


def test_replacement_that_fails_leaves_the_old_file(tmp_path: Path, farm: Farm) -> None:
    farm.pull(tmp_path / "mirror")
    before = content(tmp_path / "mirror")
    newer = make(farm.place / "nn.git", {"README": "no rockspec any more\n"})
    done = farm.with_source("nn", commit=newer, sha256="").pull(tmp_path / "mirror", replace=True)
    assert [failure.name for failure in done.failures] == ["nn"]
    assert content(tmp_path / "mirror") == before


def test_submodule_with_a_git_address_is_told(tmp_path: Path, farm: Farm) -> None:
    part = farm.git("torch").submodules[0].model_copy(update={"address": "git://git.example.org/luajit"})
    done = farm.with_source("torch", submodules=(part,)).pull(tmp_path / "mirror", only=["torch"])
    assert "git://git.example.org/luajit has the protocol git:// that is not used here" in done.failures[0].message


def test_second_pull_at_the_same_time_is_refused(tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_folder, "PATIENCE", 0.2)
    (tmp_path / "mirror" / ".pull").mkdir(parents=True)
    with (tmp_path / "mirror" / ".pull" / "guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        with pytest.raises(MirrorError, match='another command "provision mirror pull" works on') as caught:
            farm.pull(tmp_path / "mirror")
        assert "Wait until it has ended" in caught.value.advice
    assert len(farm.pull(tmp_path / "mirror").added) == 3


def test_operators_who_share_a_mirror_pull_into_directories_of_their_own(
    tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one has a strict umask, so that the other one can read and change nothing of what he left."""
    mirror, own = tmp_path / "mirror", os.geteuid()
    before = os.umask(0o077)
    try:
        farm.pull(mirror, only=["nn"])
    finally:
        os.umask(before)
    left = {path: path.stat().st_mtime_ns for path in (mirror / ".pull").rglob("*")}
    assert left.pop(mirror / ".pull" / "guard") and (mirror / ".pull" / "guard").stat().st_mode & 0o777 == 0o666
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    assert len(farm.pull(mirror).added) == 2
    assert {path: path.stat().st_mtime_ns for path in left} == left
    assert (mirror / f".pull-{own + 1}" / "git").is_dir()
    with (mirror / ".pull" / "guard").open() as guard, pytest.raises(MirrorError, match="works on"):
        fcntl.flock(guard, fcntl.LOCK_EX)
        monkeypatch.setattr(pull_folder, "PATIENCE", 0.2)
        (mirror / "w.bin").unlink()
        farm.pull(mirror)


@pytest.mark.parametrize("name", [".pull", ".pull-UID", ".pull-UID/archives"])
def test_link_of_another_user_is_not_followed(
    name: str, tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write to the mirror could let root remove or write files anywhere."""
    mirror, aim, own = tmp_path / "mirror", tmp_path / "aim", os.geteuid()
    (aim / "archives").mkdir(parents=True)
    link = mirror / name.replace("UID", str(own + 1))
    link.parent.mkdir(parents=True)
    link.symlink_to(aim)
    if own == 0:
        os.lchown(link, 4321, -1)
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    with pytest.raises(MirrorError, match=f"{link} is a link") as caught:
        farm.pull(mirror)
    assert ("Remove it" in caught.value.advice, [*aim.iterdir()]) == (True, [aim / "archives"])


def test_link_of_its_owner_is_followed(tmp_path: Path, farm: Farm) -> None:
    mirror, disk = tmp_path / "mirror", tmp_path / "disk"
    mirror.mkdir()
    disk.mkdir()
    (mirror / ".pull").symlink_to(disk)
    assert (len(farm.pull(mirror).added), (disk / "git").is_dir()) == (3, True)


def test_pull_that_waited_for_another_moves_only_what_is_missing(
    tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = pull.inventory(tmp_path / "mirror")
    farm.pull(tmp_path / "mirror", only=["torch", "weights"])
    real, asked = pull.inventory, iter([nothing])
    monkeypatch.setattr(pull, "inventory", lambda mirror: next(asked, None) or real(mirror))
    assert [entry.name for entry in farm.pull(tmp_path / "mirror").added] == ["nn"]


def test_full_disk_is_told_before_anything_is_moved(
    tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage._replace(free=1_000))
    with pytest.raises(MirrorError, match=r"has 1,000 bytes free, but this needs at least 204,800"):
        farm.pull(tmp_path / "mirror")


def test_disk_that_fills_up_is_told_and_the_rest_is_kept(
    tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = source_archive.write

    def full(file: Path, top: str, *more: Any) -> tar_writer.Written:
        if top == "torch":
            with Path("/dev/full").open("w") as device:
                device.write("x")
        return real(file, top, *more)

    monkeypatch.setattr(source_archive, "write", full)
    done = farm.pull(tmp_path / "mirror")
    assert [entry.name for entry in done.added] == ["nn", "weights"]
    assert "No space left on device" in done.failures[0].message
    assert "Free some space" in done.failures[0].advice


@pytest.mark.parametrize("program", ["git", "curl"])
def test_missing_program_is_told(tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program else real(name))
    with pytest.raises(UsageError, match=f"does not have the program {program}") as caught:
        farm.pull(tmp_path / "mirror")
    assert f"apt-get install {program}" in caught.value.advice


def test_directory_where_nobody_may_write_is_told(tmp_path: Path, farm: Farm) -> None:
    (tmp_path / "mirror").write_text("a file")
    with pytest.raises(MirrorError, match="mirror"):
        farm.pull(tmp_path / "mirror")


def kill_at(farm: Farm, mirror: Path, moment: int) -> bool:
    """Pull in a process that kills itself at the `moment`-th change of the disk or start of a program."""
    process = os.fork()
    if process == 0:
        count = 0

        def hook(event: str, _given: object) -> None:
            nonlocal count
            if event in (
                "os.rename",
                "os.mkdir",
                "os.link",
                "os.remove",
                "os.rmdir",
                "subprocess.Popen",
                "tempfile.mkstemp",
            ):
                count += 1
                if count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            os._exit(0 if not farm.pull(mirror).failures else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(process, 0)
    assert status == 0 or os.WIFSIGNALED(status)
    return os.WIFSIGNALED(status)


@pytest.mark.slow
def test_pull_that_is_killed_at_any_moment_is_continued_to_the_same_mirror(tmp_path: Path, farm: Farm) -> None:
    farm.pull(tmp_path / "whole")
    whole = content(tmp_path / "whole")
    moments = random.Random(11).sample(range(1, 55), 10)  # an uninterrupted pull has about 60 of them
    killed = 0
    for moment in moments:
        mirror = tmp_path / f"killed {moment}"
        killed += kill_at(farm, mirror, moment)
        # What has a final name is complete: listed in the lock with its digest, or about to be.
        if (mirror / "mirror.lock").exists():
            assert not [f for f in store.verify(mirror, farm.catalogue).findings if f.problem != "surplus"]
        killed += kill_at(farm, mirror, 1 + moment // 3)
        assert farm.pull(mirror).failures == ()
        assert content(mirror) == whole
    assert killed >= 15


def test_what_a_killed_pull_left_is_removed_by_the_next(tmp_path: Path, farm: Farm) -> None:
    """But not what is complete, nor the part of a file, which is continued."""
    cache = tmp_path / "mirror" / ".pull"
    part = cache / "files" / f"{repositories.SHA256}.incomplete"
    for file in (cache / "git" / ".part-x" / "objects" / "y", cache / "archives" / "torch.tar", part):
        file.parent.mkdir(parents=True)
        file.write_bytes(repositories.WEIGHTS[:1_000])
    assert len(farm.pull(tmp_path / "mirror").added) == 3
    assert sorted(path.name for path in cache.iterdir()) == ["archives", "files", "git", "guard"]
    assert [path for name in ("archives", "files") for path in (cache / name).iterdir()] == []
    assert [path.name for path in (cache / "git").iterdir() if path.name.startswith(git.PART)] == []


def test_interrupted_pull_ends_its_programs(tmp_path: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server never answers; Ctrl-C ends the command and git."""
    sleeper = tmp_path / "bin" / "git-upload-pack"
    sleeper.parent.mkdir()
    sleeper.write_text(f"#!/bin/sh\necho $$ >'{tmp_path}/process'\nexec sleep 60\n")
    sleeper.chmod(0o755)
    script = f"""
import os, signal, sys, threading, time
from pathlib import Path
from neuraltalk_provision.mirror import git
stop = threading.Event()
def interrupt():
    while not Path({str(tmp_path / "process")!r}).exists():
        time.sleep(0.05)
    stop.set()
threading.Thread(target=interrupt).start()
try:
    git.fetch(Path({str(tmp_path / "cache")!r}), {(farm.place / "nn.git").as_uri()!r}, "1" * 40, stop=stop)
except Exception as error:
    print(type(error).__name__)
"""
    environment = {
        **os.environ,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "remote.x.uploadpack",
        "GIT_CONFIG_VALUE_0": "x",
        "PATH": f"{sleeper.parent}:{os.environ['PATH']}",
        "GIT_EXEC_PATH": str(exec_path(tmp_path, sleeper)),
        "PYTHONPATH": ":".join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=30)
    assert done.stdout == "MirrorError\n", done.stderr
    process = int((tmp_path / "process").read_text())
    state = Path(f"/proc/{process}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def exec_path(tmp_path: Path, sleeper: Path) -> Path:
    """A directory of git's own programs with another git-upload-pack."""
    real = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())
    folder = tmp_path / "exec"
    folder.mkdir()
    for program in real.iterdir():
        (folder / program.name).symlink_to(program)
    (folder / "git-upload-pack").unlink()
    (folder / "git-upload-pack").symlink_to(sleeper)
    return folder
