"""`provision cache verify`: a second host builds the same generation, and every file that differs is named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.cli import main
from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import cache
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.rules.pack import Listed
from neuraltalk_provision.site import cache_check, converge, host_state, playbook
from neuraltalk_provision.site import plan as plans
from neuraltalk_provision.site.differing import differences
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.host_state import HostStates
from tests.unit.plans import HOSTS
from tests.unit.test_build_once import GENERATION, Fleet, bare, fleet
from tests.unit.test_cache import tar

__all__ = ["fleet"]
BARE = HOSTS["bare"]["state"]
STAMPS = {part.name: part.digest for part in GENERATION.parts}


def having(where: str = "", *, lacks: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """The state of a host that has the generation complete; `where` is current or previous."""
    generation = {"stamps": STAMPS, "sealed": True, "manifest": True, "lacks": lacks, **more}
    stack = {"current": None, "previous": None, "generations": {GENERATION.id: generation}}
    packages = {"gcc": "12", "make": "4"}
    return {**BARE, "packages": packages, "stack": {**stack, **({where: GENERATION.id} if where else {})}}


class Site:
    """Hosts with these states. What is discarded is no longer in the state."""

    def __init__(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fleet = fleet
        self.states: dict[str, HostState] = {}
        self.steps: list[tuple[str, list[str]]] = []
        self.failing: dict[str, PlayResults] = {}
        self.owners = ["nn", ""]
        monkeypatch.setattr(host_state, "read_each", self.read_each)
        monkeypatch.setattr(converge, "open_mirror", lambda _: {})
        monkeypatch.setattr(converge, "planner", self.planner)
        monkeypatch.setattr(converge, "check_mirror", lambda *_: None)
        monkeypatch.setattr(playbook, "run", self.run)

    def hosts(self, **states: Mapping[str, Any]) -> None:
        self.states = {host: HostState.model_validate(state) for host, state in states.items()}

    def read_each(self, _settings: Any, _catalogue: Any, limit: list[str]) -> HostStates:
        return HostStates({host: state for host, state in self.states.items() if not limit or host in limit})

    def planner(
        self, _settings: Any, _limit: Any, known: HostStates, _listed: Any, *, take_over: bool
    ) -> converge.Planner:
        self.take_over = take_over
        return lambda _: tuple(plans.plan(host, state, GENERATION) for host, state in known.states.items())

    def run(self, request: playbook.Request, *more: object) -> playbook.Outcome:
        name = request.playbook.removesuffix(".yml")
        if name != "release":
            self.steps.append((name, list(request.limit)))
        if name in self.failing:
            return playbook.Outcome(2, self.failing[name])
        if name == "discard":
            for host in request.limit:
                self.states[host] = HostState.model_validate(BARE)
        if name == "owners":
            answer = {"components": self.owners}
            return playbook.Outcome(0, PlayResults(results=((request.limit[0], "installed_files_info", answer),)))
        if name in ("site", "discard"):
            return playbook.Outcome(0, PlayResults(results=tuple((host, "x", {}) for host in request.limit)))
        return self.fleet.run(request, *more)

    def compare(self, on: str = "", generation: str = "") -> cache_check.Compared:
        again = cache_check.prepare(self.fleet.settings, generation, on)
        self.steps.clear()
        return cache_check.compare(again, self.fleet.settings, self.fleet.output)


@pytest.fixture
def site(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose cache has the generation, which node1 has built."""
    fleet.stage(bare("node1"))
    return Site(fleet, monkeypatch)


def test_another_host_builds_packs_and_removes_it_again(site: Site) -> None:
    site.hosts(node1=having("current"), node2=BARE)
    compared = site.compare()
    assert compared.same
    assert compared.builders == ("node1", "node2")
    assert site.steps == [("site", ["node2"]), ("pack", ["node2"]), ("discard", ["node2"])]
    assert compared.lines()[0].endswith(f"the same bytes, SHA-256 {compared.sha256[0]}")


def test_files_that_differ_are_named_with_their_component_and_the_usual_reason(site: Site, tmp_path: Path) -> None:
    site.hosts(node1=having("current"), node2=BARE)
    site.fleet.pack = tar(tmp_path, {"bin/python": b"other", "more.log": b"2"}).read_bytes()
    compared = site.compare()
    assert not compared.same
    first, *rest = compared.lines()
    assert "node1 and of node2 differ in 2 entries (1 of no component, 1 of nn):" in first
    assert rest[0].startswith("  bin/python (nn): other content, ")
    assert rest[1] == "  more.log: only the second has it; the usual reason: a log of the build"
    assert compared.as_json()["differing"][1] == {
        "path": "more.log",
        "component": "",
        "what": "only the second has it",
        "reason": "a log of the build",
    }
    assert site.steps[-2:] == [("owners", ["node2"]), ("discard", ["node2"])]
    assert cache.find(site.fleet.settings, GENERATION.id).entry, "the cache stays as it is"
    assert not list((site.fleet.settings.mirror / "cache").rglob(".incoming*"))


def test_host_that_has_built_it_itself_is_only_packed(site: Site) -> None:
    site.hosts(node1=having("current"), node2=BARE, node3=having("current"))
    assert site.compare().builders == ("node1", "node3")
    assert site.steps == [("pack", ["node3"])]


def test_unpacked_one_that_nobody_uses_is_replaced_and_the_new_one_stays(site: Site) -> None:
    site.hosts(node1=having("current"), node2=having(lacks=[]))
    assert site.compare().same
    assert site.steps == [("discard", ["node2"]), ("site", ["node2"]), ("pack", ["node2"])]


@pytest.mark.parametrize("where", ["current", "previous"])
def test_unpacked_one_that_is_needed_is_not_touched(site: Site, where: str) -> None:
    site.hosts(node1=having("current"), node2=having(where, lacks=[]))
    with pytest.raises(UsageError, match="no host can build generation") as refused:
        site.compare()
    assert "node2: generation 0a1b2c3d4e5f6071 is" in refused.value.message
    assert "it was unpacked, so it is not built again in its place" in refused.value.message
    with pytest.raises(UsageError, match="it was unpacked"):
        site.compare(on="node2")
    with pytest.raises(UsageError, match="it is what the cache has"):
        site.compare(on="node1")
    assert site.steps == []


def test_builder_is_not_compared_with_itself_unless_it_is_named(site: Site) -> None:
    site.hosts(node1=BARE)
    with pytest.raises(UsageError, match="node1: it is the builder of the cache"):
        site.compare()
    assert site.compare(on="node1").same
    assert site.steps == [("site", ["node1"]), ("pack", ["node1"]), ("discard", ["node1"])]


def test_host_that_cannot_build_is_refused_before_anything_is_changed(site: Site) -> None:
    site.hosts(node1=having("current"), node2={**BARE, "user": {"uid": 1000}})
    with pytest.raises(UsageError, match="OS packages must be installed"):
        site.compare()
    assert site.steps == []


def test_nothing_is_built_if_there_is_no_place_for_what_is_packed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.hosts(node1=having("current"), node2=BARE)
    monkeypatch.setattr(cache, "unwritable", lambda _mirror: "/srv/mirror is mounted read-only")
    with pytest.raises(MirrorError, match="cannot be stored beside the cache to be compared: /srv/mirror is mounted"):
        site.compare()
    assert site.steps == []


def test_failed_build_is_told_and_stays_for_its_logs(site: Site) -> None:
    site.hosts(node1=having("current"), node2=BARE)
    site.failing["site"] = PlayResults(failures=(Failure("node2", "Build Torch", "rc 2"),))
    with pytest.raises(Exception, match="rc 2") as failed:
        site.compare()
    assert "Its current generation was not touched" in failed.value.advice  # type: ignore[attr-defined]
    assert ("discard", ["node2"]) not in site.steps


def test_generation_in_use_is_not_removed(site: Site) -> None:
    site.hosts(node1=having("current"), node2=having(lacks=[]))
    site.failing["discard"] = PlayResults(failures=(Failure("node2", "Remove", "it is used by a run", code="busy"),))
    with pytest.raises(Exception, match="used by a run"):
        site.compare()
    assert site.steps == [("discard", ["node2"])]


def test_generation_that_the_cache_does_not_have_is_told(site: Site) -> None:
    site.hosts(node1=BARE)
    with pytest.raises(UsageError, match="the cache has no generation that can be compared: " + "e" * 16):
        site.compare(generation="e" * 16)
    (cache.folder(site.fleet.settings.mirror, GENERATION.id) / "entry.json").write_text("{")
    with pytest.raises(UsageError, match="it does not parse"):
        site.compare()


def test_plan_says_who_builds_and_changes_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.hosts(node1=having("current"), node2=BARE)
    monkeypatch.chdir(site.fleet.settings.mirror.parent)
    arguments = ["cache", "verify", "-m", str(site.fleet.settings.mirror), "--plan"]
    assert main.boundary(arguments) == 0
    assert "node2 builds generation 0a1b2c3d4e5f6071, which is packed, compared and removed" in capsys.readouterr().out
    assert site.steps == []
    assert main.boundary([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["host"] == "node2"
    assert main.boundary(arguments[:-1]) == 0
    assert not site.take_over
    assert main.boundary([*arguments, "--take-over"]) == 0
    assert site.take_over


def entry(path: str, **more: Any) -> Listed:
    given = {"path": path, "type": "file", "mode": "0644", "size": 1, "sha256": "a" * 64, "target": ""}
    return Listed(**{**given, **more})


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (entry("x"), None, "x (nn): only the first has it"),
        (entry("x"), entry("x", mode="0755"), "x (nn): mode 0644 and 0755"),
        (entry("x"), entry("x", type="directory"), "x (nn): a file and a directory"),
        (entry("x", type="link", target="y"), entry("x"), "x (nn): a link to y and a file"),
        (
            entry("x", type="link", target="y"),
            entry("x", type="link", target="z"),
            "x (nn): a link to y and a link to z",
        ),
        (entry("x"), entry("x", sha256="b" * 64), "x (nn): other content, 1 and 1 bytes"),
    ],
)
def test_difference_is_told_in_words(left: Listed, right: Listed | None, words: str) -> None:
    (found,) = differences([("x", left, right)], {"x": "nn"})
    assert found.words == words


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("torch/lib/luarocks/rocks/manifest", "the version of a dependency"),
        ("torch/lib/libTHC.so", "nvcc"),
        ("torch/lib/lua/5.1/libTHCUNN.so", "nvcc"),
        ("torch/lib/libTH.so.0", "processor"),
        ("torch/lib/libluaT.a", "archivers"),
        ("torch/share/lua/5.1/hdf5/runtime.lua", "libc6-dev"),
        ("torch/bin/luajit", "compiler"),
        ("python/bin/f2py", "path of the host's Python"),
        ("coco-caption/scorer.json", "path of the host's Python"),
        ("neuraltalk2/train.lua", ""),
    ],
)
def test_reason_is_named_where_one_is_known(path: str, reason: str) -> None:
    (found,) = differences([(path, entry(path), entry(path, sha256="b" * 64))], {})
    assert (reason in found.reason) if reason else found.reason == ""
