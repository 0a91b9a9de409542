"""One host gets another generation the hard way: a full disk, parts left out, a controller killed; and goes back.

The fixtures tell it in order, each from where the one before ended. Whatever happens, the first generation stays
current and works until the second one is whole.
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
"""Finds what an ended controller left."""


@dataclass(frozen=True)
class Story:
    """The host, the mirror with one new archive, and the ids of the generations before and after."""

    site: Site
    host: Host
    mirror: Path
    before: str
    after: str

    @property
    def options(self) -> tuple[str, ...]:
        """What makes `provision` work on this host with that mirror."""
        return ("--limit", self.host.name, "--mirror", str(self.mirror))

    @property
    def generation(self) -> str:
        """Where the new generation is built."""
        return f"{ROOT}/generations/{self.after}"

    def still_works(self) -> bool:
        """Whether the first generation is current and loads."""
        program = "require 'nn'; require 'loadcaffe'; print 'it works'"
        said = self.host.run(f'{ROOT}/current/bin/with-stack luajit -e "{program}"')
        return self.host.current == self.before and "it works" in said


@pytest.fixture(scope="module")
def story(converged: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A file of neuraltalk2 has changed, and that is all. In the end the host goes back to what the others have."""
    host = converged.hosts[0]
    mirror = mirrors.copy(converged.mirror, converged.directory.path / "newer")
    brought = tmp_path_factory.mktemp("brought") / "neuraltalk2.tgz"
    brought.write_bytes(mirrors.repacked("neuraltalk2", {"train.lua": lambda text: text + "-- another line\n"}))
    run = converged.directory.provision
    run("mirror", "add", "--mirror", str(mirror), str(brought)).ended_with(0)
    told = run("site", "--plan", "--json", "--limit", host.name, "--mirror", str(mirror)).ended_with(0).document
    (plan,) = told["plans"]
    assert plan["current"] == host.current != plan["generation"]
    yield Story(converged, host, mirror, plan["current"], plan["generation"])
    run("site", "--limit", host.name).ended_with(0)
    assert host.current == plan["current"]


@pytest.fixture(scope="module")
def full(story: Story) -> Done:
    """The disk fills up while Torch is built; afterwards there is room again."""
    running = story.site.directory.start("site", *story.options)
    story.host.wait_for("Torch's installer", f"test -s {story.generation}/logs/torch.log.pid")
    story.host.run(f"dd if=/dev/zero of={ROOT}/filler bs=64k status=none || true")
    done = end("provision site on a disk that fills up", running)
    assert story.still_works()
    story.host.run(f"rm {ROOT}/filler")
    return done


def without_edits(parts: Parts) -> Parts:
    """loadcaffe as it is upstream."""
    return [part | {"edits": []} if part["name"] == "loadcaffe" else part for part in parts]


def without_rock(parts: Parts) -> Parts:
    """No loadcaffe at all."""
    return [part for part in parts if part["name"] != "loadcaffe"]


@pytest.fixture(scope="module")
def variables(story: Story, full: Done) -> Path:
    """What the playbooks read, in a file."""
    file = story.site.directory.path / "variables.yml"
    story.site.directory.provision("variables", str(file), *story.options).ended_with(0)
    return file


@pytest.fixture(scope="module")
def no_edit(story: Story, variables: Path) -> Done:
    """The roles, with the edits of loadcaffe left out."""
    changed = playbooks.change_parts(variables, without_edits, variables.with_name("no-edit.yml"))
    inventory = story.site.directory.path / "hosts.yml"
    return playbooks.run("site.yml", inventory, changed, "--limit", story.host.name)


@pytest.fixture(scope="module")
def no_rock(story: Story, variables: Path, no_edit: Done) -> Done:
    """The roles, with the rock loadcaffe left out."""
    changed = playbooks.change_parts(variables, without_rock, variables.with_name("no-rock.yml"))
    inventory = story.site.directory.path / "hosts.yml"
    return playbooks.run("site.yml", inventory, changed, "--limit", story.host.name)


@dataclass(frozen=True)
class Interruption:
    """What a second controller was told while the first one built, and when each component was stamped."""

    refused: Done
    times: dict[str, str]


@pytest.fixture(scope="module")
def interrupted(story: Story, no_rock: Done) -> Interruption:
    """In the middle of loadcaffe the build hangs; somebody else tries; then the controller is killed, the build not."""
    running = story.site.directory.start("site", *story.options)
    pid = f"{story.generation}/logs/loadcaffe.log.pid"
    story.host.wait_for("the build of loadcaffe", f"test -s {pid}")
    story.host.run(f"kill -STOP -- -$(cat {pid})")
    refused = story.site.directory.provision("site", *story.options)
    children = descendants(running.pid)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    until("the end of ansible-playbook", lambda: not any(Path(f"/proc/{child}").exists() for child in children), 30)
    story.host.run(HANGS)
    return Interruption(refused, story.host.times(story.after))


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they started."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    children = [int(child) for child in text.split()]
    return children + [further for child in children for further in descendants(child)]


@pytest.fixture(scope="module")
def resumed(story: Story, interrupted: Interruption) -> Done:
    """The same command again."""
    return story.site.directory.provision("site", "--json", *story.options)


@pytest.fixture(scope="module")
def activated(story: Story, resumed: Done) -> Story:
    """The story, when the second generation is current."""
    resumed.ended_with(0)
    return story


def test_a_disk_that_fills_up_is_named_as_the_cause(story: Story, full: Done) -> None:
    full.ended_with(1).says("site-1", "torch", "disk is full", "free some space", "run the same command again")


def test_a_source_edit_left_out_is_told_by_host_component_and_log(no_edit: Done) -> None:
    assert no_edit.code != 0
    no_edit.says("[site-1]", "luarocks make loadcaffe", "SetTotalBytesLimit", "/logs/loadcaffe.log")


def test_a_rock_left_out_is_told_by_host_component_and_log(no_rock: Done) -> None:
    assert no_rock.code != 0
    no_rock.says("[site-1]", "train.lua", "module 'loadcaffe' not found", "/logs/train.lua.log")


def test_a_second_controller_is_told_who_builds(interrupted: Interruption) -> None:
    interrupted.refused.ended_with(2).says(
        "site-1", "being built there already", "loadcaffe.log", "Nothing was changed"
    )


def test_a_killed_build_leaves_what_runs_alone(story: Story, interrupted: Interruption) -> None:
    assert interrupted.times.keys() >= EARLY
    assert "loadcaffe" not in interrupted.times
    assert story.still_works()
    story.site.directory.provision("verify", "--limit", story.host.name).ended_with(0).says("1 of 1 hosts passed")


def test_the_next_run_resumes_where_it_broke(story: Story, interrupted: Interruption, resumed: Done) -> None:
    told = resumed.ended_with(0).document
    assert built(told) == {("site-1", name) for name in ("loadcaffe", "neuraltalk2", "coco-caption", "vgg16")}
    times = story.host.times(story.after)
    assert {name: times[name] for name in interrupted.times} == interrupted.times
    assert told["activated"] == ["site-1"]
    story.host.run(f"! {HANGS}")


def test_only_that_host_has_another_generation(activated: Story) -> None:
    assert [host.current for host in activated.site.hosts] == [activated.after, activated.before, activated.before]
    assert activated.host.generations == {activated.before, activated.after}
    activated.site.directory.provision("verify", *activated.options).ended_with(0).says("1 of 1 hosts passed")


def test_back_and_forth(activated: Story) -> None:
    run, host = activated.site.directory.provision, activated.host
    run("rollback", "--plan", "--limit", host.name).ended_with(0).says(activated.before)
    assert host.current == activated.after
    back = run("rollback", "--limit", host.name).ended_with(0)
    back.says(f"went back from generation {activated.after} to {activated.before}")
    assert activated.still_works()
    run("rollback", "--limit", host.name).ended_with(0)
    assert host.current == activated.after
    run("rollback", "--limit", host.name).ended_with(0)
    told = run("site", "--json", *activated.options).ended_with(0).document
    assert (built(told), told["activated"], told["changed"]) == (set(), ["site-1"], True)
    assert host.current == activated.after


def test_no_way_back_to_what_is_not_there(activated: Story) -> None:
    run = activated.site.directory.provision
    run("rollback", "--to", "0123456789abcdef").ended_with(2).says("site-1", "0123456789abcdef", "Nothing was changed")
    run("rollback", "--limit", "site-2").ended_with(2).says("site-2", "before the current one", "Nothing was changed")
