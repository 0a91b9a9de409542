"""The steps of a proof, with a host and a site that answer as they should, or not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue.recipe import Part, Recipe
from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.mirror import lock
from neuraltalk_provision.mirror.proofs import Attempt
from neuraltalk_provision.output import Output
from neuraltalk_provision.proof import prove, wheels
from neuraltalk_provision.proof.place import Ended
from neuraltalk_provision.proof.prove import Request
from neuraltalk_provision.proof.recorded import Seen
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import converge, host_state, operations, playbook
from neuraltalk_provision.site.events import Change, Failure, PlayResults
from neuraltalk_provision.site.plan import HostPlan, Step
from tests.unit import proving
from tests.unit.test_tried import FIXED

SEEN = Seen(planted=(Attempt(kind="tcp", to="192.0.2.1", port=9),), watched="the container")


def part(name: str, **more: Any) -> Part:
    given = {"files": (), "edits": (), "rockspec": "", "requirements": (), "loads": (), "tries": (), "libraries": ()}
    return Part(name=name, role=name, digest=name, **{**given, **more})


def plan_of(mirror: Path, *, platform: str = proving.PLATFORM, kept: tuple[str, ...] = ()) -> HostPlan:
    listed = lock.read(mirror).by_name()
    pip = listed.get(f"python-wheels-{proving.PLATFORM}")
    files = ({"name": pip.name, "file": pip.file, "sha256": pip.sha256, "size": pip.size},) if pip else ()
    parts = (part("torch"), part("python", files=files, requirements=("h5py",)))
    recipe = Recipe(
        id="0123", platform=platform, gpu=None, stack_root="/opt/neuraltalk", manager="apt", required=("gcc",),
        optional=("sox",), repository=None, parts=parts, left_out=(), pip_source="mirror", pip_index_url="",
    )  # fmt: skip
    steps = [Step(name, name not in kept, "") for name in ("packages", "torch", "python")]
    return HostPlan("box", recipe, "", tuple(steps), sealed=False, refusals=())


class World:
    """What the steps call: a place, and the functions of the site."""

    words, before = "container of debian:12", {"libc6": "1"}

    def __init__(self, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mirror, self.inventory = mirror, mirror
        self.plan = plan_of(mirror)
        self.ended = Ended(SEEN, {"libc6": "1", "gcc": "12"}, {"h5py": "3.10"})
        self.calls: list[str] = []
        self.resolve()
        self.failures: tuple[Failure, ...] = ()
        self.failed_check = ""
        self.tried = wheels.Tried()
        state = SimpleNamespace(platform=SimpleNamespace(name="Debian 12", libc="2.36", python="3.11.2"))
        monkeypatch.setattr(prove, "_place", self.place)
        monkeypatch.setattr(host_state, "read", lambda *_: SimpleNamespace(states={"box": state}))
        monkeypatch.setattr(converge, "make_plans", lambda *_, **__: (self.plan,))
        monkeypatch.setattr(converge, "check_mirror", lambda *_: None)
        monkeypatch.setattr(converge, "converge", self.converge)
        monkeypatch.setattr(operations, "verify_hosts", self.verify)
        monkeypatch.setattr(playbook, "run", lambda _: playbook.Outcome(0, self.resolved))
        monkeypatch.setattr(wheels, "resolve", lambda *_: self.tried)

    def resolve(self, *absent: str, lacks: tuple[str, ...] = (), problem: str = "", **more: Any) -> None:
        """What the package manager of the host says."""
        result = {"absent": absent, "lacks": lacks, "problem": problem, **more}
        self.resolved = PlayResults((("box", "os_packages_info", result),))

    @contextmanager
    def place(self, *_: Any) -> Iterator[World]:
        yield self

    def prepare(self, *_: Any) -> None:
        self.calls.append("prepare")

    def end(self, generation: str = "") -> Ended:
        self.calls.append(f"end {generation}")
        return self.ended

    def converge(self, *_: Any) -> converge.SiteOutcome:
        self.calls.append("converge")
        changes = tuple(Change("box", name, "build") for name in ("packages", "torch", "python"))
        return converge.SiteOutcome((self.plan,), changes, ("box",), self.failures)

    def verify(self, *_: Any) -> tuple[Any, ...]:
        self.calls.append("verify")
        check = SimpleNamespace(name="stamps", saw=self.failed_check or "all", passed=not self.failed_check)
        return (SimpleNamespace(checks=(check,), failure=""),)

    def prove(self, **more: Any) -> prove.Result:
        request = Request(proving.PLATFORM, **{"image": "debian:12", **more})
        return prove.prove(Settings(mirror=self.mirror), request, Output())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(proving.make(tmp_path / "mirror"), monkeypatch)


def test_proof_installs_checks_and_looks_what_is_there(world: World) -> None:
    proof = world.prove().proof
    assert world.calls == ["prepare", "converge", "verify", "end /opt/neuraltalk/generations/0123"]
    assert (proof.passed, proof.problems) == (True, ())
    assert proof.lock == hashlib.sha256(lock.load(world.mirror)).hexdigest()
    assert proof.installed.components == ("packages", "torch", "python")
    assert (proof.installed.packages, proof.installed.wheels) == ({"gcc": "12"}, {"h5py": "3.10"})
    assert proof.surplus.packages == ("cpp", "libgcc-12-dev", "make")
    assert proof.surplus.wheels == ("ipython", "pillow", "prompt-toolkit")
    assert "torch" in proof.surplus.artifacts  # the plan of this test sends only wheels
    assert (proof.host, proof.system) == ("container of debian:12", "Debian 12, 2.36, Python 3.11.2")


@pytest.mark.parametrize(("without", "source"), [("", "mirror"), ("python-wheels", "none")])
def test_wheels_come_from_the_mirror_or_not_at_all(
    world: World, monkeypatch: pytest.MonkeyPatch, without: str, source: str
) -> None:
    used = list[Settings]()
    monkeypatch.setattr(converge, "make_plans", lambda chosen, **_: (used.append(chosen), (world.plan,))[1])
    world.prove(without=without, not_needed=(without,) if without else ())
    assert [(one.pip.source, one.artifact_url, one.profile) for one in used] == [(source, "", "cpu")]


def test_quick_installs_nothing(world: World) -> None:
    proof = world.prove(quick=True).proof
    assert world.calls == ["prepare", "end "]
    assert (proof.passed, proof.problems) == (False, ())


def test_failure_of_a_host_is_a_problem_and_nothing_is_verified(world: World) -> None:
    world.failures = (Failure("box", "Build the rock", "gcc: no such file"),)
    proof = world.prove().proof
    assert not proof.passed
    assert proof.problems == ("box, Build the rock: gcc: no such file",)
    assert "verify" not in world.calls
    assert proof.installed.components


def test_check_that_failed_is_a_problem(world: World) -> None:
    world.failed_check = "torch has no stamp"
    proof = world.prove().proof
    assert (proof.passed, proof.problems) == (False, ("verify, stamps: torch has no stamp",))


def test_attempt_is_a_problem_even_if_everything_works(world: World) -> None:
    seen = replace(SEEN, attempts=(Attempt(kind="tcp", to="198.51.100.7", port=443),))
    world.ended = replace(world.ended, seen=seen)
    proof = world.prove().proof
    assert not proof.passed
    assert "tcp to 198.51.100.7 port 443" in proof.problems[0]


def test_packages_that_cannot_be_resolved_end_the_proof_before_the_build(world: World) -> None:
    world.resolve(lacks=("gcc",), problem="gcc : Depends: cpp")
    lacking, unmet = world.prove().proof.problems
    assert "no repository of this host has gcc" in lacking
    assert "gcc : Depends: cpp" in unmet
    assert "converge" not in world.calls


def test_version_that_is_known_not_to_work_ends_the_proof_before_the_build(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogues, "tried_table", lambda: FIXED)
    world.resolve(versions=({"package": "cmake", "version": "5.0.0-1"}, {"package": "gcc", "version": "99.1-1"}))
    result = world.prove()
    (problem,) = result.proof.problems
    assert "CMake 5.0.0 is known not to work" in problem
    assert "converge" not in world.calls
    assert any("gcc 99.1 was never tried" in remark for remark in result.remarks)


@pytest.mark.parametrize(
    "results", [PlayResults(failures=(Failure("box", "Find out", "the disk is full"),)), PlayResults()]
)
def test_host_that_does_not_resolve_packages_ends_the_proof(world: World, results: PlayResults) -> None:
    world.resolved = results
    (problem,) = world.prove().proof.problems
    assert "the disk is full" in problem or "returned no result" in problem
    assert "converge" not in world.calls


def test_wheels_that_cannot_be_resolved_end_the_proof_before_the_build(world: World) -> None:
    world.tried = wheels.Tried(problem="no distribution found for numpy")
    assert world.prove().proof.problems == ("no distribution found for numpy",)
    assert "converge" not in world.calls


def test_host_that_fails_early_still_ends_its_recorder(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise HostError("box cannot be reached")

    monkeypatch.setattr(host_state, "read", fails)
    proof = world.prove().proof
    assert proof.problems == ("box cannot be reached",)
    assert world.calls == ["prepare", "end "]


def test_lock_that_changes_meanwhile_is_not_proved(world: World) -> None:
    def change(*_: Any) -> None:
        lock.write(world.mirror, lock.Lock())

    world.prepare = change  # type: ignore[method-assign]
    assert "the lock was changed while it was proved: prove it again" in world.prove().proof.problems


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"platform": "ubuntu-22-x86_64"}, "box is ubuntu-22-x86_64, not debian-12-x86_64"),
        ({"kept": ("torch",)}, "already has torch below /opt/neuraltalk"),
    ],
)
def test_host_that_does_not_fit_is_refused(world: World, change: dict[str, Any], words: str) -> None:
    world.plan = plan_of(world.mirror, **change)
    with pytest.raises(UsageError, match=words):
        world.prove()


@pytest.mark.parametrize(
    ("name", "absent", "not_tried", "told"),
    [
        ("make", ["make"], "", "make was left out, and this optional OS package is now missing on the host"),
        ("make", [], "", "nothing on this host needs the package make"),
        ("pillow", [], "", "nothing on this host needs the wheel pillow"),
        ("pillow", [], "Python 2.7", "whether this host needs the wheel pillow"),
    ],
)
def test_what_was_left_out_is_told_by_its_name(
    world: World, name: str, absent: list[str], not_tried: str, told: str
) -> None:
    world.resolve(*absent)
    world.tried = wheels.Tried(not_tried=not_tried)
    result = world.prove(without=name, quick=True)
    assert any(told in text for text in (*result.proof.problems, *result.remarks))
    assert bool(result.proof.problems) == bool(absent)


def test_component_that_needs_what_was_left_out_is_told(world: World) -> None:
    world.plan = replace(world.plan, recipe=replace(world.plan.recipe, left_out=("coco-caption",)))
    result = world.prove(without="score-wheels", not_needed=("score-wheels",))
    assert result.proof.problems == ("score-wheels was left out, so coco-caption cannot be built",)
