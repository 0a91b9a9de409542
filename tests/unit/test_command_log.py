"""The log of a command: for its owner alone, without secrets, bounded, rotated, and never in the way of the work."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neuraltalk_provision import command_log, log_files, paths
from neuraltalk_provision.command_log import CommandLog


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory, which is not there yet, at a path with a space and a quote."""
    place = tmp_path / "the operator's state"
    monkeypatch.setenv("XDG_STATE_HOME", str(place))
    return place


def logs() -> list[Path]:
    return sorted(paths.logs_dir().iterdir()) if paths.logs_dir().exists() else []


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def dead(name: str, size: int = 10) -> Path:
    """A log that a command left which has ended."""
    file = paths.logs_dir() / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    return file


def test_nothing_is_written_where_there_is_nothing_to_say(state: Path) -> None:
    with command_log.begin(["mirror", "list"]) as log:
        assert command_log.current() is log
    assert (log.path, log.problem, state.exists()) == (None, "", False)
    assert command_log.current() is None


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_log_is_for_its_owner_alone_and_begins_with_who_did_what(umask: int) -> None:
    before = os.umask(umask)
    try:
        with command_log.begin(["site", "--limit", "node1", "--token=s3cr3t"]) as log:
            log.write("TASK [Ping]\n")
    finally:
        os.umask(before)
    assert logs() == [log.path]
    assert log.path
    assert (mode(log.path), mode(paths.logs_dir()), mode(paths.state_dir())) == (0o600, 0o700, 0o700)
    assert log.path.name.endswith(f"-site-{os.getpid()}.log")
    first, second, *rest = log.path.read_text(encoding="utf-8").splitlines()
    assert "provision site --limit node1 '--token=***'" in first
    for program in ("neuraltalk-provision", "ansible-core", "ansible-runner", "Python"):
        assert program in second
    assert rest == ["TASK [Ping]"]


def test_directory_that_others_could_read_is_for_its_owner_afterwards() -> None:
    paths.logs_dir().mkdir(parents=True, mode=0o755)
    with command_log.begin(["site"]) as log:
        log.write("x\n")
    assert mode(paths.logs_dir()) == 0o700


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["runs", "list"], "runs-list"),
        (["--json"], "provision"),
        (["../x"], "provision"),
        (["site", "/x"], "site"),
        (["-v", "cudnn", "swap"], "cudnn-swap"),
        ([], "provision"),
        (["train", "coco.yml"], "train"),
    ],
)
def test_log_is_named_by_its_command(words: list[str], name: str) -> None:
    with command_log.begin(words) as log:
        log.write("x\n")
    assert log.path and log.path.name.split("-", 2)[2].rsplit("-", 1)[0] == name


def test_secrets_and_what_commands_a_terminal_are_left_out() -> None:
    with command_log.begin(["site"]) as log:
        log.hide(["open sesame"])
        log.write("get https://bot:s3cr3t@mirror/ \x1b[31mred\x1b[0m \x1b]0;title\x07 open sesame\rnext\n")
    assert log.path
    text = log.path.read_text(encoding="utf-8")
    assert "s3cr3t" not in text
    assert "sesame" not in text
    assert "\x1b" not in text
    assert "red" in text
    assert "***@mirror" in text


def test_entry_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    with command_log.begin(["site"]) as log:
        log.write("y" * 10_000_000 + "\n")
        log.write("end\n")
    assert log.path
    text = log.path.read_text(encoding="utf-8")
    assert len(text) < command_log.MOST_OF_ONE + 2000
    assert text.endswith("left out) ...\nend\n")


def test_log_that_grows_keeps_its_end_in_two_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_log, "PART", 10_000)
    with command_log.begin(["runs", "watch"]) as log:
        for number in range(3000):
            log.write(f"line {number}\n")
            assert sum(file.stat().st_size for file in logs()) < 21_000
    assert log.path
    assert [file.name for file in logs()] == [log.path.name, log.path.name + ".1"]
    text = log.path.read_text()
    assert text.endswith("line 2999\n")
    assert text.startswith("# continues ")
    older = Path(f"{log.path}.1").read_text().splitlines()[-1]
    assert f"{older.split()[0]} {int(older.split()[1]) + 1}" == text.splitlines()[1]
    assert {mode(file) for file in logs()} == {0o600}


def test_old_logs_go_and_the_youngest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "KEPT", 5)
    old = [dead(f"20250101-00000{number}-site-7.log") for number in range(9)]
    foreign = dead("notes.txt")
    with command_log.begin(["site"]) as log:
        log.write("x\n")
    assert log.path
    assert set(logs()) == {*old[4:], log.path, foreign}


def test_logs_from_the_future_do_not_push_out_those_that_are_written_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock had been wrong for some days: after that, each command removed the log of the one before it."""
    monkeypatch.setattr(log_files, "KEPT", 5)
    future = [dead(f"20990101-00000{number}-site-7.log") for number in range(6)]
    written = []
    for number in range(3):
        with command_log.begin(["site", str(number)]) as log:
            log.write("x\n")
        written.append(log.path)
    assert set(logs()) == {*future[-3:], *written}


def test_logs_of_many_bytes_go_before_their_number_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "TOTAL", 1000)
    dead("20250101-000000-site-7.log.1", 900)
    first, second = dead("20250101-000000-site-7.log", 900), dead("20250101-000001-site-8.log", 500)
    with command_log.begin(["site"]) as log:
        log.write("x\n")
    assert (first.exists(), Path(f"{first}.1").exists(), second.exists()) == (False, False, True)


def test_log_of_a_living_command_is_never_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "KEPT", 1)
    living = dead("20250101-000000-site-7.log")
    with living.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with command_log.begin(["site"]) as log:
            log.write("x\n")
        assert living.exists()
    for _ in range(2):
        with CommandLog(["site"]) as another:
            another.write("x\n")
    assert log.path and another.path
    assert not living.exists()
    assert another.path.exists()


def test_two_commands_at_one_time_have_logs_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "KEPT", 1)
    with CommandLog(["site"]) as one, CommandLog(["site"]) as other:
        for _ in range(100):
            one.write("one\n")
            other.write("other\n")
    assert one.path and other.path
    assert one.path != other.path
    assert set(one.path.read_text().splitlines()[2:]) == {"one"}
    assert set(other.path.read_text().splitlines()[2:]) == {"other"}


WRITES = """
import sys
from neuraltalk_provision import command_log, log_files
command_log.PART, log_files.KEPT = 3000, 3
with command_log.begin(["site"]) as log:
    while True:
        log.write("a line\\n")
        print(flush=True) if log.path else None
"""


def test_kill_at_any_moment_leaves_logs_that_the_next_command_goes_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "KEPT", 3)
    for attempt in range(6):
        with subprocess.Popen([sys.executable, "-c", WRITES], stdout=subprocess.PIPE) as child:
            assert child.stdout
            child.stdout.readline()
            time.sleep(0.01 * attempt)
            child.send_signal(signal.SIGKILL)
    with command_log.begin(["site"]) as log:
        log.write("x\n")
    assert log.problem == ""
    names = {file.name.removesuffix(".1") for file in logs()}
    assert len(names) <= 4
    for file in logs():
        last = file.read_text().splitlines()[-1:]
        assert set(last) <= {"a line", "x"} or last[0].startswith("# continues "), last


def test_state_that_cannot_be_written_is_no_error_and_says_why(state: Path) -> None:
    state.write_text("a file in its place")
    with command_log.begin(["site"]) as log:
        log.write("x\n")
        log.write("y\n")
    assert log.path is None
    assert str(paths.state_dir()) in log.problem
    assert "Not a directory" in log.problem


def test_home_that_is_not_known_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(paths, "home", lambda: (_ for _ in ()).throw(RuntimeError("Could not determine home")))
    with command_log.begin(["site"]) as log:
        log.write("x\n")
    assert (log.path, "home" in log.problem) == (None, True)


def test_directory_that_is_a_link_is_not_followed(state: Path, tmp_path: Path) -> None:
    paths.logs_dir().parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    paths.logs_dir().symlink_to(tmp_path / "elsewhere")
    with command_log.begin(["site"]) as log:
        log.write("x\n")
    assert log.path is None
    assert log.problem
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_disk_that_gets_full_ends_the_log_and_not_the_command(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    with command_log.begin(["site"]) as log:
        log.write("x\n")
        monkeypatch.setattr(os, "write", lambda *given: (_ for _ in ()).throw(OSError(number, os.strerror(number))))
        log.write("y\n")
        monkeypatch.undo()
        log.write("z\n")
    assert log.path
    assert os.strerror(number) in log.problem
    assert log.path.read_text().endswith("x\n")


def test_verbosity_decides_what_is_shown_as_it_goes() -> None:
    shown: list[str] = []
    with command_log.begin(["site"], verbosity=1, show=shown.append) as log:
        log.write("TASK [x]\n", shown="TASK [x] password=s3cr3t\n")
        log.write("only for the log\n")
    assert shown == ["TASK [x] password=***\n"]


def test_file_system_without_locks_has_logs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(log_files, "KEPT", 1)
    old = [dead(f"20250101-00000{number}-site-7.log") for number in range(3)]
    with command_log.begin(["site"]) as log:
        log.write("x\n")
    assert (log.problem, old[0].exists(), old[2].exists()) == ("", False, True)
