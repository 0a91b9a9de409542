"""One host gets a second generation in spite of a full disk, missing parts and a killed controller; then it rolls back.

The fixtures run in order, each after the one before. The first generation must stay current and work until the second
one is complete.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.site import mirrors, playbooks
from tests.site.command import Done, end
from tests.site.host import ROOT, Host, until
from tests.site.playbooks import Parts
from tests.site.sites import Site, built

EARLY = {"torch", "cjson", "nn", "nngraph", "image"}
HANGS = "pgrep --runstates T -f [l]oadcaffe"
"""Finds the stopped build of a killed controller."""


@dataclass(frozen=True)
class Upgrade:
    """The host, the mirror with one new archive, and the ids of the old and the new generation."""

    site: Site
    host: Host
    mirror: Path
    before: str
    after: str

    @property
    def options(self) -> tuple[str, ...]:
        """The options of `provision` for this host and that mirror."""
        return ("--limit", self.host.name, "--mirror", str(self.mirror))

    @property
    def generation(self) -> str:
        """The directory of the new generation."""
        return f"{ROOT}/generations/{self.after}"

    def still_works(self) -> bool:
        """Whether the first generation is current and loads."""
        program = "require 'nn'; require 'loadcaffe'; print 'it works'"
        output = self.host.run(f'{ROOT}/current/bin/with-stack luajit -e "{program}"')
        return self.host.current == self.before and "it works" in output


@pytest.fixture(scope="module")
def story(converged: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    """An upgrade in which one file of neuraltalk2 has changed. At the end the host gets the old generation again."""
    host = converged.hosts[0]
    mirror = mirrors.copy(converged.mirror, converged.directory.path / "newer")
    archive = tmp_path_factory.mktemp("archive") / "neuraltalk2.tgz"
    archive.write_bytes(mirrors.repacked("neuraltalk2", {"train.lua": lambda text: text + "-- another line\n"}))
    run = converged.directory.provision
    run("mirror", "add", "--mirror", str(mirror), str(archive)).ended_with(0)
    result = run("site", "--plan", "--json", "--limit", host.name, "--mirror", str(mirror)).ended_with(0).document
    (plan,) = result["plans"]
    assert plan["current"] == host.current != plan["generation"]
    yield Upgrade(converged, host, mirror, plan["current"], plan["generation"])
    run("site", "--limit", host.name).ended_with(0)
    assert host.current == plan["current"]


@pytest.fixture(scope="module")
def full(story: Upgrade) -> Done:
    """The disk becomes full while Torch is built; afterwards the space is freed."""
    running = story.site.directory.start("site", *story.options)
    story.host.wait_for("Torch's installer", f"test -s {story.generation}/logs/torch.log.pid")
    story.host.run(f"dd if=/dev/zero of={ROOT}/filler bs=64k status=none || true")
    done = end("provision site on a disk that fills up", running)
    assert story.still_works()
    story.host.run(f"rm {ROOT}/filler")
    return done


def without_edits(parts: Parts) -> Parts:
    """The parts with loadcaffe as upstream has it."""
    return [part | {"edits": []} if part["name"] == "loadcaffe" else part for part in parts]


def without_rock(parts: Parts) -> Parts:
    """The parts without loadcaffe."""
    return [part for part in parts if part["name"] != "loadcaffe"]


@pytest.fixture(scope="module")
def variables(story: Upgrade, full: Done) -> Path:
    """The file with the variables of the playbooks."""
    file = story.site.directory.path / "variables.yml"
    story.site.directory.provision("variables", str(file), *story.options).ended_with(0)
    return file


@pytest.fixture(scope="module")
def no_edit(story: Upgrade, variables: Path) -> Done:
    """The roles without the edits of loadcaffe."""
    changed = playbooks.change_parts(variables, without_edits, variables.with_name("no-edit.yml"))
    inventory = story.site.directory.path / "hosts.yml"
    return playbooks.run("site.yml", inventory, changed, "--limit", story.host.name)


@pytest.fixture(scope="module")
def no_rock(story: Upgrade, variables: Path, no_edit: Done) -> Done:
    """The roles without the rock loadcaffe."""
    changed = playbooks.change_parts(variables, without_rock, variables.with_name("no-rock.yml"))
    inventory = story.site.directory.path / "hosts.yml"
    return playbooks.run("site.yml", inventory, changed, "--limit", story.host.name)


@dataclass(frozen=True)
class Interruption:
    """The result of a second controller during the build of the first one, and the time of each component's stamp."""

    refused: Done
    times: dict[str, str]


@pytest.fixture(scope="module")
def interrupted(story: Upgrade, no_rock: Done) -> Interruption:
    """The build of loadcaffe is stopped; a second controller tries to build; then the first controller is killed."""
    running = story.site.directory.start("site", *story.options)
    pid = f"{story.generation}/logs/loadcaffe.log.pid"
    story.host.wait_for("the build of loadcaffe", f"test -s {pid}")
    story.host.run(f"kill -STOP -- -$(cut -d' ' -f1 {pid})")
    refused = story.site.directory.provision("site", *story.options)
    children = descendants(running.pid)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    until("the end of ansible-playbook", lambda: not any(Path(f"/proc/{child}").exists() for child in children), 30)
    story.host.run(HANGS)
    return Interruption(refused, story.host.times(story.after))


def descendants(pid: int) -> list[int]:
    """The pids of all descendants of a process."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    children = [int(child) for child in text.split()]
    return children + [further for child in children for further in descendants(child)]


@pytest.fixture(scope="module")
def resumed(story: Upgrade, interrupted: Interruption) -> Done:
    """The same command again."""
    return story.site.directory.provision("site", "--json", *story.options)


@pytest.fixture(scope="module")
def activated(story: Upgrade, resumed: Done) -> Upgrade:
    """The upgrade, with the second generation current."""
    resumed.ended_with(0)
    return story


def test_a_full_disk_is_named_as_the_cause(story: Upgrade, full: Done) -> None:
    full.ended_with(1).says("site-1", "torch", "disk is full", "free some space", "run the same command again")


def test_the_error_without_a_source_edit_names_host_component_and_log(no_edit: Done) -> None:
    assert no_edit.code != 0
    no_edit.says("[site-1]", "luarocks make loadcaffe", "SetTotalBytesLimit", "/logs/loadcaffe.log")


def test_the_error_without_a_rock_names_host_program_and_log(no_rock: Done) -> None:
    assert no_rock.code != 0
    no_rock.says("[site-1]", "train.lua", "module 'loadcaffe' not found", "/logs/train.lua.log")


def test_a_second_controller_is_refused_during_a_build(interrupted: Interruption) -> None:
    interrupted.refused.ended_with(2).says("site-1", "is already running there", "loadcaffe.log", "Nothing was changed")


def test_a_killed_build_does_not_affect_the_current_generation(story: Upgrade, interrupted: Interruption) -> None:
    assert interrupted.times.keys() >= EARLY
    assert "loadcaffe" not in interrupted.times
    assert story.still_works()
    story.site.directory.provision("verify", "--limit", story.host.name).ended_with(0).says("1 of 1 hosts passed")


def test_the_next_run_resumes_at_the_interrupted_component(
    story: Upgrade, interrupted: Interruption, resumed: Done
) -> None:
    result = resumed.ended_with(0).document
    assert built(result) == {("site-1", name) for name in ("loadcaffe", "neuraltalk2", "coco-caption", "vgg16")}
    times = story.host.times(story.after)
    assert {name: times[name] for name in interrupted.times} == interrupted.times
    assert result["activated"] == ["site-1"]
    story.host.run(f"! {HANGS}")


def test_only_that_host_has_the_new_generation(activated: Upgrade) -> None:
    assert [host.current for host in activated.site.hosts] == [activated.after, activated.before, activated.before]
    assert activated.host.generations == {activated.before, activated.after}
    activated.site.directory.provision("verify", *activated.options).ended_with(0).says("1 of 1 hosts passed")


def test_rollback_and_rollback_of_the_rollback(activated: Upgrade) -> None:
    run, host = activated.site.directory.provision, activated.host
    run("rollback", "--plan", "--limit", host.name).ended_with(0).says(activated.before)
    assert host.current == activated.after
    back = run("rollback", "--limit", host.name).ended_with(0)
    back.says(f"went back from generation {activated.after} to {activated.before}")
    assert activated.still_works()
    run("rollback", "--limit", host.name).ended_with(2).says(f"would go from generation {activated.before}", "--to")
    run("rollback", "--to", activated.after, "--limit", host.name).ended_with(0)
    assert host.current == activated.after
    run("rollback", "--to", activated.before, "--limit", host.name).ended_with(0)
    result = run("site", "--json", *activated.options).ended_with(0).document
    assert (built(result), result["activated"], result["changed"]) == (set(), ["site-1"], True)
    assert host.current == activated.after


def test_rollback_to_a_missing_generation_is_refused(activated: Upgrade) -> None:
    run = activated.site.directory.provision
    run("rollback", "--to", "0123456789abcdef").ended_with(2).says("site-1", "0123456789abcdef", "Nothing was changed")
    run("rollback", "--limit", "site-2").ended_with(2).says("site-2", "before the current one", "Nothing was changed")
