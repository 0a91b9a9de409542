"""A controller on which little is as usual: home directory, environment, terminal, current directory."""

from __future__ import annotations

import fcntl
import os
import pty
import pwd
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import yaml

from neuraltalk_provision import command_log, paths, settings
from neuraltalk_provision.cli import data
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.site import ansible_environment, playbook
from neuraltalk_provision.site.playbook import Request

pytestmark = pytest.mark.slow

VARIABLES = {"provision_stack_root": "/none", "provision_package_names": [], "provision_our_variables": "^provision_"}
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory in which the user stands; beside it an inventory and settings with this machine alone."""
    place = tmp_path / "site"
    place.mkdir()
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"node1": LOCAL}}}))
    (tmp_path / "provision.yml").write_text(f"inventory: hosts.yml\nstack_root: {tmp_path}/stack\n")
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize(
    "change",
    [
        "exec <&-; COLUMNS=1 HOME=/proc XDG_CACHE_HOME=/proc XDG_CONFIG_HOME=/proc XDG_RUNTIME_DIR=/nonexistent; "
        "unset XDG_STATE_HOME",
        "HOME=relative XDG_STATE_HOME=relative XDG_RUNTIME_DIR=relative PATH= TMPDIR=/nonexistent; unset TERM; "
        "LANG=C LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0; umask 777",
    ],
)
def test_command_works_whatever_the_environment_is(here: Path, change: str) -> None:
    program = f"'{sys.executable}' -m neuraltalk_provision runs list --settings ../provision.yml --json"
    done = subprocess.run(
        ["/bin/sh", "-c", f"set -a; {change}; {program}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, '"runs": []' in done.stdout) == (0, True), done.stderr
    assert "Traceback" not in done.stderr
    assert list(here.iterdir()) == []


def entry(directory: str) -> pwd.struct_passwd:
    return pwd.struct_passwd(("ops", "x", 1000, 1000, "", directory, "/bin/sh"))


@pytest.mark.parametrize("home", ["", "relative", "./x", None])
def test_home_that_is_no_absolute_path_is_that_of_the_list_of_users(
    monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry("/home/ops"))
    assert paths.home() == Path("/home/ops")
    assert paths.state_dir() == Path("/home/ops/.local/state/neuraltalk-provision")
    assert ansible_environment.variables()["HOME"] == "/home/ops"


def test_user_without_a_home_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_uid: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with command_log.begin(["site"]) as log:
        log.write("text")
    assert log.problem.startswith("the directory of the logs is not known: HOME is not an absolute path")
    assert "HOME" not in ansible_environment.variables()
    with pytest.raises(UsageError, match="HOME is not an absolute path") as caught:
        data._findings()
    assert "--findings" in caught.value.advice
    monkeypatch.setenv("HOME", "/proc")
    with pytest.raises(UsageError, match=r"no directory for the findings: /proc/\.local: No such file"):
        data._findings()


def test_directory_whose_name_is_not_utf_8_can_be_the_current_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "f\udcfcr für").mkdir()
    monkeypatch.chdir(here / "f\udcfcr für")
    assert playbook.run(Request("state.yml", here.parent / "hosts.yml", VARIABLES)).rc == 0


def test_text_for_ansible_that_is_not_utf_8_is_refused_in_words(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "f\udcfcr.yml").write_text("all: {}")
    with pytest.raises(UsageError, match=r"the inventory .* contains bytes that are not UTF-8"):
        playbook.run(Request("state.yml", here / "f\udcfcr.yml", VARIABLES))
    with pytest.raises(UsageError, match="--limit contains bytes that are not UTF-8"):
        playbook.run(Request("state.yml", here.parent / "hosts.yml", VARIABLES, limit=["n\udcfc"]))
    monkeypatch.setenv("ANSIBLE_PRIVATE_KEY_FILE", "k\udcfc")
    with pytest.raises(UsageError, match="ANSIBLE_PRIVATE_KEY_FILE contains bytes that are not UTF-8"):
        playbook.run(Request("state.yml", here.parent / "hosts.yml", VARIABLES))


def test_current_directory_that_was_removed_is_named(here: Path) -> None:
    here.rmdir()
    with pytest.raises(UsageError, match="the current directory cannot be used: No such file"):
        settings.load(here.parent / "provision.yml")


@pytest.mark.parametrize(("letters", "shown"), [("ä", "f\\xe4r"), ("日", "f\\u65e5r")])
def test_names_are_utf_8_if_python_takes_them_for_ascii(here: Path, letters: str, shown: str) -> None:
    folder = here / f"f{letters}r"
    folder.mkdir()
    (folder / "provision.yml").write_text(f"inventory: {folder}/none.yml\n", encoding="utf-8")
    program = f"'{sys.executable}' -m neuraltalk_provision runs list --settings '{folder}/provision.yml'"
    change = "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"
    done = subprocess.run(["/bin/sh", "-c", f"{change} {program}"], capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {here}/{shown}/none.yml: there is no such inventory".encode())


@pytest.mark.parametrize("columns", [1, 2, 10])
@pytest.mark.parametrize(
    ("words", "texts"), [("runs options train.lua", ("-rnn_size", "whole")), ("--help", ("sweep",))]
)
def test_terminal_of_a_column_loses_no_text(columns: int, words: str, texts: tuple[str, ...]) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "neuraltalk_provision", *words.split()]
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        printed = b""
        try:
            while piece := os.read(leader, 65536):
                printed += piece
        except OSError:  # Linux reports the end of a pseudo-terminal in this way
            pass
    os.close(leader)
    assert process.returncode == 0
    assert all(text in printed.decode() for text in texts)
