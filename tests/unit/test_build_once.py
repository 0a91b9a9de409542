"""Each generation is built on one host of its kind; what cannot be unpacked is built, with the reason said."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import cache, lock
from neuraltalk_provision.mirror.lock import Entry, Lock
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import build_once, codes, converge, packs, playbook
from neuraltalk_provision.site.events import Change, Failure, PlayResults
from neuraltalk_provision.site.plan import HostPlan
from tests.unit import signed
from tests.unit.plans import RECIPE, planned
from tests.unit.test_cache import tar
from tests.unit.test_generation_pack import sha256
from tests.unit.test_runtime import HAS

GENERATION = replace(
    RECIPE, parts=tuple(replace(part, digest=f"{number:016x}") for number, part in enumerate(RECIPE.parts))
)


class Said(Output):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.remarks: list[str] = []

    def remark(self, label: str, text: str) -> None:
        assert label == "cache"
        self.remarks.append(text)


@dataclass
class Fleet:
    """Hosts that answer the playbooks; `broken` fail to build, `unfit` lack a library, `failing` fail to unpack.

    `lost` are lost when they build, `unwell` fail then with these codes; `silent` return
    nothing, neither a result nor a failure.
    """

    settings: Settings
    pack: bytes
    steps: list[tuple[str, list[str]]] = field(default_factory=list)
    output: Said = field(default_factory=Said)
    broken: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unwell: dict[str, str] = field(default_factory=dict)
    unfit: tuple[str, ...] = ()
    failing: dict[str, Failure] = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    unpackable: bool = False
    announced: str = ""
    level: int = 2

    def build(self, hosts: Sequence[str]) -> PlayResults:
        self.steps.append(("build", list(hosts)))
        failures = tuple(Failure(host, "Compile Torch", "no") for host in hosts if host in self.broken)
        failures += tuple(Failure(host, "", "gone", unreachable=True) for host in hosts if host in self.lost)
        failures += tuple(Failure(host, "Build", "no", code=self.unwell[host]) for host in hosts if host in self.unwell)
        bad = {failure.host for failure in failures}
        changes = tuple(Change(host, "torch", "build") for host in hosts if host not in bad)
        return PlayResults(changes=changes, failures=failures)

    def run(self, request: playbook.Request, *_more: object) -> playbook.Outcome:
        name = request.playbook.removesuffix(".yml")
        self.steps.append((name, list(request.limit)))
        answer = getattr(self, f"answer_{name}", lambda _request: PlayResults())
        return playbook.Outcome(0, answer(request))

    def answer_pack(self, request: playbook.Request) -> PlayResults:
        if self.unpackable:
            return PlayResults(failures=tuple(Failure(host, "Pack", "a file was changed") for host in request.limit))
        results = []
        for host, told in request.variables["provision_packing"].items():
            Path(told["dest"]).write_bytes(self.pack)
            packed = {"path": "/x", "size": len(self.pack), "files": 1, "left_out": []}
            results.append(
                (host, "generation_pack", {"pack": {**packed, "sha256": self.announced or sha256(self.pack)}})
            )
        return PlayResults(results=tuple(results))

    def answer_runtime(self, request: playbook.Request) -> PlayResults:
        has = {**HAS, "level": self.level}
        old = {**has, "machine": "aarch64"}
        told = request.variables["provision_runtime"]
        return PlayResults(
            results=tuple(
                (str(host), "runtime_libraries_info", {"runtime": old if host in self.unfit else has, "reasons": []})
                for host in told
            )
        )

    def answer_unpack(self, request: playbook.Request) -> PlayResults:
        if not request.variables["provision_artifact_url"]:  # the controller sends everything
            self.failing = {host: one for host, one in self.failing.items() if one.code != codes.DOWNLOAD_FAILED}
        failures = tuple(self.failing[host] for host in request.limit if host in self.failing)
        silent = {*self.failing, *self.silent}
        results = tuple((host, "generation_unpack", {"changed": True}) for host in request.limit if host not in silent)
        return PlayResults(results=results, failures=failures)

    def stage(self, *plans: HostPlan, **more: Any) -> build_once.Staged:
        given = converge.variables(plans, self.settings)
        return build_once.build_once(plans, given, self.settings, self.output, self.build, **more)

    @property
    def worked(self) -> list[tuple[str, list[str]]]:
        """The steps that change a host."""
        return [step for step in self.steps if step[0] in ("build", "unpack")]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    settings = Settings(mirror=tmp_path / "the site's mirror")
    settings.mirror.mkdir()
    lock.write(
        settings.mirror, Lock(artifacts=(Entry(name="nn", file="nn.tgz", sha256="a" * 64, size=3, role="torch"),))
    )
    made = tar(tmp_path, {"bin/python": Path(sys.executable).resolve().read_bytes()}).read_bytes()
    fleet = Fleet(settings, made)
    monkeypatch.setattr(playbook, "run", fleet.run)
    monkeypatch.setattr(packs, "fits", lambda entry, host: ("other machine",) if host.machine == "aarch64" else ())
    return fleet


def bare(host: str) -> HostPlan:
    return planned("bare", host, GENERATION)


def test_first_host_builds_and_the_others_unpack(fleet: Fleet) -> None:
    staged = fleet.stage(bare("node1"), bare("node2"), bare("node3"))
    assert fleet.worked == [("build", ["node1"]), ("unpack", ["node2", "node3"])]
    assert sorted(staged.unpacked) == ["node2", "node3"]
    assert staged.failures == []
    assert {(change.host, change.change) for change in staged.changes} == {
        ("node1", "build"),
        ("node2", "unpack"),
        ("node3", "unpack"),
    }


def test_pack_needs_the_processor_that_the_compiler_saw_up_to_the_second_level(fleet: Fleet) -> None:
    for level, needed in ((1, 1), (2, 2), (4, 2)):
        fleet.level = level
        fleet.stage(bare("node1"))
        entry = cache.find(fleet.settings, GENERATION.id).entry
        assert entry and entry.needs.level == needed
        cache.remove(fleet.settings.mirror, GENERATION.id)


def test_everybody_unpacks_what_is_in_the_cache(fleet: Fleet) -> None:
    fleet.stage(bare("node1"))
    fleet.steps.clear()
    fleet.stage(bare("node1"), bare("node2"))
    assert fleet.worked == [("unpack", ["node1", "node2"])]


def test_what_a_host_has_built_earlier_is_packed_there_and_nobody_builds(fleet: Fleet) -> None:
    has_built = replace(planned("converged", "node1", GENERATION), steps=(), has_built=True, sealed=True)
    staged = fleet.stage(bare("node2"), bare("node3"), others=(has_built, planned("bare", "node4", RECIPE)))
    assert ("pack", ["node1"]) in fleet.steps
    assert fleet.worked == [("unpack", ["node2", "node3"])]
    assert (sorted(staged.unpacked), staged.failures) == (["node2", "node3"], [])
    cache.remove(fleet.settings.mirror, GENERATION.id)
    fleet.steps.clear()
    fleet.unpackable = True
    fleet.stage(bare("node2"), bare("node3"), others=(has_built,))
    assert fleet.worked == [("build", ["node2"]), ("build", ["node3"])]


def test_named_builder_builds(fleet: Fleet) -> None:
    fleet.stage(bare("node1"), bare("node2"), builders=("node2",))
    assert fleet.worked == [("build", ["node2"]), ("unpack", ["node1"])]


def test_two_kinds_of_hosts_are_built_at_the_same_time(fleet: Fleet) -> None:
    other = planned("bare", "gpu1", replace(GENERATION, id="f" * 16))
    fleet.stage(bare("node1"), other, bare("node2"), replace(other, host="gpu2"))
    assert fleet.worked == [("build", ["node1", "gpu1"]), ("unpack", ["node2", "gpu2"])]


def test_another_host_builds_if_the_builder_fails(fleet: Fleet) -> None:
    fleet.broken = ("node1",)
    staged = fleet.stage(bare("node1"), bare("node2"), bare("node3"))
    assert fleet.worked == [("build", ["node1"]), ("build", ["node2"]), ("unpack", ["node3"])]
    assert [failure.host for failure in staged.failures] == ["node1"]


def test_generation_that_several_hosts_cannot_build_is_not_tried_on_all(fleet: Fleet) -> None:
    """With an archive that does not compile, 1,000 hosts would have built one after the other, for weeks."""
    hosts = [f"node{number:02}" for number in range(1, 41)]
    fleet.broken = tuple(hosts)
    staged = fleet.stage(*map(bare, hosts))
    assert fleet.worked == [("build", [host]) for host in hosts[: build_once.MOST_BUILDERS]]
    assert sorted(one.host for one in staged.failures) == hosts
    (why,) = {one.message for one in staged.failures} - {"no"}
    assert why == "node01, node02, node03 could not build its generation, so no other host of its kind tries"


def test_builders_that_were_lost_do_not_count_as_a_generation_that_cannot_be_built(fleet: Fleet) -> None:
    hosts = [f"node{number}" for number in range(1, 7)]
    fleet.lost = tuple(hosts[:4])
    staged = fleet.stage(*map(bare, hosts))
    assert fleet.worked == [*(("build", [host]) for host in hosts[:5]), ("unpack", ["node6"])]
    assert [one.host for one in staged.failures] == hosts[:4]


@pytest.mark.parametrize("code", [codes.DISK_FULL, codes.BUSY, codes.FILE_DENIED, codes.MEMORY_FULL])
def test_builders_that_are_not_well_do_not_count_as_a_generation_that_cannot_be_built(fleet: Fleet, code: str) -> None:
    """Three hosts with full disks kept the stack from all others of their kind."""
    hosts = [f"node{number}" for number in range(1, 7)]
    fleet.unwell = dict.fromkeys(hosts[:4], code)
    staged = fleet.stage(*map(bare, hosts))
    assert fleet.worked == [*(("build", [host]) for host in hosts[:5]), ("unpack", ["node6"])]
    assert [one.host for one in staged.failures] == hosts[:4]


def test_fleet_that_is_not_well_is_not_tried_host_by_host_to_its_end(fleet: Fleet) -> None:
    hosts = [f"node{number:02}" for number in range(1, 41)]
    fleet.unwell = dict.fromkeys(hosts, codes.DISK_FULL)
    staged = fleet.stage(*map(bare, hosts))
    assert fleet.worked == [("build", [host]) for host in hosts[: build_once.MOST_TRIES]]
    assert sorted(one.host for one in staged.failures) == hosts


def test_host_that_does_not_fit_builds_itself_and_the_reason_is_said(fleet: Fleet) -> None:
    fleet.unfit = ("node3",)
    staged = fleet.stage(bare("node1"), bare("node2"), bare("node3"))
    assert fleet.worked == [("build", ["node1"]), ("unpack", ["node2"]), ("build", ["node3"])]
    assert "node3 builds its generation itself: other machine" in fleet.output.remarks
    assert staged.failures == []


def test_host_that_refuses_the_pack_builds_itself(fleet: Fleet) -> None:
    fleet.failing = {"node2": Failure("node2", "Unpack", "x is not as it was packed")}
    staged = fleet.stage(bare("node1"), bare("node2"), bare("node3"))
    assert fleet.worked[-1] == ("build", ["node2"])
    assert staged.failures == []
    assert list(staged.unpacked) == ["node3"]


def test_controller_sends_what_the_web_server_does_not_have(fleet: Fleet) -> None:
    fleet.settings = fleet.settings.model_copy(update={"artifact_url": "https://mirror.example.org/n"})
    fleet.failing = {
        host: Failure(host, "Download", "it has no such file", code=codes.DOWNLOAD_FAILED)
        for host in ("node2", "node3")
    }
    staged = fleet.stage(bare("node1"), bare("node2"), bare("node3"), bare("node4"))
    assert fleet.worked == [
        ("build", ["node1"]),
        ("unpack", ["node2", "node3", "node4"]),
        ("unpack", ["node2", "node3"]),
    ]
    assert (sorted(staged.unpacked), staged.failures) == (["node2", "node3", "node4"], [])
    assert (
        "2 hosts get the packed generation from this machine, because the web server (artifact_url) does not send it: "
        "it has no such file" in fleet.output.remarks
    )


@pytest.mark.parametrize("more", [{"code": "disk.full"}, {"unreachable": True}, {"code": "bug"}])
def test_failure_that_a_build_would_meet_too_is_one(fleet: Fleet, more: dict[str, Any]) -> None:
    fleet.failing = {"node2": Failure("node2", "Unpack", "no", **more)}
    staged = fleet.stage(bare("node1"), bare("node2"))
    assert fleet.worked == [("build", ["node1"]), ("unpack", ["node2"])]
    assert [failure.host for failure in staged.failures] == ["node2"]


def test_host_that_ansible_left_out_is_not_taken_as_unpacked(fleet: Fleet) -> None:
    fleet.silent = ("node2",)
    staged = fleet.stage(bare("node1"), bare("node2"), bare("node3"))
    assert list(staged.unpacked) == ["node3"]
    (failure,) = staged.failures
    assert (failure.host, failure.code) == ("node2", codes.RESULT_MISSING)


def test_full_disk_of_one_target_is_its_own_failure(fleet: Fleet) -> None:
    fleet.failing = {"node2": Failure("node2", "Unpack", "no space left", code="disk.full")}
    staged = fleet.stage(bare("node1"), bare("node2"), bare("node3"))
    assert fleet.worked == [("build", ["node1"]), ("unpack", ["node2", "node3"])]
    assert [failure.host for failure in staged.failures] == ["node2"]
    assert list(staged.unpacked) == ["node3"]


def test_everybody_builds_if_nothing_can_be_packed(fleet: Fleet) -> None:
    fleet.unpackable = True
    staged = fleet.stage(bare("node1"), bare("node2"), bare("node3"))
    assert fleet.worked == [("build", ["node1"]), ("build", ["node2", "node3"])]
    assert "the generation of node1 is not in the cache" in fleet.output.remarks[0]
    assert not (fleet.settings.mirror / "cache" / GENERATION.id).exists(), "nothing looks like an interrupted command"
    assert staged.failures == []


def test_everybody_builds_at_once_if_nothing_can_be_put_into_the_cache(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "unwritable", lambda _mirror: "/srv/mirror is mounted read-only")
    fleet.stage(bare("node1"), bare("node2"), bare("node3"))
    assert fleet.steps == [("build", ["node1", "node2", "node3"])]
    assert fleet.output.remarks == [
        "nothing is packed, and every host builds its generation itself: /srv/mirror is mounted read-only"
    ]


def test_pack_that_is_not_the_one_that_was_announced_is_not_used(fleet: Fleet) -> None:
    fleet.announced = "f" * 64
    fleet.stage(bare("node1"), bare("node2"))
    assert fleet.worked == [("build", ["node1"]), ("build", ["node2"])]
    assert "not the packed generation that was announced" in fleet.output.remarks[0]
    assert not list((fleet.settings.mirror / "cache").rglob("*.tar"))


@pytest.mark.parametrize("error", [UsageError("no file handles are left"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["pack", "runtime"])
def test_nothing_that_was_fetched_stays_if_it_cannot_be_stored(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def fail(request: playbook.Request) -> PlayResults:
        if step == "pack":
            Fleet.answer_pack(fleet, request)
        raise error

    monkeypatch.setattr(fleet, f"answer_{step}", fail, raising=False)
    with contextlib.suppress(KeyboardInterrupt):
        fleet.stage(bare("node1"), bare("node2"))
        assert f"the generation of node1 is not in the cache: {error}" in fleet.output.remarks
    assert not list((fleet.settings.mirror / "cache").iterdir())


def test_corrupted_entry_is_built_again_and_replaced(fleet: Fleet) -> None:
    fleet.stage(bare("node1"))
    file = cache.folder(fleet.settings.mirror, GENERATION.id) / f"generation-{GENERATION.id}.tar"
    file.write_bytes(b"x" * file.stat().st_size)
    fleet.steps.clear()
    fleet.stage(bare("node2"), bare("node3"))
    assert fleet.worked == [("build", ["node2"]), ("unpack", ["node3"])]
    assert any("is not used, and is built again" in remark for remark in fleet.output.remarks)
    assert cache.find(fleet.settings, GENERATION.id).entry


def test_entry_with_other_components_is_built_again(fleet: Fleet) -> None:
    fleet.stage(bare("node1"))
    other = replace(GENERATION, parts=tuple(replace(part, digest="e" * 16) for part in GENERATION.parts))
    fleet.steps.clear()
    fleet.stage(planned("bare", "node2", other))
    assert fleet.worked == [("build", ["node2"])]
    assert "its components are not those of the recipe" in fleet.output.remarks[-2]


def test_unsigned_pack_is_not_used_where_signatures_are_demanded(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = signed.new_key(tmp_path, "alice")
    demanding = fleet.settings.model_copy(
        update={"mirror_trust": "signed", "allowed_signers": tmp_path / "allowed_signers"}
    )
    signed.allow(demanding, f"alice {signed.public(key)}")
    signed.sign(demanding, key)
    fleet.settings = demanding
    fleet.stage(bare("node1"), bare("node2"))
    assert fleet.worked == [("build", ["node1"]), ("build", ["node2"])]
    assert any("it has no signature" in remark for remark in fleet.output.remarks)


def test_host_whose_current_generation_is_incomplete_builds_in_its_place(fleet: Fleet) -> None:
    fleet.stage(bare("node1"))
    fleet.steps.clear()
    fleet.stage(replace(bare("node2"), current=GENERATION.id))
    assert fleet.worked == [("build", ["node2"])]
