"""Built once: one host builds a generation, and another one, which has no compiler, unpacks it and passes `verify`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import hosts, paths
from tests.lab.spec import Lab
from tests.site import mirrors, sites
from tests.site.command import LONG, Directory
from tests.site.conftest import SPACE
from tests.site.host import ROOT, Host

BUILDER = Lab("cache-builder", "ready")
TARGET = Lab("cache-target", "debian12")
"""It has LuaJIT, on which the stand-in for Torch runs, and no compiler."""
COMPILERS = "command -v gcc g++ cc make cmake || true"


@dataclass(frozen=True)
class Two:
    """A host that can build, a host that cannot, and the controller of both."""

    builder: Host
    target: Host
    directory: Directory
    mirror: Path

    def stage(self) -> dict[str, Any]:
        """Stage both, and nothing else."""
        path = os.pathsep.join(filter(None, (str(paths.ROOT), os.environ.get("PYTHONPATH"))))
        done = subprocess.run(
            [sys.executable, "-m", "tests.site.build_once", self.builder.name],
            cwd=self.directory.path,
            env={**self.directory.environment, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@pytest.fixture(scope="module")
def two(work: Path) -> Iterator[Two]:
    mirror = mirrors.make(work / "cache-mirror", TARGET.image)
    with hosts.with_lab(BUILDER), hosts.with_lab(TARGET):
        directory = Directory(work / "cache")
        written = sites.inventories((BUILDER, TARGET), directory, mirror, generation_space=SPACE)
        directory.configure(mirror=str(mirror), inventory=written)
        yield Two(Host(BUILDER.containers[0]), Host(TARGET.containers[0]), directory, mirror)


@pytest.fixture(scope="module")
def staged(two: Two) -> dict[str, Any]:
    """The result of staging."""
    return two.stage()


def test_one_host_builds_and_the_other_one_unpacks_without_a_compiler(two: Two, staged: dict[str, Any]) -> None:
    assert staged["failures"] == []
    assert staged["planned"] == {two.target.name: f"unpack what {two.builder.name} builds"}
    assert staged["built"] == [two.builder.name]
    assert list(staged["unpacked"]) == [two.target.name]
    assert two.target.run(COMPILERS) == ""
    assert not two.target.has(f"{ROOT}/artifacts/*generation*"), "the packed generation was not removed"
    assert not two.builder.has(f"{ROOT}/artifacts/pack-*")
    assert two.target.run(f"ls -A {ROOT}/build || true") == ""


def test_both_are_activated_verified_and_stay_as_they_are(two: Two, staged: dict[str, Any]) -> None:
    assert staged["unpacked"]
    activated = two.directory.provision("site", "--json").ended_with(0).document
    assert activated["activated"] == [two.builder.name, two.target.name]
    assert not [change for change in activated["changes"] if change["change"] == "build"]
    verdicts = two.directory.provision("verify", "--json").ended_with(0).document["hosts"]
    assert [verdict["passed"] for verdict in verdicts] == [True, True]
    before = two.target.snapshot()
    again = two.directory.provision("site", "--json").ended_with(0).document
    assert again["changed"] is False
    assert before.differences(two.target.snapshot()) == []
    assert two.target.run(COMPILERS) == ""


def test_the_cache_is_listed(two: Two, staged: dict[str, Any]) -> None:
    assert staged["unpacked"]
    (listed,) = two.directory.provision("cache", "list", "--hash", "--json").ended_with(0).document["generations"]
    assert listed["usable"] is True
    entry = listed["entry"]
    assert entry["builder"] == two.builder.name
    assert entry["needs"]["machine"] == "x86_64"
    assert entry["packages"]["libc.so.6"] == "libc6"


def test_what_is_needed_is_not_built_again_in_its_place(two: Two, staged: dict[str, Any]) -> None:
    assert staged["unpacked"]
    for host, words in ((two.builder, "it is what the cache has"), (two.target, "it was unpacked")):
        two.directory.provision("cache", "verify", "--on", host.name).ended_with(2).says(words)


def test_a_second_builder_makes_the_same_files(two: Two, staged: dict[str, Any]) -> None:
    """The target gets compilers from the mirror, and builds what it had unpacked."""
    (generation,) = two.target.generations
    two.target.run(f"rm {ROOT}/current")
    two.directory.provision("cache", "verify", "--plan").ended_with(0).says(f"{two.target.name} builds generation")
    compared = two.directory.provision("cache", "verify", "--json").document
    # luarocks does not always write the same into its own list; all other bytes are the same.
    assert [one for one in compared["differing"] if "luarocks writes the version" not in one["reason"]] == []
    assert compared["same"] is (compared["differing"] == [])
    assert compared["builders"] == [two.builder.name, two.target.name]
    assert two.target.generations == {generation}
    assert "component" in two.target.run(f"head -1 {ROOT}/generations/{generation}/installed")


def test_a_file_that_no_component_installed_is_not_sealed(two: Two, staged: dict[str, Any]) -> None:
    (generation,) = two.target.generations
    place = f"{ROOT}/generations/{generation}"
    two.target.run(f"rm {place}/stamps/cjson.json; echo evil >{place}/torch/lib/evil.lua")
    site = ("site", "--stage-only", "--no-cache", "--limit", two.target.name)
    refused = two.directory.provision(*site).ended_with(1)
    refused.says("1 of its files", "torch/lib/evil.lua was added", "Move or delete what was added")
    two.target.run(f"rm {place}/torch/lib/evil.lua")
    two.directory.provision(*site).ended_with(0)
    assert two.target.has(f"{place}/generation.json")


def test_a_carried_cache_is_used_on_the_other_side(two: Two, staged: dict[str, Any]) -> None:
    parts, other = two.directory.path / "parts", two.directory.path / "carried"
    two.directory.provision("mirror", "bundle", "--to", str(parts)).ended_with(0)
    taken = two.directory.provision("mirror", "unbundle", str(parts), "--mirror", str(other), "--json")
    (generation,) = taken.ended_with(0).document["generations"]
    (listed,) = two.directory.provision("cache", "list", "--mirror", str(other), "--hash", "--json").document[
        "generations"
    ]
    assert (listed["id"], listed["usable"]) == (generation, True)


def test_the_cache_is_emptied(two: Two, staged: dict[str, Any]) -> None:
    (listed,) = two.directory.provision("cache", "list", "--json").ended_with(0).document["generations"]
    two.directory.provision("cache", "remove", listed["id"]).ended_with(0)
    assert two.directory.provision("cache", "list", "--json").ended_with(0).document["generations"] == []
