"""Drift: what is not known, not confirmed or contradicts itself is never shown as no drift."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from neuraltalk_provision.fleet import drift_codes
from neuraltalk_provision.fleet.observed import Observed
from neuraltalk_provision.results.checks import Check, Files
from neuraltalk_provision.results.host_state import Card, HostState, Identity
from neuraltalk_provision.site import plan as plans
from tests.unit.plans import RECIPE
from tests.unit.test_drift import UNCHANGED, codes, compare, gpu_host, observed, only, state

BUILT = replace(RECIPE, required=("gcc", "cmake", "libjpeg62-turbo"))
STAMPS = {"torch": "d-torch", "nn": "d-nn", "weights": "d-weights"}


def unpacked(lacks: list[str], *packages: str) -> Observed:
    """A host that unpacked its generation, with these packages; the generation lacks `lacks` of those that it uses."""
    generation = {"stamps": STAMPS, "sealed": True, "lacks": lacks}
    known = state(stack={"generations": {BUILT.id: generation}})
    known = known.model_copy(update={"packages": dict.fromkeys(packages, "1")})
    return Observed("node1", known, BUILT, files=UNCHANGED)


@pytest.mark.parametrize(
    ("host", "missing"),
    [
        (unpacked([], "libjpeg62-turbo"), []),
        (unpacked(["libreadline8"], "gcc", "cmake", "libjpeg62-turbo"), ["libreadline8"]),
    ],
)
def test_packages_that_are_missing_are_those_that_site_would_install(host: Observed, missing: list[str]) -> None:
    report = compare(host)
    assert [(one.code, one.item) for one in report.found] == [(drift_codes.PACKAGE_MISSING, name) for name in missing]
    assert host.state is not None
    assert (plans.plan("node1", host.state, BUILT).builds != ()) is bool(missing)


def test_cards_are_the_same_ones_whether_the_driver_writes_their_maker_or_not() -> None:
    """The driver writes `NVIDIA ` before the name since version 470 or so."""
    hosts = [gpu_host(f"node{number}", name="GeForce GTX 1080 Ti", driver="460.91.03") for number in range(2, 7)]
    report = compare(gpu_host(name="NVIDIA GeForce GTX 1080 Ti", driver="535.183.01", count=1), *hosts)
    assert codes(report) == [drift_codes.DRIVER, drift_codes.CARDS_COUNT]


def with_cards(host: str, *names: str, driver: str = "460.91.03") -> Observed:
    known = gpu_host(host, driver=driver)
    assert known.state is not None
    cards = tuple(Card(index=number, uuid=f"GPU-{number}", name=name) for number, name in enumerate(names))
    gpu = known.state.gpu.model_copy(update={"cards": cards})
    return replace(known, state=known.state.model_copy(update={"gpu": gpu}))


def test_host_that_lost_its_only_card_of_one_model_is_drift() -> None:
    hosts = [with_cards(f"node{number}", "A100", "A100", "T4") for number in range(2, 7)]
    report = compare(with_cards("node1", "A100", "A100", driver="470.1"), *hosts)
    one = only(report)
    assert (one.code, one.found) == (drift_codes.CARDS_MODELS, "A100")
    assert one.majority == "A100 and T4 (5 of 6)"
    assert "nvidia-smi" in one.cure_for(["node1"])


def test_hosts_with_other_cards_are_no_drift() -> None:
    hosts = [with_cards(f"node{number}", "A100", "T4") for number in range(2, 7)]
    assert compare(with_cards("node1", "V100"), *hosts).found == ()
    few = [with_cards(f"node{number}", "A100") for number in range(7, 10)]
    assert compare(*few, *hosts).found == (), "these are a group of their own"


def test_check_of_files_that_failed_without_saying_which_is_not_compared() -> None:
    failed = Check(name="files", passed=False, saw="5 files have changed")
    report = compare(replace(observed(), checks=(failed,), files=Files(compared=True)))
    assert (only(report).code, only(report).found) == (drift_codes.NOT_VERIFIED, "5 files have changed")
    assert not report.complete


@pytest.mark.parametrize(("name", "code"), [("kernel", "kernel.version"), ("libc", "libc.version")])
def test_value_that_a_host_does_not_say_differs_from_most_hosts(name: str, code: str) -> None:
    most = [observed(f"node{number}") for number in range(2, 5)]
    report = compare(observed(platform={name: ""}), *most)
    assert (only(report).code, only(report).found) == (code, "unknown")


def test_names_of_one_machine_count_once_in_the_majority() -> None:
    one = {"identity": {"machine": "a" * 32}}
    names = [observed(f"alias{number}", platform={"kernel": "5.10.0-bad"}, **one) for number in range(3)]
    others = [observed(f"node{number}", identity={"machine": str(number) * 32}) for number in range(1, 4)]
    report = compare(*names, *others)
    assert [codes(report, f"node{number}") for number in range(1, 4)] == [[], [], []]
    assert [codes(report, f"alias{number}") for number in range(3)] == [[drift_codes.KERNEL]] * 3
    assert report.hosts[0].differences[0].majority == "6.1.0-18-amd64 (3 of 4)"


def test_host_that_says_it_is_the_machine_of_a_host_of_another_platform_does_not_end_the_report() -> None:
    names = [observed("node1"), observed("node2", platform={"version": "11"})]
    report = compare(*(replace(one, state=with_machine(one)) for one in names))
    assert [group.hosts for group in report.groups] == [("node2",), ("node1",)]


def with_machine(one: Observed) -> HostState:
    """The state of a host that says that it is the machine a..."""
    assert one.state is not None
    return one.state.model_copy(update={"identity": Identity(machine="a" * 32)})


@pytest.mark.parametrize(
    ("activation", "code"),
    [
        ({"state": "unconfirmed", "target": RECIPE.id, "former": "f" * 16}, drift_codes.UNCONFIRMED),
        ({"state": "unreadable", "problem": "it is damaged"}, drift_codes.ACTIVATION_UNKNOWN),
        ({"state": "none"}, None),
    ],
)
def test_activation_that_nobody_confirmed_is_never_green(activation: dict[str, Any], code: str | None) -> None:
    report = compare(observed(activation=activation))
    assert [one.code for one in report.found] == [code] * bool(code)
