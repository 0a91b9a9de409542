"""Generations: sealed when complete, made current by one rename, removed, withdrawn, and rolled back."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.kill import killed
from tests.unit import test_host_use as host_use
from tests.unit.modules import ModuleError, as_installed

Run = Callable[..., dict[str, Any]]
DAY = 86400
SEAL = "generation.json"
PARTS = {"torch": "d-torch", "nn": "d-nn"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A stack root at a path with a space and a quote."""
    place = tmp_path / "the 'stack' root"
    place.mkdir()
    return place


@pytest.fixture
def generations(run_module: Run, root: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[[str], ModuleType]) -> Run:
    """The module, with a clock that moves on at each look."""
    ticks = iter(range(1000, 9999))
    monkeypatch.setattr(load("host.manifest").time, "time", lambda: next(ticks))

    def generations(state: str, id_: str = "", **more: Any) -> dict[str, Any]:
        return run_module("stack_generation", stack_root=root, state=state, id=id_, **more)

    return generations


def build(root: Path, id_: str, **stamps: str) -> None:
    folder = root / "generations" / id_ / "stamps"
    folder.mkdir(parents=True)
    for name, digest in {**PARTS, **stamps}.items():
        (folder / f"{name}.json").write_text(json.dumps({"digest": digest}))
    as_installed(folder.parent)


def sealed(root: Path, generations: Run, *ids: str) -> None:
    for id_ in ids:
        build(root, id_)
        generations("sealed", id_, components=PARTS)


def activated(generations: Run, id_: str, keep: int = 3) -> dict[str, Any]:
    """What the removal after the activation of a generation returns."""
    generations("current", id_)
    return generations("pruned", keep=keep)


def current(root: Path) -> str:
    return os.path.basename(os.readlink(root / "current"))  # noqa: PTH115, PTH119


def there(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "generations").iterdir())


def test_whole_generation_is_sealed_once(generations: Run, root: Path) -> None:
    build(root, "a")
    assert generations("sealed", "a", components=PARTS)["changed"] is True
    assert json.loads((root / "generations" / "a" / "generation.json").read_text())["components"] == PARTS
    assert generations("sealed", "a", components=PARTS)["changed"] is False


def test_link_to_a_generation_that_somebody_deleted_is_removed_before_a_new_one_is_built(
    generations: Run, root: Path
) -> None:
    sealed(root, generations, "a", "b")
    activated(generations, "a")
    activated(generations, "b")
    generations("open", controller="me")
    assert current(root) == "b"
    shutil.rmtree(root / "generations" / "b")
    assert generations("open", controller="me", check=True)["current"] == "b"
    assert generations("open", controller="me")["current"] == ""
    assert not (root / "current").is_symlink(), "a new b would be current before it was tried"
    sealed(root, generations, "b")
    activated(generations, "b")
    assert current(root) == "b"
    assert json.loads((root / "history.json").read_text())["previous"] == "a"


def test_link_stays_until_an_activation_that_nobody_confirmed_has_been_undone(
    generations: Run, root: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(root, generations, "a")
    activated(generations, "a")
    shutil.rmtree(root / "generations" / "a")
    monkeypatch.setattr(load("stack_generation"), "activation_facts", lambda _root: {"state": "unconfirmed"})
    assert generations("open", controller="me")["current"] == "a"
    assert current(root) == "a"


def test_seal_notes_every_file_and_opens_them_to_readers(generations: Run, root: Path) -> None:
    build(root, "a")
    home = root / "generations" / "a"
    (home / "torch" / "bin").mkdir(parents=True, mode=0o700)
    (home / "logs").mkdir()
    for name, mode in {"torch/bin/th": 0o4700, "torch/open": 0o666, "logs/python.log": 0o600}.items():
        (home / name).write_text(name)
        (home / name).chmod(mode)
    (home / "torch" / "link").symlink_to("/etc/shadow")
    as_installed(home)
    generations("sealed", "a", components=PARTS)
    lines = [json.loads(line) for line in (home / "manifest").read_text().splitlines()]
    noted = {line.pop("path"): line for line in lines}
    stamps, torch = {"stamps/nn.json", "stamps/torch.json"}, {"torch/bin", "torch/link", "torch/open", "torch/bin/th"}
    assert set(noted) == {"stamps", "torch"} | stamps | torch
    assert noted["torch/bin"] == {"type": "directory", "mode": "0755"}
    assert noted["torch/link"] == {"type": "link", "target": "/etc/shadow"}
    sha256 = hashlib.sha256(b"torch/open").hexdigest()
    assert noted["torch/open"] == {"type": "file", "mode": "0644", "size": 10, "sha256": sha256}
    assert noted["torch/bin/th"]["mode"] == "0755"
    assert (home / "torch" / "bin" / "th").stat().st_mode & 0o7777 == 0o755
    assert (home / "logs" / "python.log").stat().st_mode & 0o777 == 0o600
    seal = json.loads((home / "generation.json").read_text())
    assert seal["manifest"] == hashlib.sha256((home / "manifest").read_bytes()).hexdigest()


def test_everything_is_on_the_disk_before_the_seal_is_written(
    generations: Run, root: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    build(root, "a")
    home, seen = root / "generations" / "a", list[tuple[str, bool, bool]]()

    def note(name: str, _path: str) -> None:
        seen.append((name, (home / "manifest").exists(), (home / SEAL).exists()))

    for name in ("sync_tree", "sync"):
        monkeypatch.setattr(load("stack_generation"), name, functools.partial(note, name))
    generations("sealed", "a", components=PARTS)
    assert seen == [("sync_tree", True, False), ("sync", True, True)]


@pytest.mark.parametrize("how", ["without", "another", "gone", "opened anew"])
def test_generation_whose_manifest_does_not_hold_is_sealed_again(generations: Run, root: Path, how: str) -> None:
    build(root, "a")
    home = root / "generations" / "a"
    opened(generations, {"path": "environment", "content": "export A=1\n"}, id_="a")
    generations("sealed", "a", components=PARTS)
    match how:
        case "without":
            (home / "generation.json").write_text('{"id": "a"}')
        case "another":
            (home / "manifest").write_text("{}\n")
        case "gone":
            (home / "manifest").unlink()
        case _:
            opened(generations, {"path": "environment", "content": "export A=2\n"}, id_="a")
    assert generations("sealed", "a", components=PARTS)["changed"] is True
    assert generations("sealed", "a", components=PARTS)["changed"] is False


def test_generation_sealed_before_manifests_can_be_gone_back_to(generations: Run, root: Path) -> None:
    sealed(root, generations, "a", "b")
    (root / "generations" / "a" / "generation.json").write_text('{"id": "a"}')
    generations("current", "a")
    generations("current", "b")
    assert generations("previous")["current"] == "a"


@pytest.mark.parametrize("stamps", [{"nn": "other"}, {"torch": ""}])
def test_generation_with_another_stamp_is_not_sealed(generations: Run, root: Path, stamps: dict[str, str]) -> None:
    build(root, "a", **stamps)
    with pytest.raises(ModuleError, match=f"generation a is not complete: {next(iter(stamps))}"):
        generations("sealed", "a", components=PARTS)
    assert not (root / "generations" / "a" / "generation.json").exists()


def test_generation_without_a_stamp_is_not_sealed(generations: Run, root: Path) -> None:
    build(root, "a")
    with pytest.raises(ModuleError, match="generation a is not complete: hdf5, image"):
        generations("sealed", "a", components={**PARTS, "image": "x", "hdf5": "y"})


def test_first_generation_becomes_current_by_a_relative_link(generations: Run, root: Path) -> None:
    sealed(root, generations, "a")
    said = generations("current", "a")
    assert (said["changed"], said["current"], said["previous"]) == (True, "a", "")
    assert Path(os.readlink(root / "current")) == Path("generations/a")  # noqa: PTH115
    assert generations("current", "a")["changed"] is False


def test_current_is_never_missing_and_changes_by_one_rename(
    generations: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(root, generations, "a", "b")
    generations("current", "a")
    rename, seen = os.rename, []

    def watched(source: str, target: str) -> None:
        if Path(target) == root / "current":
            seen.append((current(root), os.readlink(source)))  # noqa: PTH115
        rename(source, target)

    monkeypatch.setattr(os, "rename", watched)
    generations("current", "b")
    assert seen == [("a", "generations/b")]
    assert current(root) == "b"


def test_link_that_a_killed_activation_left_is_no_hindrance(generations: Run, root: Path) -> None:
    sealed(root, generations, "a")
    (root / "current.new").symlink_to("generations/gone")
    generations("current", "a")
    assert current(root) == "a"
    assert not (root / "current.new").is_symlink()


@pytest.mark.parametrize("state", ["current", "previous"])
def test_generation_that_is_not_whole_never_becomes_current(generations: Run, root: Path, state: str) -> None:
    sealed(root, generations, "a")
    generations("current", "a")
    build(root, "b")
    for id_ in ("b", "gone"):
        with pytest.raises(ModuleError, match=f"generation {id_} is not complete on this host, or does not exist"):
            generations(state, id_)
    assert current(root) == "a"


def test_oldest_generations_go_beyond_those_that_are_kept(generations: Run, root: Path) -> None:
    sealed(root, generations, *"abcd")
    for id_ in "abc":
        generations("current", id_)
    assert activated(generations, "d", 2)["removed"] == ["b", "a"]
    assert there(root) == ["c", "d"]


def test_activation_itself_removes_nothing(generations: Run, root: Path) -> None:
    """It is not confirmed yet, and the host may return."""
    sealed(root, generations, *"abcd")
    for id_ in "abcd":
        assert generations("current", id_, keep=1)["removed"] == []
    assert there(root) == list("abcd")


def test_check_mode_predicts_what_is_removed(generations: Run, root: Path) -> None:
    sealed(root, generations, *"abcd")
    for id_ in "abcd":
        generations("current", id_)
    said = generations("pruned", keep=2, check=True)
    assert (said["changed"], said["removed"], there(root)) == (True, ["b", "a"], list("abcd"))
    assert generations("pruned", keep=2)["removed"] == ["b", "a"]
    assert generations("pruned", keep=2)["changed"] is False


@pytest.mark.parametrize("keep", [0, 1])
def test_current_generation_and_its_predecessor_are_never_removed(generations: Run, root: Path, keep: int) -> None:
    sealed(root, generations, *"abc")
    generations("current", "a")
    generations("current", "b")
    assert activated(generations, "c", keep)["removed"] == ["a"]
    assert there(root) == ["b", "c"]


@pytest.mark.parametrize("how", ["running", "elsewhere", "lock", "program"])
def test_generation_that_a_run_or_a_program_uses_is_never_removed(generations: Run, root: Path, how: str) -> None:
    sealed(root, generations, "a", "b", "c", "d")
    generations("current", "a")
    me = {"pid": os.getpid(), "start": host_use.start_of(os.getpid())}
    match how:
        case "running":
            host_use.make(root, "x", process_json=me)
        case "elsewhere":
            place = host_use.make(root, "x", state_json={"pid": 1, "start": "1", "node": "far"})
            os.utime(place / "run.json", (1, 1))
        case "lock":
            host_use.make(root, "x", exit="0")
            handle = host_use.lock(root, "x")
        case "program":
            (root / "generations" / "a" / "bin").mkdir()
            luajit = shutil.copy(host_use.SLEEP, root / "generations" / "a" / "bin" / "luajit")
            process = subprocess.Popen([luajit, "600"])
    if how != "program":
        record = root / "runs" / "x" / "run.json"
        record.write_text(record.read_text().replace('"g1"', '"a"'))
    try:
        for name in ("b", "c", "d"):
            generations("current", name)
        assert activated(generations, "c", 1)["removed"] == ["b"]
        assert there(root) == ["a", "c", "d"]
    finally:
        if how == "program":
            process.kill()
            process.wait()
    if how == "lock":
        os.close(handle)
    if how in ("lock", "program"):
        assert activated(generations, "d", 1)["removed"] == ["a"]


def test_nothing_is_removed_while_it_is_not_known_what_a_run_uses(
    generations: Run, root: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(root, generations, "a", "b", "c")
    generations("current", "a")
    handle = host_use.lock(root, "deleted")
    generations("current", "b")
    assert activated(generations, "c", 1)["removed"] == []
    os.close(handle)
    leases = load("runs.leases")
    with leases.Leases(str(root)):
        monkeypatch.setattr(leases, "LEASE_PATIENCE", 0.2)
        assert activated(generations, "b", 1)["removed"] == []
    assert activated(generations, "c", 1)["removed"] == ["a"]


def test_generation_that_is_being_built_is_never_removed(generations: Run, root: Path) -> None:
    build(root, "half")
    sealed(root, generations, *"ab")
    generations("current", "a")
    activated(generations, "b", 1)
    assert "half" in there(root)


def test_generation_that_nobody_has_built_on_for_a_week_goes_with_its_sources(generations: Run, root: Path) -> None:
    build(root, "half")
    (root / "build" / "half" / "torch").mkdir(parents=True)
    sealed(root, generations, "a")
    for place in ("", "logs", "stamps"):
        with contextlib.suppress(FileNotFoundError):
            os.utime(root / "generations" / "half" / place, (-9 * DAY, -9 * DAY))  # this clock begins at 0
    assert activated(generations, "a")["removed"] == ["half"]
    assert there(root) == ["a"]
    assert not (root / "build" / "half").exists()


def test_going_back_removes_nothing_and_can_be_undone(generations: Run, root: Path) -> None:
    sealed(root, generations, *"abcde")
    for id_ in "abcde":
        generations("current", id_)
    said = generations("previous")
    assert (said["current"], said["previous"], said["removed"]) == ("d", "e", [])
    assert current(root) == "d"
    assert generations("previous")["current"] == "e"
    assert generations("previous", "a")["current"] == "a"
    assert there(root) == list("abcde")


def test_nothing_to_go_back_to_is_an_error(generations: Run, root: Path) -> None:
    sealed(root, generations, "a")
    generations("current", "a")
    with pytest.raises(ModuleError, match="there is no generation to go back to"):
        generations("previous")
    assert current(root) == "a"


def test_check_mode_predicts_and_changes_nothing(generations: Run, root: Path) -> None:
    sealed(root, generations, "a")
    said = generations("current", "a", check=True)
    assert (said["changed"], said["diff"]["after"]) == (True, "current -> a\n")
    assert not (root / "current").is_symlink()
    build(root, "b")
    assert generations("sealed", "b", components=PARTS, check=True)["changed"] is True
    assert not (root / "generations" / "b" / "generation.json").exists()


def test_withdrawn_generation_was_never_current(generations: Run, root: Path) -> None:
    """An activation that failed leaves things as they were: also what `rollback` would go back to."""
    sealed(root, generations, *"abc")
    for id_ in "abc":
        generations("current", id_)
    said = generations("withdrawn", "b")
    assert (said["changed"], current(root)) == (True, "b")
    assert generations("previous")["current"] == "a"


def test_first_generation_that_is_withdrawn_leaves_none(generations: Run, root: Path) -> None:
    sealed(root, generations, "a")
    generations("current", "a")
    assert generations("withdrawn", "")["changed"] is True
    assert not (root / "current").is_symlink()
    with pytest.raises(ModuleError, match="no generation to go back to"):
        generations("previous")


def test_opening_notes_who_builds(generations: Run, root: Path) -> None:
    assert generations("open", controller="deploy pid 7 since 9")["changed"] is False
    assert (root / "logs" / "controller").read_text() == "deploy pid 7 since 9\n"


def test_opening_refuses_while_another_build_runs_and_ends_it_where_told(
    generations: Run, root: Path, load: Callable[[str], ModuleType]
) -> None:
    (root / "logs").mkdir()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as build:
        start = load("host.processes").start_of(build.pid)
        (root / "logs" / "packages.log.pid").write_text(f"{build.pid} {start}\n")
        with pytest.raises(ModuleError, match=rf"packages\.log is being written by pid {build.pid}"):
            generations("open", controller="other")
        assert generations("open", controller="other", check=True)["ended"] == []
        assert build.poll() is None
        said = generations("open", controller="other", take_over=True)
        assert (said["changed"], said["ended"][0]["pid"]) == (True, build.pid)
        assert build.wait(5) == -9
    assert not (root / "logs" / "packages.log.pid").exists()


ENVIRONMENT = {"path": "environment", "content": "export A='b'\n", "mode": "0644"}
WITH_STACK = {"path": "bin/with-stack", "content": "#!/bin/sh\n", "mode": "0755"}


def opened(generations: Run, *files: dict[str, str], check: bool = False, id_: str = "g1") -> dict[str, Any]:
    return generations("open", id_, controller="c", files=list(files), check=check)


def test_open_makes_the_directories_and_writes_the_files(root: Path, generations: Run) -> None:
    before = os.umask(0o077)
    try:
        assert opened(generations, ENVIRONMENT, WITH_STACK)["changed"]
    finally:
        os.umask(before)
    place = root / "generations" / "g1"
    assert (place / "environment").read_text() == ENVIRONMENT["content"]
    modes = {str(path.relative_to(root)): path.stat().st_mode & 0o777 for path in (place, *place.rglob("*"))}
    assert modes == {
        "generations/g1": 0o755,
        **{f"generations/g1/{name}": 0o755 for name in ("bin", "etc", "logs", "stamps", "torch", "bin/with-stack")},
        **dict.fromkeys(("generations/g1/environment", "generations/g1/installed"), 0o644),
    }


def test_open_again_changes_nothing(root: Path, generations: Run) -> None:
    opened(generations, ENVIRONMENT, WITH_STACK)
    times = {path: path.stat().st_mtime_ns for path in (root / "generations").rglob("*")}
    assert not opened(generations, ENVIRONMENT, WITH_STACK)["changed"]
    assert {path: path.stat().st_mtime_ns for path in (root / "generations").rglob("*")} == times


@pytest.mark.parametrize("change", ["content", "mode", "directory mode", "directory missing", "link"])
def test_open_restores_what_was_changed(root: Path, generations: Run, change: str) -> None:
    opened(generations, ENVIRONMENT, WITH_STACK)
    place = root / "generations" / "g1"
    if change == "content":
        (place / "environment").write_text("export A='c'\n")
    elif change == "mode":
        (place / "bin" / "with-stack").chmod(0o777)
    elif change == "directory mode":
        (place / "etc").chmod(0o777)
    elif change == "directory missing":
        (place / "etc").rmdir()
    else:
        (place / "environment").rename(root / "elsewhere")
        (place / "environment").symlink_to(root / "elsewhere")
    assert opened(generations, ENVIRONMENT, WITH_STACK, check=True)["changed"]
    assert opened(generations, ENVIRONMENT, WITH_STACK)["changed"]
    assert (place / "environment").read_text() == ENVIRONMENT["content"]
    assert not (place / "environment").is_symlink()
    assert (place / "bin" / "with-stack").stat().st_mode & 0o777 == 0o755
    assert (place / "etc").stat().st_mode & 0o777 == 0o755
    assert not opened(generations, ENVIRONMENT, WITH_STACK)["changed"]


def test_open_in_check_mode_writes_nothing(root: Path, generations: Run) -> None:
    assert opened(generations, ENVIRONMENT, check=True)["changed"]
    assert list(root.iterdir()) == []


def test_open_refuses_a_file_outside_the_generation(root: Path, generations: Run) -> None:
    for path in ("../g2/environment", "/etc/profile", "bin/../../x"):
        with pytest.raises(ModuleError, match="is not a path in the generation"):
            opened(generations, {**ENVIRONMENT, "path": path})
    assert not (root / "generations").exists()


def test_generation_that_nobody_uses_is_removed(generations: Run, root: Path) -> None:
    first, second, third = ("a" * 16, "b" * 16, "c" * 16)
    sealed(root, generations, first, second, third)
    (root / "build" / third).mkdir(parents=True)
    for name in (first, second):
        generations("current", name)
    for name, words in ((first, "`provision rollback` returns"), (second, "is current")):
        with pytest.raises(ModuleError, match=words) as refused:
            generations("absent", name)
        assert refused.value.result["code"] == "busy"
    assert generations("absent", third, check=True)["removed"] == [third]
    assert there(root) == [first, second, third]
    assert generations("absent", third)["removed"] == [third]
    assert there(root) == [first, second]
    assert not (root / "build" / third).exists()
    assert generations("absent", third)["changed"] is False
    with pytest.raises(ModuleError, match="is not the id of a generation"):
        generations("absent", "../x")


def test_generation_that_a_run_uses_or_may_use_is_not_removed_by_name(
    generations: Run, root: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = "a" * 16
    sealed(root, generations, generation)
    uses = (
        (None, "it may be used by a run or another program, which cannot be"),
        ({generation}, "it is used by a run or"),
    )
    for in_use, words in uses:
        monkeypatch.setattr(load("runs.uses"), "generations_in_use", lambda _root, found=in_use: found)
        with pytest.raises(ModuleError, match=words):
            generations("absent", generation)
    assert there(root) == [generation]


def test_age_of_a_sealed_generation_and_files_beside_generations_do_not_matter(generations: Run, root: Path) -> None:
    sealed(root, generations, *"abc")
    (root / "generations" / "a file").write_text("no generation")
    for path in (root / "generations").rglob("*"):
        os.utime(path, (0, 0))
    said = generations("pruned", keep=3)
    assert (said["removed"], said["kept"], there(root)) == ([], [], ["a", "a file", *"bc"])
    assert len(generations("pruned", keep=1)["removed"]) == 2


@pytest.mark.parametrize("state", ["previous", "withdrawn"])
def test_check_mode_promises_no_way_back_to_a_generation_that_is_not_complete(
    generations: Run, root: Path, state: str
) -> None:
    sealed(root, generations, "a")
    generations("current", "a")
    (root / "history.json").write_text(json.dumps({"previous": "gone", "activated": {"a": 1}}))
    for check in (True, False):
        with pytest.raises(ModuleError, match="generation gone is not complete on this host"):
            generations(state, "gone" * (state == "withdrawn"), check=check)


@pytest.mark.parametrize("check", [True, False])
def test_previous_generation_that_is_the_current_one_is_no_way_back(generations: Run, root: Path, check: bool) -> None:
    """An activation that is killed before its rename leaves this."""
    sealed(root, generations, "a", "b")
    generations("current", "a")
    (root / "history.json").write_text(json.dumps({"previous": "a", "activated": {"a": 1, "b": 2}}))
    with pytest.raises(ModuleError, match="generation a is current and recorded as the previous one"):
        generations("previous", check=check)
    assert generations("previous", "a", check=check)["changed"] is False


def test_generation_that_cannot_be_removed_fails_no_activation(
    generations: Run, root: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(root, generations, "a", "b", "c", "d")
    for name in "abc":
        generations("current", name)
    (root / "build" / "b").mkdir(parents=True)
    removal = load("runs.removal")

    def rmtree(path: str, **how: Any) -> None:
        if path.endswith("/b"):
            raise PermissionError(1, "Operation not permitted", path)
        shutil.rmtree(path, **how)

    monkeypatch.setattr(removal, "shutil", type("shutil", (), {"rmtree": staticmethod(rmtree)}))
    said = activated(generations, "d", 1)
    assert (said["changed"], said["current"], said["removed"]) == (True, "d", ["a"])
    (kept,) = said["kept"]
    assert kept["id"] == "b"
    assert "Operation not permitted" in kept["problem"]
    left = root / "generations" / "b"
    assert not (left / SEAL).exists() and not (left / "installed").exists(), "nobody may take it for a whole one"
    monkeypatch.undo()
    assert generations("pruned", keep=1)["removed"] == ["b"]  # although it has no seal any more, and was just changed


def test_what_is_to_be_removed_cannot_even_be_listed_and_fails_no_activation(
    generations: Run, root: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed(root, generations, "a")
    (root / "generations" / "a file").write_text("no generation")

    def fails(stack_root: str) -> None:
        raise RuntimeError(stack_root)

    monkeypatch.setattr(load("runs.removal"), "generations_in_use", fails)
    said = activated(generations, "a")
    assert (said["current"], said["kept"]) == ("a", [{"id": "", "problem": str(root)}])


@pytest.mark.parametrize("content", ["[" * 200_000, '{"a": ' * 200_000, '{"a": "' + "x" * (5 << 20) + '"}'])
def test_file_of_a_run_that_nobody_can_read_fails_no_activation(generations: Run, root: Path, content: str) -> None:
    sealed(root, generations, *"abc")
    generations("current", "a")
    (host_use.make(root, "evil") / "run.json").write_text(content)
    handle = host_use.lock(root, "evil")
    generations("current", "b")
    said = activated(generations, "c", 1)
    assert (said["current"], said["removed"], [entry["id"] for entry in said["kept"]]) == ("c", [], ["a"])
    assert "which generations the runs and programs of this host use" in said["kept"][0]["problem"]
    os.close(handle)
    sealed(root, generations, "d")
    assert activated(generations, "d", 1)["removed"] == ["b", "a"]


def test_rollback_of_what_another_controller_activated_meanwhile_is_refused(generations: Run, root: Path) -> None:
    """The hosts were asked, and then it was waited until they were idle."""
    for id_ in ("a", "b", "c"):
        build(root, id_)
        generations("sealed", id_, components=PARTS)
        generations("current", id_)
    with pytest.raises(ModuleError, match="generation c is current, but generation b was when the hosts were asked"):
        generations("previous", "a", expected=["b"])
    assert (root / "current").readlink().name == "c"
    assert generations("previous", "a", expected=["c"])["current"] == "a"
    assert generations("previous", "a", expected=["b"])["changed"] is False


def test_generation_whose_removal_was_killed_is_built_from_the_beginning_if_it_is_wanted_again(
    generations: Run, root: Path, load: Callable[[str], ModuleType]
) -> None:
    """Otherwise its stamps say that its components are there, and after hours it cannot be sealed."""
    name = "0a1b2c3d4e5f6071"
    for at in range(1, 30):
        shutil.rmtree(root)
        build(root, name)
        home = root / "generations" / name
        (home / "torch").mkdir()
        (home / "torch" / "th").write_text("th")
        as_installed(home)
        generations("sealed", name, components=PARTS)
        sources = root / "build" / name / "torch"
        sources.mkdir(parents=True)
        was_killed = killed(at, "before", lambda: generations("absent", name))
        assert home.exists() or not sources.exists(), "nothing would remove them any more"
        if not was_killed:
            break
        generations("open", name, controller="me")
        if (home / "stamps" / "nn.json").exists():
            load("host.installed").refuse_others(str(home))
        else:
            assert not (home / "torch" / "th").exists(), "it would count as added by somebody"
            assert not list((home / "stamps").iterdir())
    assert at > 5
