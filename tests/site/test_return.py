"""A host whose controller is lost during an activation returns by itself: with systemd, without it, and after a reboot.

The generations are small shell scripts, and cuDNN is the stand-in. Loading everything through the link hangs, so that
there is time to kill the controller between the rename of the link and the confirmation.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import paths
from tests.lab import ansible, engine, hosts
from tests.lab.spec import Lab
from tests.site import cluster
from tests.site.command import Directory
from tests.site.host import ROOT, Host, until
from tests.standin import cuda, cudnn

WITH_SYSTEMD = Lab("return", "cluster", systemd=True, capabilities=("NET_ADMIN",))
WITHOUT_SYSTEMD = Lab("return-plain", "ready", hosts=2)
LABS = {"systemd": WITH_SYSTEMD, "no-systemd": WITHOUT_SYSTEMD}
TREE = "/usr/local/cuda-7.5"
OLD, NEW = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"
LIMIT = 40
"""Seconds: longer than a slow machine needs from the first task to the rename of the link."""
LONG = 600
UNITS = "/etc/systemd/system/neuraltalk-return-*"
CUDNN = f"cd {TREE} && find . ! -type d -printf '%p %y %m %l ' -type f -exec sha256sum {{}} ';' -o -printf '\\n' | sort"
# The stack's programs. `luajit` hangs if it is told to and the new generation is current.
SCRIPTS = {
    "with-stack": 'PATH="$(dirname "$0"):$PATH"; export PATH; exec "$@"',
    "luajit": f"""\
if test -e /tmp/hang && test "$(readlink {ROOT}/current)" = generations/{NEW}; then
    touch /tmp/hangs
    sleep 600
fi
printf '%s\\n' "$2" | sed "s/^local m = require '\\([^']*\\)'.*/loaded \\1 1.0/"
""",
}
SEAL = """
- hosts: all
  gather_facts: false
  become: true
  tasks:
    - neuraltalk.provision.component_stamp:
        generation: "{{ root }}/generations/{{ item }}"
        component: nn
        state: absent
      loop: "{{ generations }}"
    # So everything is installed by this component.
    - ansible.builtin.command: find {{ root }}/generations/{{ item }} -exec touch -h {} +
      loop: "{{ generations }}"
    - neuraltalk.provision.component_stamp: &stamp
        generation: "{{ root }}/generations/{{ item }}"
        component: nn
        digest: d-nn
        evidence: it was copied
      loop: "{{ generations }}"
    - neuraltalk.provision.component_stamp:
        generation: "{{ root }}/generations/{{ item }}"
        component: cudnn
        state: absent
      loop: "{{ generations }}"
    - neuraltalk.provision.component_stamp: {<<: *stamp, component: cudnn, digest: d-cudnn}
      loop: "{{ generations }}"
    - neuraltalk.provision.stack_generation:
        stack_root: "{{ root }}"
        id: "{{ item }}"
        components: {nn: d-nn, cudnn: d-cudnn}
        state: sealed
      loop: "{{ generations }}"
"""


class Story:
    """One host with an old generation that is current, a new one that is staged, and cuDNN v4 in its CUDA directory."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder, self.host = lab, folder, Host(lab.containers[0])
        self.all = tuple(Host(name) for name in lab.containers)
        self.systemd = lab.systemd
        self.archive = folder / "mirror" / cudnn.archive_name()
        self.archive.parent.mkdir(parents=True)
        self.archive.write_bytes(cudnn.archive())

    def prepare(self) -> None:
        """Write the generations and the CUDA directory on the host."""
        tree = cuda.write(self.folder / "cuda-7.5", "7.5", any_gcc=True)
        cudnn.place(tree, "4.0.7")
        lines = []
        for generation in (OLD, NEW):
            place = f"{ROOT}/generations/{generation}"
            lines.append(f"mkdir -p {place}/bin {place}/stamps {place}/logs")
            for name, script in SCRIPTS.items():
                text = shlex.quote(f"#!/bin/sh\n{script}\n")
                lines.append(f"printf %s {text} >{place}/bin/{name}; chmod 755 {place}/bin/{name}")
        for host in self.all:
            engine.docker("cp", "--archive", str(tree), f"{host.name}:{TREE}")
            host.run("\n".join(lines))
        play = self.folder / "seal.yml"
        play.write_text(SEAL, encoding="utf-8")
        sealing = self.play(str(play), {"root": ROOT, "generations": [OLD, NEW]}, "all")
        output = sealing.communicate(timeout=300)[0]
        assert sealing.returncode == 0, output
        self.reset()

    def reset(self) -> None:
        """Make the old generation current, with the old cuDNN and without a record."""
        for host in self.all:
            host.run(f"rm -f /tmp/hang /tmp/hangs {ROOT}/activation.json {ROOT}/lease.json")
            host.run(f"ln -sfn generations/{OLD} {ROOT}/current; echo '{{}}' >{ROOT}/history.json")

    @property
    def variables(self) -> dict[str, Any]:
        """The variables of activate.yml."""
        content = self.archive.read_bytes()
        file = {
            "name": "cudnn-archive",
            "file": self.archive.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        }
        parts: list[dict[str, Any]] = [
            {"name": "nn", "role": "lua_rocks", "digest": "d-nn", "files": [], "loads": ["nn"]},
            {"name": "cudnn", "role": "gpu_stack", "digest": "d-cudnn", "files": [file], "loads": []},
        ]
        more = {"tries": [], "libraries": [], "edits": [], "rockspec": "", "requirements": []}
        recipe = {
            "id": NEW,
            "stack_root": ROOT,
            "generation": f"{ROOT}/generations/{NEW}",
            "parts": [part | more for part in parts],
            "gpu": {"toolkit": TREE, "cudnn": "5.0.5", "cudnn_mode": "swap"},
        }
        return {
            "provision_recipes": {NEW: recipe},
            "provision_generations": dict.fromkeys(self.lab.containers, NEW),
            "provision_keep": 3,
            "provision_mirror": str(self.archive.parent),
            "provision_artifact_url": "",
            "provision_stack_root": ROOT,
        }

    def play(self, playbook: str, variables: dict[str, Any], limit: str = "") -> subprocess.Popen[str]:
        """Start a playbook as another session."""
        words = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.lab.inventory)]
        return subprocess.Popen(
            [*words, "--limit", limit or self.host.name, "-e", json.dumps(variables), playbook],
            env=ansible.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip

    def activate(self, return_after: int, limit: str = "") -> subprocess.Popen[str]:
        """Start the activation of the new generation."""
        given = {**self.variables, "provision_return_after": return_after}
        return self.play(str(paths.playbooks() / "activate.yml"), given, limit)

    def until_it_hangs(self, return_after: int, limit: str = "") -> subprocess.Popen[str]:
        """Start the activation, and wait until the link was renamed and everything is being loaded through it."""
        self.host.run("rm -f /tmp/hangs; touch /tmp/hang")
        working = self.activate(return_after, limit)
        try:
            self.host.wait_for("an activation that loads everything through the link", "test -e /tmp/hangs", 120)
        except AssertionError:
            working.kill()
            raise AssertionError(working.communicate()[0]) from None
        assert self.host.current == NEW
        assert self.host.has(UNITS) == self.systemd
        return working

    def directory(self) -> Directory:
        """A working directory of `provision` for these hosts."""
        settings = {"mirror": str(self.archive.parent), "inventory": str(self.lab.inventory)}
        return Directory(self.folder / "work").configure(**settings)

    def record(self) -> dict[str, Any] | None:
        """The record on the host."""
        text = self.host.run(f"cat {ROOT}/activation.json 2>/dev/null || true")
        found: dict[str, Any] | None = json.loads(text) if text else None
        return found

    def returned(self, before: str, cause: str) -> bool:
        """Wait until the host has returned; whether link, cuDNN, record and units are as they have to be."""
        until("a return", lambda: (self.record() or {}).get("state") == "returned", 60 + LIMIT)
        if self.systemd:
            until("the end of the units", lambda: not self.host.has(UNITS), 60)
        found = self.record() or {}
        expected = (OLD, before, cause, "")
        return (self.host.current, self.host.run(CUDNN), found["cause"], found["problem"]) == expected


def kill(working: subprocess.Popen[str]) -> None:
    """Kill a controller with all its children."""
    os.killpg(working.pid, signal.SIGKILL)
    working.communicate()


@pytest.fixture(scope="module", params=LABS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A host with systemd, and one without."""
    lab = LABS[request.param]
    hosts.up(lab)
    try:
        if lab.systemd:
            cluster.await_boot(lab.containers[0])
        story = Story(lab, tmp_path_factory.mktemp(lab.name))
        story.prepare()
        yield story
    finally:
        if not request.config.getoption("--keep-labs"):
            hosts.down(lab.name)


@pytest.fixture
def story(host: Story) -> Iterator[Story]:
    """The host, with the old generation current."""
    host.reset()
    yield host
    host.host.run("pkill -f 'sleep 60[0]' || true")


def test_controller_that_is_killed_is_not_needed_for_the_return(story: Story) -> None:
    before = story.host.run(CUDNN)
    working = story.until_it_hangs(LIMIT)
    kill(working)
    assert story.returned(before, "time")
    log = story.host.run(f"cat {ROOT}/logs/activation.log")
    assert f"generation {NEW} was not confirmed within {LIMIT} s, and the host returned to generation {OLD}" in log


def test_activation_that_takes_too_long_is_not_confirmed(story: Story) -> None:
    before = story.host.run(CUDNN)
    working = story.until_it_hangs(LIMIT)
    assert story.returned(before, "time")
    story.host.run("rm /tmp/hang; pkill -f 'sleep 60[0]'")
    output = working.communicate(timeout=120)[0]
    assert working.returncode != 0
    assert f"generation {NEW} was not confirmed within {LIMIT} s, and the host returned" in output
    assert story.returned(before, "time")


def test_activation_that_is_confirmed_stays_and_leaves_nothing(story: Story) -> None:
    working = story.activate(LONG)
    output = working.communicate(timeout=120)[0]
    assert working.returncode == 0, output
    assert (story.host.current, story.record(), story.host.has(UNITS)) == (NEW, None, False)
    assert "5.0.5" in story.host.run(f"ls {TREE}/lib64")
    restored = story.directory().provision("cudnn", "restore", "--limit", story.host.name).ended_with(0)
    restored.says("the previous files were restored")


def test_host_that_hangs_does_not_delay_the_confirmation_of_others(story: Story) -> None:
    if story.systemd:
        pytest.skip("it is one host")
    other = story.all[1]
    working = story.until_it_hangs(LONG, "all")
    until("a confirmation", lambda: other.current == NEW and not other.has(f"{ROOT}/activation.json"), 60)
    assert (story.record() or {})["state"] == "unconfirmed"
    kill(working)
    # Plain ansible-playbook has no holder, so that it is unknown whether it has ended.
    run = story.directory().provision
    run("cudnn", "restore").ended_with(2).says("another controller (somebody) activated generation", "--take-over")
    run("cudnn", "restore", "--take-over").ended_with(0).says("was not confirmed; the return to generation")
    assert (story.host.current, other.current, story.record()) == (OLD, NEW, None)


def test_host_that_is_rebooted_returns(story: Story) -> None:
    """With systemd by itself. Without it the next command says so, and returns it."""
    before = story.host.run(CUDNN)
    working = story.until_it_hangs(LONG)
    kill(working)
    engine.docker("restart", "--time", "1", story.host.name)
    hosts.reach(story.host.name, "/usr/bin/python3")
    if story.systemd:
        cluster.await_boot(story.host.name)
        assert story.returned(before, "reboot")
        return
    assert story.host.current == NEW
    limit = ("--limit", story.host.name)
    plan = story.directory().provision("rollback", "--to", OLD, "--plan", *limit).ended_with(0)
    plan.says(f"the activation of generation {NEW} was not confirmed; the return to generation {OLD} comes first")
    assert story.host.current == NEW
    story.directory().provision("rollback", "--to", OLD, *limit).ended_with(0)
    assert (story.host.current, story.host.run(CUDNN), story.record()) == (OLD, before, None)


def test_network_that_is_cut_is_not_needed_for_the_return(story: Story) -> None:
    if not story.systemd:
        pytest.skip("one host is enough")
    before = story.host.run(CUDNN)
    working = story.until_it_hangs(LIMIT)
    story.host.run("ip link set eth0 down")
    try:
        assert story.returned(before, "time")
    finally:
        story.host.run("ip link set eth0 up")
        kill(working)


def test_timer_that_cannot_be_armed_stops_the_activation_before_anything_is_changed(story: Story) -> None:
    if not story.systemd:
        pytest.skip("it has no units")
    before = story.host.run(CUDNN)
    story.host.run("mount --bind /etc/systemd/system /etc/systemd/system")
    story.host.run("mount -o remount,ro,bind /etc/systemd/system")
    try:
        working = story.activate(LONG)
        output = working.communicate(timeout=120)[0]
    finally:
        story.host.run("umount /etc/systemd/system")
    assert working.returncode != 0
    assert "cannot be armed: /etc/systemd/system" in output
    assert "Read-only file system" in output
    assert (story.host.current, story.host.run(CUDNN), story.record()) == (OLD, before, None)
