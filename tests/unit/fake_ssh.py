"""A stand-in for ssh on the PATH: it notes each call, and runs the command on this machine or fails as ssh would."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from neuraltalk_provision.site.playbook import Request
from tests.unit.programs import program

_SCRIPT = r"""#!/bin/sh
case "$*" in *"-O exit"*) exit 0 ;; esac
for last; do :; done
for word; do case "$word" in node*) host=$word; break ;; esac; done
echo "$PWD: $*" >>'PLACE/calls'
# Ansible may still be writing: if nobody read it, it would report a broken pipe and not how ssh ended.
trap '[ -t 0 ] || cat >/dev/null' EXIT
BEHAVIOUR
exec sh -c "$last"
"""


REACHED = "ansible.builtin.raw"
_REACH = f"""\
- hosts: all
  gather_facts: false
  tasks: [{{{REACHED}: "true"}}]
"""


@dataclass(frozen=True)
class FakeSsh:
    """The directory in which the script notes its calls."""

    place: Path

    def behave(self, script: str = "") -> None:
        """What the stand-in does before it runs the command: shell lines, with $host, $last and the directory PLACE."""
        text = _SCRIPT.replace("BEHAVIOUR", script).replace("PLACE", str(self.place))
        program(self.place / "bin" / "ssh", text)

    @property
    def calls(self) -> list[str]:
        """The calls until now: `WORKING DIRECTORY: ARGUMENTS`."""
        file = self.place / "calls"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def put_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    """The stand-in, first on the PATH."""
    ssh = FakeSsh(tmp_path / "fake ssh")
    ssh.behave()
    monkeypatch.setenv("PATH", f"{ssh.place / 'bin'}:/usr/bin:/bin")
    return ssh


def reach(tmp_path: Path) -> str:
    """A playbook that reaches each host. It needs no module, which would take most of the time."""
    file = tmp_path / "reach.yml"
    file.write_text(_REACH, encoding="utf-8")
    return str(file)


def request(tmp_path: Path, count: int = 1) -> Request:
    """The request to reach so many hosts. Ansible itself tries each connection once, and does not wait."""
    return Request(reach(tmp_path), inventory(tmp_path / "hosts.yml", count, ansible_ssh_retries="0"))


def inventory(file: Path, count: int = 1, **variables: str) -> Path:
    """An inventory with the hosts node1 to node<count>, which are reached by ssh."""
    file.parent.mkdir(parents=True, exist_ok=True)
    given = {"ansible_connection": "ssh", "ansible_python_interpreter": "{{ ansible_playbook_python }}", **variables}
    hosts = {f"node{number}": {} for number in range(1, count + 1)}
    file.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": given}}), encoding="utf-8")
    return file
