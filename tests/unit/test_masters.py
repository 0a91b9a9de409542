"""SSH's shared connections end with the command, and nobody on a host gets to use the operator's agent."""

from __future__ import annotations

import configparser
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from neuraltalk_provision import paths
from neuraltalk_provision.site import ansible_environment, keeper, masters
from tests.unit.waiting import until


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which a stand-in of ssh writes down what it is asked."""
    asked = tmp_path / "asked"
    script = tmp_path / "bin" / "ssh"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\necho \"$@\" >>'{asked}'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    return asked


def test_playbooks_of_one_command_share_a_private_directory() -> None:
    place = masters.directory()
    assert ansible_environment.variables()["ANSIBLE_SSH_CONTROL_PATH_DIR"] == str(place)
    assert masters.directory() == place
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_every_connection_is_ended_with_the_command(ssh: Path) -> None:
    masters.end()
    place = masters.directory()
    (place / "0a1b2c3d4e").touch()
    (place / "5f6a7b8c9d").touch()
    masters.end()
    assert sorted(ssh.read_text().splitlines()) == [
        f"-F none -o ControlPath={place / name} -O exit ended" for name in ("0a1b2c3d4e", "5f6a7b8c9d")
    ]
    assert not place.exists()
    masters.end()
    assert len(ssh.read_text().splitlines()) == 2


def test_command_that_ends_in_whatever_way_ends_them(ssh: Path) -> None:
    words = (
        "import sys; from neuraltalk_provision.site import ansible_environment, masters; "
        "(masters.directory() / 'x').touch(); print(masters.directory()); sys.exit(3)"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "-O exit" in ssh.read_text()
    assert not Path(done.stdout.strip()).exists()


def test_path_that_is_too_long_for_a_socket_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    masters.end()
    deep = tmp_path / ("x" * 80)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert masters.directory().parent == Path("/tmp")
    assert list(deep.iterdir()) == []
    masters.end()


def test_agent_stays_here_and_a_connection_does_not_outlive_a_killed_command_for_long() -> None:
    read = configparser.ConfigParser(interpolation=None)
    read.read(paths.playbooks() / "ansible.cfg")
    options = read["ssh_connection"]["ssh_args"].split()
    assert {"ForwardAgent=no", "ForwardX11=no", "ControlPersist=60s"} <= set(options)
    assert options.index("ForwardAgent=no") < options.index("ControlMaster=auto")


def test_terminal_and_program_that_ssh_config_gives_every_login_are_not_for_ansible(tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text("Host *\n  RequestTTY force\n  RemoteCommand tmux new -A\n")
    argv = ["ssh", "-F", str(config), "-G", *masters.arguments("").split(), "node1"]
    settings = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "requesttty false" in settings
    assert not [one for one in settings if one.startswith("remotecommand ")]


def test_options_of_one_playbook_come_before_the_usual_ones() -> None:
    given = masters.arguments("-o ControlPersist=9s")
    assert given.startswith("-o ControlPersist=9s ")
    assert {"ForwardAgent=no", "ForwardX11=no", "ControlMaster=auto"} <= set(given.split())


def test_command_that_is_killed_leaves_no_connection_and_no_secret(ssh: Path, tmp_path: Path) -> None:
    words = (
        "import os, sys; from neuraltalk_provision.site import keeper, masters\n"
        "with keeper.kept(keeper.PRIVATE) as private:\n"
        "    (private / 'variables.yml').write_text('the key')\n"
        "    (masters.directory() / 'x').touch()\n"
        "    print(masters.directory(), private, flush=True); os.kill(os.getpid(), 9)\n"
    )
    (tmp_path / "a b").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "a b")}
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert done.returncode == -9, done.stderr
    sockets = Path(done.stdout[: done.stdout.index(f" {tmp_path}")])
    until(lambda: not sockets.exists() and not any((tmp_path / "a b").glob("provision-*")))
    assert ssh.read_text().splitlines() == [f"-F none -o ControlPath={sockets / 'x'} -O exit ended"]


def test_directory_whose_name_the_keeper_could_not_read_is_only_removed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious, strange = tmp_path / "a", tmp_path / "a\nb"
    precious.mkdir()
    strange.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(strange))
    with keeper.kept(keeper.PRIVATE) as place:
        assert place.parent == strange
    assert not place.exists()
    masters.end()
    assert precious.exists()


def test_what_a_killed_machine_has_left_is_removed_and_nothing_else(
    ssh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {name: tmp_path / f"{keeper.SOCKETS}{name}" for name in ("stale", "young", "used", "link", "foreign")}
    secret = tmp_path / f"{keeper.PRIVATE}stale"
    other = tmp_path / "mine"
    for place in (*places.values(), secret, other):
        if place is not places["link"]:
            place.mkdir()
            (place / "x").touch()
    places["link"].symlink_to(other)
    if os.geteuid() == 0:
        os.chown(places["foreign"], 1234, -1)
    else:
        places.pop("foreign")
    monkeypatch.setattr(keeper, "_now", lambda: time.time() + 3600)
    os.utime(places["young"], (time.time() + 3590,) * 2)
    with keeper._locked(places["used"]):
        keeper.remove_stale([str(tmp_path)])
    until(lambda: not places["stale"].exists() and not secret.exists())
    assert all(place.exists() for name, place in places.items() if name != "stale")
    assert (other / "x").exists()
    assert ssh.read_text().splitlines() == [f"-F none -o ControlPath={places['stale'] / 'x'} -O exit ended"]


def test_small_process_that_hangs_is_killed_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_process", None)
    monkeypatch.setattr(keeper, "_COMMAND", ("/bin/sh", "-c", "exec sleep 60"))
    monkeypatch.setattr(keeper, "_PATIENCE", 0.2)
    with keeper.kept(keeper.PRIVATE, str(tmp_path)):
        process = keeper._process
        keeper.end()
    assert process is not None
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
