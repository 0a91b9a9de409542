"""One machine with several names, and hosts that share a stack root: which name builds, and what the others do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision.catalogue.gpu import Gpu
from neuraltalk_provision.catalogue.recipe import Recipe
from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.fleet import rollback
from neuraltalk_provision.fleet.moves import Move
from neuraltalk_provision.fleet.outcome import FleetOutcome, raise_failures
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import converge, playbook, recipes, sharing
from neuraltalk_provision.site.events import Change, Failure, PlayResults
from neuraltalk_provision.site.host_state import HostStates
from neuraltalk_provision.site.plan import HostPlan
from neuraltalk_provision.site.sharing import Share
from tests.unit.plans import RECIPE, state_of
from tests.unit.test_fleet_rollback import using

OTHER = replace(RECIPE, id="ffffffffffffffff", platform="debian-13-x86_64")


def digest(text: str) -> str:
    return text.ljust(32, "0") if text else ""


def host(machine: str, *directories: str, kind: str = "bare", **more: Any) -> HostState:
    """The state of a host with that machine id and those ids of its stack root."""
    identity = {
        "machine": digest(machine),
        "directories": [digest(one) for one in directories],
        "filesystem": "nfs4 on nas:/x",
    }
    return HostState.model_validate({**state_of(kind).model_dump(exclude_unset=True), "identity": identity, **more})


def test_host_that_shares_nothing_is_in_no_group() -> None:
    assert sharing.of_hosts({"node1": host("a", "1"), "node2": host("b", "2"), "node3": host("")}) == {}


def test_hosts_that_return_no_identity_are_different_ones() -> None:
    assert sharing.of_hosts({"node1": host("", ""), "node2": host("", "")}) == {}
    assert sharing.of_hosts({"node1": state_of("bare"), "node2": state_of("bare")}) == {}


@pytest.mark.parametrize("names", [("node2", "node10"), ("n2", "node1"), ("a", "a1"), ("1", "a"), ("node02", "node3")])
def test_first_name_builds_whatever_order_hosts_answer_in(names: tuple[str, str]) -> None:
    first, second = names
    for order in (names, names[::-1]):
        shares = sharing.of_hosts({name: host("a", "1") for name in order})
        assert list(shares) == [second]
        assert (shares[second].builder, shares[second].same) == (first, first)


def test_host_names_of_any_form_are_sorted() -> None:
    names = ["", "0", "00", "²", "٣", "n" * 300, "9" * 5000, "a/b", "node-1.x"]
    assert len(sharing.of_hosts({name: host("a", "1") for name in names})) == len(names) - 1


def test_machines_that_share_a_stack_root_have_one_builder_and_each_has_one_name() -> None:
    states = {
        "node1": host("a", "1", "2"),
        "node1-alt": host("a", "1", "2"),
        "node2": host("b", "2", "3"),
        "node2-v6": host("b", "2", "3"),
        "node3": host("c", "3"),
        "node4": host("d", "4"),
    }
    nfs = "nfs4 on nas:/x"
    assert sharing.of_hosts(states) == {
        "node1-alt": Share("node1", "node1", nfs),
        "node2": Share("node1", "", nfs),
        "node2-v6": Share("node1", "node2", nfs),
        "node3": Share("node1", "", nfs),
    }


BARE = {"node1": state_of("bare"), "node2": state_of("bare")}
WORDS = [
    (Share("node1", "node1"), {}, RECIPE, None),
    (Share("node1"), {}, RECIPE, None),
    (
        Share("node1"),
        {},
        OTHER,
        "shares /opt/neuraltalk with node1, but they need different stacks: debian-12-x86_64 (gen",
    ),
    (Share("node1", "node1"), {}, OTHER, "is the same machine as node1, but the inventory gives the two names other"),
]


@pytest.mark.parametrize(("share", "_more", "recipe", "words"), WORDS)
def test_host_that_needs_another_stack_than_the_builder_is_refused(
    share: Share, _more: dict[str, Any], recipe: Recipe, words: str | None
) -> None:
    found = sharing.refusals("node2", share, {"node1": RECIPE, "node2": recipe}, BARE)
    assert len(found) == (words is not None)
    for text in found:
        assert text.startswith(f"node2 {words}")
        assert "--limit '!node2'" in text


def test_host_that_claims_a_directory_in_which_it_sees_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that lies would otherwise keep another one from its new generation without a word."""
    plans = plans_of({"node1": host("a", "1", kind="converged"), "node2": host("b", "1")}, monkeypatch)
    assert plans["node1"].refusals == ()
    (text,) = plans["node2"].refusals
    assert f"node1 sees the current generation {RECIPE.id} there, and node2 none" in text


GPU = Gpu("modern", "7.5", "/usr/local/cuda", "12.4", "", "", "9.0", "swap")


def test_other_cards_are_refused_with_the_setting_that_helps() -> None:
    one, two = replace(RECIPE, gpu=GPU), replace(OTHER, platform=RECIPE.platform, gpu=replace(GPU, archs="9.0"))
    (text,) = sharing.refusals("node2", Share("node1"), {"node1": one, "node2": two}, BARE)
    assert "with CUDA 12.4 for 7.5" in text
    assert "give both the same gpu_stack_arch_list" in text


def test_cudnn_is_swapped_on_one_machine_alone() -> None:
    recipe = replace(RECIPE, gpu=GPU)
    (text,) = sharing.refusals("node2", Share("node1"), {"node1": recipe, "node2": recipe}, BARE)
    assert "gpu_stack_cudnn_mode: private" in text
    assert sharing.refusals("node2", Share("node1", "node1"), {"node1": recipe, "node2": recipe}, BARE) == ()


def plans_of(
    states: dict[str, HostState], monkeypatch: pytest.MonkeyPatch, limit: Sequence[str] = (), **wanted: Recipe
) -> dict[str, HostPlan]:
    """The plans of hosts, all with the same recipe or with their own."""
    monkeypatch.setattr(
        converge.trust, "open_lock", lambda settings: type("Lock", (), {"by_name": lambda self: {"x": 1}})()
    )
    monkeypatch.setattr(converge.lock, "refuse_no_directory", lambda mirror: None)
    chosen = {name: recipes.HostRecipe(wanted.get(name, RECIPE)) for name in states}
    monkeypatch.setattr(recipes, "of_hosts", lambda *_given: chosen)
    return {plan.host: plan for plan in converge.make_plans(Settings(), limit, HostStates(states))}


def test_second_name_of_a_machine_does_nothing_and_is_refused_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = plans_of({name: host("a", "1", kind="hopeless") for name in ("node1", "node1-alt")}, monkeypatch)
    assert plans["node1"].refusals
    second = plans["node1-alt"]
    assert (second.builds, second.refusals, second.changes, second.activates) == ((), (), False, False)
    assert (second.as_json()["built_by"], second.as_json()["same_as"]) == ("node1", "node1")


def test_another_machine_does_only_what_belongs_to_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = plans_of({"node1": host("a", "1"), "node2": host("b", "1", account=False)}, monkeypatch)
    assert "torch" in plans["node1"].builds
    second = plans["node2"]
    assert second.builds == ("packages", "account")
    assert (second.stages, second.activates, second.prepares, second.changes) == (False, False, True, True)
    assert "done under the name node1" in {step.why for step in second.steps}


def test_machine_without_rights_to_install_packages_is_refused_though_another_builds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plans = plans_of({"node1": host("a", "1"), "node2": host("b", "1", user={"uid": 1000})}, monkeypatch)
    assert "OS packages must be installed" in plans["node2"].refusals[0]


def test_packages_of_a_host_that_shares_need_space_in_var(monkeypatch: pytest.MonkeyPatch) -> None:
    repository = {"name": "packages", "file": "packages.tar", "sha256": "a" * 64, "size": 1_000_000_000}
    recipe, states = replace(RECIPE, repository=repository), {}
    for name, machine, free in (("node1", "a", 1_000_000_000), ("node2", "b", 2_999_999_999)):
        disk = {"path": "/opt", "free": 1 << 40, "writable": True}
        states[name] = host(machine, "1", outside={"/usr": {"free": 1 << 40}, "/var": {"free": free}}, disk=disk)
    plans = plans_of(states, monkeypatch, node1=recipe, node2=recipe)
    assert plans["node1"].refusals == ()
    assert "/var has 2999 MB free, but 3000 MB are needed there" in plans["node2"].refusals[0]


def test_holder_of_a_shared_lease_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lease = {"holder": "alpha pid 7 since 9 boot b space 1 machine m", "host": "n", "what": "x", "since": 1}
    plans = plans_of({f"node{n}": host(f"{n}a", "1", lease=lease) for n in (1, 2)}, monkeypatch)
    assert [len(plan.refusals) for plan in plans.values()] == [1, 0]


BUILD = {"log": "/opt/neuraltalk/generations/x/logs/torch.log", "pid": 7}


def test_build_of_another_machine_is_refused_unless_that_machine_knows_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = [{**BUILD, "host": "gpu2"}]
    for second, refused in (([BUILD], [1, 1]), ([], [0, 0])):
        plans = plans_of({"node1": host("a", "1", busy=foreign), "node2": host("b", "1", busy=second)}, monkeypatch)
        assert [len(plan.refusals) for plan in plans.values()] == refused
    (text,) = plans_of({"node1": host("a", "1", busy=foreign)}, monkeypatch)["node1"].refusals
    assert "may still be running on gpu2" in text
    assert f"remove {BUILD['log']}.pid" in text


def test_build_that_a_dead_controller_left_on_another_machine_is_not_taken_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(converge.controller, "is_dead", lambda name: True)
    plans = plans_of({"node1": host("a", "1", busy=[{**BUILD, "host": "gpu2"}])}, monkeypatch)
    assert not plans["node1"].take_over
    assert plans["node1"].refusals
    plans = plans_of({"node1": host("a", "1", busy=[BUILD])}, monkeypatch)
    assert plans["node1"].take_over
    assert not plans["node1"].refusals


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, list[str]]]]:
    """Has the playbooks answer what is given, by name; the playbooks that were run, with their hosts."""
    monkeypatch.setattr(converge, "check_mirror", lambda *_given: None)

    def requests(**answers: PlayResults) -> list[tuple[str, list[str]]]:
        asked: list[tuple[str, list[str]]] = []

        def run(request: playbook.Request, *_more: object) -> playbook.Outcome:
            name = request.playbook.removesuffix(".yml")
            asked.append((name, list(request.limit)))
            heard = tuple((host, "some.module", {}) for host in request.limit)
            found = answers.get(name, PlayResults())
            return playbook.Outcome(0, replace(found, results=(*found.results, *heard)))

        monkeypatch.setattr(playbook, "run", run)
        return asked

    return requests


THREE = {"node1": ("a", "1"), "node1-alt": ("a", "1"), "node2": ("b", "1"), "node9": ("f", "9")}


def converged(monkeypatch: pytest.MonkeyPatch, kind: str = "bare", **more: bool) -> converge.SiteOutcome:
    states = {name: host(*ids, kind=kind) for name, ids in THREE.items()}
    return converge.converge(tuple(plans_of(states, monkeypatch).values()), Settings(), Output(as_json=True), **more)


def test_stack_is_built_and_activated_once_and_verified_by_all(
    monkeypatch: pytest.MonkeyPatch, requests: Callable[..., Any]
) -> None:
    asked = requests(prepare=PlayResults(changes=(Change("node2", "packages", "build"),)))
    outcome = converged(monkeypatch)
    assert asked == [
        ("site", ["node1", "node9"]),
        ("prepare", ["node2"]),
        ("activate", ["node1", "node9"]),
        ("follow", ["node1-alt", "node2"]),
        ("release", ["node1", "node9"]),
    ]
    assert sorted(outcome.activated) == ["node1", "node1-alt", "node2", "node9"]
    assert [change.host for change in outcome.changes] == ["node2"]


def test_check_mode_predicts_and_verifies_nothing(
    monkeypatch: pytest.MonkeyPatch, requests: Callable[..., Any]
) -> None:
    asked = requests()
    converged(monkeypatch, check=True)
    assert asked == [("site", ["node1", "node9"]), ("prepare", ["node2"])]


def test_nothing_is_asked_where_nothing_changes(monkeypatch: pytest.MonkeyPatch, requests: Callable[..., Any]) -> None:
    asked = requests()
    converged(monkeypatch, kind="converged")
    assert asked == []


def test_nobody_prepares_or_verifies_what_was_not_built(
    monkeypatch: pytest.MonkeyPatch, requests: Callable[..., Any]
) -> None:
    asked = requests(site=PlayResults(failures=(Failure("node1", "torch", "broken"),)))
    outcome = converged(monkeypatch)
    assert asked == [("site", ["node1", "node9"]), ("activate", ["node9"]), ("release", ["node1", "node9"])]
    assert outcome.activated == ("node9",)
    with pytest.raises(HostError, match="broken") as caught:
        raise_failures(FleetOutcome(outcome))
    assert "was current on node1 is still current" in caught.value.advice


def test_host_that_cannot_use_what_another_activated_fails_and_the_way_back_is_named(
    monkeypatch: pytest.MonkeyPatch, requests: Callable[..., Any]
) -> None:
    requests(follow=PlayResults(failures=(Failure("node2", "load", "illegal instruction"),)))
    outcome = converged(monkeypatch)
    assert sorted(outcome.activated) == ["node1", "node1-alt", "node9"]
    with pytest.raises(HostError, match="illegal instruction") as caught:
        raise_failures(FleetOutcome(outcome))
    assert "`provision rollback --limit node1,node1-alt,node2` makes the previous one current" in caught.value.advice
    assert "is still current" not in caught.value.advice


def test_rollback_renames_one_link_once_when_nothing_uses_any_of_the_machines(
    monkeypatch: pytest.MonkeyPatch, requests: Callable[..., Any], tmp_path: Path
) -> None:
    looked_at = using(monkeypatch)
    generation = {"stamps": {}, "sealed": True}
    stack = {"current": "b", "previous": "a", "generations": {"a": generation, "b": generation}}
    states = {name: host(*ids, stack=stack) for name, ids in THREE.items()}
    monkeypatch.setattr("neuraltalk_provision.site.host_state.read_each", lambda *_given: HostStates(states))
    asked = requests()
    settings = Settings(journal=tmp_path / ".provision" / "journal.sqlite")
    moves = rollback.rollback(settings, rollback.Request(), Output(as_json=True), plan=False)
    assert asked == [("rollback", ["node1", "node9"])]
    assert set(looked_at) == {"node1", "node2", "node9"}
    assert [(move.host, move.after, move.of) for move in moves] == [
        *(("node1", "a", ""), ("node1-alt", "a", "node1"), ("node2", "a", "node1"), ("node9", "a", ""))
    ]


@pytest.mark.parametrize("off", ["node1", "node2"])
def test_stack_root_that_went_back_does_not_go_forward_when_the_rollback_is_continued(
    monkeypatch: pytest.MonkeyPatch, requests: Callable[..., Any], tmp_path: Path, off: str
) -> None:
    """The host that could not be asked has no generation to return to in the journal."""
    using(monkeypatch)
    generations = {"a": {"stamps": {}, "sealed": True}, "b": {"stamps": {}, "sealed": True}}
    settings = Settings(journal=tmp_path / ".provision" / "journal.sqlite")
    asked = requests()

    def rolled_back(current: str, previous: str, *failures: Failure) -> tuple[Move, ...]:
        stack = {"current": current, "previous": previous, "generations": generations}
        bad = {failure.host for failure in failures}
        states = {name: host(*THREE[name], stack=stack) for name in ("node1", "node2") if name not in bad}
        monkeypatch.setattr("neuraltalk_provision.site.host_state.read_each", lambda *_: HostStates(states, failures))
        return rollback.rollback(settings, rollback.Request(), Output(as_json=True), plan=False)

    with pytest.raises(HostError, match=f"set aside: {off}"):
        rolled_back("b", "a", Failure(off, "Ask", "gone", True))
    moves = rolled_back("a", "b")
    assert [(move.host, move.before, move.after) for move in moves] == [("node1", "a", "a"), ("node2", "a", "a")]
    assert len(asked) == 1


def test_cudnn_is_changed_once_on_a_machine_and_machines_that_share_are_done_alone(
    monkeypatch: pytest.MonkeyPatch, requests: Callable[..., Any]
) -> None:
    from neuraltalk_provision.site import cudnn

    states = {"node1": host("a", "1"), "node1-alt": host("a", "1")}
    assert list(cudnn._each_machine_once(states, "/opt/neuraltalk", Output(as_json=True))) == ["node1"]
    with pytest.raises(UsageError, match="node2 shares /opt/neuraltalk"):
        cudnn._each_machine_once({**states, "node2": host("b", "1")}, "/opt/neuraltalk", Output(as_json=True))


def test_host_of_a_limit_whose_stack_root_others_can_share_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a disk that is not known to be local has more digests than that of the own kernel."""
    states = {"node1": host("a", "1", "e"), "node2": host("b", "1", "e"), "node3": host("c", "3")}
    plans = plans_of(states, monkeypatch, limit=["node1", "node2", "node3"])
    said = [name for name, plan in plans.items() if "is on a disk that several hosts can use" in plan.remark]
    assert said == ["node1"]
    assert "node1: /opt/neuraltalk is on a disk that several hosts can use (nfs4 on nas:/x)" in plans["node1"].remark
    assert not any(plan.remark for plan in plans_of(states, monkeypatch).values())
    current = host("a", "1", "e", kind="converged")
    assert not plans_of({"node1": current}, monkeypatch, limit=["node1"])["node1"].remark
