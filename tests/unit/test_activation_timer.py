"""A host that loses its controller during activation returns by itself: record, timer, program, and all their kills."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision import paths
from neuraltalk_provision.rules import codes
from tests.kill import killed
from tests.standin import cudnn as standin
from tests.unit.modules import ModuleError
from tests.unit.test_module_grammar import python27
from tests.unit.waiting import until

pytestmark = pytest.mark.slow

Run = Callable[..., dict[str, Any]]
Load = Callable[[str], ModuleType]
A = "alpha pid 7 since 9 boot b space 1 machine m"
B = "beta pid 8 since 9 boot c space 1 machine n"
LONG = 600
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="a file of another user takes root to make")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A stack root with the generations a (current), b and c, at a path with a space, a quote, % and $."""
    place = tmp_path / "the 'stack' at 100%h $5"
    for name in "abc":
        (place / "generations" / name).mkdir(parents=True)
        (place / "generations" / name / "generation.json").write_text("{}")
    (place / "current").symlink_to("generations/a")
    (place / "history.json").write_text(json.dumps({"previous": "c", "activated": {"c": 1, "a": 2}}))
    return place


@pytest.fixture(autouse=True)
def no_systemd(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes units of this machine."""
    monkeypatch.setattr(load("activation.timer"), "RUNNING", str(tmp_path / "no systemd"))
    monkeypatch.setattr(load("activation.timer"), "UNITS", str(tmp_path / "units"))


@pytest.fixture
def timer(run_module: Run, root: Path) -> Run:
    """The module, for this stack root."""

    def timer(state: str, id_: str = "b", **more: Any) -> dict[str, Any]:
        given = {"holder": A, **({"return_after": LONG} if state == "armed" else {}), **more}
        return run_module("activation_timer", stack_root=root, state=state, id=id_, **given)

    return timer


@pytest.fixture
def activate(run_module: Run, root: Path) -> Run:
    """Makes b current, as an activation does after the timer was armed."""
    return lambda **more: run_module("stack_generation", stack_root=root, id="b", state="current", armed=True, **more)


def current(root: Path) -> str:
    link = root / "current"
    return link.readlink().name if link.is_symlink() else ""


def record(root: Path) -> dict[str, Any] | None:
    file = root / "activation.json"
    found: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
    return found


def change(root: Path, **more: Any) -> None:
    """Change fields of the record, which the process of a timer can read at any moment."""
    (root / "changed.json").write_text(json.dumps({**(record(root) or {}), **more}))
    (root / "changed.json").replace(root / "activation.json")


def failed(act: Callable[[], Any]) -> tuple[str, str]:
    """(code, message) of the failure."""
    with pytest.raises(ModuleError) as caught:
        act()
    return caught.value.result.get("code", ""), str(caught.value)


def pid(said: dict[str, Any]) -> int:
    kind, _, number = said["timer"].partition(" ")
    assert kind == "process"
    return int(number)


@pytest.fixture(autouse=True)
def no_process_stays(root: Path) -> Iterator[None]:
    """A process of a timer ends when its record is gone."""
    yield
    (root / "activation.json").unlink(missing_ok=True)


# --- the record


def test_record_says_what_a_return_needs_and_is_for_its_owner_alone(timer: Run, root: Path) -> None:
    before = os.umask(0)
    try:
        said = timer("armed")
    finally:
        os.umask(before)
    kept = record(root) or {}
    assert {name: kept[name] for name in ("state", "holder", "former", "target", "cuda", "restores", "limit")} == {
        "state": "unconfirmed",
        "holder": A,
        "former": "a",
        "target": "b",
        "cuda": "",
        "restores": False,
        "limit": LONG,
    }
    assert kept["start"] == pytest.approx(float(Path("/proc/uptime").read_text().split()[0]), abs=20)
    assert Path("/proc/sys/kernel/random/boot_id").read_text().strip() in kept["boot"]
    assert stat.S_IMODE((root / "activation.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "activation.zip").stat().st_mode) == 0o600
    assert said["changed"] is False
    assert current(root) == "a"


def test_generation_that_another_controller_activated_meanwhile_stays(
    timer: Run, activate: Run, root: Path, run_module: Run
) -> None:
    """A controller with another journal activated c after this one had asked the host, and before its wave."""
    timer("armed", expected=["a", "x"])
    activate()
    timer("confirmed")
    timer("armed", expected=["a"])  # what is activated is current already
    timer("confirmed")
    run_module("stack_generation", stack_root=root, id="c", state="current")
    code, message = failed(lambda: timer("armed", expected=["a", "x"]))
    assert code == codes.BUSY
    assert message.startswith("generation c is current, but generation a was when the hosts were asked")
    assert (current(root), record(root)) == ("c", None)
    timer("armed")  # by plain playbooks, which have asked nothing
    assert (record(root) or {})["former"] == "c"


def test_host_without_a_generation_is_activated_if_none_was_seen(timer: Run, root: Path) -> None:
    (root / "current").unlink()
    _, message = failed(lambda: timer("armed", expected=["a"]))
    assert message.startswith("no generation is current, but generation a was")
    timer("armed", expected=[""])
    assert (record(root) or {})["former"] == ""


def test_check_mode_has_no_effect(timer: Run, root: Path) -> None:
    before = sorted(root.rglob("*"))
    assert timer("armed", check=True)["timer"] == ""
    assert sorted(root.rglob("*")) == before
    timer("armed")
    kept = record(root)
    assert timer("confirmed", check=True)["changed"] is False
    assert timer("absent", check=True)["changed"] is True
    assert record(root) == kept


def test_nothing_is_removed_before_the_activation_is_confirmed(
    timer: Run, activate: Run, run_module: Run, root: Path
) -> None:
    """The host may still return to its former generation, and everything is to be as it was then."""
    (root / "generations" / "half").mkdir()
    os.utime(root / "generations" / "half", (0, 0))
    timer("armed")
    activate()
    said = run_module("stack_generation", stack_root=root, state="pruned", keep=1)
    assert (said["removed"], [entry["id"] for entry in said["kept"]]) == ([], [""])
    assert "is not confirmed" in said["kept"][0]["problem"]
    timer("confirmed")
    assert run_module("stack_generation", stack_root=root, state="pruned", keep=1)["removed"] == ["c", "half"]


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def second_name(path: Path) -> None:
    path.with_name("elsewhere").hardlink_to(path)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def of_another_user(path: Path) -> None:
    os.chown(path, 65534, 65534)


def writable(path: Path) -> None:
    path.chmod(0o620)


@pytest.mark.parametrize("forge", [link, second_name, pipe, writable, pytest.param(of_another_user, marks=ROOT_ONLY)])
def test_record_that_another_user_could_have_written_moves_nothing(
    timer: Run, activate: Run, root: Path, load: Load, forge: Callable[[Path], None]
) -> None:
    lapse(timer)
    activate()
    change(root, former="c", limit=0)
    forge(root / "activation.json")
    for state in ("armed", "confirmed", "absent"):
        code, message = failed(lambda state=state: timer(state))  # type: ignore[misc]
        assert "activation.json" in message
        assert code != codes.BUG
    program = load("activation.program")
    with pytest.raises(load("host.errors").StackError, match=r"activation\.json"):
        program.attempt(str(root), "any token")
    assert current(root) == "b"
    facts = load("activation.record").facts(str(root))
    assert (facts["state"], facts["over"]) == ("unreadable", False)
    assert "activation.json" in facts["problem"]


DAMAGED = [
    "",
    "{",
    "7",
    "{}",
    {"state": "other"},
    {"former": "../../etc"},
    {"target": ""},
    {"target": 7},
    {"cuda": "relative"},
    {"limit": "600"},
    {"start": -1},
    {"start": 1e300},
    {"restores": "yes"},
    {"boot": None},
    {"token": 7},
    {"holder": None},
    {"cause": 7},
    {"problem": None},
    {"when": True},
]


@pytest.mark.usefixtures("no_timer")
@pytest.mark.parametrize("damage", DAMAGED, ids=str)
def test_damaged_record_is_named_and_moves_nothing(timer: Run, activate: Run, root: Path, damage: Any) -> None:
    timer("armed")
    activate()
    if isinstance(damage, dict):
        change(root, **damage)
    else:
        (root / "activation.json").write_text(damage)
    for state in ("armed", "confirmed", "absent"):
        assert "activation.json is damaged" in failed(lambda state=state: timer(state))[1]  # type: ignore[misc]
    assert current(root) == "b"


# --- the process as a timer, where no systemd runs


def test_host_returns_when_the_time_is_over_and_says_so(timer: Run, activate: Run, root: Path, load: Load) -> None:
    timer("armed")
    activate()
    assert current(root) == "b"
    change(root, limit=1)
    until(lambda: (record(root) or {}).get("state") == "returned")
    assert current(root) == "a"
    history = json.loads((root / "history.json").read_text())
    assert (history["previous"], set(history["activated"])) == ("c", {"a", "c"})
    facts = load("activation.record").facts(str(root))
    assert {name: facts[name] for name in ("state", "target", "former", "limit", "cause", "problem", "over")} == {
        "state": "returned",
        "target": "b",
        "former": "a",
        "limit": 1,
        "cause": "time",
        "problem": "",
        "over": False,
    }
    assert facts["when"] == pytest.approx(time.time(), abs=30)
    words = "generation b was not confirmed within 1 s, and the host returned to generation a at 20"
    assert words in Path(facts["log"]).read_text()
    code, message = failed(lambda: timer("confirmed"))
    assert (code, words in message) == (codes.ACTIVATION_RETURNED, True)


def test_generation_does_not_become_current_after_the_host_has_returned(timer: Run, activate: Run, root: Path) -> None:
    """The time was over while everything was loaded before the link is renamed."""
    timer("armed", return_after=1)
    until(lambda: (record(root) or {}).get("state") == "returned")
    assert failed(activate)[0] == codes.ACTIVATION_RETURNED
    assert current(root) == "a"
    timer("absent")
    assert (record(root) or {})["state"] == "returned"
    timer("armed", return_after=0)
    assert record(root) is None
    assert failed(activate)[0] == codes.ACTIVATION_RETURNED
    assert activate(check=True)["changed"] is True


def test_confirmed_activation_stays_and_its_process_ends(timer: Run, activate: Run, root: Path) -> None:
    said = timer("armed")
    activate()
    assert timer("confirmed")["changed"] is False
    assert record(root) is None
    until(lambda: not Path(f"/proc/{pid(said)}").exists())
    assert current(root) == "b"
    code, message = failed(lambda: timer("confirmed"))
    assert (code, "nobody armed a timer for generation b" in message) == (codes.ACTIVATION_RETURNED, True)


def test_first_activation_returns_to_no_generation(timer: Run, activate: Run, root: Path) -> None:
    (root / "current").unlink()
    (root / "history.json").unlink()
    timer("armed")
    activate()
    change(root, limit=1)
    until(lambda: (record(root) or {}).get("state") == "returned")
    assert not (root / "current").is_symlink()
    assert "returned to no generation" in (root / "logs" / "activation.log").read_text()


@pytest.mark.usefixtures("no_timer")
def test_failed_activation_that_was_undone_leaves_no_record(timer: Run, activate: Run, root: Path) -> None:
    timer("armed")
    activate()
    said = timer("absent")
    assert (said["changed"], current(root), record(root)) == (True, "a", None)
    assert "later command undid its activation, and the host returned to generation a" in said["did"]
    assert timer("absent")["changed"] is False


@pytest.mark.usefixtures("no_timer")
def test_another_controller_does_not_confirm(timer: Run, activate: Run, root: Path) -> None:
    timer("armed")
    activate()
    code, message = failed(lambda: timer("confirmed", holder=B))
    assert (code, "alpha pid 7" in message) == (codes.BUSY, True)
    assert failed(lambda: timer("confirmed", "c"))[0] == codes.BUSY
    assert timer("absent", holder=B, check=True)["changed"] is timer("absent", holder=B)["changed"] is False
    assert (record(root) or {})["state"] == "unconfirmed"
    timer("confirmed")
    timer("armed", "c")
    assert timer("absent", holder="")["changed"] is True


@pytest.mark.usefixtures("no_timer")
def test_generation_that_is_not_current_is_not_confirmed(timer: Run, root: Path) -> None:
    timer("armed")
    assert "generation a is current, not generation b" in failed(lambda: timer("confirmed"))[1]
    assert (record(root) or {})["state"] == "unconfirmed"


def test_what_somebody_else_made_current_since_then_stays(timer: Run, activate: Run, root: Path) -> None:
    timer("armed")
    activate()
    (root / "current").unlink()
    (root / "current").symlink_to("generations/c")
    change(root, limit=1)
    until(lambda: (record(root) or {}).get("state") == "returned")
    assert current(root) == "c"
    assert (record(root) or {})["problem"] == "generation c was made current since then, and stays"


def test_former_generation_that_is_gone_is_not_made_current(timer: Run, activate: Run, root: Path) -> None:
    timer("armed")
    activate()
    (root / "generations" / "a" / "generation.json").unlink()
    change(root, limit=1)
    until(lambda: (record(root) or {}).get("state") == "returned")
    assert current(root) == "b"
    assert "generation a is not complete any more, so that b stays current" in (record(root) or {})["problem"]


def test_full_disk_does_not_stop_the_link(
    timer: Run, activate: Run, root: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    lapse(timer)
    activate()
    change(root, limit=0)

    def full(*_given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "history.json")

    with monkeypatch.context() as patch:
        patch.setattr(load("host.generations"), "write_json", full)
        with pytest.raises(OSError, match="No space left"):
            load("activation.program").attempt(str(root), (record(root) or {})["token"])
        assert current(root) == "a"
        assert (record(root) or {})["state"] == "unconfirmed"
    load("activation.program").attempt(str(root), (record(root) or {})["token"])
    assert (current(root), (record(root) or {})["state"]) == ("a", "returned")


@pytest.mark.parametrize("history", [{"previous": "c", "activated": {"c": 1, "a": 2}}, None])
def test_activation_that_was_killed_before_the_rename_leaves_no_trace_in_the_history(
    timer: Run, root: Path, load: Load, monkeypatch: pytest.MonkeyPatch, history: dict[str, Any] | None
) -> None:
    if history is None:
        (root / "history.json").unlink()
    lapse(timer)
    generations = load("host.generations").Generations
    with monkeypatch.context() as patch:
        patch.setattr(generations, "link_to", lambda *_given: None)  # as if it was killed here
        generations(str(root)).point_at("b")
    change(root, limit=0)
    load("activation.program").attempt(str(root), (record(root) or {})["token"])
    assert (current(root), (record(root) or {})["state"]) == ("a", "returned")
    left = json.loads((root / "history.json").read_text())
    assert left == (history or {"previous": "", "activated": {}})


# --- kills, reboots and wrong clocks

CONTROLLER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from module_utils.activation import control, timer
from module_utils.host.generations import Generations
timer.RUNNING = os.devnull
print(control.arm(sys.argv[2], "b", "a controller", "", int(sys.argv[3]))[1])
Generations(sys.argv[2]).point_at("b")
print("renamed")
sys.stdout.flush()
time.sleep(600)
"""


@pytest.fixture(params=["python3", "python2.7"])
def python(request: pytest.FixtureRequest) -> str:
    """The Python of the host."""
    found = sys.executable if request.param == "python3" else python27()
    if not found:
        pytest.skip("there is no Python 2.7")
    return found


def controlled(python: str, root: Path, limit: int) -> tuple[subprocess.Popen[str], int]:
    """(what works on a host for a controller, the process of the timer) after the link was renamed."""
    words = [python, "-c", CONTROLLER, str(paths.plugins()), str(root), str(limit)]
    working = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert working.stdout
    process = int(working.stdout.readline().split()[1])
    assert working.stdout.readline() == "renamed\n"
    return working, process


def test_controller_is_killed_between_rename_and_confirmation(root: Path, python: str) -> None:
    """With the whole session, as by the end of a connection; the timer has a session, terminal and files of its own."""
    working, process = controlled(python, root, 2)
    assert current(root) == "b"
    assert os.getsid(process) == process
    places = Path(f"/proc/{process}")
    assert (places / "cwd").readlink() == Path("/")
    opened = {str(entry.readlink()) for entry in (places / "fd").iterdir()}
    assert {"/dev/null"} <= opened <= {"/dev/null", str(root / ".lease.lock")}  # the second one when its time has come
    assert (places / "stat").read_text().rpartition(")")[2].split()[4] == "0"
    os.killpg(working.pid, signal.SIGHUP)
    os.killpg(working.pid, signal.SIGKILL)
    with working:
        pass
    until(lambda: (record(root) or {}).get("state") == "returned")
    assert current(root) == "a"
    until(lambda: not places.exists())


def test_without_systemd_a_reboot_is_noticed_by_the_next_command(
    root: Path, python: str, timer: Run, load: Load
) -> None:
    working, process = controlled(python, root, LONG)
    for gone in (process, working.pid):
        os.kill(gone, signal.SIGKILL)
    with working:
        pass
    change(root, boot="another boot", start=1e9)
    facts = load("activation.record").facts(str(root))
    assert (facts["state"], facts["over"]) == ("unconfirmed", True)
    said = timer("armed")
    assert said["did"].startswith("generation b was not confirmed, and a later command undid its activation")
    assert (current(root), (record(root) or {})["former"]) == ("a", "a")


@pytest.mark.usefixtures("no_timer")
def test_activation_is_not_confirmed_after_a_reboot(timer: Run, activate: Run, root: Path) -> None:
    timer("armed")
    activate()
    change(root, boot="another boot")
    code, message = failed(lambda: timer("confirmed"))
    assert (code, "b was not confirmed before the host was rebooted" in message) == (codes.ACTIVATION_RETURNED, True)
    assert current(root) == "a"


def test_confirmation_is_too_late_also_if_the_timer_was_killed(timer: Run, activate: Run, root: Path) -> None:
    lapse(timer)
    activate()
    change(root, limit=0)
    assert failed(lambda: timer("confirmed"))[0] == codes.ACTIVATION_RETURNED
    assert (current(root), (record(root) or {})["state"]) == ("a", "returned")


@pytest.mark.parametrize("jump", [-366 * 86400, 366 * 86400])
def test_clock_that_is_wrong_by_a_year_changes_nothing(
    timer: Run, activate: Run, root: Path, load: Load, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """It jumps after the timer was armed. Only the time since boot counts."""
    timer("armed")
    activate()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    change(root, limit=2, start=load("activation.clock").uptime())
    facts = load("activation.record").facts(str(root))
    assert (facts["state"], facts["over"]) == ("unconfirmed", False)
    began = time.monotonic()
    load("activation.program").wait(str(root), (record(root) or {})["token"])
    assert 0.5 < time.monotonic() - began < 15
    monkeypatch.undo()
    until(lambda: (record(root) or {}).get("state") == "returned")
    assert current(root) == "a"


@pytest.mark.parametrize(
    ("boot", "uptime", "cause"),
    [
        ("x", 100, ""),
        ("x", 109.9, ""),
        ("x", 110, "time"),
        ("x", 1e6, "time"),
        ("y", 100, "reboot"),
        ("y", 1, "reboot"),
    ],
)
def test_end_of_the_time_depends_on_boot_and_time_since_boot(boot: str, uptime: float, cause: str, load: Load) -> None:
    given = {"boot": "x", "start": 100, "limit": 10}
    assert load("rules.activation").cause_of(given, boot, uptime) == cause


@pytest.fixture
def cuda(tmp_path: Path, run_module: Run, load: Load, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CUDA directory with cuDNN v4; no test runs ldconfig."""
    tree = tmp_path / "the site's cuda-7.5"
    for folder in ("include", "lib64"):
        (tree / folder).mkdir(parents=True)
    standin.place(tree, "4.0.7", links=True)
    (tmp_path / "5.0.5.tgz").write_bytes(standin.archive("5.0.5"))

    class NoLoader:
        def __init__(self, root: str) -> None:
            pass

        def refresh(self) -> None:
            pass

    monkeypatch.setattr(load("activation.returning"), "Loader", NoLoader)
    return tree


def swap(run_module: Run, cuda: Path, state: str = "swapped", **more: Any) -> None:
    archive = cuda.parent / "5.0.5.tgz"
    run_module("cudnn_swap", cuda=cuda, archive=archive, version="5.0.5", state=state, ldconfig=False, **more)


def cudnn(cuda: Path) -> dict[str, bytes | str]:
    """The files of cuDNN and everything that a swap left."""
    paths_ = (path for path in sorted(cuda.rglob("*")) if path.is_symlink() or path.is_file())
    return {
        str(path.relative_to(cuda)): str(path.readlink()) if path.is_symlink() else path.read_bytes() for path in paths_
    }


@pytest.fixture
def no_timer(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records without timers, for tests that start the program themselves, many times."""
    monkeypatch.setattr(load("activation.timer"), "write_program", lambda root: None)
    monkeypatch.setattr(load("activation.timer"), "arm", lambda root, record: "none")


def lapse(timer: Run, **more: Any) -> None:
    """Arm the timer and kill it."""
    os.kill(pid(timer("armed", **more)), signal.SIGKILL)


def test_return_restores_the_cudnn_from_before_the_swap(
    timer: Run, activate: Run, root: Path, run_module: Run, cuda: Path, load: Load
) -> None:
    before = cudnn(cuda)
    lapse(timer, cuda=cuda)
    assert (record(root) or {})["restores"] is True
    swap(run_module, cuda)
    activate()
    change(root, limit=0)
    load("activation.program").attempt(str(root), (record(root) or {})["token"])
    assert (current(root), cudnn(cuda), (record(root) or {})["problem"]) == ("a", before, "")


@pytest.mark.parametrize("over", [False, True], ids=["returned", "over"])
def test_cudnn_is_not_swapped_for_an_activation_that_cannot_be_confirmed(
    timer: Run, root: Path, run_module: Run, cuda: Path, load: Load, over: bool
) -> None:
    """Otherwise the new cuDNN would stay with the old generation if the controller were lost before it saw that."""
    before = cudnn(cuda)
    lapse(timer, cuda=cuda)
    change(root, limit=0)
    if not over:
        load("activation.program").attempt(str(root), (record(root) or {})["token"])
    with pytest.raises(ModuleError) as caught:
        swap(run_module, cuda, stack_root=root, armed="b")
    assert caught.value.result["code"] == codes.ACTIVATION_RETURNED
    assert cudnn(cuda) == before


def test_cudnn_is_swapped_while_the_timer_is_armed(timer: Run, root: Path, run_module: Run, cuda: Path) -> None:
    before = cudnn(cuda)
    lapse(timer, cuda=cuda)
    with pytest.raises(ModuleError):
        swap(run_module, cuda, stack_root=root, armed="c")
    assert cudnn(cuda) == before
    swap(run_module, cuda, stack_root=root, armed="b")
    assert cudnn(cuda) != before


def test_cudnn_that_was_swapped_before_stays(
    timer: Run, activate: Run, root: Path, run_module: Run, cuda: Path, load: Load
) -> None:
    swap(run_module, cuda)
    before = cudnn(cuda)
    lapse(timer, cuda=cuda)
    activate()
    change(root, limit=0)
    load("activation.program").attempt(str(root), (record(root) or {})["token"])
    assert (current(root), cudnn(cuda)) == ("a", before)


def test_cudnn_that_cannot_be_restored_does_not_stop_the_link(
    timer: Run, activate: Run, root: Path, run_module: Run, cuda: Path, load: Load
) -> None:
    lapse(timer, cuda=cuda)
    swap(run_module, cuda)
    activate()
    (cuda / "include" / "cudnn.h").write_text("of somebody else")
    change(root, limit=0)
    load("activation.program").attempt(str(root), (record(root) or {})["token"])
    assert current(root) == "a"
    assert "cuDNN was not restored: " in (record(root) or {})["problem"]


@pytest.mark.parametrize("how", ["not there", "empty", "read-only"])
def test_return_is_tried_again_until_the_cuda_directory_can_be_written(
    timer: Run, activate: Run, root: Path, run_module: Run, cuda: Path, load: Load, how: str
) -> None:
    """As after a boot at which its disk is mounted later, or for reading only."""
    before = cudnn(cuda)
    lapse(timer, cuda=cuda)
    swap(run_module, cuda)
    activate()
    change(root, limit=0)
    program, token = load("activation.program"), (record(root) or {})["token"]
    aside, access = cuda.with_name("aside"), os.access
    with pytest.MonkeyPatch.context() as patch:
        if how == "read-only":
            patch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
        else:
            cuda.rename(aside)
            if how == "empty":
                cuda.mkdir()
        with pytest.raises(load("cudnn.swap").StackError, match=r"cannot be written|Mount the disk"):
            program.attempt(str(root), token)
    assert (current(root), (record(root) or {})["state"]) == ("a", "unconfirmed")
    if aside.exists():
        shutil.rmtree(cuda, ignore_errors=True)
        aside.rename(cuda)
    program.attempt(str(root), token)
    assert (record(root) or {})["state"] == "returned"
    assert (current(root), cudnn(cuda), (record(root) or {})["problem"]) == ("a", before, "")


def test_disk_of_cuda_that_is_full_does_not_stop_the_link(
    timer: Run, activate: Run, root: Path, run_module: Run, cuda: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cudnn(cuda)
    lapse(timer, cuda=cuda)
    swap(run_module, cuda)
    activate()
    change(root, limit=0)
    program, token = load("activation.program"), (record(root) or {})["token"]

    def full(*_given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(cuda))

    with monkeypatch.context() as patch:
        patch.setattr(load("cudnn.swap"), "write_json", full)
        with pytest.raises(OSError, match="No space left"):
            program.attempt(str(root), token)
    assert (current(root), (record(root) or {})["state"]) == ("a", "unconfirmed")
    program.attempt(str(root), token)
    assert (current(root), cudnn(cuda), (record(root) or {})["state"]) == ("a", before, "returned")


def test_timer_that_cannot_be_armed_because_the_disk_is_full_names_the_file(
    timer: Run, root: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors, flush = [OSError(errno.ENOSPC, "No space left on device")], os.fsync

    def full(handle: int) -> None:
        if errors:
            raise errors.pop()
        flush(handle)

    monkeypatch.setattr(load("activation.timer").os, "fsync", full)
    code, message = failed(lambda: timer("armed"))
    assert code == codes.DISK_FULL
    assert f"cannot be armed: {root}/activation.zip: No space left on device" in message


def test_return_waits_for_a_swap_that_runs(timer: Run, root: Path, run_module: Run, cuda: Path, load: Load) -> None:
    lapse(timer, cuda=cuda)
    swap(run_module, cuda)
    change(root, limit=0)
    swaps, inspection = load("cudnn.swap"), load("cudnn.inspection")
    program, token = load("activation.program"), (record(root) or {})["token"]
    with swaps.Lock(inspection.Tree(str(cuda))), pytest.raises(swaps.StackError, match="another swap is running"):
        program.attempt(str(root), token)
    assert (record(root) or {})["state"] == "unconfirmed"
    program.attempt(str(root), token)
    assert (record(root) or {})["problem"] == ""


@pytest.mark.usefixtures("no_timer")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("first", [False, True], ids=["upgrade", "first"])
def test_program_that_is_killed_at_any_step_is_continued(
    timer: Run, activate: Run, root: Path, run_module: Run, cuda: Path, load: Load, when: str, first: bool
) -> None:
    """At each step there is one whole generation, and the next start ends with the former one and its cuDNN."""
    if first:
        (root / "current").unlink()
    former = "" if first else "a"
    before, program = cudnn(cuda), load("activation.program")
    timer("armed", cuda=cuda)
    swap(run_module, cuda)
    activate()
    change(root, limit=0)
    token = (record(root) or {})["token"]
    for place in (root, cuda):
        place.rename(place.with_name(place.name + " kept"))
    at, was_killed = 0, True
    while was_killed:
        at += 1
        for place in (root, cuda):
            shutil.rmtree(place, ignore_errors=True)
            subprocess.run(["cp", "-a", place.with_name(place.name + " kept"), place], check=True)
        was_killed = killed(at, when, lambda: program.attempt(str(root), token))
        assert current(root) in (former, "b")
        program.attempt(str(root), token)
        assert (current(root), cudnn(cuda), (record(root) or {})["state"]) == (former, before, "returned")
        assert (record(root) or {})["problem"] == ""
        assert not (root / "current.new").is_symlink()
    assert at > 10


@pytest.mark.usefixtures("no_timer")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("state", ["armed", "confirmed"])
def test_module_that_is_killed_at_any_step_leaves_one_whole_generation(
    timer: Run, root: Path, load: Load, when: str, state: str
) -> None:
    control, program = load("activation.control"), load("activation.program")
    generations = load("host.generations").Generations
    at, was_killed = 0, True
    while was_killed:
        at += 1
        timer("absent")
        generations(str(root)).link_to("a")
        if state == "confirmed":
            timer("armed")
            generations(str(root)).point_at("b")

        def act() -> None:
            if state == "armed":
                control.arm(str(root), "b", A, "", LONG)
            else:
                control.confirm(str(root), "b", A)

        was_killed = killed(at, when, act)
        left = record(root)
        if left:
            assert (left["state"], left["former"], left["target"]) == ("unconfirmed", "a", "b")
            change(root, limit=0)
            program.attempt(str(root), left["token"])
            assert current(root) == "a"
        else:
            assert current(root) == ("a" if state == "armed" else "b")


# --- an activation after one that was not confirmed


def test_next_command_continues_the_same_activation(timer: Run, activate: Run, root: Path) -> None:
    lapse(timer)
    activate()
    first = record(root) or {}
    said = timer("armed", holder=B)
    second = record(root) or {}
    assert (said["did"], said["changed"], current(root)) == ("", False, "b")
    assert (second["former"], second["target"], second["holder"]) == ("a", "b", B)
    assert second["token"] == first["token"]  # so that its timer is good for both
    timer("confirmed", holder=B)
    assert (current(root), record(root)) == ("b", None)


def test_continued_activation_still_restores_the_cudnn_that_the_first_one_swapped(
    timer: Run, activate: Run, root: Path, run_module: Run, cuda: Path
) -> None:
    before = cudnn(cuda)
    lapse(timer, cuda=cuda)
    swap(run_module, cuda)
    activate()
    lapse(timer, cuda=cuda, holder=B)
    swap(run_module, cuda)
    timer("absent", holder=B)
    assert (current(root), cudnn(cuda)) == ("a", before)


def test_before_another_activation_the_host_returns(timer: Run, activate: Run, root: Path) -> None:
    lapse(timer)
    activate()
    said = timer("armed", "c", holder=B)
    assert "the host returned to generation a" in said["did"]
    assert ((record(root) or {})["former"], (record(root) or {})["target"], current(root)) == ("a", "c", "a")


def test_old_program_does_not_touch_what_a_newer_activation_armed(timer: Run, root: Path, load: Load) -> None:
    timer("armed")
    old = (record(root) or {})["token"]
    timer("armed", "c", holder=B)
    kept = record(root)
    load("activation.program").wait(str(root), old)
    load("activation.program").attempt(str(root), old)
    assert record(root) == kept


# --- systemd

SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>LOG
case "$*" in FAILS) echo "Failed to connect to bus: No such file or directory" >&2; exit 1 ;; esac
"""


@pytest.fixture
def systemd(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[], list[str]]:
    """A stand-in of systemd and systemctl; the calls. The parameter is a call that fails, or `missing`."""
    fails = getattr(request, "param", "none")
    (tmp_path / "bin").mkdir()
    (tmp_path / "running").mkdir()
    log = tmp_path / "calls"
    log.touch()
    if fails != "missing":
        script = tmp_path / "bin" / "systemctl"
        script.write_text(SYSTEMCTL.replace("LOG", shlex.quote(str(log))).replace("FAILS", fails))
        script.chmod(0o755)
    timer = load("activation.timer")
    monkeypatch.setattr(timer, "RUNNING", str(tmp_path / "running"))
    monkeypatch.setattr(timer.os, "geteuid", os.geteuid)
    monkeypatch.setattr(timer, "uses_systemd", lambda: Path(timer.RUNNING).is_dir())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin" if fails != "missing" else str(tmp_path / "bin"))
    if fails == "missing":
        monkeypatch.setattr(load("host.environment"), "PATH", str(tmp_path / "bin"))
    return lambda: log.read_text().splitlines()


def units(tmp_path: Path) -> list[str]:
    return sorted(
        str(path.relative_to(tmp_path / "units")) for path in (tmp_path / "units").rglob("*") if path.is_file()
    )


def words_of(unit: Path, key: str) -> list[str]:
    """The words of a line of a unit, as systemd reads them."""
    (line,) = [line for line in unit.read_text().splitlines() if line.startswith(f"{key}=")]
    words = shlex.split(line.partition("=")[2])
    return [word.replace("%%", "%").replace("$$", "$") for word in words]


def test_units_survive_a_reboot_and_start_the_program(
    timer: Run, activate: Run, root: Path, tmp_path: Path, systemd: Callable[[], list[str]], load: Load
) -> None:
    name = load("activation.timer").name_of(str(root))
    assert timer("armed")["timer"] == f"timer of systemd {name}"
    activate()
    assert systemd() == ["daemon-reload", f"restart {name}.timer"]
    assert units(tmp_path) == [f"multi-user.target.wants/{name}.service", f"{name}.service", f"{name}.timer"]
    service = tmp_path / "units" / f"{name}.service"
    clock = tmp_path / "units" / f"{name}.timer"
    assert f"OnActiveSec={LONG}s\n" in clock.read_text()
    assert words_of(service, "RequiresMountsFor") == [str(root)]
    assert f"ConditionPathExists={str(root).replace('%', '%%')}/activation.zip\n" in service.read_text()
    assert words_of(service, "ExecStart")[2:] == [f"{root}/activation.zip", str(root), (record(root) or {})["token"]]
    change(root, boot="the boot before")
    subprocess.run(words_of(service, "ExecStart"), check=True, timeout=30, stdout=subprocess.DEVNULL)
    kept = record(root) or {}
    assert (current(root), kept["state"], kept["cause"]) == ("a", "returned", "reboot")


def test_units_are_removed_by_the_confirmation(
    timer: Run, activate: Run, root: Path, tmp_path: Path, systemd: Callable[[], list[str]], load: Load
) -> None:
    name = load("activation.timer").name_of(str(root))
    timer("armed")
    activate()
    timer("confirmed")
    assert systemd()[2:] == [f"stop {name}.timer", "daemon-reload"]
    assert units(tmp_path) == []
    assert current(root) == "b"


def test_units_that_a_killed_confirmation_left_remove_themselves(
    timer: Run, activate: Run, root: Path, tmp_path: Path, systemd: Callable[[], list[str]], load: Load
) -> None:
    timer("armed")
    activate()
    token = (record(root) or {})["token"]
    load("activation.record").clear(str(root))
    load("activation.program").attempt(str(root), token)
    assert (units(tmp_path), current(root)) == ([], "b")


def test_old_program_does_not_remove_the_units_of_a_newer_activation(
    timer: Run, root: Path, tmp_path: Path, systemd: Callable[[], list[str]], load: Load
) -> None:
    timer("armed")
    old = (record(root) or {})["token"]
    timer("armed", "c", holder=B)
    kept = units(tmp_path)
    load("activation.program").attempt(str(root), old)
    assert (units(tmp_path), len(kept)) == (kept, 3)


@pytest.mark.parametrize("systemd", ["daemon-reload", "restart*", "missing"], indirect=True)
def test_timer_that_systemd_does_not_accept_stops_the_activation_before_it_begins(
    timer: Run, activate: Run, root: Path, tmp_path: Path, systemd: Callable[[], list[str]]
) -> None:
    code, message = failed(lambda: timer("armed"))
    assert code == codes.ACTIVATION_TIMER
    assert ("no program systemctl" in message) or ("Failed to connect to bus" in message)
    assert "Nothing was activated" in message
    assert (units(tmp_path), record(root), current(root)) == ([], None, "a")
    assert failed(activate)[0] == codes.ACTIVATION_RETURNED


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_directory_of_units_that_cannot_be_written_stops_the_activation(
    timer: Run,
    root: Path,
    tmp_path: Path,
    systemd: Callable[[], list[str]],
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    def refused(path: str, *_given: Any) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(load("activation.timer"), "write_whole", refused)
    code, message = failed(lambda: timer("armed"))
    assert code == (codes.DISK_FULL if number == errno.ENOSPC else codes.ACTIVATION_TIMER)
    assert os.strerror(number) in message
    assert (units(tmp_path), record(root), current(root)) == ([], None, "a")


def test_no_process_can_be_started(timer: Run, root: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_given: Any, **_more: Any) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(load("host.commands").subprocess, "Popen", refused)
    code, message = failed(lambda: timer("armed"))
    assert (code, os.strerror(errno.EAGAIN) in message) == (codes.ACTIVATION_TIMER, True)
    assert (record(root), current(root)) == (None, "a")


@pytest.mark.parametrize("kind", ["process", "systemd"])
def test_program_that_does_not_start_stops_the_activation(
    timer: Run, root: Path, tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch, kind: str,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    if kind == "systemd":
        request.getfixturevalue("systemd")
    broken = tmp_path / "python"
    broken.write_text(
        textwrap.dedent("""\
        #!/bin/sh
        echo "ImportError: no module named zipimport"
        exit 1
    """)
    )
    broken.chmod(0o755)
    monkeypatch.setattr(load("activation.timer").sys, "executable", str(broken))
    code, message = failed(lambda: timer("armed"))
    assert (code, "no module named zipimport" in message) == (codes.ACTIVATION_TIMER, True)
    assert (units(tmp_path), record(root), current(root)) == ([], None, "a")


def test_lines_that_python_itself_prints_when_it_starts_do_not_stop_an_activation(
    timer: Run, activate: Run, root: Path, tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    talkative = tmp_path / "python"
    words = "echo welcome; echo 'Error processing line 1 of /usr/lib/python3/dist-packages/gone.pth:' >&2"
    talkative.write_text(f"#!/bin/sh\n{words}\nexec '{sys.executable}' \"$@\"\n")
    talkative.chmod(0o755)
    monkeypatch.setattr(load("activation.timer").sys, "executable", str(talkative))
    timer("armed")
    assert (record(root) or {})["state"] == "unconfirmed"
    activate()
    timer("confirmed")


def no_start(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load("activation.timer").sys, "executable", "/dev/null/python")


def full_etc(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str, *_given: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(load("activation.timer"), "write_whole", full)


def no_restart(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin" / "systemctl"
    script.write_text(script.read_text().replace("none)", "restart*)"))


@pytest.mark.parametrize("broken", [no_start, full_etc, no_restart])
def test_earlier_activation_stays_recorded_with_its_timer_if_it_cannot_be_armed_again(
    timer: Run, activate: Run, root: Path, tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch,
    systemd: Callable[[], list[str]], broken: Callable[[Load, Path, pytest.MonkeyPatch], None],
) -> None:  # fmt: skip
    """The host stayed on a generation that nobody had confirmed."""
    timer("armed")
    activate()
    kept, (link, service, clock) = record(root) or {}, units(tmp_path)
    broken(load, tmp_path, monkeypatch)
    assert failed(lambda: timer("armed", holder=B))[0] in (codes.ACTIVATION_TIMER, codes.DISK_FULL)
    assert record(root) == kept
    assert units(tmp_path) == [link, service, clock]
    assert words_of(tmp_path / "units" / service, "ExecStart")[-1] == kept["token"]
    assert systemd()[-1] == f"start {clock}"
