"""On a host without a GPU nothing is written, nothing is stamped and the network is not used."""

from __future__ import annotations

from typing import Any

from testinfra.host import Host

from tests.molecule.conftest import Stack, newer_than_prepared

# The controller is recorded each time that a generation is opened.
ALWAYS = {"logs/controller"}


def test_the_host_has_no_gpu(host: Host) -> None:
    assert not host.file("/proc/driver/nvidia/version").exists


def test_nothing_was_written(host: Host, stack: Stack) -> None:
    assert host.file(f"{stack.path}/environment").exists
    written = newer_than_prepared(host, "/opt", "/usr", "/etc", "/root", "/home", "/var/lib")
    assert set(written) <= {f"{stack.root}/{name}" for name in ALWAYS}


def test_nothing_was_stamped(host: Host, stack: Stack) -> None:
    assert host.file(f"{stack.path}/stamps").listdir() == []
    assert not host.file(stack.build).exists


def test_no_host_tried_the_network(crossings: list[dict[str, Any]]) -> None:
    assert crossings == []
