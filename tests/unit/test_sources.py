"""Who unpacks is decided before anything is refused: such a host needs no compiler, no pip, no space for a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.catalogue.gpu import Gpu
from neuraltalk_provision.fleet import survey
from neuraltalk_provision.fleet.site_lines import show_found
from neuraltalk_provision.mirror import cache, cache_needs, signing
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.cache import Pack, Runtime
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site import converge, host_state, packages, packing, packs, sources
from neuraltalk_provision.site import plan as plans
from neuraltalk_provision.site.events import PlayResults
from neuraltalk_provision.site.host_state import HostStates
from neuraltalk_provision.site.plan import HostPlan
from neuraltalk_provision.site.sharing import Share
from neuraltalk_provision.site.unpack import Unpack, by_builder
from tests.unit import signed
from tests.unit.plans import HOSTS, part, state_of
from tests.unit.test_build_once import GENERATION, Fleet, bare, fleet
from tests.unit.test_generation_pack import sha256
from tests.unit.test_runtime import HAS

__all__ = ["fleet"]
GOOD = HOSTS["bare"]["state"]
POOR = {
    **GOOD,
    "disk": {"path": "/opt", "free": 100_000_000, "writable": True},
    "outside": {"/tmp": {"free": 1}, "/usr": {"free": 1}, "/var": {"free": 1}},
    "packages": {"gcc": "12", "make": "4"},
    "platform": {**GOOD["platform"], "pip": False},
}
"""A host on which nothing can be built: no pip, and space only for what is unpacked."""
NO_ROOT = {**GOOD, "user": {"uid": 1000}}
"""A host that lacks compilers, and nobody may install them."""
HOPPER = Gpu("modern", "9.0", "/usr/local/cuda-13.0", "13.0", "", "", "", "")


class World:
    """Hosts with these states, one kind, and what `provision site --plan` finds of them."""

    def __init__(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fleet, self.states = fleet, dict[str, HostState]()
        self.tried: list[str] = []
        self.refused: dict[str, str] = {}
        monkeypatch.setattr(host_state, "read_each", lambda *_: HostStates(self.states))
        monkeypatch.setattr(converge, "open_mirror", lambda _: {})
        monkeypatch.setattr(converge, "planner", self.planner)
        monkeypatch.setattr(packages, "tried", self.try_packages)
        monkeypatch.setattr(packs, "fits", self.fits)
        self.reasons: dict[str, tuple[str, ...]] = {}

    def planner(self, _settings: Any, _limit: Any, known: HostStates, _listed: Any, **_more: Any) -> converge.Planner:
        return lambda unpacks: tuple(
            plans.plan(host, state, GENERATION, unpack=unpacks.get(host)) for host, state in known.states.items()
        )

    def try_packages(self, found: tuple[HostPlan, ...], *_more: Any) -> tuple[tuple[HostPlan, ...], tuple[()]]:
        self.tried = [plan.host for plan in found if "packages" in plan.builds and not plan.refusals]
        refused = {host: (words,) for host, words in self.refused.items() if host in self.tried}
        return tuple(replace(plan, refusals=plan.refusals + refused.get(plan.host, ())) for plan in found), ()

    def fits(self, _entry: Any, host: Runtime) -> tuple[str, ...]:
        return ("its glibc is 2.17, needed is 2.36 or later",) if host.machine == "aarch64" else ()

    def fill_cache(self, left_out: tuple[str, ...] = ()) -> None:
        """Put an entry into the cache whose libjpeg is in a package of the builder."""
        file = cache.incoming(self.fleet.settings.mirror, GENERATION.id)
        file.write_bytes(self.fleet.pack)
        pack = Pack(path="/x", sha256=sha256(self.fleet.pack), size=len(self.fleet.pack), files=1, left_out=())
        inspected = replace(cache_needs.inspect(file), lacks=left_out)
        packing.publish(
            packing.Fetched(bare("node9"), file, pack, inspected), Runtime.model_validate(HAS), self.fleet.settings
        )

    def survey(self, **states: Mapping[str, Any]) -> survey.Survey:
        self.states = {host: HostState.model_validate(state) for host, state in states.items()}
        return survey.survey(self.fleet.settings, (), self.fleet.output)


@pytest.fixture
def world(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(fleet, monkeypatch)


def unpacks(found: survey.Survey) -> dict[str, str]:
    return {plan.host: plan.unpack.words for plan in found.plans if plan.unpack}


def test_what_is_signed_is_what_was_packed_and_not_what_is_in_the_mirror(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody without a key, who can write to the mirror, changes the entry as soon as it is there."""
    key = signed.new_key(tmp_path, "alice")
    settings = world.fleet.settings = world.fleet.settings.model_copy(
        update={"mirror_trust": "signed", "allowed_signers": tmp_path / "allowed"}
    )
    signed.allow(settings, f"alice {signed.public(key)}")
    signed.sign(settings, key)
    published = cache.publish
    monkeypatch.setattr(signing, "choose", lambda _key, _demand: signing.Key(file=key))

    def publish(mirror: Path, entry: CacheEntry, *more: Any) -> None:
        published(mirror, entry, *more)
        file = cache.folder(mirror, entry.id) / "entry.json"
        file.write_bytes(file.read_bytes().replace(b"node9", b"node6"))

    monkeypatch.setattr(cache, "publish", publish)
    world.fill_cache()
    assert "other content" in cache.find(settings, GENERATION.id).problem


@pytest.mark.parametrize("state", [POOR, NO_ROOT])
def test_host_that_cannot_build_is_not_refused_if_the_cache_has_its_generation(
    world: World, state: dict[str, Any]
) -> None:
    assert [one.host for one in world.survey(node1=state).aside] == ["node1"]
    world.fill_cache()
    found = world.survey(node1=state)
    assert found.aside == ()
    assert unpacks(found)["node1"].startswith("unpack from the cache, built on node9 on 20")


@pytest.mark.parametrize("state", [POOR, NO_ROOT])
def test_host_that_cannot_build_is_not_refused_if_another_one_builds(world: World, state: dict[str, Any]) -> None:
    found = world.survey(node1=state, node2=GOOD, node3=GOOD)
    assert found.aside == ()
    assert unpacks(found) == {"node1": "unpack what node2 builds", "node3": "unpack what node2 builds"}
    assert found.plans[0].as_json()["unpack"] == {"from": "node2", "origin": "built on node2", "missing_packages": []}


def test_plan_says_that_a_host_has_built_what_others_need(world: World) -> None:
    stamps = {part.name: part.digest for part in GENERATION.parts}
    whole = {"stamps": stamps, "sealed": True, "manifest": True, "lacks": None}
    has = {**HOSTS["converged"]["state"], "stack": {"current": None, "previous": None, "generations": {}}}
    has["stack"]["generations"][GENERATION.id] = whole
    found = world.survey(node1=NO_ROOT, node2=GOOD, node3=has)
    assert unpacks(found) == dict.fromkeys(("node1", "node2"), "unpack what node3 has built")
    assert found.aside == ()
    has["stack"]["generations"][GENERATION.id] = {**whole, "lacks": []}
    assert unpacks(world.survey(node1=NO_ROOT, node2=GOOD, node3=has)) == {"node1": "unpack what node2 builds"}


@pytest.mark.parametrize("demand", ["unsigned", "signed"])
def test_plan_promises_nothing_that_cannot_be_put_into_the_cache(
    demand: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "/srv/mirror is mounted read-only"
    if demand == "signed":
        world.fleet.settings = world.fleet.settings.model_copy(update={"mirror_trust": demand})
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        reason = "mirror_trust is signed, and it is not clear with which key to sign"
    else:
        monkeypatch.setattr(cache, "unwritable", lambda _mirror: reason)
    found = world.survey(node1=NO_ROOT, node2=GOOD, node3=GOOD)
    assert unpacks(found) == {}
    assert [one.host for one in found.aside] == ["node1"]
    remarks = [plan.remark for plan in found.plans if plan.remark]
    assert len(remarks) == 1
    assert (
        f"node1: does not unpack what node2 builds, because nothing can be put into the cache: {reason}" in remarks[0]
    )


def test_host_that_was_to_unpack_is_not_the_builder(world: World) -> None:
    found = world.survey(node1=POOR, node2=GOOD)
    world.fleet.stage(*found.plans)
    assert world.fleet.worked == [("build", ["node2"]), ("unpack", ["node1"])]


def test_host_that_cannot_build_does_not_try_to_if_the_builder_fails(world: World) -> None:
    found = world.survey(node1=POOR, node2=GOOD, node3=GOOD, node4=NO_ROOT)
    world.fleet.broken = ("node2", "node3")
    staged = world.fleet.stage(*found.plans)
    assert world.fleet.worked == [("build", ["node2"]), ("build", ["node3"])]
    told = {failure.host: failure.message for failure in staged.failures}
    assert told.keys() == {"node1", "node2", "node3", "node4"}
    assert told["node1"].startswith("no other host has built its generation, and it cannot build it itself: node1: /")
    assert "OS packages must be installed" in told["node4"]


def test_host_that_cannot_build_does_not_try_to_if_nothing_can_be_packed(world: World) -> None:
    found = world.survey(node1=POOR, node2=GOOD, node3=GOOD)
    world.fleet.unpackable = True
    staged = world.fleet.stage(*found.plans)
    assert world.fleet.worked == [("build", ["node2"]), ("build", ["node3"])]
    assert [failure.host for failure in staged.failures] == ["node1"]
    assert staged.failures[0].message.startswith("nothing could be packed, and it cannot build it itself: ")


def test_host_that_cannot_build_does_not_try_to_if_it_cannot_unpack(world: World) -> None:
    world.fill_cache()
    found = world.survey(node1=POOR, node2=GOOD)
    world.fleet.unfit = ("node1", "node2")
    staged = world.fleet.stage(*found.plans)
    assert world.fleet.worked == [("build", ["node2"])]
    ((host, words),) = [(failure.host, failure.message) for failure in staged.failures]
    assert host == "node1"
    assert words.startswith("it cannot use the packed generation: its glibc is 2.17, needed is 2.36 or later")
    assert "and it cannot build it itself: node1: /tmp has 0 MB free" in words


def test_hosts_of_a_kind_that_nobody_can_build_are_refused(world: World) -> None:
    found = world.survey(node1=POOR, node2=NO_ROOT)
    assert [one.host for one in found.aside] == ["node1", "node2"]
    assert unpacks(found) == {}


def test_host_whose_packages_cannot_be_installed_does_not_build_and_can_unpack(world: World) -> None:
    world.refused = {"node1": "node1: packages.tar lacks libhdf5-dev"}
    found = world.survey(node1=GOOD, node2=GOOD)
    assert found.aside == ()
    assert unpacks(found) == {"node1": "unpack what node2 builds"}
    assert [one.reason for one in world.survey(node1=GOOD).aside] == ["node1: packages.tar lacks libhdf5-dev"]


def test_without_the_cache_every_host_must_be_able_to_build(world: World) -> None:
    world.fill_cache()
    world.fleet.settings = world.fleet.settings.model_copy(update={"cache": False})
    found = world.survey(node1=POOR, node2=GOOD)
    assert [one.host for one in found.aside] == ["node1"]
    assert unpacks(found) == {}


def test_target_is_told_what_it_lacks_and_is_refused_only_if_it_cannot_build(world: World) -> None:
    world.fill_cache()
    world.fleet.unfit = ("node1", "node2")
    found = world.survey(node1=GOOD, node2=POOR, node3=GOOD)
    assert unpacks(found).keys() == {"node2", "node3"}, "node1 builds, which node2 can unpack"
    words = "builds, although the cache has its generation: its glibc is 2.17, needed is 2.36 or later"
    assert f"node1: {words}" in found.plans[0].remark


def test_entry_that_cannot_be_used_is_said_once_with_the_reason(world: World) -> None:
    world.fill_cache()
    (cache.folder(world.fleet.settings.mirror, GENERATION.id) / "entry.json").write_text("{}")
    found = world.survey(node1=GOOD, node2=GOOD)
    assert unpacks(found) == {"node2": "unpack what node1 builds"}
    assert [plan.host for plan in found.plans if "is not used: " in plan.remark] == ["node1"]


def test_entry_that_needs_what_the_mirror_lacks_cannot_be_used(world: World) -> None:
    world.fill_cache(left_out=("b" * 64,))
    found = world.survey(node1=GOOD)
    assert unpacks(found) == {}
    assert found.plans[0].remark.endswith("is not used: it needs files that the mirror does not have")


def test_hosts_for_which_the_cache_has_nothing_are_not_asked(world: World) -> None:
    found = world.survey(node1=GOOD)
    assert (world.fleet.steps, found.plans[0].remark) == ([], "")
    world.fill_cache()
    generation = {"stamps": GENERATION.digests, "sealed": True, "manifest": True, "lacks": None}
    stack = {"current": GENERATION.id, "previous": None, "generations": {GENERATION.id: generation}}
    found = world.survey(node1={**HOSTS["converged"]["state"], "stack": stack})
    assert (world.fleet.steps, unpacks(found)) == ([], {})


def test_host_that_does_not_say_what_it_has_builds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_cache()
    monkeypatch.setattr(world.fleet, "answer_runtime", lambda _request: PlayResults())
    found = world.survey(node1=GOOD)
    assert unpacks(found) == {}
    assert "node1: builds, because it did not say what it has for programs at run time" in found.plans[0].remark


def test_host_whose_package_manager_could_not_be_asked_does_not_build_for_others(world: World) -> None:
    ways = sources.by_builders((bare("node1"), bare("node2")), {"node1"}, world.fleet.settings).unpacks
    assert {host: way.builder for host, way in ways.items()} == {"node1": "node2"}


def test_place_for_a_pack_is_not_needed_where_nobody_builds_for_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "unwritable", lambda _mirror: "/srv/mirror is mounted read-only")
    found = world.survey(node1=GOOD)
    assert (found.aside, unpacks(found), found.plans[0].remark) == ((), {}, "")


def test_host_packs_what_it_has_built_itself_and_nothing_else() -> None:
    built = replace(bare("node1"), steps=(), sealed=True, has_built=True)
    assert packs.can_be_packed(built)
    for other in (
        replace(built, sealed=False),
        replace(built, has_built=False),
        replace(built, share=Share("node2")),
        replace(built, refusals=("no",)),
    ):
        assert not packs.can_be_packed(other)


def test_host_is_told_where_the_files_of_a_pack_are(world: World) -> None:
    world.fill_cache(left_out=("a" * 64,))
    entry = cache.find(world.fleet.settings, GENERATION.id).entry
    assert entry
    recipe = replace(GENERATION, gpu=HOPPER)
    parts = (*GENERATION.parts, replace(part("own", 3), files=({"file": "own.tgz", "sha256": "b" * 64, "size": 3},)))
    told = packs.unpacking(entry, replace(recipe, parts=parts), "/mirror", "http://controller:8080")
    place = f"cache/{GENERATION.id}"
    assert (told["mirror"], told["url"]) == (f"/mirror/{place}", f"http://controller:8080/{place}")
    assert [file["sha256"] for file in told["beside"]] == ["a" * 64], "own.tgz is in the tar"
    assert packs.unpacking(entry, GENERATION, "/mirror", "")["url"] == ""
    assert packs.outside(recipe) == packs.question(entry.needs, recipe)["directories"] == ["/usr/local/cuda-13.0"]
    assert packs.outside(GENERATION) == packs.outside(replace(recipe, gpu=replace(HOPPER, toolkit=""))) == []


def test_hosts_that_unpack_are_not_asked_for_compilers(world: World) -> None:
    world.fill_cache()
    world.survey(node1=GOOD, node2=GOOD)
    assert world.tried == []


def test_packages_that_a_target_lacks_are_installed_and_need_rights(world: World) -> None:
    lacking = Unpack("built on node9", size=10, packages=("libjpeg62", "zlib1g"), lacks=("libjpeg62",))
    plan = plans.plan("node1", state_of("bare"), GENERATION, unpack=lacking)
    assert next(step.why for step in plan.steps if step.component == "packages") == "missing: libjpeg62"
    refused = plans.plan("node1", HostState.model_validate(NO_ROOT), GENERATION, unpack=lacking)
    assert "missing: libjpeg62" in refused.refusals[0]


def test_space_for_unpacking_counts(world: World) -> None:
    large = Unpack("built on node9", size=60_000_000)
    (words,) = plans.plan("node1", HostState.model_validate(POOR), GENERATION, unpack=large).refusals
    assert words == (
        "node1: /opt has 100 MB free, but unpacking the generation needs 120 MB: free some space there, or choose "
        "another stack_root"
    )


def test_files_of_the_mirror_beside_the_tar_need_space_too() -> None:
    beside = Unpack("built on node9", size=10, left_out=("a" * 64,))
    (words,) = plans.plan("node1", HostState.model_validate(POOR), GENERATION, unpack=beside).refusals
    assert "/opt has 100 MB free, but unpacking the generation needs 550 MB" in words
    small = {**GOOD, "temporary": {"path": "/var/tmp", "free": 500_000_000, "problem": ""}}
    (words,) = plans.plan("node1", HostState.model_validate(small), GENERATION, unpack=beside).refusals
    assert "/var/tmp, through which files are sent, has 500 MB free, but the largest file has 550 MB" in words


@pytest.mark.parametrize("kind", ["not-writable", "no-temporary-files", "no-files"])
def test_what_is_in_the_way_of_unpacking_too_is_refused(kind: str) -> None:
    state = state_of(kind)
    assert plans.plan("node1", state, GENERATION, unpack=Unpack("built on node9", size=10)).refusals


@pytest.mark.parametrize(
    ("able", "named", "expected"),
    [
        ("abc", "", {"b": "a", "c": "a"}),
        ("bc", "", {"a": "b", "c": "b"}),
        ("abc", "c", {"a": "c", "b": "c"}),
        ("ab", "c", {"b": "a", "c": "a"}),
        ("", "c", {}),
    ],
)
def test_builder_is_a_named_one_that_is_able(able: Sequence[str], named: str, expected: dict[str, str]) -> None:
    found = by_builder({"x": ["a", "b", "c"]}, {host: ("no pip",) for host in "abc" if host not in able}, set(named))
    assert {host: way.builder for host, way in found.items()} == expected


def test_plan_prints_who_builds_and_who_unpacks(world: World, capsys: pytest.CaptureFixture[str]) -> None:

    found = world.survey(node1=POOR, node2=GOOD)
    show_found(found, Output())
    said = capsys.readouterr().out
    assert "node1 (debian-12-x86_64): unpack what node2 builds; current generation none -> " in said
    assert "node2 (debian-12-x86_64): build packages, torch, nn, weights; current" in said
