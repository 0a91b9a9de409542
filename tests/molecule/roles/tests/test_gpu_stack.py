"""On a host without a GPU nothing is built for one."""

from __future__ import annotations

from testinfra.host import Host

from neuraltalk_provision import catalogue
from tests.molecule.conftest import Stack, newer_than_prepared

PARTS = {component.name for component in catalogue.load().components if component.role == "gpu_stack"}


def test_the_host_has_no_gpu(host: Host) -> None:
    assert not host.file("/proc/driver/nvidia/version").exists


def test_nothing_was_unpacked_built_or_stamped(host: Host, stack: Stack) -> None:
    assert PARTS
    assert PARTS & {part["name"] for part in stack.recipe["parts"]} == set()
    assert PARTS & set(host.file(stack.build).listdir()) == set()
    stamps = {f"{part['name']}.json" for part in stack.recipe["parts"]}
    assert set(host.file(f"{stack.path}/stamps").listdir()) == stamps
    assert newer_than_prepared(host, "/usr/local") == []
