"""Which machine a host is, and which directory its stack root: two names of one, and one disk of two."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Run = Callable[..., dict[str, Any]]
BOOT = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("host.identity")


@pytest.fixture
def here(module: ModuleType, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes this machine another one: its boot, its network cards, its mounts."""

    def here(boot: str = BOOT, cards: tuple[str, ...] = ("02:00:00:00:00:01",), mounts: str = "") -> None:
        monkeypatch.setattr(module, "line", lambda path: boot)
        monkeypatch.setattr(module, "cards", lambda: list(cards))
        monkeypatch.setattr(load("host.mounts"), "read_text", lambda path, limit: mounts)

    here()
    return here


def mount(kind: str, source: str, point: str = "/", root: str = "/") -> str:
    return f"36 35 0:5 {root} {point} rw,relatime shared:1 - {kind} {source} rw\n"


def common(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(set(one["directories"]) & set(other["directories"]))


def test_names_of_one_machine_are_the_same_machine_and_directory(module: ModuleType, tmp_path: Path) -> None:
    one, other = module.facts(str(tmp_path / "stack")), module.facts(str(tmp_path / "stack"))
    assert one == other
    assert re.fullmatch("[0-9a-f]{32}", one["machine"])
    assert not common(one, module.facts(str(tmp_path / "another")))


@pytest.mark.parametrize("changed", [{"boot": BOOT.replace("1", "9")}, {"cards": ("02:00:00:00:00:02",)}])
def test_copy_of_a_machine_is_another_one(
    module: ModuleType, tmp_path: Path, here: Callable[..., None], changed: dict[str, Any]
) -> None:
    """A clone has the same machine id, files and inodes; one that was copied while it ran has the same boot id too."""
    one = module.facts(str(tmp_path))
    here(**changed)
    other = module.facts(str(tmp_path))
    assert one["machine"] != other["machine"]
    assert not common(one, other)


def test_container_is_another_machine_that_may_share_a_directory(
    module: ModuleType, tmp_path: Path, here: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, real = module.facts(str(tmp_path / "stack")), os.stat
    monkeypatch.setattr(module.os, "stat", lambda path: real(tmp_path if path == "/" else path))
    other = module.facts(str(tmp_path / "stack"))
    assert one["machine"] != other["machine"]
    assert common(one, other)


def test_machine_without_a_boot_id_is_like_no_other(module: ModuleType, here: Callable[..., None]) -> None:
    here(boot="")
    assert module.facts("/opt/stack") == {"machine": "", "directories": [], "filesystem": ""}


EXPORTS = [
    ("nfs4", "nas:/export", "nfs4", "nas:/export", True),
    ("nfs", "NAS:/export", "nfs4", "nas:/export/", True),
    ("nfs4", "nas:/export", "nfs4", "nas2:/export", False),
    ("nfs4", "nas:/export", "nfs4", "nas:/other", False),
    ("nfs4", "localhost:/export", "nfs4", "localhost:/export", False),
    ("nfs4", "127.0.0.1:/", "nfs4", "127.0.0.1:/", False),
    ("cifs", "//nas/share", "cifs", "//nas/share", True),
    ("lustre", "10.0.0.1@tcp:/lustre", "lustre", "10.0.0.1@tcp:/lustre", True),
    ("ceph", "10.0.0.1:6789,10.0.0.2:6789:/", "ceph", "10.0.0.1:6789,10.0.0.2:6789:/", True),
    ("ext4", "/dev/sda1", "ext4", "/dev/sda1", False),
    ("9p", "share0", "9p", "share0", False),
    ("virtiofs", "share0", "virtiofs", "share0", False),
]


@pytest.mark.parametrize(("kind", "source", "other_kind", "other_source", "same"), EXPORTS)
def test_disk_of_two_machines_is_known_by_its_server_and_path(
    module: ModuleType, tmp_path: Path, here: Callable[..., None], kind: str, source: str, other_kind: str,
    other_source: str, same: bool
) -> None:  # fmt: skip
    here(mounts=mount(kind, source))
    one = module.facts(str(tmp_path / "stack"))
    here(boot=BOOT.replace("1", "9"), mounts=mount(other_kind, other_source))
    assert common(one, module.facts(str(tmp_path / "stack"))) is same
    assert one["filesystem"] == f"{kind} on {source}"


def test_different_directories_of_one_server_that_lead_to_one_place(
    module: ModuleType, tmp_path: Path, here: Callable[..., None]
) -> None:
    """As with NFS 4, where one host mounts the export and another a directory below it, or binds it to a place."""
    (tmp_path / "a").mkdir()
    here(mounts=mount("nfs4", "nas:/export", str(tmp_path)))
    one = module.facts(str(tmp_path / "a"))
    for mounts in (
        mount("ext4", "/dev/sda1") + mount("nfs4", "nas:/export/a", str(tmp_path / "a")),
        mount("nfs4", "nas:/export", str(tmp_path / "a"), "/a"),
        mount("nfs4", "nas:/old", str(tmp_path)) + mount("nfs4", "nas:/export", str(tmp_path)),
    ):
        here(boot=BOOT.replace("1", "9"), mounts=mounts)
        assert common(one, module.facts(str(tmp_path / "a"))), mounts


@pytest.mark.parametrize("text", ["", "one line\n", "a b c d e f - \n", "\0", "1 2 3 4 /\\777 6 - x y z\n"])
def test_mounts_that_cannot_be_read_are_not_known(
    module: ModuleType, here: Callable[..., None], text: str, tmp_path: Path
) -> None:
    here(mounts=text)
    assert module.facts(str(tmp_path))["filesystem"] == ""
    assert not module.is_local(str(tmp_path))


def test_names_of_mounts_with_spaces_and_logins_in_sources(
    module: ModuleType, here: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "a b").mkdir()
    davfs = mount("fuse.davfs", "https://me:secret@nas/x", str(tmp_path / "a b").replace(" ", "\\040"))
    here(mounts=mount("ext4", "/dev/sda1") + davfs)
    words = module.facts(str(tmp_path / "a b" / "stack"))["filesystem"]
    assert words.startswith("fuse.davfs on https://")
    assert "secret" not in words


def take(run_module: Run, root: Path) -> None:
    run_module("host_lease", stack_root=root, holder="alpha pid 7 since 9 boot b space 1 machine m", state="held")


def test_disk_whose_server_has_two_names_is_known_after_the_first_lease(
    module: ModuleType, tmp_path: Path, here: Callable[..., None], run_module: Run
) -> None:
    root = tmp_path / "stack"
    root.mkdir()
    found = []
    for _ in range(2):
        for boot, source in ((BOOT, "nas:/export"), (BOOT.replace("1", "9"), "10.0.0.5:/export")):
            here(boot=boot, mounts=mount("nfs4", source))
            found.append(module.facts(str(root)))
        if not (root / "root-id.json").exists():
            take(run_module, root)
    assert not common(*found[:2])
    assert common(*found[2:])
    assert (root / "root-id.json").stat().st_mode & 0o777 == 0o644


def test_id_is_written_once_and_not_on_a_disk_of_one_machine(
    module: ModuleType, tmp_path: Path, here: Callable[..., None], run_module: Run
) -> None:
    here(mounts=mount("ext4", "/dev/sda1"))
    take(run_module, tmp_path)
    assert not (tmp_path / "root-id.json").exists()
    here(mounts=mount("nfs4", "nas:/export"))
    take(run_module, tmp_path)
    before = (tmp_path / "root-id.json").read_text()
    take(run_module, tmp_path)
    assert (tmp_path / "root-id.json").read_text() == before


def copied(file: Path) -> None:
    """As cp and rsync leave it."""
    shutil.copy(file, file.with_suffix(".copy"))
    file.unlink()
    file.with_suffix(".copy").rename(file)


def planted(file: Path) -> None:
    """By a user who may create files there, with the inode that it has."""
    os.chown(file, 65534, 65534)


def linked(file: Path) -> None:
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def nonsense(file: Path) -> None:
    file.write_text(json.dumps({"id": ["x"], "inode": file.stat().st_ino}))


def cut(file: Path) -> None:
    file.write_text("{")


ROOT_ALONE = pytest.mark.skipif(os.geteuid() != 0, reason="a file of another user takes root to make")


@pytest.mark.parametrize("damage", [copied, pytest.param(planted, marks=ROOT_ALONE), linked, pipe, nonsense, cut])
def test_id_that_is_not_of_this_directory_counts_for_nothing(
    load: Callable[[str], ModuleType], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    root_id = load("host.root_id")
    root_id.ensure(str(tmp_path))
    assert re.fullmatch("[0-9a-f]{32}", root_id.read(str(tmp_path)))
    damage(tmp_path / "root-id.json")
    assert root_id.read(str(tmp_path)) == ""
    root_id.ensure(str(tmp_path))
    assert root_id.read(str(tmp_path)) != ""


def test_directory_below_a_stack_root_is_known_by_the_id_of_the_stack_root(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    identity, root_id = load("host.identity"), load("host.root_id")
    root_id.ensure(str(tmp_path))
    below = identity._written(str(tmp_path / "data"), str(tmp_path.parent))
    assert len(below) == 1
    assert identity._written(str(tmp_path), str(tmp_path)) != below
    assert identity._written(str(tmp_path / "data"), str(tmp_path / "data")) == []  # another disk is mounted there


def test_identity_is_returned_with_the_state(run_module: Run, tmp_path: Path) -> None:
    found = run_module("stack_state", stack_root=tmp_path / "stack")["state"]["identity"]
    assert len(found["machine"]) == 32
    assert found["directories"]
