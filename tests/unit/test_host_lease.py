"""The lease on a host: only one of several controllers gets it, and it is taken over only from a dead one."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from neuraltalk_provision import paths
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.fleet import rollback
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_state import Lease
from neuraltalk_provision.rules import codes
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import controller, leases, playbook
from tests.unit.modules import ModuleError
from tests.unit.plans import state_of

Run = Callable[..., dict[str, Any]]
A = "alpha pid 7 since 9 boot b space 1 machine m"
B = "beta pid 8 since 9 boot c space 1 machine n"


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("host.lease")


def held(root: Path) -> Any:
    return json.loads((root / "lease.json").read_text(encoding="utf-8"))


def take(run_module: Run, root: Path, holder: str, host: str = "node1", **more: Any) -> dict[str, Any]:
    return run_module("host_lease", stack_root=root, holder=holder, host=host, what="site", state="held", **more)


def release(run_module: Run, root: Path, holder: str, host: str = "node1", **more: Any) -> dict[str, Any]:
    return run_module("host_lease", stack_root=root, holder=holder, host=host, state="released", **more)


def test_lease_is_held_from_one_playbook_to_the_next_and_then_given_back(run_module: Run, tmp_path: Path) -> None:
    root = tmp_path / "the stack's root"
    assert take(run_module, root, A)["lease"]["holder"] == A
    assert take(run_module, root, A)["changed"] is False
    with pytest.raises(ModuleError, match=r'pid 7 on alpha \(machine m\) has had it since 20.* UTC, for "site"'):
        take(run_module, root, B)
    assert release(run_module, root, A)["lease"] is None
    assert take(run_module, root, B)["lease"]["holder"] == B


def test_what_killed_commands_left_half_written_is_removed_with_the_next_lease(run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    left = [tmp_path / name for name in (".new-3e9wyk6p", "logs/.new-kf_rp4se", ".new-abc123")]
    others = [tmp_path / name for name in (".new-of-somebody", "new-3e9wyk6p", ".new-12345678")]
    for file in (*left, *others):
        file.write_text("half")
        os.utime(file, (1000, 1000))
    os.utime(others[-1])  # it may be in use
    take(run_module, tmp_path, A)
    assert not [file.name for file in left if file.exists()]
    assert all(file.exists() for file in others)


def test_nobody_gives_back_what_another_one_has(run_module: Run, tmp_path: Path) -> None:
    take(run_module, tmp_path, A)
    assert release(run_module, tmp_path, B)["lease"]["holder"] == A
    assert release(run_module, tmp_path, A, "node2")["lease"]["holder"] == A
    assert release(run_module, tmp_path / "no such root", A)["lease"] is None


def test_lease_of_the_dead_goes_where_there_is_nothing_to_do(run_module: Run, tmp_path: Path) -> None:
    take(run_module, tmp_path, A)
    assert release(run_module, tmp_path, B, over="another")["lease"]["holder"] == A
    assert release(run_module, tmp_path, B, over=A)["lease"] is None


def test_only_the_one_that_is_dead_is_taken_over(run_module: Run, tmp_path: Path) -> None:
    take(run_module, tmp_path, A)
    with pytest.raises(ModuleError, match="--take-over"):
        take(run_module, tmp_path, B, over="another pid 7 since 9 boot b space 1 machine m")
    assert take(run_module, tmp_path, B, over=A)["lease"]["holder"] == B


def test_two_names_of_one_host_are_refused(run_module: Run, tmp_path: Path) -> None:
    take(run_module, tmp_path, A, "node1")
    with pytest.raises(ModuleError, match="by this same command, under the name node1"):
        take(run_module, tmp_path, A, "node2")


@pytest.mark.parametrize("text", ["", "{", "7", '{"holder": 7, "since": "x"}', '{"since": true}', "\0" * 50])
def test_lease_that_cannot_be_read_is_somebodys(run_module: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "lease.json").write_text(text)
    for holder in (B, ""):
        with pytest.raises(ModuleError, match="somebody has had it since 20"):
            take(run_module, tmp_path, holder)
    assert release(run_module, tmp_path, B)["lease"] is not None
    assert release(run_module, tmp_path, B, over="damaged")["lease"] is None
    (tmp_path / "lease.json").write_text(text)
    assert take(run_module, tmp_path, B, over="damaged")["lease"]["holder"] == B


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_lease_that_is_no_file_is_somebodys(module: ModuleType, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "lease.json")
    assert module.read_lease(str(tmp_path)) == {"holder": "", "host": "", "what": "", "since": 0}


@pytest.mark.parametrize(("since", "expected"), [(0, 0), ((1 << 40) - 1, (1 << 40) - 1), (1 << 40, 7), (-1, 7)])
def test_time_of_a_lease_that_cannot_be_is_that_of_its_file(
    module: ModuleType, tmp_path: Path, since: int, expected: int
) -> None:
    (tmp_path / "lease.json").write_text(json.dumps({"holder": None, "since": since}))
    os.utime(tmp_path / "lease.json", (7, 7))
    assert module.read_lease(str(tmp_path)) == {"holder": "", "host": "", "what": "", "since": expected}


def test_release_says_whether_there_was_a_lease_of_ours_and_lets_runs_start(module: ModuleType, tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    assert module.release(root, A, "node1") is False
    module.take(root, A, "node1", "site")
    starts = Path(root, "starts.json")
    starts.touch()
    assert module.release(root, B, "node1") is False
    assert starts.exists()
    assert module.release(root, A, "node1") is True
    assert not starts.exists()
    assert module.release(root, A, "node1") is False


@pytest.mark.parametrize("local", [True, False])
def test_directory_on_a_network_file_system_gets_an_id_with_its_first_lease(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: bool
) -> None:
    monkeypatch.setattr(module, "is_local", lambda _root: local)
    module.take(str(tmp_path), A, "node1", "site")
    assert (tmp_path / "root-id.json").exists() is not local


def test_words_of_a_lease_reach_no_terminal_as_they_are(run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "lease.json").write_text(json.dumps({"holder": "caf\u00e9\u001b[2J\n", "host": "h", "what": "\u0007"}))
    with pytest.raises(ModuleError) as caught:
        take(run_module, tmp_path, B)
    assert "caf\\xe9?[2J? has had it since" in str(caught.value)


def test_check_mode_and_a_plain_playbook_look_and_take_nothing(run_module: Run, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for given in ({"holder": A, "check": True}, {"holder": ""}):
        assert run_module("host_lease", stack_root=root, state="held", **given)["lease"] is None
        assert not root.exists()
    take(run_module, root, A)
    for given in ({"holder": B, "check": True}, {"holder": ""}):
        with pytest.raises(ModuleError, match="another controller works on"):
            run_module("host_lease", stack_root=root, state="held", **given)
    release(run_module, root, A, check=True)
    assert held(root)["holder"] == A


RACE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from module_utils.host import lease
from module_utils.host.errors import StackError
print("ready", flush=True)
sys.stdin.readline()
try:
    lease.take(sys.argv[2], "%s pid 1 since 1 boot b space 1 machine m" % sys.argv[3], "node1", "site")
    print("got it", flush=True)
except StackError as error:
    print(error, flush=True)
"""


@pytest.mark.slow
def test_of_many_that_come_at_once_one_gets_it(tmp_path: Path) -> None:
    """Processes of their own, held at the door until all are there."""
    words = [sys.executable, "-c", RACE, str(paths.plugins()), str(tmp_path / "root")]
    racing = [
        subprocess.Popen([*words, f"host{n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(6)
    ]
    for one in racing:
        assert one.stdout and one.stdout.readline() == "ready\n"
    for one in racing:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate()[0].strip() for one in racing]
    winner = held(tmp_path / "root")["holder"].split()[0]
    assert said.count("got it") == 1
    assert said[int(winner.removeprefix("host"))] == "got it"
    assert all(f"pid 1 on {winner} (machine m)" in words for words in said if words != "got it")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_named_with_what_to_do(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(module.fcntl, "flock", flock)
    with pytest.raises(module.StackError, match=r"the file system does not support locks.*another stack_root"):
        module.Lock(str(tmp_path), 1).__enter__()


def test_lock_is_for_its_owner_alone(module: ModuleType, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        module.take(str(tmp_path), A, "node1", "site")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ".lease.lock").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "lease.json").stat().st_mode) == 0o644


def test_lock_that_others_could_open_is_closed_to_them_and_names_its_holder_alone(
    module: ModuleType, tmp_path: Path
) -> None:
    lock = tmp_path / ".lease.lock"
    lock.write_text("123456789012345\n")
    lock.chmod(0o644)
    with module.Lock(str(tmp_path)):
        assert (stat.S_IMODE(lock.stat().st_mode), lock.read_text()) == (0o600, f"{os.getpid()}\n")


def test_lock_that_is_held_for_a_moment_is_waited_for(module: ModuleType, tmp_path: Path) -> None:
    first = module.Lock(str(tmp_path)).__enter__()
    release = threading.Timer(0.15, first.__exit__)
    release.start()
    with module.Lock(str(tmp_path), timeout=20):
        release.join()


def test_holder_of_a_lock_who_wrote_nothing_is_unknown(module: ModuleType, tmp_path: Path) -> None:
    with module.Lock(str(tmp_path)):
        os.truncate(tmp_path / ".lease.lock", 0)
        with pytest.raises(module.StackError, match="by pid unknown: end that process"):
            module.Lock(str(tmp_path), timeout=0).__enter__()


def test_lock_that_is_held_is_told_with_its_holder_after_a_time(module: ModuleType, tmp_path: Path) -> None:
    with module.Lock(str(tmp_path)), pytest.raises(module.StackError, match=f"locked for 0 s by pid {os.getpid()}"):
        module.Lock(str(tmp_path), timeout=0).__enter__()


def link(path: Path, target: Path) -> None:
    target.write_text("precious")
    path.symlink_to(target)


def pipe(path: Path, target: Path) -> None:
    os.mkfifo(path)


def second_name(path: Path, target: Path) -> None:
    target.write_text("precious")
    path.hardlink_to(target)


@pytest.mark.parametrize("plant", [link, pipe, second_name])
def test_planted_lock_is_refused_and_what_it_points_at_stays(
    module: ModuleType, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    plant(tmp_path / ".lease.lock", tmp_path / "precious")
    with pytest.raises(module.StackError, match=r"\.lease\.lock"):
        module.take(str(tmp_path), A, "node1", "site")
    assert not (tmp_path / "precious").exists() or (tmp_path / "precious").read_text() == "precious"


def test_host_whose_disk_is_full_can_be_locked_to_return_and_to_give_back_the_lease(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pid in the lock file is only for a message."""
    module.take(str(tmp_path), A, "node1", "site")

    def full(*_given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "write", full)
    assert module.release(str(tmp_path), A, "node1")
    assert not (tmp_path / "lease.json").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("kind", ["host.lease", "runs.leases"])
def test_lock_that_this_machine_cannot_open_is_not_blamed_on_somebody(
    load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    module = load(kind)
    lock = module.Lock(str(tmp_path)) if kind == "host.lease" else module.Leases(str(tmp_path))
    path = tmp_path / (".lease.lock" if kind == "host.lease" else "runs/.leases")

    def refused(*_given: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "open", refused)
        with pytest.raises(module.StackError) as caught:
            lock.__enter__()
    assert str(caught.value) == f"{path} cannot be opened: {os.strerror(number)}"
    assert caught.value.details["code"] == codes.of_errno(number)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of another user takes root to make")
def test_lock_of_another_user_is_refused(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".lease.lock").touch()
    os.chown(tmp_path / ".lease.lock", 65534, 65534)
    with pytest.raises(module.StackError, match="was created by uid 65534"):
        module.take(str(tmp_path), A, "node1", "site")


@pytest.mark.parametrize("plant", [link, pipe])
def test_planted_lease_is_read_as_a_damaged_one(
    module: ModuleType, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    plant(tmp_path / "lease.json", tmp_path / "precious")
    if plant is link:
        (tmp_path / "precious").write_text(json.dumps({"holder": A, "host": "node1"}))
    assert module.read_lease(str(tmp_path))["holder"] == ""


@pytest.fixture
def site(tmp_path: Path) -> Settings:
    """This machine with two generations, made by hand."""
    root = tmp_path / "stack"
    for name in ("a", "b"):
        (root / "generations" / name).mkdir(parents=True)
        (root / "generations" / name / "generation.json").write_text("{}")
    (root / "current").symlink_to("generations/b")
    (root / "history.json").write_text('{"previous": "a"}')
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"here": here}}}))
    journal = tmp_path / ".provision" / "journal.sqlite"
    return Settings(inventory=tmp_path / "hosts.yml", stack_root=str(root), journal=journal, run_user="root")


def roll_back(site: Settings, over: str = "") -> playbook.Outcome:
    lease = leases.variables("provision rollback", {"here": over})
    return playbook.run(
        playbook.Request(
            "rollback.yml",
            site.inventory,
            {"provision_stack_root": site.stack_root, "provision_target": "", "provision_lease": lease},
        )
    )


@pytest.mark.slow
def test_second_controller_is_refused_while_the_first_lives_and_takes_over_when_it_is_dead(site: Settings) -> None:
    """With a controller of its own process, and the real playbook."""
    root = Path(site.stack_root)
    words = "from neuraltalk_provision.site import controller; print(controller.name(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout
        holder = first.stdout.readline().strip()
        lease = {"holder": holder, "host": "here", "what": "provision site", "since": 1764112380}
        (root / "lease.json").write_text(json.dumps(lease))
        state = state_of("bare").model_copy(update={"lease": Lease(**lease)})
        with pytest.raises(UsageError, match=f"here: another controller is working on this host: pid {first.pid} on "):
            leases.refuse({"here": state})
        (failure,) = roll_back(site).results.failures
        assert f"another controller works on {root}: pid {first.pid} on " in failure.message
        assert (root / "current").readlink() == Path("generations/b")
        assert held(root) == lease
        first.kill()
    leases.refuse({"here": state})
    assert controller.replaceable(state.lease) == holder
    assert roll_back(site, over=holder).results.failures == ()
    assert (root / "current").readlink() == Path("generations/a")
    assert not (root / "lease.json").exists()


@pytest.mark.slow
def test_lease_is_given_back_when_the_command_failed(site: Settings) -> None:
    Path(site.stack_root, "history.json").unlink()
    (failure,) = roll_back(site).results.failures
    assert "there is no generation to go back to" in failure.message
    assert not Path(site.stack_root, "lease.json").exists()


@pytest.mark.slow
def test_leases_are_given_back_at_the_end_whatever_happened(site: Settings) -> None:
    root = Path(site.stack_root)
    lease = {"holder": controller.name(), "host": "here", "what": "provision site", "since": 1764112380}
    (root / "lease.json").write_text(json.dumps(lease))
    given = {"provision_stack_root": str(root), "provision_lease": leases.variables("provision site", {})}
    with pytest.raises(KeyError), leases.released(["here"], given, site):
        raise KeyError("it broke")
    assert not (root / "lease.json").exists()


@pytest.mark.slow
def test_machine_under_two_names_is_rolled_back_once(site: Settings) -> None:
    """With the real module and the real playbook: the names have nothing but the machine in common."""
    inventory = yaml.safe_load(site.inventory.read_text())
    hosts = inventory["all"]["hosts"]
    hosts["again"] = {**hosts["here"], "ansible_host": "192.0.2.1"}
    site.inventory.write_text(yaml.safe_dump(inventory))
    moves = rollback.rollback(site, rollback.Request(), Output(as_json=True), plan=False)
    assert sorted((move.host, move.before, move.after, move.of) for move in moves) == [
        *(("again", "b", "a", ""), ("here", "b", "a", "again"))
    ]
    assert Path(site.stack_root, "current").readlink() == Path("generations/a")
