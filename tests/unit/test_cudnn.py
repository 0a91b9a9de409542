"""The swap of cuDNN: when it is refused, that a kill at any time loses nothing, and that it can be undone exactly."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.kill import killed
from tests.standin import cudnn as standin
from tests.unit.modules import ModuleError

pytestmark = pytest.mark.slow

Run = Callable[..., dict[str, Any]]
V5, V6, V4 = "5.0.5", "6.0.21", "4.0.7"


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("cudnn.swap")


@pytest.fixture
def inspection(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("cudnn.inspection")


@pytest.fixture
def archiving(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("cudnn.archive")


@pytest.fixture
def ldconfig(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("cudnn.ldconfig")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A CUDA directory with nothing of cuDNN, at a path with a space and a quote."""
    place = tmp_path / "the site's cuda-7.5"
    for folder in ("include", "lib64"):
        (place / folder).mkdir(parents=True)
        (place / folder / "another file").write_text("of CUDA itself")
    return place


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-in archives, as NVIDIA packs them."""
    folder = tmp_path_factory.mktemp("archives")
    for version in (V5, V6):
        (folder / f"{version}.tgz").write_bytes(standin.archive(version))
    (folder / "arm.tgz").write_bytes(standin.archive(V5, machine="aarch64"))
    return folder


@pytest.fixture
def archive(archives: Path) -> Path:
    return archives / f"{V5}.tgz"


def picture(tree: Path) -> dict[str, tuple[Any, ...]]:
    """Everything in the tree: kind, mode, owner, time and content, but for the times of directories."""
    seen: dict[str, tuple[Any, ...]] = {}
    for path in sorted(tree.rglob("*")):
        info = path.lstat()
        what: Any = ""
        if path.is_symlink():
            what = os.readlink(path)  # noqa: PTH115
        elif path.is_file():
            what = path.read_bytes()
        if not path.is_dir() or path.is_symlink():
            seen[str(path.relative_to(tree))] = (info.st_mode, info.st_uid, info.st_gid, info.st_mtime, what)
    return seen


def versions(inspection: ModuleType, tree: Path) -> tuple[str, str, str]:
    """State, header and library, as told."""
    seen = inspection.inspect(inspection.Tree(str(tree)))
    return seen["state"], seen["header"], seen["library"]


def swap(run_module: Run, tree: Path, archive: Path, **more: Any) -> dict[str, Any]:
    given = {"version": V5, "state": "swapped", "ldconfig": False, **more}
    return run_module("cudnn_swap", cuda=tree, archive=archive, **given)


def restore(run_module: Run, tree: Path, **more: Any) -> dict[str, Any]:
    return run_module("cudnn_swap", cuda=tree, state="restored", ldconfig=False, **more)


def test_v4_as_tensorflow_left_it_is_swapped_and_kept_where_the_seed_keeps_it(
    inspection: ModuleType, run_module: Run, tree: Path, archive: Path
) -> None:
    standin.place(tree, V4)
    before = picture(tree)
    said = swap(run_module, tree, archive)
    assert said["changed"] is True
    assert versions(inspection, tree) == ("whole", V5, V5)
    kept = {
        "include/cudnn_v4/cudnn.h": "include/cudnn.h",
        "lib64/cudnn_v4/libcudnn.so": "lib64/libcudnn.so",
        "lib64/cudnn_v4/libcudnn.so.4": "lib64/libcudnn.so.4",
        "lib64/cudnn_v4/libcudnn.so.4.0.7": "lib64/libcudnn.so.4.0.7",
        "lib64/cudnn_v4/libcudnn_static.a": "lib64/libcudnn_static.a",
    }
    after = picture(tree)
    assert {place: before[origin] for place, origin in kept.items()} == {place: after[place] for place in kept}
    assert {str(tree / place) for place in kept} == set(said["cudnn"]["backup"])
    lib = tree / "lib64"
    assert os.readlink(lib / "libcudnn.so") == "libcudnn.so.5"  # noqa: PTH115
    assert os.readlink(lib / "libcudnn.so.5") == "libcudnn.so.5.0.5"  # noqa: PTH115
    assert stat.S_IMODE((lib / "libcudnn.so.5.0.5").stat().st_mode) == 0o755
    assert not (lib / "libcudnn.so.4").exists()
    assert not (tree / ".neuraltalk-cudnn" / "new").exists()


@pytest.mark.parametrize("links", [False, True])
def test_restoration_leaves_everything_as_it_was(run_module: Run, tree: Path, archive: Path, links: bool) -> None:
    standin.place(tree, V4, links=links)
    before = picture(tree)
    swap(run_module, tree, archive)
    assert picture(tree) != before
    (tree / "lib64" / "libcudnn.so.5").unlink()  # what is missing is no change that would be lost
    assert restore(run_module, tree)["changed"] is True
    assert picture(tree) == before
    assert restore(run_module, tree)["changed"] is False


def test_where_there_was_none_it_is_put_and_taken_away_again(
    inspection: ModuleType, run_module: Run, tree: Path, archive: Path
) -> None:
    before = picture(tree)
    assert swap(run_module, tree, archive)["changed"] is True
    assert versions(inspection, tree) == ("whole", V5, V5)
    restore(run_module, tree)
    assert picture(tree) == before


@pytest.mark.parametrize("version", ["5.0.5", "5.1.10"])
def test_second_swap_and_a_v5_that_is_there_are_left_alone(
    run_module: Run, tree: Path, archive: Path, version: str
) -> None:
    standin.place(tree, version, links=True)
    before = picture(tree)
    assert swap(run_module, tree, archive)["changed"] is False
    assert picture(tree) == before


def test_swap_after_a_swap_changes_nothing(run_module: Run, tree: Path, archive: Path) -> None:
    standin.place(tree, V4)
    swap(run_module, tree, archive)
    before = picture(tree)
    assert swap(run_module, tree, archive)["changed"] is False
    assert picture(tree) == before


def refused(run_module: Run, tree: Path, archive: Path, words: str, **more: Any) -> None:
    """The swap is refused in these words, in check mode too where that can be known, and nothing has changed."""
    before = picture(tree)
    with pytest.raises(ModuleError, match=words):
        swap(run_module, tree, archive, **more)
    assert picture(tree) == before


def test_newer_one_is_not_overwritten_unless_told(run_module: Run, tree: Path, archive: Path) -> None:
    standin.place(tree, V6, links=True)
    before = picture(tree)
    refused(run_module, tree, archive, "contains cuDNN 6.0.21, which is newer than the 5.0.5")
    with pytest.raises(ModuleError, match="newer"):
        swap(run_module, tree, archive, check=True)
    assert swap(run_module, tree, archive, foreign=True)["changed"] is True
    assert (tree / "lib64" / "cudnn_v6" / "libcudnn.so.6.0.21").is_file()
    restore(run_module, tree)
    assert picture(tree) == before


def test_half_copied_one_is_told_by_what_header_and_library_say(run_module: Run, tree: Path, archive: Path) -> None:
    standin.place(tree, V5, links=True)
    (tree / "include" / "cudnn.h").unlink()
    standin.put(tree / "include" / "cudnn.h", standin.HEADER.format(4, 0, 7).encode(), 0o444)
    refused(run_module, tree, archive, r"its header says 4\.0\.7, its library 5\.0\.5")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda content: content[: len(content) // 2], "bad.tgz is (not a complete tar archive|a web page)"),
        (lambda content: b"<html>not found</html>", "bad.tgz is (not a complete tar archive|a web page)"),
    ],
    ids=["truncated", "a page"],
)
def test_archive_that_is_not_whole_changes_nothing(
    run_module: Run, tree: Path, archive: Path, tmp_path: Path, spoil: Callable[[bytes], bytes], words: str
) -> None:
    standin.place(tree, V4)
    bad = tmp_path / "bad.tgz"
    bad.write_bytes(spoil(archive.read_bytes()))
    refused(run_module, tree, bad, words)


def test_archive_of_another_version_or_machine_changes_nothing(run_module: Run, tree: Path, archives: Path) -> None:
    standin.place(tree, V4)
    refused(run_module, tree, archives / f"{V6}.tgz", "its header says 6.0.21, its library 6.0.21, expected 5.0.5")
    refused(run_module, tree, archives / "arm.tgz", "contains a cuDNN for aarch64, but this host is a")


def test_link_to_the_directory_is_refused_with_what_it_points_at(
    run_module: Run, tree: Path, archive: Path, tmp_path: Path
) -> None:
    standin.place(tree, V4)
    (tmp_path / "cuda").symlink_to(tree)
    before = picture(tree)
    with pytest.raises(ModuleError, match="is a link, which could be changed during the swap") as caught:
        swap(run_module, tmp_path / "cuda", archive)
    assert str(tree) in caught.value.result["msg"]
    with pytest.raises(ModuleError, match="is a link, which could be changed during the swap"):
        restore(run_module, tmp_path / "cuda")
    assert picture(tree) == before


def test_directory_that_is_no_cuda_directory_is_refused(run_module: Run, tmp_path: Path, archive: Path) -> None:
    (tmp_path / "include").mkdir()
    with pytest.raises(ModuleError, match="lib64 does not exist"):
        swap(run_module, tmp_path, archive)


def test_directory_that_cannot_be_written_is_refused(
    module: ModuleType, run_module: Run, tree: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.place(tree, V4)
    monkeypatch.setattr(module.os, "access", lambda path, mode: not path.endswith("lib64"))
    refused(run_module, tree, archive, "lib64 cannot be written")


def test_directories_on_different_file_systems_are_refused(
    module: ModuleType, inspection: ModuleType, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename between them would be a copy."""
    module.check_tree(inspection.Tree(str(tree)))
    stat = os.stat

    def elsewhere(path: Any, **how: Any) -> os.stat_result:
        found = stat(path, **how)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if path == str(tree / "lib64") else found

    monkeypatch.setattr(module.os, "stat", elsewhere)
    with pytest.raises(module.StackError, match="its include and its lib64 are on different file systems"):
        module.check_tree(inspection.Tree(str(tree)))


def test_full_disk_is_known_before_anything_is_unpacked(
    archiving: ModuleType, run_module: Run, tree: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.place(tree, V4)
    monkeypatch.setattr(archiving, "SPARE", 1 << 60)
    refused(run_module, tree, archive, "free some space")


def test_disk_that_fills_in_the_middle_leaves_what_was_there(
    archiving: ModuleType, run_module: Run, tree: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.place(tree, V4)

    def full(*_given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archiving.shutil, "copyfileobj", full)
    refused(run_module, tree, archive, "could not be unpacked.*No space left on device")


@pytest.mark.parametrize("missing", ["archive", "version"])
@pytest.mark.parametrize("check", [True, False])
def test_swap_without_archive_or_version_is_refused(
    run_module: Run, tree: Path, archive: Path, missing: str, check: bool
) -> None:
    """Check mode predicted a swap, and without it a directory that exists was said to be missing."""
    standin.place(tree, V4)
    given = {"archive": archive, "version": V5, missing: ""}
    with pytest.raises(ModuleError, match="the state swapped needs the options archive and version"):
        run_module("cudnn_swap", check=check, cuda=tree, state="swapped", ldconfig=False, **given)


def test_process_that_has_it_mapped_is_named_and_swapped_under_only_when_told(
    run_module: Run, tree: Path, archive: Path
) -> None:
    standin.place(tree, V4)
    hold = "import ctypes, sys\nctypes.CDLL(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(tree / "lib64" / "libcudnn.so.4")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout and user.stdout.readline() == "held\n"
        refused(run_module, tree, archive, rf"is in use by pid {user.pid} \(")
        with pytest.raises(ModuleError, match="is in use by"):
            swap(run_module, tree, archive, check=True)
        users = run_module("cudnn_swap", cuda=tree, state="status", ldconfig=False)["users"]
        assert [found["pid"] for found in users] == [user.pid]
        # Every user of the host chooses his command line: he must not be able to give our users advice.
        assert "\n" not in users[0]["command"]
        assert swap(run_module, tree, archive, in_use=True)["changed"] is True
        user.communicate("")
        assert user.returncode == 0


def test_check_mode_predicts_and_changes_nothing(run_module: Run, tree: Path, archive: Path) -> None:
    standin.place(tree, V4)
    before = picture(tree)
    said = swap(run_module, tree, archive, check=True)
    assert said["changed"] is True
    assert (said["diff"]["before"].splitlines()[0], said["diff"]["after"].splitlines()[0]) == (
        "cudnn.h 4.0.7",
        "cudnn.h 5.0.5",
    )
    assert restore(run_module, tree, check=True)["changed"] is False
    assert picture(tree) == before
    swap(run_module, tree, archive)
    assert swap(run_module, tree, archive, check=True)["changed"] is False
    assert restore(run_module, tree, check=True)["changed"] is True


def test_backup_of_somebody_elses_hand_is_not_overwritten(run_module: Run, tree: Path, archive: Path) -> None:
    standin.place(tree, V4)
    (tree / "lib64" / "cudnn_v4").mkdir()
    (tree / "lib64" / "cudnn_v4" / "libcudnn.so").write_text("mine")
    refused(run_module, tree, archive, "exists already, and no swap created it")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", ["swap", "restore"])
def test_killed_anywhere_the_next_command_finds_one_of_the_two_whole(
    module: ModuleType,
    inspection: ModuleType,
    tmp_path: Path,
    archive: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    verb: str,
) -> None:
    """At steps of the whole way: the next swap then gets to v5, the next restoration to v4 as it was."""
    monkeypatch.setattr(module, "users", lambda tree: [])  # reads what all processes of this machine have mapped
    stride = 1 if os.environ.get("KILL_ALL") else 3
    steps = 0
    while True:
        steps += stride
        tree = tmp_path / f"{verb} {steps}"
        standin.place(tree, V4)
        before = picture(tree)
        ours = inspection.Tree(str(tree))
        if verb == "restore":
            module.swap(ours, str(archive), V5, os.uname().machine)

        def act(ours: Any = ours) -> None:
            if verb == "swap":
                module.swap(ours, str(archive), V5, os.uname().machine)
            else:
                module.restore(ours)

        if not killed(steps, when, act):
            break
        if steps % 2:
            module.swap(ours, str(archive), V5, os.uname().machine)
            assert versions(inspection, tree) == ("whole", V5, V5), (
                f"killed {when} step {steps} of a {verb}, then swapped"
            )
        module.restore(ours)
        assert picture(tree) == before, f"killed {when} step {steps} of a {verb}, then restored"
    assert steps > 10, "the steps of a swap were counted"


def test_library_that_is_wrong_afterwards_is_taken_back(
    module: ModuleType, run_module: Run, tree: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.place(tree, V4)
    real = module.register

    def spoil(ours: Any, *given: Any) -> None:
        standin.put(tree / "include" / "cudnn.h", b"", 0o444)
        real(ours, *given)

    monkeypatch.setattr(module, "register", spoil)
    refused(run_module, tree, archive, "the header said - and the library 5.0.5.*The previous state was restored")


LDCONFIG = """#!/bin/sh
test "$1" = -p || exit 0
test -f '{conf}' && for one in '{lib}'/libcudnn.so.[0-9]; do echo "	$(basename "$one") (libc6,x86-64) => $one"; done
exit 0
"""


def test_loader_is_told_of_the_directory_where_it_does_not_know_it(
    module: ModuleType, inspection: ModuleType, ldconfig: ModuleType, tree: Path, archive: Path, tmp_path: Path
) -> None:
    """With a stand-in ldconfig, which knows the directory once the configuration names it."""
    standin.place(tree, V4)
    conf, command = tmp_path / "ld.so.conf.d" / "ours.conf", tmp_path / "ldconfig"
    command.write_text(LDCONFIG.format(conf=conf, lib=str(tree / "lib64").replace("'", "'\\''")))
    command.chmod(0o755)
    loader = ldconfig.Loader(str(tree), str(conf), str(command))
    ours = inspection.Tree(str(tree))
    before = picture(tree)
    module.swap(ours, str(archive), V5, os.uname().machine, loader=loader)
    assert conf.read_text().splitlines()[-1] == str(tree / "lib64")
    module.restore(ours, loader)
    assert not conf.exists()
    assert picture(tree) == before


def test_library_that_the_loader_does_not_find_is_taken_back(
    module: ModuleType, inspection: ModuleType, ldconfig: ModuleType, tree: Path, archive: Path, tmp_path: Path
) -> None:
    standin.place(tree, V4)
    command = tmp_path / "ldconfig"
    command.write_text("#!/bin/sh\nexit 0\n")
    command.chmod(0o755)
    before = picture(tree)
    loader = ldconfig.Loader(str(tree), str(tmp_path / "conf" / "ours.conf"), str(command))
    with pytest.raises(module.StackError, match=r"ldconfig does not find libcudnn\.so\.5"):
        module.swap(inspection.Tree(str(tree)), str(archive), V5, os.uname().machine, loader=loader)
    assert picture(tree) == before
    assert not (tmp_path / "conf" / "ours.conf").exists()


def test_restoration_that_misses_a_kept_file_touches_nothing(run_module: Run, tree: Path, archive: Path) -> None:
    standin.place(tree, V4)
    swap(run_module, tree, archive)
    (tree / "lib64" / "cudnn_v4" / "libcudnn.so.4").unlink()
    before = picture(tree)
    for _again in range(2):
        with pytest.raises(ModuleError, match=r"libcudnn\.so\.4 is missing, both in its place and in .*cudnn_v4"):
            restore(run_module, tree)
        assert picture(tree) == before


def test_restoration_does_not_overwrite_what_somebody_put_there_since(
    run_module: Run, tree: Path, archive: Path
) -> None:
    standin.place(tree, V4)
    swap(run_module, tree, archive)
    (tree / "include" / "cudnn.h").unlink()
    standin.put(tree / "include" / "cudnn.h", b"another", 0o444)
    before = picture(tree)
    with pytest.raises(ModuleError, match=r"cudnn\.h was changed after the swap"):
        restore(run_module, tree)
    assert picture(tree) == before


def test_loader_that_fails_is_no_reason_to_stay_half_way(
    module: ModuleType, inspection: ModuleType, ldconfig: ModuleType, tree: Path, archive: Path, tmp_path: Path
) -> None:
    standin.place(tree, V4)
    before = picture(tree)
    command = tmp_path / "ldconfig"
    command.write_text("#!/bin/sh\necho 'Permission denied' >&2\nexit 1\n")
    command.chmod(0o755)
    loader = ldconfig.Loader(str(tree), str(tmp_path / "ours.conf"), str(command))
    ours = inspection.Tree(str(tree))
    for _again in range(2):
        with pytest.raises(
            module.StackError, match=r"ended with 1: Permission denied\. The previous state was restored"
        ):
            module.swap(ours, str(archive), V5, os.uname().machine, loader=loader)
        assert picture(tree) == before


@pytest.mark.parametrize("registers", [True, False])
def test_undoing_needs_no_room(
    module: ModuleType,
    inspection: ModuleType,
    tree: Path,
    archive: Path,
    monkeypatch: pytest.MonkeyPatch,
    registers: bool,
) -> None:
    """The disk is full from the first file after the journal of the swap on; without a loader that is its end."""
    standin.place(tree, V4)
    before = picture(tree)
    real = module.write_json

    def full(path: str, value: Any) -> None:
        if value["phase"] != "swapping":
            raise OSError(28, "No space left on device", path)
        real(path, value)

    monkeypatch.setattr(module, "write_json", full)
    if registers:
        monkeypatch.setattr(module, "register", lambda *given: full("x", {"phase": "x"}))
    with pytest.raises(module.StackError, match=r"No space left on device\. The previous state was restored"):
        module.swap(inspection.Tree(str(tree)), str(archive), V5, os.uname().machine)
    assert picture(tree) == before


class Killed(BaseException):
    """Nothing of the code runs after it, as after a kill."""


@pytest.mark.parametrize("state", ["swapped", "restored"])
def test_error_that_names_no_file_names_the_directory(
    module: ModuleType, run_module: Run, tree: Path, archive: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Those of Python 2.7 for rename and link."""
    standin.place(tree, V4)
    if state == "restored":
        swap(run_module, tree, archive)
    real = os.rename

    def broken(path: str, target: str) -> None:
        if not target.endswith(".json"):
            raise OSError(5, "Input/output error")
        real(path, target)

    monkeypatch.setattr(module.os, "rename", broken)
    with pytest.raises(ModuleError, match=r"cuda-7\.5: Input/output error") as failed:
        swap(run_module, tree, archive, state=state)
    assert failed.value.result["code"] == "disk.broken"


def test_temporary_files_of_a_killed_swap_are_removed_by_the_next_one(
    module: ModuleType, inspection: ModuleType, ldconfig: ModuleType, tree: Path, archive: Path, tmp_path: Path
) -> None:
    """Those of the journal, and of the configuration of the loader."""

    def kill(_directory: str) -> None:
        (tmp_path / "ld.so.conf.d").mkdir()
        for folder in (tree / ".neuraltalk-cudnn", tmp_path / "ld.so.conf.d"):
            (folder / ".new-ab12_x9z").write_text("half")
        os.kill(os.getpid(), 9)

    standin.place(tree, V4)
    command = tmp_path / "ldconfig"
    command.write_text("#!/bin/sh\nexit 0\n")
    command.chmod(0o755)
    loader = ldconfig.Loader(str(tree), str(tmp_path / "ld.so.conf.d" / "ours.conf"), str(command))
    loader.add = kill
    ours = inspection.Tree(str(tree))
    assert killed(0, "", lambda: module.swap(ours, str(archive), V5, os.uname().machine, loader=loader))
    assert len(list(tmp_path.rglob(".new-*"))) == 2
    module.swap(ours, str(archive), V5, os.uname().machine)
    assert not list(tmp_path.rglob(".new-*"))


def test_loader_is_told_by_the_next_restoration_if_one_is_killed_before(
    module: ModuleType, inspection: ModuleType, tree: Path, archive: Path
) -> None:
    """Otherwise its cache names a library that is gone, and not the one that is there again."""
    told = []

    def refresh() -> None:
        told.append((tree / "lib64" / "libcudnn.so.4").exists())
        if len(told) == 1:
            raise Killed

    standin.place(tree, V4)
    ours, loader = inspection.Tree(str(tree)), SimpleNamespace(refresh=refresh)
    module.swap(ours, str(archive), V5, os.uname().machine)
    with pytest.raises(Killed):
        module.restore(ours, loader)
    module.restore(ours, loader)
    module.restore(ours, loader)
    assert told == [True, True]
    assert not (tree / ".neuraltalk-cudnn").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a directory of another user takes root to make")
@pytest.mark.parametrize("part", [".", "include", "lib64"])
def test_cuda_directory_that_another_user_can_change_is_refused(
    module: ModuleType, inspection: ModuleType, tree: Path, archives: Path, part: str
) -> None:
    os.chown(tree / part, 65534, 0)
    with pytest.raises(module.StackError, match=r"belongs to .* chown it to root, or name another CUDA directory"):
        module.swap(inspection.Tree(str(tree)), str(archives / f"{V5}.tgz"), V5, "x86_64")
    assert not (tree / ".neuraltalk-cudnn").exists()


@pytest.mark.parametrize(
    ("number", "words", "code"),
    [
        (errno.EWOULDBLOCK, "another swap is running in ", "busy"),
        (errno.ENOLCK, r"lock cannot be locked: No locks available\. .* file system that has locks", ""),
    ],
)
def test_lock_that_is_held_is_told_from_one_that_is_impossible(
    module: ModuleType,
    inspection: ModuleType,
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    words: str,
    code: str,
) -> None:
    def flock(_file: object, _how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.fcntl, "flock", flock)
    with pytest.raises(module.StackError, match=words) as caught, module.Lock(inspection.Tree(str(tree))):
        pass
    assert caught.value.details.get("code", "") == code
