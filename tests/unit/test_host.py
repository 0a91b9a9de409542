"""Code that the modules share: atomic writing of files, stamps, logged commands, loading of Lua modules."""

from __future__ import annotations

import ctypes
import errno
import io
import json
import os
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from neuraltalk_provision import paths
from plugins.module_utils.host import commands, disk, errors, files, lua, outcome, processes, stamps
from tests.unit.test_module_grammar import python27
from tests.unit.waiting import until


def test_file_is_written_whole_with_its_mode_and_directory(tmp_path: Path) -> None:
    file = tmp_path / "a 'new' folder" / "f"
    files.write_whole(str(file), "ü\n", 0o600)
    files.write_whole(str(file), "é\n", 0o640)
    assert file.read_text(encoding="utf-8") == "é\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["f"]


def test_bytes_of_python_2_are_written_as_text(tmp_path: Path) -> None:
    files.write_whole(str(tmp_path / "f"), "é".encode())
    assert (tmp_path / "f").read_text(encoding="utf-8") == "é"


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_failed_write_leaves_the_old_file_and_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    (tmp_path / "f").write_text("old")

    def full(*_given: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_whole(str(tmp_path / "f"), "new")
    assert caught.value.filename == str(tmp_path / "f"), "fsync() names no file, and the temporary name says nothing"
    assert (tmp_path / "f").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("libc", [True, False])
def test_directory_is_flushed_to_the_disk_with_all_that_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libc: bool
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text("new")
    (tmp_path / "a" / "link").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "a" / "pipe")
    flushed = list[str]()
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(Path(f"/proc/self/fd/{handle}").readlink().name))
    if not libc:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    files.sync_tree(str(tmp_path / "a"))
    assert flushed == ([] if libc else ["f", "a"])


def test_directory_may_be_there_but_not_as_a_file(tmp_path: Path) -> None:
    files.make_directory(str(tmp_path / "a" / "b"))
    files.make_directory(str(tmp_path / "a" / "b"))
    (tmp_path / "f").touch()
    with pytest.raises(OSError, match="exists"):
        files.make_directory(str(tmp_path / "f"))


def test_directory_and_its_parents_get_their_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.make_directory(str(tmp_path / "a" / "b"))
        files.make_directory(str(tmp_path / "mine" / "own"), 0o700)
        files.make_directory(str(tmp_path / "a" / "b"), 0o700)
    finally:
        os.umask(before)
    modes = {name: (tmp_path / name).stat().st_mode & 0o7777 for name in ("a", "a/b", "mine", "mine/own")}
    assert modes == {"a": 0o755, "a/b": 0o755, "mine": 0o700, "mine/own": 0o700}


def test_whoever_imports_this_writes_for_all_users(tmp_path: Path) -> None:
    """Also what programs write that it runs: sudoers may say `Defaults umask=0077, umask_override`."""
    program = (
        f"import sys; sys.path[:0] = [{str(paths.plugins())!r}]; from module_utils.host import commands; "
        f"commands.run_logged(['touch', {str(tmp_path / 'made')!r}], {str(tmp_path / 'l' / 'log')!r})"
    )
    subprocess.run([sys.executable, "-c", program], check=True, umask=0o077)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("made", "l", "l/log")}
    assert modes == {"made": 0o644, "l": 0o755, "l/log": 0o644}


@pytest.mark.parametrize("content", ["", "{", '{"digest": "a', "\x00"])
def test_file_that_was_cut_short_is_no_object(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    assert files.read_json(str(tmp_path / "x.json")) is None


def test_missing_file_is_no_object_and_an_unreadable_one_is_an_error(tmp_path: Path) -> None:
    assert files.read_json(str(tmp_path / "none" / "x")) is None
    assert files.read_text(str(tmp_path / "none")) is None
    with pytest.raises(OSError, match="directory"):
        files.read_text(str(tmp_path))


def test_what_is_no_ordinary_file_is_not_even_opened(
    waiting_writer: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Opening can have an effect: /dev/watchdog resets the host, and who waits for a reader of a pipe goes on."""
    pipe, writer = waiting_writer
    link = tmp_path / "run.json"
    link.symlink_to(pipe)
    for _attempt in range(50):
        with pytest.raises(OSError, match=r"not an ordinary file.*run\.json"):
            files.read_text(str(link))
    assert writer.poll() is None


def test_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, real = tmp_path / "run.json", os.open
    file.touch()

    def denied(path: str, *flags: int) -> int:
        if str(path).startswith("/proc/self/fd/"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *flags)

    monkeypatch.setattr(files.os, "open", denied)
    with pytest.raises(PermissionError) as caught:
        files.read_text(str(file))
    assert caught.value.filename == str(file)


@pytest.mark.parametrize("reads", [files.read_text, files.end_of, files.file_sha256])
def test_file_on_a_broken_disk_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Callable[[str], object]
) -> None:
    """The kernel names no file when it cannot read one, and `None: Input/output error` helps nobody."""

    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "f").touch()
    monkeypatch.setattr(files.io, "open", lambda *_given: Broken())
    with pytest.raises(OSError, match=r"Input/output error: '.*/f'"):
        reads(str(tmp_path / "f"))


def test_object_comes_back_as_it_was_written(tmp_path: Path) -> None:
    files.write_json(str(tmp_path / "x.json"), {"b": "é", "a": [1, None]})
    assert files.read_json(str(tmp_path / "x.json")) == {"a": [1, None], "b": "é"}


def test_stamps_are_those_that_were_written_whole(generation: Path) -> None:
    files.write_json(stamps.stamp_path(str(generation), "nn"), {"digest": "d-nn"})
    (generation / "stamps" / "torch.json").write_text('{"digest": "d-to')
    (generation / "stamps" / "image.json").write_text("{}")
    (generation / "stamps" / ".new-x").write_text('{"digest": "x"}')
    assert stamps.read_stamps(str(generation)) == {"nn": "d-nn"}
    assert stamps.read_stamps(str(generation / "none")) == {}


def test_command_is_logged_with_its_own_line_first(tmp_path: Path) -> None:
    log = tmp_path / "new folder" / "x.log"
    outcome = commands.run_logged(["sh", "-c", 'echo "$A $TERM $LC_ALL"; exit 3'], str(log), environment={"A": "é"})
    assert outcome["rc"] == 3
    assert log.read_text(encoding="utf-8").splitlines() == ['$ sh -c echo "$A $TERM $LC_ALL"; exit 3', "é dumb C.UTF-8"]
    assert [path.name for path in log.parent.iterdir()] == ["x.log"]


def test_log_is_begun_anew_or_gone_on_with(tmp_path: Path) -> None:
    log = str(tmp_path / "x.log")
    for append, expected in ((False, 2), (True, 4), (False, 2)):
        commands.run_logged(["echo", "a"], log, append=append)
        assert len(Path(log).read_text().splitlines()) == expected


def test_command_has_no_input_and_its_own_directory(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert commands.run_logged(["sh", "-c", "pwd; cat"], str(log), chdir=str(tmp_path), timeout=20)["rc"] == 0
    assert log.read_text().splitlines()[1:] == [str(tmp_path)]


def test_command_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.StackError, match="no-such-program cannot be started: No such file") as caught:
        commands.run_logged(["no-such-program"], str(tmp_path / "x.log"))
    assert caught.value.details["log"] == str(tmp_path / "x.log")


@pytest.mark.slow
def test_time_that_is_up_ends_the_command_and_its_children(tmp_path: Path) -> None:
    script = f"sh -c 'echo $$ > {tmp_path}/child; sleep 60' & wait"
    outcome = commands.run_logged(["sh", "-c", script], str(tmp_path / "x.log"), timeout=1)
    assert outcome["rc"] == 124
    child = (tmp_path / "child").read_text().strip()
    until(lambda: not processes.start_of(child))
    assert not (tmp_path / "x.log.pid").exists()


def test_running_build_is_seen_and_can_be_ended(generation: Path) -> None:
    root = generation.parents[1]
    log = generation / "logs" / "torch.log"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from module_utils.host import commands as c; c.run_logged(['sleep', '60'], sys.argv[2])"
    )
    shared = str(paths.plugins())
    with subprocess.Popen([sys.executable, "-c", program, shared, str(log)]) as builder:
        until(lambda: commands.running_builds(str(root)))
        (build,) = commands.running_builds(str(root))
        assert build["log"] == str(log)
        assert commands.end_builds(str(root)) == [build]
        assert builder.wait(10) == 0
    assert not processes.start_of(build["pid"])
    assert commands.running_builds(str(root)) == []


@pytest.mark.parametrize("content", ["", "{gone} 1\n", "{us} 1\n", "{us}\n", "x y\n"])
def test_pid_file_of_another_process_is_no_build(generation: Path, content: str) -> None:
    """A host that was restarted has given the number to somebody else."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    (generation / "logs" / "torch.log.pid").write_text(content.format(gone=gone.pid, us=os.getpid()))
    assert commands.running_builds(str(generation.parents[1])) == []


def test_process_is_known_by_its_number_and_start() -> None:
    start = processes.start_of(os.getpid())
    assert processes.is_alive(os.getpid(), start)
    assert not processes.is_alive(os.getpid(), "1")
    assert not processes.is_alive(None, None)


def test_zombie_is_not_alive() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        start = processes.start_of(process.pid)
        assert processes.is_alive(process.pid, start)
        assert process.stdin
        process.stdin.close()
        until(lambda: not processes.is_alive(process.pid, start))
        assert Path(f"/proc/{process.pid}").exists()


def test_log_tail_puts_what_looks_like_the_cause_first(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(100)]
    lines[3] = "cc1plus: fatal error: jpeglib.h: No such file or directory"
    lines[5] = "make: *** [all] Error 2"
    (tmp_path / "x.log").write_text("\n".join(lines))
    tail = commands.log_tail(str(tmp_path / "x.log"))
    assert tail[:3] == [lines[3], lines[5], "..."]
    assert tail[3 : 3 + commands.LOG_TAIL_LINES] == lines[-commands.LOG_TAIL_LINES :]


def test_log_that_a_program_made_endless_costs_no_memory(tmp_path: Path) -> None:
    """Such a file needs no space on the disk. Read as a whole, it would let the kernel end programs of others."""
    log = tmp_path / "x.log"
    with log.open("wb") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"\nprobed 5\n" + b"x" * 100_000)
    assert files.lines_since(str(log), 0)[-2] == "probed 5"
    assert [len(line) for line in commands.log_tail(str(log))[1:3]] == [8, commands.LONGEST_LINE]


def test_log_tail_shows_the_first_five_causes_only(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("".join(f"error {number}\n" for number in range(100)))
    tail = commands.log_tail(str(tmp_path / "x.log"))
    assert tail[:6] == ["error 0", "error 1", "error 2", "error 3", "error 4", "..."]
    assert tail[6 : 6 + commands.LOG_TAIL_LINES][-3:] == ["error 97", "error 98", "error 99"]


def test_full_disk_is_told_also_if_only_its_inodes_are_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.log").write_text("error 1\n")
    full = SimpleNamespace(f_bavail=1 << 30, f_frsize=4096, f_files=1000, f_favail=0)
    monkeypatch.setattr(commands.os, "statvfs", lambda path: full)
    last = commands.log_tail(str(tmp_path / "x.log"))[-1]
    assert last.startswith("No space left on device")
    assert last.endswith("and space for 0 more files (inodes)")
    full.f_files = 0
    assert not disk.is_full(str(tmp_path))


def test_short_log_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("error 1\nend\n")
    assert commands.log_tail(str(tmp_path / "x.log"))[:2] == ["error 1", "end"]
    assert commands.log_tail(str(tmp_path / "none.log"))[:1] in ([], ["..."])


def test_modules_that_load_are_evidence(generation: Path) -> None:
    log = generation / "logs" / "load.log"
    evidence = lua.load_modules(str(generation), ["torch", "pl.path"], str(log))
    assert [(seen["module"], seen["version"]) for seen in evidence] == [("torch", "1.0"), ("pl.path", "1.0")]


@pytest.mark.parametrize(("module", "words"), [("broken", "fails (rc 1)"), ("silent", "fails (rc 0)")])
def test_module_that_does_not_load_is_an_error_with_the_log(generation: Path, module: str, words: str) -> None:
    log = str(generation / "logs" / "load.log")
    with pytest.raises(errors.StackError) as caught:
        lua.load_modules(str(generation), ["torch", module], log)
    assert f"{module} was installed, but `require '{module}'` {words}" in str(caught.value)
    assert caught.value.details["log"] == log
    assert caught.value.details["tail"]


def test_module_that_loaded_earlier_does_not_vouch_for_itself_now(generation: Path) -> None:
    log = generation / "logs" / "load.log"
    log.write_text("loaded silent 1.0\n", encoding="utf-8")
    with pytest.raises(errors.StackError, match="silent was installed"):
        lua.load_modules(str(generation), ["silent"], str(log))


def test_program_has_to_run_to_its_end(generation: Path) -> None:
    log = generation / "logs" / "try.log"
    assert len(lua.try_programs(str(generation), ["torch"], ["assert(1)", "assert(2)"], str(log))) == 2
    with pytest.raises(errors.StackError, match=r"torch loads, but does not work: its trial failed \(rc 0\)"):
        lua.try_programs(str(generation), ["torch"], ["silence()"], str(log))
    with pytest.raises(errors.StackError, match=r"broken loads, but does not .* \(rc 1\)"):
        lua.try_programs(str(generation), ["broken"], ["assert(1)"], str(log))


def test_error_in_words_has_its_log_and_the_end_of_that() -> None:
    error = errors.StackError("it broke", log="/l", tail=["a", "b"], rc=2)
    assert outcome.message_of(error) == "it broke. The whole log: /l\na\nb"


SAY = r"""
import io, json, sys
sys.path.insert(0, sys.argv[1])
from module_utils.host import texts, unpacking
from module_utils.rules import archive_tree, pack
from module_utils.runs import account, summary
from module_utils.host.errors import StackError

name = b"\xc3\xa9".decode("utf-8")
listing = json.dumps({"path": "../" + name, "type": "file", "mode": "0644", "size": 1, "sha256": "0" * 64}) + "\n"
member = type("Member", (), {"name": pack.LISTING, "kind": archive_tree.FILE, "size": len(listing)})
member.content = io.BytesIO(listing.encode("ascii"))


def fail(*_given):
    raise ValueError(name)


said = [texts.text_of(ValueError(name)), texts.text_of(ValueError(7)), texts.text_of(OSError(2, "x", name))[:9]]
said.append(summary.or_unreadable("/nowhere", "x", fail)["unreadable"])
try:
    unpacking.Unpacking("/nowhere", "x", {}, []).listing(member, "x.tar")
except StackError as error:
    said.append(str(error))
sys.stdout.write(json.dumps(said))
"""


@pytest.mark.parametrize("python", [sys.executable, python27()], ids=["this", "2.7"])
def test_message_with_an_accented_letter_is_told_by_every_python(python: str) -> None:
    if not python:
        pytest.skip("there is no Python 2.7")
    answer = subprocess.run([python, "-c", SAY, str(paths.plugins())], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == [
        "é",
        "7",
        "[Errno 2]",
        "ValueError: é",
        "x.tar is not a packed generation: ../é is not a path in a packed generation",
    ]


def test_small_file_takes_little_memory_whatever_the_limit_is(tmp_path: Path) -> None:
    """256 MB were reserved for each: a host with `ulimit -v` or vm.overcommit_memory=2 had not enough memory."""
    (tmp_path / "f").write_text("x" * 300_000)
    for read in (files.read_text, files.read_json, files.end_of):
        tracemalloc.start()
        read(str(tmp_path / "f"))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000, read
        tracemalloc.stop()
    assert files.read_text(str(tmp_path / "f")) == "x" * 300_000
    assert files.read_text(str(tmp_path / "f"), 200_001) == "x" * 200_001
    assert files.end_of(str(tmp_path / "f"), 7) == "x" * 7
