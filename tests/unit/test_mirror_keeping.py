"""The mirror keeps what is in it: no command deletes a file that it did not write, and a lost lock is not replaced."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from neuraltalk_provision.errors import MirrorError, ProvisionError, UsageError
from neuraltalk_provision.mirror import guard, lock, parts, store
from tests.unit import archives
from tests.unit.archives import pack
from tests.unit.catalogue import SMALL


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror with nn, torch and weights."""
    place = tmp_path / "the site's mirror"
    pack(tmp_path / "torch.tgz", archives.TORCH)
    pack(tmp_path / "nn.tgz", archives.NN)
    (tmp_path / "w.bin").write_bytes(b"weights")
    for name in ("nn.tgz", "torch.tgz", "w.bin"):
        store.add(place, tmp_path / name, SMALL)
    return place


def contents(mirror: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in mirror.iterdir() if path.is_file() and path.name != guard.FILE_NAME
    }


def rewrite(mirror: Path, name: str, **changes: object) -> None:
    """Edit the entry of an artifact in the lock by hand."""
    listed = yaml.safe_load((mirror / lock.FILE_NAME).read_text())
    for entry in listed["artifacts"]:
        if entry["name"] == name:
            entry.update(changes)
    (mirror / lock.FILE_NAME).write_text(yaml.safe_dump(listed))


@pytest.mark.parametrize(
    "named",
    [
        "mirror.lock",
        "MIRROR.LOCK",
        "mirror.lock.sig",
        "..",
        ".",
        "/etc/passwd",
        "../x",
        "a/b",
        ".mirror.lock-guard",
        "",
    ],
)
def test_entry_that_names_no_file_of_an_artifact_is_refused_and_nothing_is_lost(
    mirror: Path, tmp_path: Path, named: str
) -> None:
    rewrite(mirror, "nn", file=named)
    before = contents(mirror)
    newer = pack(tmp_path / "nn-2.tgz", archives.NN)
    with pytest.raises(MirrorError) as caught:
        store.add(mirror, newer, SMALL)
    assert "nn: file:" in caught.value.message
    assert contents(mirror) == before


@pytest.mark.parametrize("named", ["TORCH.TGZ", "torch.tgz"])
def test_entry_that_names_the_file_of_another_one_is_refused(mirror: Path, tmp_path: Path, named: str) -> None:
    rewrite(mirror, "nn", file=named)
    before = contents(mirror)
    with pytest.raises(MirrorError, match="duplicates"):
        store.add(mirror, pack(tmp_path / "nn-2.tgz", archives.NN), SMALL)
    assert contents(mirror) == before


def test_file_of_the_lock_that_is_not_the_one_that_was_added_stays(mirror: Path, tmp_path: Path) -> None:
    """Somebody put other content there, or the lock was edited: it is not this command's file."""
    (mirror / "notes.txt").write_text("mine")
    rewrite(mirror, "nn", file="notes.txt")
    store.add(mirror, pack(tmp_path / "nn-2.tgz", archives.NN), SMALL)
    assert (mirror / "notes.txt").read_text() == "mine"
    assert (mirror / "nn.tgz").exists()


def test_file_that_the_lock_does_not_list_is_not_overwritten(mirror: Path, tmp_path: Path) -> None:
    (mirror / "nn-2.tgz").write_text("mine")
    newer = pack(tmp_path / "nn-2.tgz", archives.NN)
    before = contents(mirror)
    with pytest.raises(UsageError, match=r"nn-2\.tgz already exists, and mirror\.lock does not list it"):
        store.add(mirror, newer, SMALL)
    assert contents(mirror) == before


def test_file_that_a_killed_command_did_not_list_any_more_is_added_by_the_same_command(
    mirror: Path, tmp_path: Path
) -> None:
    newer = pack(tmp_path / "nn-2.tgz", archives.NN)
    (mirror / "nn-2.tgz").write_bytes(newer.read_bytes())
    entry = store.add(mirror, newer, SMALL)
    assert lock.read(mirror).by_name()["nn"] == entry
    assert store.check(mirror, [entry]) == ()


def test_directory_in_the_place_of_the_file_is_named(mirror: Path, tmp_path: Path) -> None:
    (mirror / "nn-2.tgz").mkdir()
    with pytest.raises(UsageError, match="already exists"):
        store.add(mirror, pack(tmp_path / "nn-2.tgz", archives.NN), SMALL)


def test_name_that_differs_only_in_case_is_the_same_file_on_some_media(mirror: Path, tmp_path: Path) -> None:
    other = pack(tmp_path / "d" / "TORCH.tgz", archives.NN)
    with pytest.raises(UsageError, match="already exists as torch"):
        store.add(mirror, other, SMALL, given="nn")


def test_key_twice_in_the_lock_is_refused_and_no_entry_is_lost(mirror: Path, tmp_path: Path) -> None:
    file = mirror / lock.FILE_NAME
    file.write_text(file.read_text() + "artifacts: []\n")
    before = contents(mirror)
    with pytest.raises(MirrorError, match="duplicate"):
        store.add(mirror, pack(tmp_path / "nn-2.tgz", archives.NN), SMALL)
    assert contents(mirror) == before


def test_file_below_a_directory_whose_name_is_not_utf8_leaves_a_lock_that_can_be_read(
    mirror: Path, tmp_path: Path
) -> None:
    """Its path is its origin in the lock. No command could read the lock any more."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    store.add(mirror, pack(folder / "nn.tgz", archives.NN), SMALL, version=os.fsdecode(b"1\xe9"))
    entry = lock.read(mirror).by_name()["nn"]
    assert (entry.origin, entry.version) == (f"{tmp_path}/caf\\udce9/nn.tgz", "1\\udce9")


def test_lock_that_no_command_could_read_is_not_written(mirror: Path, tmp_path: Path) -> None:
    before = contents(mirror)
    with pytest.raises(MirrorError, match="the lock would have"):
        store.add(mirror, pack(tmp_path / "nn-2.tgz", archives.NN), SMALL, origin="x" * lock.LARGEST)
    assert contents(mirror) == before
    assert parts.LARGEST_LOCK == lock.LARGEST


def test_huge_lock_is_refused_before_it_is_read(mirror: Path) -> None:
    with (mirror / lock.FILE_NAME).open("r+b") as file:
        file.truncate(5 << 30)
    with pytest.raises(MirrorError, match="larger than"):
        lock.read(mirror)


@pytest.mark.parametrize("kind", ["directory", "pipe", "loop"])
def test_lock_that_is_no_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / lock.FILE_NAME
    {"directory": place.mkdir, "pipe": lambda: os.mkfifo(place), "loop": lambda: place.symlink_to(place)}[kind]()
    with pytest.raises(MirrorError, match=r"mirror\.lock cannot be read"):
        lock.read(tmp_path)
    with pytest.raises(MirrorError, match=r"mirror\.lock cannot be read"), lock.changing(tmp_path):
        pass


def test_lock_that_was_deleted_is_not_replaced_by_one_with_a_single_entry(mirror: Path, tmp_path: Path) -> None:
    (mirror / lock.FILE_NAME).unlink()
    before = contents(mirror)
    with pytest.raises(
        MirrorError, match=r"has no mirror\.lock, but it has files: nn\.tgz, torch\.tgz, w\.bin"
    ) as caught:
        store.add(mirror, tmp_path / "nn.tgz", SMALL)
    assert "provision mirror add --all" in caught.value.advice
    assert contents(mirror) == before


def test_lost_lock_is_rebuilt_from_the_files(mirror: Path) -> None:
    known = lock.read(mirror)
    (mirror / lock.FILE_NAME).unlink()
    (mirror / "letter.txt").write_text("?")
    done = store.add_all(mirror, SMALL)
    assert [entry.name for entry in done.added] == ["nn", "torch", "weights"]
    assert list(done.refused) == ["letter.txt"]
    again = lock.read(mirror)
    assert [(e.name, e.file, e.sha256, e.size) for e in again.artifacts] == [
        (e.name, e.file, e.sha256, e.size) for e in known.artifacts
    ]
    assert (mirror / "letter.txt").read_text() == "?"


def test_rebuilding_takes_no_file_that_is_refused_and_no_artifact_twice(mirror: Path) -> None:
    (mirror / lock.FILE_NAME).unlink()
    pack(mirror / "nn-2.tgz", archives.NN)
    (mirror / "torch.tgz").write_text("<html>")
    done = store.add_all(mirror, SMALL)
    assert [entry.name for entry in done.added] == ["weights"]
    assert {"nn.tgz", "nn-2.tgz", "torch.tgz"} == set(done.refused)
    assert "nn-2.tgz" in done.refused["nn.tgz"]
    assert (mirror / "nn-2.tgz").exists()
    assert (mirror / "torch.tgz").exists()


def test_rebuilding_with_a_lock_adds_only_what_it_does_not_list(mirror: Path) -> None:
    pack(mirror / "scorer.tgz", {"s/a": ""})
    done = store.add_all(mirror, SMALL)
    assert [entry.name for entry in done.added] == ["scorer"]
    assert len(lock.read(mirror).artifacts) == 4


def test_remains_of_a_killed_command_are_removed_by_the_next_one(mirror: Path, tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; from neuraltalk_provision.mirror import store\n"
        "from tests.unit.catalogue import SMALL\n"
        "store.add(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), SMALL, advance=lambda n: os._exit(9))"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, mirror, tmp_path / "w.bin"], check=False, cwd=Path(__file__).parents[2]
    )
    assert killed.returncode == 9
    (mirror / ".mirror.lock-ab12_x0z").write_text("half a lock")
    assert list(mirror.glob(".adding-*"))
    store.add(mirror, tmp_path / "nn.tgz", SMALL)
    assert not list(mirror.glob(".adding-*")) + list(mirror.glob(".mirror.lock-????????"))


def test_file_that_another_command_is_adding_and_files_of_users_stay(mirror: Path, tmp_path: Path) -> None:
    busy = mirror / ".adding-ab12_x0z"
    theirs = [mirror / ".adding-notes", mirror / ".adding-ab12_x0z.txt", mirror / ".mirror.lock-old"]
    for file in (busy, *theirs):
        file.write_text("x")
    (mirror / ".adding-ab12_xyz").mkdir()
    with busy.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        store.add(mirror, tmp_path / "nn.tgz", SMALL)
    assert busy.exists()
    assert all(file.exists() for file in theirs)
    assert (mirror / ".adding-ab12_xyz").is_dir()


def test_guard_that_another_operator_made_locks_nobody_out(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may open everything, so the refusal of the system is played here."""
    real = os.open

    def refuse(path: object, flags: int, *more: object, **named: object) -> int:
        if str(path).endswith(guard.FILE_NAME) and flags & os.O_RDWR and not flags & os.O_EXCL:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    store.add(mirror, tmp_path / "nn.tgz", SMALL)


def test_guard_can_be_opened_by_everybody_who_may_write_the_mirror(mirror: Path) -> None:
    assert (mirror / guard.FILE_NAME).stat().st_mode & 0o777 == 0o666


def test_guard_that_somebody_holds_for_ever_is_told_with_its_holder(
    mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can read the mirror can do that."""
    monkeypatch.setattr(guard, "PATIENCE", 0.1)
    hold = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", hold, mirror / guard.FILE_NAME]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline()
        words = rf"being changed by another process: pid {holder.pid} \(python.*\) of \S+ has locked .*lock-guard"
        with pytest.raises(MirrorError, match=words) as caught, lock.changing(mirror):
            pass
        assert "end it if it hangs" in caught.value.advice
        monkeypatch.setattr(guard, "_LOCKS", mirror / "no locks")
        with pytest.raises(MirrorError, match="cannot be seen here"), lock.changing(mirror):
            pass
        holder.communicate()
    with lock.changing(mirror):
        pass


def test_guard_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / guard.FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MirrorError, match="guard"), lock.changing(tmp_path / "m"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_lock_is_free_while_a_large_file_is_read(mirror: Path, tmp_path: Path) -> None:
    free: list[bool] = []

    def try_it(_count: int) -> None:
        with lock.changing(mirror):
            free.append(True)

    store.add(mirror, tmp_path / "w.bin", SMALL, advance=try_it)
    assert free


def test_lock_is_free_while_a_lost_one_is_made_again(mirror: Path) -> None:
    (mirror / lock.FILE_NAME).unlink()
    free: list[bool] = []

    def try_it(_count: int) -> None:
        with lock.changing(mirror, rebuild=True):
            free.append(True)

    assert len(store.add_all(mirror, SMALL, try_it).added) == 3
    assert free


def test_file_that_grows_while_it_is_copied_is_refused(mirror: Path, tmp_path: Path) -> None:
    def grow(_count: int) -> None:
        with (tmp_path / "w.bin").open("ab") as file:
            file.write(b"x" * 100)

    before = contents(mirror)
    with pytest.raises(MirrorError, match="changed while it was read"):
        store.add(mirror, tmp_path / "w.bin", SMALL, advance=grow)
    assert contents(mirror) == before


def test_mirror_that_cannot_be_written_says_whose_it_is(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: object, **_named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(MirrorError) as caught:
        store.add(mirror, tmp_path / "nn.tgz", SMALL)
    assert f"{mirror} cannot be written by " in caught.value.message
    assert "belongs to " in caught.value.message


def test_source_that_cannot_be_read_is_named_and_not_the_mirror(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def refuse(self: Path, *given: object, **named: object) -> object:
        if self == tmp_path / "nn.tgz":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *given, **named)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ProvisionError) as caught:
        store.add(mirror, tmp_path / "nn.tgz", SMALL)
    assert f"{tmp_path / 'nn.tgz'} cannot be read: Permission denied" in caught.value.message


@pytest.mark.parametrize("file", ["nn.tgz", "nn-2.tgz"])
def test_kill_between_the_file_and_the_lock_costs_nothing(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """Here the kill is played: the lock is not renamed, and nothing that follows is done."""
    real = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if Path(target).name == lock.FILE_NAME:
            raise SystemExit
        return real(self, target)

    newer = pack(tmp_path / "d" / file, {**archives.NN, "nn/new.lua": "new"})
    known = lock.read(mirror)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(SystemExit):
            store.add(mirror, newer, SMALL)
    if file == "nn.tgz":
        assert [finding.problem for finding in store.verify(mirror, SMALL).findings] == ["altered"]
    store.add(mirror, tmp_path / "w.bin", SMALL)
    assert lock.read(mirror).by_name()["nn"] == known.by_name()["nn"]
    assert [f.problem for f in store.verify(mirror, SMALL).findings] == ["surplus"] * (file != "nn.tgz")
    if file == "nn.tgz":
        store.add(mirror, newer, SMALL)
        assert store.verify(mirror, SMALL).findings == ()
    assert not list(mirror.glob(".replaced-*"))


def test_entry_that_is_refused_says_what_a_name_may_be(mirror: Path) -> None:
    rewrite(mirror, "nn", file="../x")
    with pytest.raises(MirrorError, match=r"nn: file: '\.\./x' is not a plain file name") as caught:
        lock.read(mirror)
    assert "artifacts.1" not in caught.value.message
