"""Runs belong to an account of their own: what they can do, what is done as it, and what another user can't do to us.

These are for root, who alone can become another; a host's other user is `nobody` here.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit import test_host_use as host_use
from tests.unit.conftest import program
from tests.unit.modules import ModuleError
from tests.unit.test_stack_run import MODEL, PROTO, start_all
from tests.unit.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another")]
Run = Callable[..., dict[str, Any]]
USER = "nobody"
LOOKS = """
echo "uid $(id -u) groups $(id -G) mask $(umask) home $HOME tmp $TMPDIR"
grep -E '^(NoNewPrivs|CapEff):' /proc/self/status
touch made
env | grep -c '^SECRET=' || true
cat /etc/shadow > stolen 2>/dev/null && echo "read what is root's"
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users can come to, as pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="account-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def root(place: Path) -> Path:
    """A stack root with a generation whose th says who it is."""
    before = os.umask(0o022)
    generation = place / "stack" / "generations" / "0a1b2c3d4e5f6071"
    for folder in ("bin", "logs", "stamps", "neuraltalk2/model"):
        (generation / folder).mkdir(parents=True)
    program(generation, "with-stack", 'PATH="$(dirname "$0"):$PATH"; export PATH; exec "$@"')
    program(generation, "th", LOOKS)
    say = "echo neuraltalk:"
    program(generation, "luajit", f"{say} ready; while read name; do {say} begin; {say} ok; done  # reads all pictures")
    for name in ("train.lua", "eval.lua", f"model/{PROTO}", f"model/{MODEL}"):
        (generation / "neuraltalk2" / name).write_text("x")
    (place / "stack" / "current").symlink_to("generations/0a1b2c3d4e5f6071")
    (place / "m.t7").write_text("x")
    os.umask(before)
    return place / "stack"


def captioning(place: Path, id_: str = "x", **arguments: str) -> dict[str, Any]:
    given = {"model": str(place / "m.t7"), **arguments}
    return {"id": id_, "program": "eval.lua", "requested": given, "files": list(given)}


def log_of(root: Path, id_: str = "x") -> str:
    until((root / "runs" / id_ / "exit").exists, 60)
    return (root / "runs" / id_ / "log").read_text()


def test_run_is_the_accounts_with_nothing_of_roots(root: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "token")
    start_all(root, [captioning(place)], user=USER)
    said = log_of(root)
    entry, run = pwd.getpwnam(USER), root / "runs" / "x"
    assert f"uid {entry.pw_uid} groups {entry.pw_gid} mask 0077 home {run} tmp {run}/tmp" in said
    assert "NoNewPrivs:\t1" in said
    assert "CapEff:\t0000000000000000" in said
    assert "read what is root's" not in said
    assert "\n0\n" in said, "the environment of who started it was handed on"
    assert {path.lstat().st_uid for path in run.rglob("*")} == {entry.pw_uid}
    assert (stat.S_IMODE(run.stat().st_mode), stat.S_IMODE((run / "work" / "made").stat().st_mode)) == (0o700, 0o600)


def test_account_makes_runs_and_cannot_touch_what_is_roots(root: Path, place: Path) -> None:
    start_all(root, [captioning(place)], user=USER)
    log_of(root)
    for name in ("runs", "runs/.locks", "queue"):
        status = (root / name).stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o1770)
    (root / "runs" / "roots").mkdir()
    attempts = [f"mv {root}/runs {root}/x", f"rm -rf {root}/runs/roots", f"mv {root}/runs/roots {root}/runs/y"]
    for words in attempts:
        subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups", "sh", "-c", words], check=False, stderr=-3)
    assert (root / "runs" / "roots").is_dir()


def test_account_that_is_missing_is_told_with_its_cure(root: Path, place: Path) -> None:
    with pytest.raises(ModuleError, match=r"the account no-such-one, which owns the runs, .*: run `provision site`"):
        start_all(root, [captioning(place)], user="no-such-one")
    assert not (root / "runs").exists()


@pytest.mark.parametrize("name", ["root", ""])
def test_site_that_says_so_runs_as_root(root: Path, place: Path, name: str) -> None:
    start_all(root, [captioning(place)], user=name)
    assert "uid 0 " in log_of(root)


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_data_that_the_account_may_not_read_is_refused_with_its_name(root: Path, place: Path, closed: str) -> None:
    folder = place / "data"
    folder.mkdir()
    (folder / "m.t7").write_text("x")
    (folder if closed == "folder" else folder / "m.t7").chmod(0o700)
    with pytest.raises(ModuleError, match=rf"-model .*: {USER} may not (read it|enter {folder})"):
        start_all(root, [captioning(place, model=str(folder / "m.t7"))], user=USER)
    assert not (root / "runs" / "x").exists()


def test_checkpoint_path_that_is_not_there_or_not_the_accounts_is_refused(root: Path, place: Path) -> None:
    (place / "ck").mkdir(mode=0o755)
    run = {"id": "x", "program": "train.lua", "requested": {}, "files": []}
    for folder, words in (("ck", f"{USER} may not write there"), ("none", "there is no such directory")):
        asked = {**run, "requested": {"checkpoint_path": str(place / folder)}}
        with pytest.raises(ModuleError, match=f"-checkpoint_path .*: {words}"):
            start_all(root, [asked], user=USER)


def test_pipe_as_a_model_is_refused(root: Path, place: Path) -> None:
    """Whoever opened it would wait for ever."""
    (place / "m.t7").unlink()
    os.mkfifo(place / "m.t7")
    with pytest.raises(ModuleError, match=r"-model .*: it has to be a file"):
        start_all(root, [captioning(place)], user=USER)


def test_directory_as_a_model_is_refused(root: Path, place: Path) -> None:
    with pytest.raises(ModuleError, match=r"-model .*: it has to be a file"):
        start_all(root, [captioning(place, model=str(place))], user=USER)


@pytest.mark.parametrize("state", ["followed", "stopped", "probed", "read"])
def test_run_that_was_exchanged_for_a_link_is_not_worked_on(
    root: Path, place: Path, run_module: Run, state: str
) -> None:
    start_all(root, [captioning(place)], user=USER)
    log_of(root)
    victim = place / "victim"
    victim.mkdir(mode=0o755)
    (victim / "run.json").write_text(json.dumps({"generation": "g"}))
    shutil.rmtree(root / "runs" / "x")
    (root / "runs" / "x").symlink_to(victim)
    with pytest.raises(ModuleError, match="is not a directory: look at what it is, then move it away"):
        run_module(
            "stack_run" if state == "stopped" else "stack_run_info", stack_root=root, user=USER, id="x", state=state
        )
    assert [path.name for path in victim.iterdir()] == ["run.json"]


def test_picture_that_was_exchanged_for_a_link_to_what_is_roots_is_not_told(
    root: Path, place: Path, run_module: Run
) -> None:
    (place / "pictures").mkdir(mode=0o755)
    (place / "pictures" / "cat.jpg").write_bytes(b"P6 1 1 255 abc")
    start_all(root, [captioning(place, image_folder=str(place / "pictures"))], user=USER)
    log_of(root)
    secret = place / "secret"
    secret.write_bytes(b"P6 1 1 255 looks like a picture and is root's")
    secret.chmod(0o600)
    asked = {"stack_root": root, "user": USER, "id": "x", "files": ["images/000001.ppm"], "state": "read"}
    assert run_module("stack_run_info", **asked)["run"]["files"]
    (place / "pictures" / "cat.jpg").unlink()
    (place / "pictures" / "cat.jpg").symlink_to(secret)
    assert run_module("stack_run_info", **asked)["run"]["files"] == {}


def test_record_that_names_another_generation_runs_nothing_as_root(root: Path, place: Path, run_module: Run) -> None:
    """Opening a model is running a program, and the record is the account's."""
    start_all(root, [captioning(place)], user=USER)
    log_of(root)
    evil = root / "runs" / "evil" / "bin"
    run = root / "runs" / "x"
    evil.mkdir(parents=True)
    (evil / "with-stack").write_text(f"#!/bin/sh\nid -u > {run}/who\n")
    (evil / "with-stack").chmod(0o755)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "generation": "../runs/evil"}))
    (run / "checkpoint").mkdir(exist_ok=True)
    (run / "checkpoint" / "model_idx.t7").write_text("x")
    with pytest.raises(ModuleError, match="generations/evil/bin/with-stack cannot be started"):
        run_module("stack_run_info", stack_root=root, user=USER, id="x", state="probed")
    assert not (run / "who").exists()


def test_work_that_hangs_is_ended_and_told(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    account = load("runs.account")
    monkeypatch.setattr(account, "LONGEST", 0.2)
    with pytest.raises(account.StackError, match="took longer than 0 s and was ended"):
        account.as_account(account.find(USER), time.sleep, 60)
    monkeypatch.undo()
    assert account.as_account(account.find(USER), os.getuid) == account.find(USER).uid


def test_link_in_the_place_of_a_lock_is_not_followed(root: Path, place: Path) -> None:
    (root / "runs").mkdir()
    (root / "runs" / ".leases").symlink_to(place / "m.t7")
    with pytest.raises(ModuleError, match=r"\.leases cannot be opened: .*Look at what it is \(ls -l\), remove it"):
        start_all(root, [captioning(place)], user=USER)
    assert (place / "m.t7").read_text() == "x"


@pytest.mark.parametrize("account", [USER, None])
def test_lock_that_is_a_second_name_of_another_file_changes_nothing(
    load: Callable[[str], ModuleType], root: Path, place: Path, account: str | None
) -> None:
    (root / "runs").mkdir()
    (place / "m.t7").chmod(0o644)
    os.link(place / "m.t7", root / "runs" / ".leases")
    leases = load("runs.leases")
    with (
        pytest.raises(leases.StackError, match=r"\.leases is a second name of another file \(a hard link\): remove it"),
        leases.Leases(str(root), account and load("runs.account").find(account)),
    ):
        pass
    found = (place / "m.t7").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode), (place / "m.t7").read_text()) == (0, 0o644, "x")


def test_lock_of_another_user_than_the_account_is_refused(load: Callable[[str], ModuleType], root: Path) -> None:
    leases, account = load("runs.leases"), load("runs.account").find(USER)
    with leases.Leases(str(root), account):
        pass
    with leases.Leases(str(root)):  # who only looks does not know the account
        pass
    os.chown(root / "runs" / ".leases", 7, 7)
    with pytest.raises(leases.StackError, match="belongs to uid 7: remove it"), leases.Leases(str(root), account):
        pass


def test_lock_that_is_given_to_the_account_is_empty_before(
    load: Callable[[str], ModuleType], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account can have linked a file of root there, such as /etc/shadow, whose own name was removed later."""
    leases, account = load("runs.leases"), load("runs.account").find(USER)
    lock = root / "runs" / ".leases"
    lock.parent.mkdir()
    lock.write_text("root:secret\n")
    given: list[str] = []
    fchown = os.fchown
    monkeypatch.setattr(os, "fchown", lambda *args: (given.append(lock.read_text()), fchown(*args)))
    with leases.Leases(str(root), account):
        assert lock.stat().st_uid == account.uid
    assert given == [""]


def test_lock_of_the_account_is_opened_where_the_kernel_protects_such_files(
    load: Callable[[str], ModuleType], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fs.protected_regular=2: root gets EACCES if it opens the file of another user with O_CREAT."""
    real = os.open

    def protected(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if flags & os.O_CREAT and not flags & os.O_EXCL and Path(path).exists():
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", protected)
    leases, account = load("runs.leases"), load("runs.account").find(USER)
    for _time in range(2):
        with leases.Leases(str(root), account):
            assert (root / "runs" / ".leases").stat().st_uid == account.uid


def test_leases_that_somebody_holds_are_waited_for_and_then_told_with_their_holder(
    load: Callable[[str], ModuleType], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = load("runs.leases")
    with runs.Leases(str(root)):
        assert stat.S_IMODE((root / "runs" / ".leases").stat().st_mode) == 0o600
        monkeypatch.setattr(runs, "LEASE_PATIENCE", 0.2)
        with (
            pytest.raises(
                runs.StackError, match=rf"pid {os.getpid()} on \S+ since 20.*End that process, then try again"
            ),
            runs.Leases(str(root)),
        ):
            pass
    with runs.Leases(str(root)):
        pass


def test_runs_of_the_account_and_older_ones_of_root_are_seen(root: Path, run_module: Run) -> None:
    """Root's lock files cannot be opened by the account, and the account's files are read as the account."""
    nobody = pwd.getpwnam(USER)
    handles = [host_use.lock(root, name) for name in ("of-root", "of-account")]
    place = host_use.make(root, "of-account", exit="0")
    for path in (place, place / "run.json", place / "exit"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    os.chown(root / "runs", 0, nobody.pw_gid)
    (root / "runs").chmod(0o1770)
    found = run_module("host_use_info", stack_root=root, user=USER)["use"]
    assert [(run["id"], run["state"]) for run in found["runs"]] == [("of-account", "process"), ("of-root", "process")]
    assert found["problems"] == []
    for handle in handles:
        os.close(handle)
    assert run_module("host_use_info", stack_root=root, user=USER)["use"]["runs"] == []
    (problem,) = run_module("host_use_info", stack_root=root, user="nobody-at-all")["use"]["problems"]
    assert problem.startswith("runs: the account nobody-at-all, which owns the runs, does not exist")


def test_account_is_made_with_its_directories_and_then_kept(
    run_module: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = place / "tools"
    tools.mkdir()
    (tools / "useradd").write_text(f'#!/bin/sh\necho "$*" >> {place}/words\n')
    (tools / "useradd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    def account(**given: Any) -> dict[str, Any]:
        return run_module("run_account", stack_root=place / "stack", **given)

    assert account(check=True, user=USER)["component"]["change"] == "build"
    assert not (place / "stack").exists()
    said = account(user=USER)
    assert (said["changed"], said["component"]["name"]) == (True, "account")
    assert f"runs belong to {USER}" in said["component"]["evidence"]
    assert not account(user=USER)["changed"]
    (place / "stack" / "runs").chmod(0o777)
    assert account(user=USER)["changed"]
    assert not (place / "words").exists(), "the account was there"
    with pytest.raises(ModuleError, match=r"the account no-such-one, which owns the runs"):
        account(user="no-such-one")
    words = (place / "words").read_text()
    assert "--system --no-create-home" in words
    assert "nologin --user-group no-such-one" in words


@pytest.fixture
def tools(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """useradd and groupadd that only write down their arguments."""
    tools = place / "tools"
    tools.mkdir()
    for name in ("useradd", "groupadd"):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {place}/words\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return tools


def test_account_that_cannot_be_made_is_told_with_the_words_of_useradd(
    run_module: Run, place: Path, tools: Path
) -> None:
    (tools / "useradd").write_text('#!/bin/sh\necho "useradd: cannot lock /etc/passwd" >&2\nexit 1\n')
    words = "the account no-such-one cannot be created: useradd: cannot lock /etc/passwd"
    with pytest.raises(ModuleError, match=words):
        run_module("run_account", stack_root=place / "stack", user="no-such-one")


def record_of(place: Path, **content: Any) -> Path:
    file = place / "stack" / "account.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def test_hosts_that_share_a_disk_get_the_account_with_equal_numbers(
    run_module: Run, place: Path, load: Callable[[str], ModuleType], tools: Path
) -> None:
    known = load("runs.account").find(USER)
    run_module("run_account", stack_root=place / "stack", user=USER)
    written = json.loads((place / "stack" / "account.json").read_text())
    assert written == {"name": USER, "uid": known.uid, "gid": known.gid}
    record_of(place, name="no-such-one", uid=777, gid=778)
    with pytest.raises(ModuleError, match="no-such-one"):
        run_module("run_account", stack_root=place / "stack", user="no-such-one")
    groupadd, useradd = (place / "words").read_text().splitlines()
    assert groupadd == "groupadd --system --gid 778 no-such-one"
    assert useradd.endswith("--gid no-such-one --uid 777 no-such-one")


@pytest.mark.parametrize("key", ["uid", "gid"])
def test_account_with_other_numbers_than_on_the_host_that_shares_the_disk_is_refused(
    run_module: Run, place: Path, load: Callable[[str], ModuleType], key: str
) -> None:
    known = load("runs.account").find(USER)
    numbers = {"uid": known.uid, "gid": known.gid}
    run_module("run_account", stack_root=place / "stack", user=USER)
    record_of(place, **{"name": USER, **numbers, key: 777})
    with pytest.raises(ModuleError, match=f"uid {known.uid} and gid {known.gid} on this host, but.*777"):
        run_module("run_account", stack_root=place / "stack", user=USER)
    state = run_module("stack_state", stack_root=place / "stack", run_user=USER)["state"]
    assert not state["account"]
    assert "usermod -u" in state["obstacles"][0]
    (place / "stack" / "account.json").unlink()
    assert run_module("stack_state", stack_root=place / "stack", run_user=USER)["state"]["obstacles"] == []


@pytest.mark.parametrize(
    "content",
    [{}, {"name": "another", "uid": 7, "gid": 7}, {"uid": 0, "gid": 0}, {"uid": "7", "gid": 7}, {"uid": True}],
)
def test_numbers_that_cannot_be_used_are_recorded_again(run_module: Run, place: Path, content: dict[str, Any]) -> None:
    record_of(place, **{"name": USER, **content})
    run_module("run_account", stack_root=place / "stack", user=USER)
    assert json.loads((place / "stack" / "account.json").read_text())["uid"] > 0


PLAN = {"card": None, "python": "/usr/bin/python3"}
SYSTEMD = """#!/bin/sh
# Stand-in for systemd-run: says what it was asked, and starts nothing.
echo "$@" >> '{place}/asked'
[ ! -e '{place}/refuses' ] || {{ rm '{place}/refuses'; echo 'Unknown assignment: ProtectClock=yes'; exit 1; }}
"""


@pytest.fixture
def systemd(place: Path, load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A host with systemd 252, in name only."""
    tools = place / "tools"
    tools.mkdir()
    for name, words in (
        ("systemd-run", SYSTEMD.format(place=place)),
        ("systemctl", "#!/bin/sh\necho systemd 252\n"),
    ):
        (tools / name).write_text(words)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    module = load("runs.unit")
    monkeypatch.setattr(module, "SYSTEMD", str(place))
    return module


def test_unit_of_a_run_can_write_nowhere_else_and_gain_nothing(
    systemd: ModuleType, load: Callable[[str], ModuleType], root: Path, place: Path
) -> None:
    account = load("runs.account").find(USER)
    run = load("runs.files").Run(str(root), "x")
    assert systemd.start_supervisor(run, account, [run.path, '/data/my "own" models'], PLAN) == ("", None)
    asked = (place / "asked").read_text()
    assert f"--uid={USER}" in asked
    for words in (
        "NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "UMask=0077", "CapabilityBoundingSet= ",
        "PrivateDevices=yes", "PrivateNetwork=yes", f'ReadWritePaths="{run.path}" "/data/my \\"own\\" models"',
    ):  # fmt: skip
        assert words in asked
    systemd.start_supervisor(run, account, [run.path], {**PLAN, "card": {"uuid": "GPU-0"}})
    assert "PrivateDevices" not in (place / "asked").read_text().splitlines()[1]


def test_unit_that_is_less_confined_than_it_should_be_says_so(
    systemd: ModuleType, load: Callable[[str], ModuleType], root: Path, place: Path
) -> None:
    (place / "refuses").touch()
    run = load("runs.files").Run(str(root), "x")
    remark, _process = systemd.start_supervisor(run, None, [run.path], PLAN)
    assert (
        remark
        == "its unit is less confined than it should be: systemd-run reported: Unknown assignment: ProtectClock=yes"
    )


@pytest.mark.parametrize(("version", "has"), [("219", ""), ("239", "ProtectSystem=strict"), ("252", "ProtectProc")])
def test_systemd_is_asked_for_what_its_version_knows(systemd: ModuleType, place: Path, version: str, has: str) -> None:
    (place / "tools" / "systemctl").write_text(f"#!/bin/sh\necho systemd {version}\n")
    words = " ".join(systemd.hardening(["/r"], None))
    assert has in words
    assert ("ProtectClock" in words) == (version == "252")
    assert ("ReadWritePaths" in words) == (version != "219")
