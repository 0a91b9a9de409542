"""Controllers: a name that no other process has, and whether the one that a host noted still lives."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys

import pytest

from neuraltalk_provision.site import controller


def test_name_says_machine_process_and_start() -> None:
    assert re.fullmatch(rf"{re.escape(socket.gethostname())} pid {os.getpid()} since \d+", controller.name())
    assert controller.name() == controller.name()


def test_controller_that_runs_is_not_dead() -> None:
    assert not controller.is_dead(controller.name())


def test_controller_that_ended_is_dead() -> None:
    words = "from neuraltalk_provision.site import controller; print(controller.name())"
    other = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout.strip()
    assert other != controller.name()
    assert controller.is_dead(other)


def test_controller_whose_number_another_process_has_got_is_dead() -> None:
    assert controller.is_dead(f"{socket.gethostname()} pid {os.getpid()} since 1")


@pytest.mark.parametrize("name", ["", "who knows", "another-machine pid 999999 since 1"])
def test_controller_of_which_nothing_can_be_known_is_not_dead(name: str) -> None:
    assert not controller.is_dead(name)
