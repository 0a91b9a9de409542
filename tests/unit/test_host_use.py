"""What uses a host now: runs of ours, programs of the stack, processes on cards; and what cannot be determined."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.programs import program
from tests.unit.test_gpu_cards import H200, SCRIPT

Run = Callable[..., dict[str, Any]]
SLEEP = shutil.which("sleep") or ""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A stack root at a path with a space and a quote."""
    place = tmp_path / "the 'stack' root"
    (place / "generations" / "g1" / "torch" / "bin").mkdir(parents=True)
    return place


@pytest.fixture
def use(run_module: Run, root: Path) -> Callable[[], dict[str, Any]]:
    return lambda: dict(run_module("host_use_info", stack_root=root)["use"])


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is alive, in a session of its own."""
    process = subprocess.Popen([SLEEP, "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def start_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def make(root: Path, name: str, **files: Any) -> Path:
    """A run with its record and these files."""
    place = root / "runs" / name
    place.mkdir(parents=True)
    record = {"id": name, "program": "train.lua", "requested": {}, "supervisor": str(place), "generation": "g1"}
    (place / "run.json").write_text(json.dumps({**record, "started": 1764112380}))
    for file, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (place / file.replace("_", ".")).write_text(text)
    return place


def lock(root: Path, name: str) -> int:
    """Hold the lock of a run, as its processes do."""
    folder = root / "runs" / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(handle, b"pid %d" % os.getpid())
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def test_question_changes_no_file_of_a_host_that_had_runs(
    use: Run, root: Path, load: Callable[[str], ModuleType]
) -> None:
    """A plan asks it, and the lock under which runs are started was written."""
    make(root, "over", exit="0\n")
    os.close(lock(root, "over"))
    with load("runs.leases").Leases(str(root)):
        pass
    before = {path: path.lstat().st_ctime_ns for path in root.rglob("*") if path.is_file()}
    use()
    assert {path: path.lstat().st_ctime_ns for path in before} == before


def test_idle_host_has_no_use_and_gets_no_file(use: Run, root: Path) -> None:
    before = sorted(root.rglob("*"))
    found = use()
    assert (found["runs"], found["programs"], found["hidden"], found["problems"]) == ([], [], 0, [])
    assert os.uname()[1] in found["names"]
    assert sorted(root.rglob("*")) == before


def test_run_that_is_running_or_waiting_is_listed_with_its_user(
    use: Run, root: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    process = {"pid": sleeper.pid, "start": start_of(sleeper.pid), "card": None}
    make(root, "now", process_json=process)
    make(root, "next", state_json=process)
    make(root, "over", process_json=process, exit="0\n")
    found = {run["id"]: run for run in use()["runs"]}
    now = {"id": "now", "state": "running", "pid": sleeper.pid, "user": "root", "since": 1764112380, "generation": "g1"}
    assert found == {"now": now, "next": {**now, "id": "next", "state": "waiting"}}
    sleeper.kill()
    sleeper.wait()
    assert use()["runs"] == []


def test_process_of_a_run_is_seen_by_its_lock_whatever_happened_to_the_files(use: Run, root: Path) -> None:
    make(root, "ended", exit="0\n")
    make(root, "damaged", process_json="{")
    handles = [lock(root, name) for name in ("deleted", "ended", "damaged")]
    found = {run["id"]: (run["state"], run["pid"]) for run in use()["runs"]}
    assert found == dict.fromkeys(("deleted", "ended", "damaged"), ("process", os.getpid()))
    for handle in handles:
        os.close(handle)
    assert use()["runs"] == []


def test_run_whose_files_cannot_be_read_is_active_unless_it_has_ended(use: Run, root: Path) -> None:
    os.mkfifo(make(root, "pipe") / "process.json")
    os.mkfifo(make(root, "over", exit="0") / "process.json")
    (found,) = use()["runs"]
    assert (found["id"], found["state"]) == ("pipe", "unreadable")
    assert "not an ordinary file" in found["problem"]


def test_run_on_another_host_that_shares_the_disk_is_active_while_it_writes(use: Run, root: Path) -> None:
    place = make(root, "far", state_json={"pid": 7, "start": "1", "node": "elsewhere"}, log="iter 1")
    (found,) = use()["runs"]
    assert (found["id"], found["state"]) == ("far", "elsewhere")
    for file in ("run.json", "log"):
        os.utime(place / file, (time.time() - 7200,) * 2)
    assert use()["runs"] == []


def test_start_that_hangs_is_a_problem_and_not_an_idle_host(
    use: Run, root: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(root, "x")
    leases = load("runs.leases")
    monkeypatch.setattr(leases, "LEASE_PATIENCE", 0.2)
    with leases.Leases(str(root)):
        (problem,) = use()["problems"]
    assert problem.startswith("runs: another start of a run below this stack root has held ")


def test_program_of_the_stack_that_somebody_runs_by_hand_is_seen(
    use: Run, root: Path, load: Callable[[str], ModuleType]
) -> None:
    luajit = root / "generations" / "g1" / "torch" / "bin" / "luajit"
    shutil.copy(SLEEP, luajit)
    with subprocess.Popen([luajit, "600"], start_new_session=True) as process:
        try:
            (found,) = use()["programs"]
            assert (found["pid"], found["name"], found["user"]) == (process.pid, "luajit", "root")
            assert found["generation"] == "g1"
            assert abs(found["since"] - time.time()) < 60
            make(root, "own", process_json={"pid": process.pid, "start": start_of(process.pid)})
            found = use()
            assert [run["id"] for run in found["runs"]] == ["own"]
            assert found["programs"] == [], "it belongs to the run"
            assert load("runs.uses").generations_in_use(str(root)) == {"g1"}
        finally:
            process.kill()


def test_program_that_root_of_a_container_may_not_see_counts_as_a_use(
    use: Run, root: Path, tmp_path: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    luajit = shutil.copy(SLEEP, tmp_path / "luajit")
    with subprocess.Popen([luajit, "600"], start_new_session=True) as process:
        try:
            assert use()["problems"] == [], "it is not of the stack"
            assert load("runs.uses").generations_in_use(str(root)) == set()
            without_ptrace(process.pid, monkeypatch)
            (problem,) = use()["problems"]
            assert f"it lacks CAP_SYS_PTRACE, as in a container: pid {process.pid} of root." in problem
            assert load("runs.uses").generations_in_use(str(root)) is None
            own = {"pid": process.pid, "start": start_of(process.pid)}
            place = make(root, "own", process_json=own, state_json={"node": "elsewhere"})
            assert use()["problems"] != [], "the run has this pid on another host"
            assert load("runs.uses").generations_in_use(str(root)) is None
            (place / "state.json").unlink()
            assert use()["problems"] == [], "it belongs to the run"
            assert load("runs.uses").generations_in_use(str(root)) == {"g1"}
            (place / "exit").write_text("0\n")
            assert use()["problems"] != [], "the run has ended"
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert use()["problems"] == [], "the process has ended, although nobody has asked for its exit code"
        finally:
            process.kill()


def without_ptrace(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system not show the program of a process, as to root of a container."""
    shown = os.readlink

    def readlink(path: str) -> str:
        if path == f"/proc/{pid}/exe":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return shown(path)

    monkeypatch.setattr(os, "readlink", readlink)


def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **told: Any) -> None:
    folder = tmp_path / "told"
    folder.mkdir(exist_ok=True)
    for what, lines in {**H200, **told}.items():
        text = lines if isinstance(lines, str) else "".join(f"{line}\n" for line in lines)
        (folder / what.replace("_", "-")).write_text(text)
    program(tmp_path / "bin" / "nvidia-smi", SCRIPT.replace("FOLDER", str(folder)))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def test_process_on_cards_is_listed_once_and_hidden_ones_are_counted(
    use: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes]
) -> None:
    rows = [f"{sleeper.pid}, GPU-1, 10", f"{sleeper.pid}, GPU-2, 10"]
    nvidia_smi(tmp_path, monkeypatch, compute_apps=[*rows, "999999999, GPU-1, 5", "[N/A], GPU-1, [N/A]"])
    found = use()
    (process,) = found["processes"]
    assert (process["pid"], process["name"], process["cards"]) == (sleeper.pid, "sleep", ["GPU-1", "GPU-2"])
    assert (process["user"], found["hidden"], found["problems"]) == ("root", 2, [])


def test_divided_card_with_memory_in_use_and_no_process_is_in_use(
    use: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = f"{H200['fields']} mig.mode.current"
    for used, mig, hidden in ((4000, "Enabled", 1), (80, "Enabled", 0), (4000, "Disabled", 0)):
        gpu = [f"0, GPU-5f0a, NVIDIA H200, 143771, {used}, Default, [N/A], 580.65.06, 9.0, {mig}"]
        nvidia_smi(tmp_path, monkeypatch, fields=fields, gpu=gpu, compute_apps=[])
        monkeypatch.setattr("plugins.module_utils.gpu.uses.in_container", lambda: False)
        assert use()["hidden"] == hidden, (used, mig)


def test_card_whose_driver_lists_no_processes_is_in_use_if_its_memory_is(
    use: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.module_utils.gpu.uses.in_container", lambda: False)
    for used, hidden in ((4000, 1), (80, 0)):
        gpu = [f"0, GPU-5f0a, GeForce GTX 1080, 8119, {used}, Default, [Not Supported], 390.48, [Not Supported]"]
        nvidia_smi(tmp_path, monkeypatch, gpu=gpu, compute_apps=["[Not Supported], GPU-5f0a, [Not Supported]"])
        assert use()["hidden"] == hidden, used


def test_nvidia_smi_that_fails_is_a_problem(use: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch)
    program(tmp_path / "bin" / "nvidia-smi", "#!/bin/sh\necho 'Failed to initialize NVML'; exit 9\n")
    monkeypatch.setattr("plugins.module_utils.gpu.uses.signs", lambda: [("device", "there is /dev/nvidia0")])
    (problem,) = use()["problems"]
    assert problem.startswith("cards: Failed to initialize NVML")


def test_card_without_a_driver_can_be_used_by_nobody(use: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch)
    program(tmp_path / "bin" / "nvidia-smi", "#!/bin/sh\necho 'no driver'; exit 9\n")
    monkeypatch.setattr("plugins.module_utils.gpu.uses.signs", lambda: [("bus", "an NVIDIA card is on the PCI bus")])
    found = use()
    assert (found["processes"], found["hidden"], found["problems"]) == ([], 0, [])


def test_lists_are_bounded_and_the_rest_is_counted(
    load: Callable[[str], ModuleType], use: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load("runs.host_use"), "MOST", 2)
    handles = [lock(root, f"r{number}") for number in range(5)]
    found = use()
    assert (len(found["runs"]), found["more"]) == (2, 3)
    for handle in handles:
        os.close(handle)


def test_name_of_a_program_is_one_line(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    """Every user of the host chooses that of his: a line of it would look like one of ours."""
    info, named = load("host.process_info"), tmp_path / "x\nnext: run y"
    named.symlink_to("/bin/cat")
    with subprocess.Popen([str(named), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        try:
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"\n"  # it is that program now
            assert info.name_of(process.pid) == "x next: run y"
            assert info.command_of(process.pid).endswith("/x next: run y -")
        finally:
            process.kill()
