"""From plans to the outcome: what is refused, what is staged, what is activated, and what is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.errors import HostError, MirrorError, UsageError
from neuraltalk_provision.fleet.outcome import FleetOutcome, raise_failures
from neuraltalk_provision.mirror import store
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Pip, Settings
from neuraltalk_provision.site import converge, events, operations, playbook, unpack
from neuraltalk_provision.site.events import Change, Failure, PlayResults
from neuraltalk_provision.site.host_state import HostStates
from neuraltalk_provision.site.plan import HostPlan
from tests.unit import archives
from tests.unit.catalogue import SMALL
from tests.unit.plans import RECIPE, planned, state_of
from tests.unit.test_operations import GOOD, proved, telling

QUIET = Output(as_json=True)
Runs = list[playbook.Request]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A site whose mirror holds torch, nn and the weights."""
    monkeypatch.setattr(catalogue, "load", lambda: SMALL)
    mirror = tmp_path / "the site's mirror"
    archives.pack(tmp_path / "torch.tgz", archives.TORCH)
    archives.pack(tmp_path / "nn.tgz", archives.NN)
    (tmp_path / "w.bin").write_bytes(b"weights")
    for name in ("torch.tgz", "nn.tgz", "w.bin"):
        entry = store.add(mirror, tmp_path / name, SMALL)
        for part in RECIPE.parts:
            for field in ("file", "sha256", "size") if part.name == entry.name else ():
                monkeypatch.setitem(part.files[0], field, getattr(entry, field))  # type: ignore[arg-type]
    return Settings(mirror=mirror)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Runs]:
    """Has the playbooks tell what is given; the requests that came."""

    def runs(**results: PlayResults) -> Runs:
        requests: Runs = []

        def run(request: playbook.Request, *_more: object) -> playbook.Outcome:
            requests.append(request)
            return playbook.Outcome(
                0, heard(request, results.get(request.playbook.removesuffix(".yml"), PlayResults()))
            )

        monkeypatch.setattr(playbook, "run", run)
        return requests

    return runs


def heard(request: playbook.Request, found: PlayResults) -> PlayResults:
    """The results, with one of every host that the playbook was limited to."""
    return replace(found, results=(*found.results, *((host, "some.module", {}) for host in request.limit)))


def converged(plans: tuple[HostPlan, ...], settings: Settings, **more: bool) -> converge.SiteOutcome:
    return converge.converge(plans, settings, QUIET, **more)


def test_only_hosts_that_build_are_staged_and_only_those_that_change_are_activated(
    settings: Settings, runs: Callable[..., Runs]
) -> None:
    built = PlayResults(changes=(Change("node1", "torch", "build"),))
    requests = runs(site=built)
    plans = (planned("bare", "node1"), planned("converged", "node2"), planned("staged", "node3"))
    outcome = converged(plans, settings)
    assert [(request.playbook, list(request.limit)) for request in requests] == [
        ("site.yml", ["node1"]),
        ("activate.yml", ["node1", "node3"]),
        ("release.yml", ["node1", "node3"]),
    ]
    assert outcome.activated == ("node1", "node3")
    assert outcome.as_json()["changed"] is True


def test_token_of_an_index_is_in_no_recipe_and_a_new_one_builds_nothing_anew(settings: Settings) -> None:
    def made(user: str) -> tuple[str, dict[str, object]]:
        chosen = settings.model_copy(update={"pip": Pip(index_url=f"https://{user}index.example/simple")})
        answers = HostStates({"node1": state_of("bare")})
        (decided,) = converge.make_plans(chosen, (), answers)
        return decided.recipe.id, converge.variables([decided], chosen)

    (one, given), (two, _), (plain, _) = made("bot:s3cr3t@"), made("bot:other@"), made("")
    assert one == two == plain
    assert given.pop("provision_pip_index_url") == "https://bot:s3cr3t@index.example/simple"
    assert "s3cr3t" not in json.dumps(given)


def test_generation_is_compared_with_none_if_the_cards_are_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe of the plan is then one without GPU, which `site` would never build there."""
    state = state_of("converged")
    broken = state.model_copy(update={"gpu": state.gpu.model_copy(update={"problem": "NVIDIA-SMI has failed"})})
    telling(monkeypatch, PlayResults(results=(proved("node1", GOOD, generation="ffff0000ffff0000"),)))
    for seen, expected in ((state, ["generation", "stamps"]), (broken, ["plan"])):
        plans = converge.make_plans(settings, (), HostStates({"node1": seen}))
        (verdict,) = operations.verify(plans, settings, QUIET)
        assert [check.name for check in verdict.checks if check.name != "cards"] == expected
        assert plans[0].as_json()["generation"] == (plans[0].recipe.id if seen is state else "")


def test_converged_site_runs_nothing_and_says_so(settings: Settings, runs: Callable[..., Runs]) -> None:
    requests = runs()
    outcome = converged((planned("converged"),), settings)
    assert requests == []
    assert outcome.as_json()["changed"] is False


def test_dead_controllers_lease_goes_from_a_host_with_nothing_to_do(
    settings: Settings, runs: Callable[..., Runs]
) -> None:
    requests = runs()
    plans = (replace(planned("converged", "node1"), over="dead"), planned("converged", "node2"))
    converged(plans, settings)
    assert [(request.playbook, list(request.limit)) for request in requests] == [("release.yml", ["node1"])]
    assert requests[0].variables["provision_lease"]["over"] == {"node1": "dead"}


def test_host_that_failed_is_not_activated_and_the_others_are(settings: Settings, runs: Callable[..., Runs]) -> None:
    requests = runs(site=PlayResults(failures=(Failure("node1", "torch : Build", "it broke"),)))
    outcome = converged((planned("bare", "node1"), planned("bare", "node2")), settings)
    assert list(requests[1].limit) == ["node2"]
    assert outcome.activated == ("node2",)
    with pytest.raises(HostError) as caught:
        raise_failures(FleetOutcome(outcome))
    assert caught.value.message == "node1, torch : Build: it broke"
    assert "current on node1 is still current and complete" in caught.value.advice
    assert caught.value.document["activated"] == ["node2"]


def test_host_that_failed_in_activation_is_not_counted_as_activated(
    settings: Settings, runs: Callable[..., Runs]
) -> None:
    runs(activate=PlayResults(failures=(Failure("node1", "Activate", "nn does not load"),)))
    outcome = converged((planned("staged", "node1"), planned("staged", "node2")), settings)
    assert outcome.activated == ("node2",)
    assert [failure.host for failure in outcome.failures] == ["node1"]


def test_host_of_which_ansible_says_nothing_is_not_counted_as_activated(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playbook, "run", lambda *_: playbook.Outcome(0, PlayResults()))
    outcome = converged((planned("bare", "node1"), planned("staged", "node2")), settings)
    assert outcome.activated == ()
    assert [(one.host, one.code) for one in outcome.failures] == [
        ("node1", "answer.missing"),
        ("node2", "answer.missing"),
    ]


def test_check_mode_builds_nothing_where_a_packed_generation_is_unpacked(
    settings: Settings, runs: Callable[..., Runs]
) -> None:
    requests = runs(site=PlayResults(changes=(Change("node1", "torch", "build", predicted=True),)))
    unpacking = replace(planned("bare", "node2"), unpack=unpack.from_builder("node1"))
    outcome = converged((planned("bare", "node1"), unpacking), settings, check=True)
    assert [(request.playbook, list(request.limit)) for request in requests] == [("site.yml", ["node1"])]
    assert Change("node2", "generation", "unpack", "built on node1", predicted=True) in outcome.changes
    assert outcome.activated == ("node1", "node2")


def test_check_mode_activates_nothing_and_predicts_who_would_be(settings: Settings, runs: Callable[..., Runs]) -> None:
    requests = runs(site=PlayResults(changes=(Change("node1", "torch", "build", predicted=True),)))
    outcome = converged((planned("bare"),), settings, check=True, diff=True)
    assert [(request.playbook, request.check, request.diff) for request in requests] == [("site.yml", True, True)]
    assert (outcome.activated, outcome.check) == (("node1",), True)


@pytest.mark.parametrize("check", [False, True])
def test_what_was_only_predicted_is_shown_in_check_mode_alone_and_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], check: bool
) -> None:
    def told(predicted: bool, evidence: str) -> dict[str, Any]:
        component = {"name": "packages", "change": "build", "evidence": evidence}
        result = {"component": component, "predicted": predicted}
        return {"event": "runner_on_ok", "event_data": {"host": "node1", "task": "Any name", "res": result}}

    happening = [told(True, "looked"), told(check, "done"), told(check, "again")]

    def run(request: playbook.Request, on_event: Callable[[Any], None] = lambda event: None) -> playbook.Outcome:
        seen = happening if request.playbook == "site.yml" else []
        for event in seen:
            on_event(event)
        return playbook.Outcome(0, heard(request, events.read(seen)))

    monkeypatch.setattr(playbook, "run", run)
    outcome = converge.converge((planned("bare"),), settings, Output(), check=check)
    assert [(change.evidence, change.predicted) for change in outcome.changes] == [("again", check)]
    shown = capsys.readouterr().out
    assert shown.count("packages") == 1
    assert ("would be built  looked" if check else "built  done") in shown


def test_every_refusal_of_every_host_is_told_before_anything_runs(runs: Callable[..., Runs]) -> None:
    requests = runs()
    with pytest.raises(UsageError) as caught:
        converged((planned("no-space", "node1"), planned("bare", "node2"), planned("aarch64", "node3")), Settings())
    assert [line.split()[0].rstrip(":") for line in caught.value.message.splitlines()] == ["node1", "node3"]
    assert caught.value.advice == "Nothing was changed on any host."
    assert [plan["host"] for plan in caught.value.document["plans"]] == ["node1", "node2", "node3"]
    assert requests == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, "nn.tgz is missing: the lock contains it as nn"),
        (lambda file: file.write_bytes(file.read_bytes()[:-5]), "nn.tgz is truncated"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"), "nn.tgz is altered"),
    ],
)
def test_damaged_mirror_stops_before_any_host_is_touched(
    settings: Settings, runs: Callable[..., Runs], damage: Callable[[Path], object], words: str
) -> None:
    requests = runs()
    damage(settings.mirror / "nn.tgz")
    with pytest.raises(MirrorError, match=words) as caught:
        converged((planned("bare"),), settings)
    assert "Nothing was changed on any host." in caught.value.advice
    assert requests == []


def test_damage_to_what_is_not_sent_does_not_matter(settings: Settings, runs: Callable[..., Runs]) -> None:
    requests = runs()
    (settings.mirror / "torch.tgz").unlink()
    converged((planned("other-inputs"),), settings)
    assert [request.playbook for request in requests] == ["site.yml", "activate.yml", "release.yml"]


def test_lock_is_read_once_for_a_command(settings: Settings, runs: Callable[..., Runs], tmp_path: Path) -> None:
    """A file and its lock that change after the plan was made are not what hosts were told to expect."""
    requests = runs()
    plans = (planned("bare"),)
    archives.pack(tmp_path / "nn.tgz", {**archives.NN, "nn/evil.lua": "evil"})
    store.add(settings.mirror, tmp_path / "nn.tgz", SMALL)
    with pytest.raises(MirrorError, match=r"nn\.tgz is altered"):
        converged(plans, settings)
    assert requests == []


def test_lock_that_is_gone_after_the_plan_is_not_asked_for_again(settings: Settings, runs: Callable[..., Runs]) -> None:
    requests = runs()
    plans = (planned("bare"),)
    (settings.mirror / "mirror.lock").unlink()
    converged(plans, settings)
    assert [request.playbook for request in requests] == ["site.yml", "activate.yml", "release.yml"]


def test_package_repository_is_checked_where_packages_are_missing(
    settings: Settings, runs: Callable[..., Runs], tmp_path: Path
) -> None:
    runs()
    wheels = archives.pack(tmp_path / "python-wheels-debian-12-x86_64.tar", {"a.whl": "a"}, mode="w")
    entry = store.add(settings.mirror, wheels, SMALL)
    (settings.mirror / entry.file).unlink()
    repository = entry.model_dump(include={"name", "file", "sha256", "size"})
    recipe = replace(RECIPE, repository=repository)
    with pytest.raises(MirrorError, match=r"python-wheels-debian-12-x86_64\.tar is missing"):
        converged((planned("bare", recipe=recipe),), settings)
    converged((planned("outdated", recipe=recipe),), settings)


def test_hosts_of_one_platform_with_recipes_of_their_own_get_each_their_own() -> None:
    other = replace(RECIPE, id="ffffffffffffffff")
    given = converge.variables([planned("bare", "node1"), planned("bare", "node2", other)], Settings())
    for host, id_ in (("node1", RECIPE.id), ("node2", other.id)):
        assert given["provision_recipes"][given["provision_generations"][host]]["id"] == id_


def test_variables_name_the_hosts_whose_dead_controllers_build_is_taken_over() -> None:
    given = converge.variables([planned("orphaned", "node1"), planned("bare", "node2")], Settings())
    assert given["provision_take_over"] == ["node1"]
    assert json.loads(json.dumps(given))["provision_stack_root"] == "/opt/neuraltalk"
