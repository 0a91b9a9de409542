"""Packed generations: the same files make the same bytes, and unpacking leaves nothing or a whole generation."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision.rules import pack
from plugins.module_utils.host.manifest import built_for
from tests.unit.modules import ModuleError, as_installed

Run = Callable[..., dict[str, Any]]
ID = "0a1b2c3d4e5f6071"
PARTS = {"torch": "d-torch", "vgg16": "d-vgg16"}
WEIGHTS = b"weights" * 1000


@pytest.fixture
def root(tmp_path: Path, run_module: Run) -> Path:
    """The stack root of a builder with a sealed generation, at a path with a space and a quote."""
    return build(tmp_path / "the 'builder' root", run_module)


def build(root: Path, run_module: Run, mtime: int = 0) -> Path:
    """A sealed generation; what may differ between two builders differs."""
    home = root / "generations" / ID
    for folder in ("torch/bin", "torch/lib", "stamps", "logs", "neuraltalk2/model", "python/__pycache__"):
        (home / folder).mkdir(parents=True)
    (home / "torch/bin/th").write_text("#!/bin/sh\n")
    (home / "torch/bin/th").chmod(0o755)
    (home / "torch/lib/libTH.so.0").write_bytes(b"library")
    (home / "torch/lib/libTH.so").symlink_to("libTH.so.0")
    (home / "torch/lib/näme with 'quotes'.lua").write_text("return 1\n")
    (home / "python/__pycache__/x.pyc").write_text(str(mtime))
    (home / "logs/torch.log").write_text(str(mtime))
    artifacts = root / "artifacts"
    artifacts.mkdir()
    (artifacts / "weights").write_bytes(WEIGHTS)
    (home / "neuraltalk2/model/weights").hardlink_to(artifacts / "weights")
    for name, digest in PARTS.items():
        (home / "stamps" / f"{name}.json").write_text(json.dumps({"digest": digest, "evidence": f"in {mtime} s"}))
    os.utime(home / "torch/bin/th", (mtime, mtime))
    as_installed(home)
    built = {"components": PARTS, "architectures": "8.6 9.0"}
    run_module("stack_generation", stack_root=root, state="sealed", id=ID, **built)
    return root


def packed(run_module: Run, root: Path, *artifacts: bytes) -> dict[str, Any]:
    known = [hashlib.sha256(content).hexdigest() for content in artifacts]
    found: dict[str, Any] = run_module("generation_pack", stack_root=root, id=ID, artifacts=known)["pack"]
    return found


class Target:
    """A host on which a pack is unpacked."""

    def __init__(self, root: Path, run_module: Run) -> None:
        self.root, self.run_module = root, run_module
        (root / "artifacts").mkdir(parents=True)
        (root / "artifacts" / "weights").write_bytes(WEIGHTS)
        self.home = root / "generations" / ID

    def arguments(self, file: Path) -> dict[str, Any]:
        content = file.read_bytes()
        weights = self.root / "artifacts" / "weights"
        return {
            "stack_root": str(self.root),
            "id": ID,
            "src": str(file),
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "components": PARTS,
            "artifacts": [{"path": str(weights), "sha256": hashlib.sha256(WEIGHTS).hexdigest()}],
            "origin": "built on node1",
        }

    def unpack(self, file: Path, **more: Any) -> dict[str, Any]:
        return self.run_module("generation_unpack", **{**self.arguments(file), **more})

    def left(self) -> list[str]:
        folder = self.root / "build"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def target(tmp_path: Path, run_module: Run) -> Target:
    return Target(tmp_path / 'the "target\'s" root', run_module)


def test_two_builders_make_the_same_bytes(run_module: Run, root: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "other", run_module, mtime=99)
    one, two = packed(run_module, root), packed(run_module, other)
    assert (one["sha256"], one["size"]) == (two["sha256"], two["size"])
    content = Path(one["path"]).read_bytes()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (one["sha256"], one["size"])


def test_bytes_are_those_that_every_python_writes(run_module: Run, tmp_path: Path) -> None:
    """The SHA-256 is also that of Python 2.7, whose tarfile alone would write other headers."""
    home = tmp_path / "generations" / ID
    (home / "stamps").mkdir(parents=True)
    (home / ("long" * 30)).write_text("1")
    (home / "ä").write_text("2")
    as_installed(home)
    run_module("stack_generation", stack_root=tmp_path, state="sealed", id=ID)
    assert packed(run_module, tmp_path)["sha256"] == "43e8e65d24fba6b100fd9a35c33306f8e2cd1ed3e7bffb882302ccbcc640e296"


def test_pack_has_only_what_was_sealed_without_stamps_and_logs(run_module: Run, root: Path) -> None:
    with tarfile.open(packed(run_module, root)["path"]) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [
        "manifest",
        "neuraltalk2/model/weights",
        "torch/bin/th",
        "torch/lib/libTH.so.0",
        "torch/lib/näme with 'quotes'.lua",
    ]
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members} == {(0, 0, "", pack.DATE)}
    assert [oct(member.mode) for member in members[2:4]] == ["0o755", "0o644"]


def test_round_trip_gives_the_generation_that_was_packed(run_module: Run, root: Path, target: Target) -> None:
    found = packed(run_module, root, WEIGHTS)
    assert found["left_out"] == [hashlib.sha256(WEIGHTS).hexdigest()]
    assert found["size"] < len(WEIGHTS) + 20_000
    assert target.unpack(Path(found["path"]), architectures="9.0")["changed"] is True
    assert (target.home / "torch/lib/libTH.so").readlink() == Path("libTH.so.0")
    assert (target.home / "torch/bin/th").stat().st_mode & 0o777 == 0o755
    assert (target.home / "neuraltalk2/model/weights").stat().st_nlink == 2
    assert target.left() == []
    state = run_module("stack_state", stack_root=target.root)["state"]["stack"]["generations"][ID]
    assert (state["sealed"], state["manifest"], state["stamps"]) == (True, True, PARTS)
    assert [built_for(str(home)) for home in (target.home, root / "generations" / ID)] == ["9.0", "8.6 9.0"]
    again = run_module("generation_pack", stack_root=target.root, id=ID, artifacts=found["left_out"])["pack"]
    assert again["sha256"] == found["sha256"]
    assert target.unpack(Path(found["path"]))["changed"] is False


@pytest.mark.slow
def test_generation_that_was_unpacked_says_what_it_needs_also_after_it_was_sealed_again(
    run_module: Run, root: Path, target: Target
) -> None:
    target.unpack(Path(packed(run_module, root)["path"]), packages=["libnone-1", "libnone-2"])

    def lacks(of: Path) -> Any:
        return run_module("stack_state", stack_root=of)["state"]["stack"]["generations"][ID]["lacks"]

    assert lacks(target.root) == ["libnone-1", "libnone-2"]
    (target.home / "manifest").unlink()
    assert run_module("stack_generation", stack_root=target.root, state="sealed", id=ID, components=PARTS)["changed"]
    assert lacks(target.root) == ["libnone-1", "libnone-2"]
    assert lacks(root) is None


def test_file_of_the_mirror_is_copied_where_a_link_would_have_another_mode(
    run_module: Run, root: Path, target: Target
) -> None:
    (target.root / "artifacts" / "weights").chmod(0o600)
    target.unpack(Path(packed(run_module, root, WEIGHTS)["path"]))
    assert (target.home / "neuraltalk2/model/weights").read_bytes() == WEIGHTS
    assert (target.home / "neuraltalk2/model/weights").stat().st_nlink == 1


def test_packs_that_killed_commands_left_on_a_host_are_removed(run_module: Run, root: Path, target: Target) -> None:
    tar, other = "generation-" + "b" * 16 + ".tar", "0" * 16
    left = [f"pack-{other}.tar", f"pack-{other}.tar.new", f"{other}-{tar}", f".{other}-{tar}.sent"]
    left += [f".{other}-{tar}.part", f".{other}-{tar}.{other}.part"]
    kept = ["weights", f"{other}-model.tar", f"generation-{other}.tar", f"pack-{other}.tar.gz"]
    for folder in (root, target.root):
        (folder / "artifacts").mkdir(exist_ok=True)
        for name in [*left, *kept]:
            (folder / "artifacts" / name).write_bytes(WEIGHTS)
    found = Path(packed(run_module, root)["path"])
    assert sorted(file.name for file in (root / "artifacts").iterdir()) == sorted([*kept, found.name])
    own = target.root / "artifacts" / f"{other}-generation-{ID}.tar"
    own.write_bytes(found.read_bytes())
    target.unpack(own)
    assert sorted(file.name for file in (target.root / "artifacts").iterdir()) == sorted([*kept, own.name])


def test_generation_that_was_changed_is_not_packed(run_module: Run, root: Path) -> None:
    (root / "generations" / ID / "torch/bin/th").write_text("#!/bin/false\n")
    (root / "generations" / ID / "torch/bin/new").write_text("new")
    with pytest.raises(ModuleError, match="torch/bin/new was added, torch/bin/th was changed"):
        packed(run_module, root)
    assert not list((root / "artifacts").glob("pack-*"))


def test_generation_with_a_link_out_is_packed_only_if_the_place_is_known(run_module: Run, root: Path) -> None:
    home = root / "generations" / ID
    (home / "generation.json").unlink()
    (home / "cuda").symlink_to("/usr/local/cuda-7.5/lib64")
    as_installed(home)
    run_module("stack_generation", stack_root=root, state="sealed", id=ID, components=PARTS)
    with pytest.raises(ModuleError, match="cuda is a link that leads out of it"):
        packed(run_module, root)
    assert run_module("generation_pack", stack_root=root, id=ID, outside=["/usr/local/cuda-7.5"])["pack"]


def test_unfinished_generation_of_an_earlier_build_is_replaced(run_module: Run, root: Path, target: Target) -> None:
    (target.home / "torch").mkdir(parents=True)
    (target.home / "torch/left").write_text("half")
    target.unpack(Path(packed(run_module, root)["path"]))
    assert not (target.home / "torch/left").exists()
    assert target.left() == []


def test_generation_that_is_current_is_not_replaced(run_module: Run, root: Path, target: Target) -> None:
    target.home.mkdir(parents=True)
    (target.root / "current").symlink_to(f"generations/{ID}")
    with pytest.raises(ModuleError, match="is current") as refused:
        target.unpack(Path(packed(run_module, root)["path"]))
    assert refused.value.result["code"] == "cache.unfit"


def test_unfinished_generation_that_is_used_or_may_be_used_is_not_replaced(
    run_module: Run, root: Path, target: Target, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    target.home.mkdir(parents=True)
    for in_use, words in (
        (None, "may be used by a run or another program, which"),
        ({ID}, "is used by a run or another"),
    ):
        monkeypatch.setattr(load("runs.uses"), "generations_in_use", lambda _root, found=in_use: found)
        with pytest.raises(ModuleError, match=f"is there, is not complete, and {words}"):
            target.unpack(Path(packed(run_module, root)["path"]))


def listing(*entries: dict[str, Any]) -> bytes:
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def written(file: Path, content: bytes) -> dict[str, Any]:
    return {"path": str(file), "type": "file", "mode": "0644", "size": len(content), "sha256": sha256(content)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(path: Path, *members: tuple[tarfile.TarInfo | str, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for given, content in members:
            info = tarfile.TarInfo(given) if isinstance(given, str) else given
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


A = {"path": "a", "type": "file", "mode": "0644", "size": 1, "sha256": sha256(b"a")}
FOLDER = {"path": "d", "type": "directory", "mode": "0755"}
LINK = {"path": "d", "type": "link", "target": "/etc"}
LINKED = tarfile.TarInfo("a")
LINKED.type, LINKED.linkname = tarfile.SYMTYPE, "manifest"
HOSTILE: dict[str, tuple[str, list[tuple[tarfile.TarInfo | str, bytes]]]] = {
    "no list": ("does not begin with a list", [("a", b"a")]),
    "list is no JSON": ("is not a packed generation", [("manifest", b"hello\n")]),
    "list is a number": ("not an object", [("manifest", b"1\n")]),
    "list is not ASCII": ("is not a packed generation", [("manifest", b"\xff\n")]),
    "path leads out": ("not a path", [("manifest", listing({**A, "path": "../a"}))]),
    "path is absolute": ("not a path", [("manifest", listing({**A, "path": "/a"}))]),
    "path is the seal": ("not a path", [("manifest", listing({**A, "path": "generation.json"}))]),
    "path is a stamp": ("not a path", [("manifest", listing({**A, "path": "stamps/torch.json"}))]),
    "path has a control character": ("a path is empty", [("manifest", listing({**A, "path": "a\n"}))]),
    "path is a number": ("a path is empty", [("manifest", listing({**A, "path": 1}))]),
    "path is too long": ("a path is empty", [("manifest", listing({**A, "path": "a" * 2000}))]),
    "path twice": ("twice", [("manifest", listing(A, A))]),
    "file below a link": ("not below a directory", [("manifest", listing(LINK, {**A, "path": "d/a"}))]),
    "link out": ("leads out", [("manifest", listing(LINK))]),
    "link out through dots": ("leads out", [("manifest", listing({**LINK, "target": "../../../x"}))]),
    "setuid": ("cannot be", [("manifest", listing({**A, "mode": "4755"}))]),
    "device": ("not a file, a directory or a link", [("manifest", listing({**A, "type": "special"}))]),
    "negative size": ("cannot be", [("manifest", listing({**A, "size": -1}))]),
    "huge": ("cannot be", [("manifest", listing({**A, "size": 1 << 50}))]),
    "huge in all": (
        "larger than",
        [("manifest", listing(*({**A, "path": str(n), "size": 1 << 33} for n in range(9))))],
    ),
    "other content": ("not as it was packed", [("manifest", listing(A)), ("a", b"b")]),
    "other size": ("does not describe", [("manifest", listing(A)), ("a", b"aa")]),
    "member beside the list": ("does not describe", [("manifest", listing(A)), ("a", b"a"), ("b", b"b")]),
    "member twice": ("twice", [("manifest", listing(A)), ("a", b"a"), ("a", b"a")]),
    "member is a link": ("", [("manifest", listing(A)), (LINKED, b"")]),
    "file is missing": ("lacks a", [("manifest", listing(FOLDER, A))]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pack_is_refused_and_leaves_nothing(what: str, target: Target, tmp_path: Path) -> None:
    words, members = HOSTILE[what]
    file = archive(tmp_path / "hostile.tar", *members)
    with pytest.raises(ModuleError) as refused:
        target.unpack(file)
    assert words in str(refused.value)
    assert refused.value.result.get("code") != "bug"
    assert not target.home.exists()
    assert target.left() == []


def test_pack_with_another_digest_or_an_end_in_the_middle_is_refused(
    run_module: Run, root: Path, target: Target
) -> None:
    file = Path(packed(run_module, root)["path"])
    given = target.arguments(file)
    file.write_bytes(file.read_bytes()[:-15000])
    with pytest.raises(ModuleError, match="SHA-256 or size differs"):
        target.run_module("generation_unpack", **given)
    with pytest.raises(ModuleError):
        target.unpack(file)
    assert not target.home.exists()


def test_artifact_that_is_missing_or_was_changed_is_refused(run_module: Run, root: Path, target: Target) -> None:
    file = Path(packed(run_module, root, WEIGHTS)["path"])
    with pytest.raises(ModuleError, match="no artifact on this host has its SHA-256"):
        target.unpack(file, artifacts=[])
    (target.root / "artifacts" / "weights").write_bytes(b"other")
    with pytest.raises(ModuleError, match="no longer the mirror's file"):
        target.unpack(file)


@pytest.mark.parametrize("now", [0, 1_000_000_000, 2**33])
def test_wrong_clock_of_a_target_is_no_hindrance(
    run_module: Run,
    root: Path,
    target: Target,
    monkeypatch: pytest.MonkeyPatch,
    load: Callable[[str], ModuleType],
    now: int,
) -> None:
    found = packed(run_module, root)
    monkeypatch.setattr(load("host.unpacking").time, "time", lambda: now)
    assert target.unpack(Path(found["path"]))["changed"] is True
    again = run_module("generation_pack", stack_root=target.root, id=ID)["pack"]
    assert again["sha256"] == found["sha256"]
    assert json.loads((target.home / "generation.json").read_text())["sealed"] == now


def test_generation_that_was_unpacked_has_the_list_of_what_was_installed(
    run_module: Run, root: Path, target: Target
) -> None:
    target.unpack(Path(packed(run_module, root, WEIGHTS)["path"]))
    (target.home / "manifest").unlink()
    given = {"stack_root": target.root, "state": "sealed", "id": ID, "components": PARTS}
    assert run_module("stack_generation", **given)["changed"] is True
    (target.home / "manifest").unlink()
    (target.home / "torch/evil").write_text("1")
    with pytest.raises(ModuleError, match="torch/evil was added"):
        run_module("stack_generation", **given)


def test_full_disk_is_a_failure_with_its_code(
    run_module: Run, root: Path, target: Target, monkeypatch: pytest.MonkeyPatch, load: Callable[[str], ModuleType]
) -> None:
    def full(path: Any, *_more: Any) -> None:
        raise OSError(28, "No space left on device", str(path))

    file = Path(packed(run_module, root)["path"])
    monkeypatch.setattr(load("host.unpacking").os, "utime", full)
    with pytest.raises(ModuleError) as refused:
        target.unpack(file)
    assert refused.value.result["code"] == "disk.full"
    assert target.left() == []


def test_pack_for_which_there_is_no_space_is_named(
    run_module: Run, root: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[[str], ModuleType]
) -> None:
    def full(*_given: Any) -> None:
        raise OSError(28, "No space left on device")

    file = packed(run_module, root)["path"]
    monkeypatch.setattr(load("host.packing").os, "fsync", full)
    with pytest.raises(ModuleError) as refused:
        packed(run_module, root)
    assert str(refused.value) == f"{file}: No space left on device"


KILLED = """
# For each moment, a child that kills itself there; prints what it left and how it ended.
import json, os, shutil, signal, sys
sys.path.insert(0, sys.argv[1])
from plugins.module_utils.host import manifest, stamps, unpacking

given = json.load(sys.stdin)
artifacts = {file["sha256"]: file["path"] for file in given["artifacts"]}
one = unpacking.Unpacking(given["stack_root"], given["id"], artifacts, [])

def killing(original, left):
    def call(*arguments, **named):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)
    return call

def child(moment):
    left = [moment]
    for name in ("rename", "open", "mkdir", "symlink", "utime", "link", "fsync"):
        setattr(os, name, killing(getattr(os, name), left))
    names = ("src", "sha256", "size", "components", "origin")
    one.unpack(architectures="9.0", packages=["libz"], **{name: given[name] for name in names})
    os._exit(0)

for moment in range(1, 1000):
    pid = os.fork()
    if pid == 0:
        child(moment)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    whole = manifest.has_manifest(one.final) and not manifest.compare(one.final)[1]
    there = os.path.isdir(one.final)
    print(json.dumps([there, whole, code, stamps.read_stamps(one.final)]))
    shutil.rmtree(one.final, ignore_errors=True)
    if code != -signal.SIGKILL:
        break
"""


def test_kill_at_any_moment_leaves_nothing_or_a_whole_generation(run_module: Run, root: Path, target: Target) -> None:
    file = Path(packed(run_module, root, WEIGHTS)["path"])
    repository = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, repository],
        input=json.dumps(target.arguments(file)),
        capture_output=True,
        text=True,
        check=True,
    )
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(there, whole, len(stamps)) for there, whole, _code, stamps in outcomes} == {
        (False, False, 0),
        (True, True, len(PARTS)),
    }
    assert {code for *_rest, code, _stamps in outcomes[:-1]} == {-signal.SIGKILL}
    assert outcomes[-1][2] == 0
    assert len(outcomes) > 20
    assert target.left() == []
