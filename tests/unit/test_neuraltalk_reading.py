"""Reading pictures: a kill, a full disk or a crash costs nothing good, and what changed meanwhile is seen."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests import kill
from tests.standin.images import png
from tests.unit.datasets import DONE, PARTS, Load, Set, made, prepare, refused, rows, say

pytestmark = pytest.mark.slow

__all__ = ["made", "prepare"]


def test_kill_costs_no_picture_but_those_of_blocks_in_flight(prepare: ModuleType, made: Set, tmp_path: Path) -> None:
    whole = Set(tmp_path / "whole", 14)
    prepare.prepare(whole.request(), say)
    assert made.killed(6)
    assert made.left() == PARTS
    blocks = [line for line in made.journal() if "block" in line]
    assert len(blocks) == 3
    lines: list[str] = []
    result = prepare.prepare(made.request(), lines.append)
    read = sum(line["decoded"] for line in blocks)
    assert result["resumed"] == read
    assert f"continuing: {read} of 14 pictures were read before" in lines
    assert rows(made.folder / "data.h5") == rows(whole.folder / "data.h5")
    for name in ("data.json", "data.annotations.json"):
        assert (made.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@pytest.mark.parametrize("at", range(1, 8))
def test_kill_after_any_line_of_the_journal_ends_in_the_same_files(
    prepare: ModuleType, tmp_path: Path, at: int
) -> None:
    small = Set(tmp_path / "small", 8)
    assert small.killed(at, jobs=1)
    prepare.prepare(small.request(jobs=1), say)
    assert small.left() == DONE
    assert len(rows(small.folder / "data.h5")) == 8


@pytest.mark.parametrize("at", range(1, 8))
def test_kill_between_the_renames_is_completed_by_the_same_command(
    prepare: ModuleType, tmp_path: Path, at: int
) -> None:
    small = Set(tmp_path / "small", 2)
    assert small.killed(2 + 1 + 1 + 1, jobs=1)
    assert small.left() == PARTS
    result = small.journal()[-1]["finishing"]["result"]
    assert kill.killed(at, "after", lambda: prepare.prepare(small.request(jobs=1), say))
    assert small.left() == DONE or prepare.prepare(small.request(jobs=1), say) == result
    assert small.left() == DONE


def test_unfinished_names_wait_for_their_own_command(prepare: ModuleType, made: Set) -> None:
    at = 2 + 1 + 5 + 1
    assert made.killed(at)
    assert "finishing" in made.journal()[-1]
    words = refused(prepare, made.request(num_val=2))
    assert "an earlier command has prepared these files" in words
    assert "it had another num_val (1)" in words
    assert made.left() == PARTS
    (made.folder / "data.json").write_text("precious")
    assert "data.json was created by another process" in refused(prepare, made.request())
    assert (made.folder / "data.json").read_text() == "precious"
    (made.folder / "data.json").unlink()
    assert prepare.prepare(made.request(), say)["pictures"] == 14
    assert made.left() == DONE


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"num_val": 2}, "the captions or the options are different"),
        ({"images_root": "the pictures/."}, "the list of pictures is different"),
        ({"block": 4}, "its pictures were read in blocks of another size"),
    ],
)
def test_another_plan_with_the_same_outputs_begins_anew_and_says_why(
    prepare: ModuleType, made: Set, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], why: str
) -> None:
    monkeypatch.chdir(made.folder)
    assert made.killed(5)
    lines: list[str] = []
    assert prepare.prepare(made.request(**more), lines.append)["resumed"] == 0
    assert f"the work that was started here before cannot be continued, so all pictures are read: {why}" in lines


@pytest.mark.parametrize("what", ["gone", "another"])
def test_unfinished_hdf5_that_is_not_the_one_that_was_begun_is_made_anew(
    prepare: ModuleType, made: Set, what: str
) -> None:
    assert made.killed(5)
    part = made.folder / "data.h5.part"
    data = part.read_bytes()
    part.rename(made.folder / "aside")
    if what == "another":
        part.write_bytes(data)
    lines: list[str] = []
    assert prepare.prepare(made.request(), lines.append)["resumed"] == 0
    assert any("data.h5.part is" in line for line in lines)


def test_commands_that_want_the_same_json_do_not_mix_it(prepare: ModuleType, made: Set) -> None:
    assert made.killed(2 + 1 + 5 + 1)
    made.write(["3.png", "4.png"])
    other = made.request(output_h5=str(made.folder / "other.h5"))
    assert prepare.prepare(other, say)["pictures"] == 2
    assert "data.annotations.json was created by another process" in refused(prepare, made.request())
    assert len(json.loads((made.folder / "data.json").read_text())["images"]) == 2


def test_picture_that_changed_since_it_was_read_is_read_again(prepare: ModuleType, made: Set, load: Load) -> None:
    assert made.killed(7)
    listed = json.loads(next(made.folder.glob("data.json.*.part")).read_text())["images"]
    block = next(line["block"] for line in made.journal() if "block" in line)
    changed = made.images / listed[3 * block]["file_path"]
    changed.write_bytes(png(50, 60, (1, 2, 3)))
    result = prepare.prepare(made.request(), say)
    assert result["resumed"] in (7, 8, 9)  # four blocks were read, the last one has two pictures
    assert rows(made.folder / "data.h5")[3 * block] == load("pictures.pixels").read(str(changed))


def test_after_a_reboot_only_what_was_made_durable_counts(
    prepare: ModuleType, made: Set, load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert made.killed(7)
    (tmp_path / "boot").write_text("another boot")
    monkeypatch.setattr(load("preparing.journal"), "BOOT", str(tmp_path / "boot"))
    assert prepare.prepare(made.request(), say)["resumed"] == 0


def test_second_command_on_the_same_outputs_is_refused_with_who_has_them(
    prepare: ModuleType, made: Set, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("preparing.journal")
    monkeypatch.setattr(module, "PATIENCE", 0)
    journal = module.Journal(str(made.folder / "data.h5.part.journal"), "the journal")
    journal.begin()
    words = refused(prepare, made.request())
    assert f"another command is already preparing this data set (pid {os.getpid()} on " in words
    journal.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_words_and_keeps_what_is_good(
    prepare: ModuleType, load: Load, made: Set, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    module = load("preparing.journal")
    add, count = module.Journal.add, [0]

    def watched(self: Any, line: dict[str, Any], durable: bool = False) -> None:
        add(self, line, durable)
        count[0] += "block" in line
        if count[0] == 2:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(module.Journal, "add", watched)
        words = refused(prepare, made.request())
    assert f"ended by signal {number}: about 6 of 14 pictures are done" in words
    assert signal.getsignal(number) is before
    assert {"synced": 2} in made.journal()
    assert prepare.prepare(made.request(), say)["resumed"] in (5, 6)


def test_nothing_is_left_running(prepare: ModuleType, made: Set) -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    prepare.prepare(made.request(), say)
    (made.images / "3.png").unlink()
    (made.folder / "data.h5").unlink()
    refused(prepare, made.request())
    assert children.read_text() == before


def test_full_disk_ends_it_with_words_and_the_same_command_goes_on(
    prepare: ModuleType, load: Load, made: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("preparing.blocks")
    usual = module.write_all

    def full(handle: int, data: bytes) -> None:
        if os.lseek(handle, 0, os.SEEK_CUR) > 1_500_000:
            raise OSError(28, "No space left on device")
        usual(handle, data)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_all", full)
        words = refused(prepare, made.request())
    assert "could not be written: No space left on device. Make room; the same command continues" in words
    assert made.left() == PARTS
    assert prepare.prepare(made.request(), say)["resumed"] > 0
    assert made.left() == DONE


def test_picture_at_which_the_decoder_crashes_is_named_and_the_others_are_read(
    prepare: ModuleType, load: Load, made: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = load("pictures.pixels")
    usual = pixels.decode

    def crashing(path: str) -> Any:
        if path.endswith("/5.png"):
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # not pytest's handler
            os.kill(os.getpid(), signal.SIGSEGV)
        return usual(path)

    monkeypatch.setattr(pixels, "decode", crashing)
    words = refused(prepare, made.request())
    assert "1 of 14 pictures cannot be used" in words
    assert "5.png: the decoder crashes on it (signal 11)" in words
    assert prepare.prepare(made.request(set_aside=True), say)["pictures"] == 13


def test_process_that_is_killed_ends_it_with_words(
    prepare: ModuleType, load: Load, made: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load("pictures.pixels"), "decode", lambda _path: os.kill(os.getpid(), signal.SIGKILL))
    words = refused(prepare, made.request())
    assert "out-of-memory killer" in words
    assert "--jobs" in words


def test_picture_that_becomes_a_pipe_after_the_first_look_hangs_nobody(
    prepare: ModuleType, load: Load, made: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = load("preparing.reading").Reading
    usual = reading.read

    def turning(self: Any) -> Any:
        (made.images / "5.png").unlink()
        os.mkfifo(made.images / "5.png")
        return usual(self)

    monkeypatch.setattr(reading, "read", turning)
    assert "5.png: it is a pipe (FIFO), not an ordinary file" in refused(prepare, made.request())


def test_terminal_that_is_gone_ends_nothing(prepare: ModuleType, made: Set) -> None:
    def gone(_text: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    assert prepare.prepare(made.request(), gone)["pictures"] == 14
