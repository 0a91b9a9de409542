"""The mirror's lock: read, refused, written whole, changed by one at a time."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
import yaml

from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror import lock


def entry(name: str = "torch", file: str = "torch.tgz", **more: object) -> dict[str, object]:
    return {"name": name, "file": file, "sha256": "a" * 64, "size": 3, "role": "torch", **more}


def mirror_with(directory: Path, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "mirror.lock").write_text(text, encoding="utf-8")
    return directory


def lock_text(*entries: dict[str, object]) -> str:
    return yaml.safe_dump({"schema_version": 1, "artifacts": list(entries)})


def test_lock_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = lock.Lock().with_entry(lock.Entry.model_validate(entry(origin="disk 'a' of \"Jo\"", version="7: x")))
    lock.write(tmp_path, written)
    assert lock.read(tmp_path) == written
    assert stat.S_IMODE((tmp_path / "mirror.lock").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["mirror.lock"]


def test_entry_takes_the_place_of_the_one_of_its_name_and_entries_are_sorted() -> None:
    listed = lock.Lock()
    for name, file in (("torch", "torch.tgz"), ("nn", "nn.tgz"), ("torch", "torch-2.tgz")):
        listed = listed.with_entry(lock.Entry.model_validate(entry(name, file)))
    assert [(e.name, e.file) for e in listed.artifacts] == [("nn", "nn.tgz"), ("torch", "torch-2.tgz")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "the whole", id="empty"),
        pytest.param("- a\n", "the whole", id="a list"),
        pytest.param("artifacts: [\n", "does not parse", id="no YAML"),
        pytest.param("a: \x07\n", "does not parse", id="control characters"),
        pytest.param("schema_version: 2\n", "schema_version", id="another version"),
        pytest.param("artefacts: []\n", "artefacts", id="a misspelt key"),
        pytest.param(lock_text(entry(sha256="A" * 64)), "torch: sha256", id="a digest in capitals"),
        pytest.param(lock_text(entry(sha256="a" * 63)), "torch: sha256", id="a short digest"),
        pytest.param(lock_text(entry(size=-1)), "torch: size", id="a negative size"),
        pytest.param(lock_text(entry(file="../torch.tgz")), "torch: file", id="a path"),
        pytest.param(lock_text(entry(file="a b.tgz")), "torch: file", id="a space"),
        pytest.param(lock_text(entry(file=".hidden")), "torch: file", id="a hidden file"),
        pytest.param(lock_text(entry(colour="red")), "torch: colour", id="an unknown field"),
        pytest.param(lock_text(entry(sha256="A")), "torch: sha256: 'A' is not a sha256 in 64 digits", id="a digest"),
        pytest.param(lock_text(entry(file="a b")), "torch: file: 'a b' is not a plain file name", id="a plain name"),
        pytest.param(lock_text(entry(), entry(name="")), "the artifact at position 2: name", id="no name"),
        pytest.param("artifacts: [7]\n", "the artifact at position 1: ", id="no entry"),
        pytest.param("7\n", "the whole file: ", id="no mapping"),
        pytest.param(lock_text(entry(), entry(file="b.tgz")), "contains duplicates: torch", id="a name twice"),
        pytest.param(lock_text(entry(), entry("nn")), "contains duplicates: torch.tgz", id="a file twice"),
    ],
)
def test_lock_in_doubt_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    mirror = mirror_with(tmp_path / "my 'mirror'", text)
    with pytest.raises(MirrorError) as caught:
        lock.read(mirror)
    assert caught.value.message.startswith(str(mirror / "mirror.lock"))
    assert words in caught.value.message
    assert "Restore the lock" in caught.value.advice


def test_lock_may_name_an_artifact_as_another_ones_file(tmp_path: Path) -> None:
    mirror = mirror_with(tmp_path, lock_text(entry("a", "b"), entry("b", "a")))
    assert sorted(lock.read(mirror).by_name()) == ["a", "b"]


def test_missing_mirror_is_named_and_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="no such mirror directory") as caught:
        lock.read(tmp_path / "none")
    assert "provision mirror add" in caught.value.advice


def test_mirror_without_a_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match=r"has no mirror\.lock") as caught:
        lock.read(tmp_path)
    assert caught.value.advice.endswith("`provision mirror add FILE...` creates it.")
    (tmp_path / "torch.tgz").touch()
    with pytest.raises(MirrorError, match=r"has no mirror\.lock") as caught:
        lock.read(tmp_path)
    assert caught.value.advice.endswith("`provision mirror add --all`.")


@pytest.mark.parametrize(("count", "words"), [(5, "1, 2, 3, 4, 5"), (7, "1, 2, 3, 4, 5 and 2 more")])
def test_mirror_whose_lock_was_lost_is_not_new(tmp_path: Path, count: int, words: str) -> None:
    for name in (".hidden", "mirror.lock.sig"):
        (tmp_path / name).touch()
    (tmp_path / "cache").mkdir()
    assert lock.is_new(tmp_path) and lock.is_new(tmp_path / "none")
    for number in range(1, count + 1):
        (tmp_path / str(number)).touch()
    with pytest.raises(MirrorError) as caught:
        lock.is_new(tmp_path)
    assert caught.value.message.endswith(f"but it has files: {words}")
    listed = lock.Lock(artifacts=(lock.Entry.model_validate(entry(file="1")),))
    assert lock.unlisted(tmp_path, listed) == [str(number) for number in range(2, count + 1)]
    lock.write(tmp_path, listed)
    assert not lock.is_new(tmp_path)


@pytest.mark.parametrize("looks", [True, False])
@pytest.mark.parametrize(
    ("error", "words", "advice"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied", "as a user who may read the mirror"),
        (OSError("more than 512 kB"), "more than 512 kB", "Restore the lock"),
    ],
)
def test_lock_that_cannot_be_read_is_told_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, words: str, advice: str, looks: bool
) -> None:
    lock.write(tmp_path, lock.Lock())

    def fail(*_given: object) -> None:
        raise error

    monkeypatch.setattr(*((lock.bounded, "read") if looks else (Path, "lstat")), fail)
    with pytest.raises(MirrorError) as caught:
        lock.read(tmp_path)
    if looks:
        assert caught.value.message.endswith(f"mirror.lock cannot be read: {words}")
        assert advice in caught.value.advice
    else:
        assert "as a user who may read the mirror, or repair its file system" in caught.value.advice


def test_lock_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mirror.lock").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MirrorError, match="cannot be read"):
        lock.read(tmp_path)


def test_full_disk_leaves_the_old_lock_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lock.Lock()
    lock.write(tmp_path, before)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        lock.write(tmp_path, before.with_entry(lock.Entry.model_validate(entry())))
    assert lock.read(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["mirror.lock"]


def test_lock_is_changed_by_one_at_a_time(tmp_path: Path) -> None:
    mirror = tmp_path / "new" / "mirror"
    seen: list[int] = []

    def change(number: int) -> None:
        with lock.changing(mirror) as before:
            seen.append(len(before.artifacts))
            lock.write(mirror, before.with_entry(lock.Entry.model_validate(entry(f"n{number}", f"f{number}"))))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == list(range(8))
    assert len(lock.read(mirror).artifacts) == 8


def test_lock_that_does_not_parse_is_never_replaced(tmp_path: Path) -> None:
    mirror = mirror_with(tmp_path, "artifacts: [\n")
    with pytest.raises(MirrorError), lock.changing(mirror):
        raise AssertionError("the lock was handed out")
    assert (mirror / "mirror.lock").read_text() == "artifacts: [\n"
