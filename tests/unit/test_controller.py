"""Controllers: a name that no other process has, and whether the one that a host noted still lives."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neuraltalk_provision.results.host_state import Lease
from neuraltalk_provision.site import controller

MACHINE, BOOT = "0123456789abcdef0123456789abcdef", "11111111-2222-3333-4444-555555555555"
HERE = {"/etc/machine-id": MACHINE, "/proc/sys/kernel/random/boot_id": BOOT}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes this machine another one: its id, its boot, its process namespace."""

    def here(
        machine: str = MACHINE, boot: str = BOOT, space: str = "4026531836", cards: tuple[str, ...] = ("02:00",)
    ) -> None:
        told = {"/etc/machine-id": machine, "/proc/sys/kernel/random/boot_id": boot}
        monkeypatch.setattr(controller, "_line", lambda path: told[path])
        monkeypatch.setattr(controller, "_namespace", lambda: space)
        monkeypatch.setattr(controller, "_cards", lambda: list(cards))

    here()
    return here


def ended(here: Callable[..., None]) -> str:
    """The name of a process of this machine that has ended: its number is this one's, its start another."""
    return re.sub(r"since \d+", "since 1", controller.name())


def lease(holder: str) -> Lease:
    return Lease(holder=holder, host="node1", what="provision site", since=1764112380)


def test_name_says_host_process_boot_and_machine(here: Callable[..., None]) -> None:
    assert re.fullmatch(
        rf"{re.escape(socket.gethostname())} pid {os.getpid()} since \d+ boot {BOOT} space 4026531836 "
        r"machine [0-9a-f]{32}",
        controller.name(),
    )
    assert MACHINE not in controller.name()
    assert controller.name() == controller.name()


def test_controller_that_runs_is_not_dead() -> None:
    assert not controller.is_dead(controller.name())


def test_controller_that_ended_is_dead() -> None:
    words = "from neuraltalk_provision.site import controller; print(controller.name())"
    other = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout.strip()
    assert other != controller.name()
    assert controller.is_dead(other)


def test_controller_whose_number_another_process_has_got_is_dead(here: Callable[..., None]) -> None:
    assert controller.is_dead(ended(here))


def test_machine_that_booted_since_has_none_of_its_processes(here: Callable[..., None]) -> None:
    before = controller.name()
    here(boot="99999999-2222-3333-4444-555555555555")
    assert controller.is_dead(before)


def test_clone_of_a_machine_is_not_that_machine_after_a_reboot(here: Callable[..., None]) -> None:
    """It has the same machine id and may have the same host name; its controller may run."""
    before = controller.name()
    here(boot="99999999-2222-3333-4444-555555555555", cards=("02:01",))
    assert not controller.is_dead(before)


def test_container_of_the_same_image_on_another_machine_is_not_this_one(
    here: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    here(cards=())
    before = controller.name()
    here(boot="99999999-2222-3333-4444-555555555555", cards=())
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert not controller.is_dead(before)


def test_host_name_and_number_alone_tell_nothing(here: Callable[..., None]) -> None:
    before = ended(here)
    here(machine="f" * 32, boot="99999999-2222-3333-4444-555555555555")
    assert not controller.is_dead(before)


def test_other_name_of_the_host_changes_nothing(here: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    before = ended(here)
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed")
    assert controller.is_dead(before)


def test_process_of_another_container_cannot_be_seen(here: Callable[..., None]) -> None:
    before = ended(here)
    here(space="4026532999")
    assert not controller.is_dead(before)


@pytest.mark.parametrize("machine", ["", "uninitialized"])
def test_machine_without_an_id_is_known_by_its_boot_alone(here: Callable[..., None], machine: str) -> None:
    here(machine=machine)
    before = ended(here)
    assert controller.is_dead(before)
    here(machine=machine, boot="99999999-2222-3333-4444-555555555555")
    assert not controller.is_dead(before)


def test_process_that_proc_does_not_show_is_not_dead(
    here: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = controller.name()

    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(controller, "_started", lambda pid: 0)
    monkeypatch.setattr(os, "kill", refuse)
    assert not controller.is_dead(other)


@pytest.mark.parametrize(
    "name", ["", "who knows", f"{socket.gethostname()} pid 999999 since 1", "a pid 1 since 1 boot - space - machine -"]
)
def test_controller_of_which_nothing_can_be_known_is_not_dead(name: str) -> None:
    assert not controller.is_dead(name)
    words = controller.refusal(lease(name))
    assert "this machine cannot check whether it is still running" in words
    assert "--take-over" in words
    assert controller.replaceable(lease(name)) == ""
    assert controller.replaceable(lease(name), take_over=True) == (name or "damaged")
    assert controller.refusal(lease(name), take_over=True) == ""


def test_lease_of_a_dead_controller_is_taken_over_without_being_asked(here: Callable[..., None]) -> None:
    dead = ended(here)
    assert controller.refusal(lease(dead)) == ""
    assert controller.replaceable(lease(dead)) == dead


def test_lease_of_one_that_lives_is_told_with_who_since_when_and_from_where() -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from neuraltalk_provision.site import controller; print(controller.name(), flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout
        holder = other.stdout.readline().strip()
        words = controller.refusal(lease(holder))
        other.communicate("\n")
    assert f"pid {other.pid} on {socket.gethostname()} (machine " in words
    assert 'since 2025-11-25 23:13:00 UTC, for "provision site"; it is running' in words
    assert controller.refusal(lease(holder)) == ""


def test_own_lease_and_none_hinder_nobody() -> None:
    assert controller.refusal(None) == ""
    assert controller.refusal(lease(controller.name())) == ""
    assert controller.replaceable(lease(controller.name()), take_over=True) == ""


def test_machine_is_read_once_and_not_for_each_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every host tells who built there last: for 1,000 hosts, 10,000 files were opened and 60,000 looked at."""
    other = "ctl2 pid 88 since 3 boot c space 5 machine fedcba9876543210fedcba9876543210"
    read: list[Path] = []
    text, glob = Path.read_text, Path.glob
    monkeypatch.setattr(Path, "read_text", lambda path, **more: (read.append(path), text(path, **more))[1])
    monkeypatch.setattr(Path, "glob", lambda path, pattern: (read.append(path), glob(path, pattern))[1])
    controller.is_dead(other)
    read.clear()
    for _host in range(50):
        assert not controller.is_dead(other)
        assert controller.replaceable(lease(other)) == ""
    assert read == []
