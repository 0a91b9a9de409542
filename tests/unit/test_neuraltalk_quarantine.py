"""Files are moved to a quarantine and back by its list: nothing is overwritten, and a kill loses nothing."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ODD = os.fsdecode(b"below/\xff\n'.jpg")


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("inspecting.quarantine")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "ops' pictures"
    (place / "below").mkdir(parents=True)
    for name in ("a.jpg", ODD):
        (place / name).write_text(name, errors="surrogateescape")
    (place / "link.jpg").symlink_to("nowhere")
    return place


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two folders are on different disks."""
    rename = os.rename

    def apart(source: str, target: str) -> None:
        if ".new-" not in str(source):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)

    monkeypatch.setattr(os, "rename", apart)


def everything(place: Path) -> dict[str, object]:
    """Return the contents of files and the targets of links below a place, without the list."""
    found = {}
    for path in sorted(place.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(place))] = ("link", str(path.readlink()))
        elif path.is_file() and path.name != "quarantine.jsonl":
            found[str(path.relative_to(place))] = path.read_bytes()
    return found


def move_all(module: ModuleType, folder: Path, aside: Path) -> list[str]:
    with module.Quarantine(str(folder), str(aside)) as quarantine:
        return [quarantine.add(name, "it is bad") for name in everything(folder)]


@pytest.mark.parametrize("disks", [1, 2])
def test_files_are_moved_to_the_quarantine_and_back(
    module: ModuleType, folder: Path, tmp_path: Path, disks: int, request: pytest.FixtureRequest
) -> None:
    before = everything(folder)
    if disks == 2:
        request.getfixturevalue("elsewhere")
    aside = tmp_path / "aside" / "here"
    assert move_all(module, folder, aside) == [""] * 3
    assert (everything(folder), everything(aside)) == ({}, before)
    entries = [json.loads(line) for line in (aside / "quarantine.jsonl").read_text().splitlines()]
    assert entries[1] == {
        "from": f"{folder}/below/\\xff\\x0a'.jpg", "to": f"{aside}/below/\\xff\\x0a'.jpg", "reason": "it is bad",
    }  # fmt: skip
    result = module.undo(str(aside / "quarantine.jsonl"), print)
    assert result == {"moved_back": 3, "back_already": 0, "left": []}
    assert (everything(folder), everything(aside)) == (before, {})
    assert module.undo(str(aside / "quarantine.jsonl"), print) == {"moved_back": 0, "back_already": 3, "left": []}


def test_nothing_is_overwritten_in_the_quarantine(module: ModuleType, folder: Path, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    for content in ("one", "two", "three"):
        (folder / "a.jpg").write_text(content)
        with module.Quarantine(str(folder), str(aside)) as quarantine:
            assert quarantine.add("a.jpg", "bad") == ""
    assert everything(aside) == {"a.jpg": b"one", "a.jpg.2": b"two", "a.jpg.3": b"three"}


@pytest.mark.parametrize("others", ["owner", "writers"])
def test_list_that_another_user_could_have_written_moves_nothing(
    module: ModuleType, tmp_path: Path, others: str
) -> None:
    """It could move a file of that user to /etc/ld.so.preload."""
    planted, place, file = tmp_path / "planted", tmp_path / "etc" / "ld.so.preload", tmp_path / "list"
    planted.write_text("evil")
    file.write_text(json.dumps({"from": str(place), "to": str(planted), "reason": "x"}) + "\n")
    if others == "owner":
        os.chown(file, 1234, 1234)
    else:
        file.chmod(0o666)
    with pytest.raises(module.StackError, match="another user owns this list or can write to it"):
        module.undo(str(file), print)
    assert planted.exists() and not place.exists()


@pytest.mark.parametrize("others", ["owner", "writers"])
def test_folder_into_which_another_user_can_put_links_is_no_quarantine(
    module: ModuleType, folder: Path, tmp_path: Path, others: str
) -> None:
    aside, elsewhere, before = tmp_path / "aside", tmp_path / "elsewhere", everything(folder)
    aside.mkdir()
    elsewhere.mkdir()
    (aside / "below").symlink_to(elsewhere)
    if others == "owner":
        os.chown(aside, 1234, 1234)
    else:
        aside.chmod(0o1777)
    with pytest.raises(module.StackError, match="belongs to another user, or everybody can write to it"):
        move_all(module, folder, aside)
    assert (everything(folder), everything(elsewhere)) == (before, {})


def test_nothing_is_overwritten_by_undo(module: ModuleType, folder: Path, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    move_all(module, folder, aside)
    (folder / "a.jpg").write_text("new")
    result = module.undo(str(aside / "quarantine.jsonl"), print)
    assert result["moved_back"] == 2
    words = f"another file has this name now; the old file stays in {aside}/a.jpg"
    assert result["left"] == [{"file": f"{folder}/a.jpg", "reason": words}]
    assert ((folder / "a.jpg").read_text(), (aside / "a.jpg").read_text()) == ("new", "a.jpg")


def test_line_is_written_before_the_file_is_moved(
    module: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = tmp_path / "aside"
    monkeypatch.setattr(module, "move", lambda source, target: pytest.fail("killed here"))
    with pytest.raises(pytest.fail.Exception), module.Quarantine(str(folder), str(aside)) as quarantine:
        quarantine.add("a.jpg", "bad")
    assert json.loads((aside / "quarantine.jsonl").read_text())["from"] == str(folder / "a.jpg")
    assert module.undo(str(aside / "quarantine.jsonl"), print) == {"moved_back": 0, "back_already": 1, "left": []}


def test_undo_after_a_kill_between_copy_and_removal_leaves_one_file(
    module: ModuleType, folder: Path, tmp_path: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = tmp_path / "aside"
    with module.Quarantine(str(folder), str(aside)) as quarantine:
        monkeypatch.setattr(os, "unlink", lambda path: pytest.fail("killed here"))
        with pytest.raises(pytest.fail.Exception):
            quarantine.add("a.jpg", "bad")
        monkeypatch.undo()
    assert (folder / "a.jpg").exists()
    assert (aside / "a.jpg").exists()
    assert module.undo(str(aside / "quarantine.jsonl"), print) == {"moved_back": 0, "back_already": 1, "left": []}
    assert ((folder / "a.jpg").read_text(), everything(aside)) == ("a.jpg", {})


def test_line_that_was_cut_off_by_a_kill_does_not_affect_others(
    module: ModuleType, folder: Path, tmp_path: Path
) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    (aside / "quarantine.jsonl").write_text('{"from": "/da')
    move_all(module, folder, aside)
    output: list[str] = []
    assert module.undo(str(aside / "quarantine.jsonl"), output.append)["moved_back"] == 3
    assert output == [
        f"1 lines of {aside}/quarantine.jsonl are incomplete or damaged and were skipped. "
        "The file of an incomplete line was never moved"
    ]


def test_file_that_cannot_be_moved_is_reported(
    module: ModuleType, folder: Path, tmp_path: Path, elsewhere: None
) -> None:
    os.mkfifo(folder / "pipe.jpg")
    with module.Quarantine(str(folder), str(tmp_path / "aside")) as quarantine:
        assert quarantine.add("none.jpg", "bad") == "it cannot be moved: No such file or directory"
        assert quarantine.add("pipe.jpg", "bad") == "it is not an ordinary file, so it cannot be moved to another disk"
        assert quarantine.add("../x.jpg", "bad") == f"it is not below {folder}"
    assert module.undo(str(tmp_path / "aside" / "quarantine.jsonl"), print)["left"] == [
        {"file": f"{folder}/none.jpg", "reason": f"it is missing, and {tmp_path}/aside/none.jpg is missing too"}
    ]


@pytest.mark.parametrize("name", ["below", "link", ".", "below/.."])
def test_directory_stays_with_all_its_pictures(module: ModuleType, folder: Path, tmp_path: Path, name: str) -> None:
    """A captions file can name a directory of good pictures."""
    (folder / "link").symlink_to("below")
    before, aside = everything(folder), tmp_path / "aside"
    with module.Quarantine(str(folder), str(aside)) as quarantine:
        assert quarantine.add(name, "it is a directory") == "it is a directory, and only files are moved"
    assert (everything(folder), (aside / "quarantine.jsonl").read_text()) == (before, "")


@pytest.mark.parametrize("place", [".", "..", "../other/../ops' pictures"])
def test_folder_that_contains_the_data_is_refused(module: ModuleType, folder: Path, place: str) -> None:
    (folder.parent / "other").mkdir()
    with pytest.raises(module.StackError, match="is or contains the data itself"):
        module.Quarantine(str(folder), str(folder / place))


def test_list_is_used_by_one_process_at_a_time(module: ModuleType, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "aside").mkdir()
    with (tmp_path / "aside" / "quarantine.jsonl").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(module.StackError, match="another process is using"):
            move_all(module, folder, tmp_path / "aside")


@pytest.mark.parametrize("kind", ["file", "link", "pipe", "list is a folder"])
def test_invalid_folder_is_refused(module: ModuleType, folder: Path, tmp_path: Path, kind: str) -> None:
    aside = tmp_path / "aside"
    if kind == "file":
        aside.touch()
    else:
        aside.mkdir()
    if kind == "link":
        (aside / "quarantine.jsonl").symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(aside / "quarantine.jsonl")
    elif kind == "list is a folder":
        (aside / "quarantine.jsonl").mkdir()
    with pytest.raises(module.StackError, match=r"(cannot be written: |is not an ordinary file)"):
        move_all(module, folder, aside)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no such file"),
        ("hello\n", "it is not the list of a quarantine"),
        ('{"from": "a", "to": "/b"}\n', "it is not the list of a quarantine"),
        ('["/a", "/b"]\n{"from": 7, "to": 8}', "it is not the list of a quarantine"),
        ("[" * 70000, "it is not the list of a quarantine"),
    ],
)
def test_file_that_is_not_a_list_is_refused(module: ModuleType, tmp_path: Path, text: Any, words: str) -> None:
    if text is not None:
        (tmp_path / "list").write_text(text)
    with pytest.raises(module.StackError, match=words):
        module.undo(str(tmp_path / "list"), print)
