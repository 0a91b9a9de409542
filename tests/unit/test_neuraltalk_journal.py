"""The journal of a data set: what it tells after a kill, after a reboot, and to whom it belongs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Load = Callable[[str], ModuleType]
FIRST = {"journal": "provision data prepare", "format": 1}
RUN = {"run": {"boot": "one"}}
PLAN: dict[str, Any] = {"plan": {"rows": 9}}


def block(number: int) -> dict[str, Any]:
    return {"block": number, "stamp": "s", "bad": [], "decoded": 3, "converted": 0, "other": 0}


def written(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@pytest.fixture
def module(load: Load) -> ModuleType:
    return load("preparing.journal")


def test_blocks_of_the_last_plan_count(module: ModuleType) -> None:
    state = module.replay(written(FIRST, RUN, PLAN, block(0), block(1), RUN, block(1), block(2)))
    assert sorted(state.blocks) == [0, 1, 2]
    assert state.plan == {"rows": 9}
    assert sorted(module.replay(written(FIRST, RUN, PLAN, block(0), RUN, PLAN, block(2))).blocks) == [2]


@pytest.mark.parametrize("torn", [b'{"block": 1, "st', b"\0\0\0\n", b"\xff\n", b'{"block": 1}\n', b"[]\n", b"{}\n"])
def test_torn_line_and_all_after_it_are_left_out(module: ModuleType, torn: bytes) -> None:
    good = written(FIRST, RUN, PLAN, block(0))
    state = module.replay(good + torn + written(block(2)))
    assert sorted(state.blocks) == [0]
    assert state.good == len(good)


def test_reboot_leaves_what_was_synced(module: ModuleType) -> None:
    lines = [FIRST, RUN, PLAN, block(0), block(1), {"synced": 1}, block(2), {"synced": 2}, block(3)]
    assert sorted(module.replay(written(*lines)).blocks) == [0, 1, 2, 3]
    assert sorted(module.replay(written(*lines, RUN)).blocks) == [0, 1, 2, 3]
    assert sorted(module.replay(written(*lines, {"run": {"boot": "two"}}, block(4))).blocks) == [0, 1, 4]


@pytest.mark.parametrize("data", [b"", b"\0" * 50, b'{"format"'])
def test_journal_that_was_just_made_is_ours(module: ModuleType, data: bytes) -> None:
    state = module.replay(data)
    assert (state.good, state.plan) == (0, None)


@pytest.mark.parametrize("data", [b"x", b"x\n", b"[]\n", written({"journal": "another", "format": 1}), b"\xff\xd8"])
def test_other_files_are_not(module: ModuleType, data: bytes) -> None:
    assert module.replay(data) is None


def test_what_is_torn_is_cut_off_before_more_is_written(module: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(written(FIRST, RUN, PLAN, block(0)) + b'{"bl')
    journal = module.Journal(str(path), "journal")
    journal.begin()
    journal.add(block(1))
    journal.close()
    state = module.replay(path.read_bytes())
    assert state.run["pid"] == os.getpid()
    assert path.read_bytes().count(b"\n") == 6


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_file_is_refused_at_once(module: ModuleType, tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    with pytest.raises(module.StackError):
        module.Journal(str(path), "the journal")
    assert not (tmp_path / "elsewhere").exists()


def test_lock_of_a_journal_that_was_removed_meanwhile_is_worth_nothing(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    flock, calls = module.fcntl.flock, []

    def slow(handle: int, how: int) -> None:
        if not calls:
            path.unlink()  # its command ends just now
        calls.append(handle)
        flock(handle, how)

    monkeypatch.setattr(module.fcntl, "flock", slow)
    journal = module.Journal(str(path), "the journal")
    assert len(calls) == 2
    assert os.path.samestat(os.fstat(journal.handle), path.stat())
    journal.close()
