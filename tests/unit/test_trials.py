"""Plans compared with what was tried: what is refused, what is told, and in how many lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue import compatibility
from neuraltalk_provision.catalogue.compatibility import Contradiction, Fact
from neuraltalk_provision.catalogue.gpu import Gpu
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.results.packages import PackagesInfoResult
from neuraltalk_provision.rules import versions
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import converge, packages, trials
from neuraltalk_provision.site.plan import HostPlan, plan
from tests.unit.plans import RECIPE, part, planned, state_of
from tests.unit.test_tried import FIXED

FULL = replace(RECIPE, parts=(*RECIPE.parts, part("hdf5", 1), part("loadcaffe", 1), part("python", 1)))


def bare(host: str = "node1") -> HostPlan:
    return planned("bare", host, FULL)


def test_version_that_would_be_installed_is_compared() -> None:
    said = trials.judged(bare(), FIXED, {"libhdf5-dev": "2.2.0-1", "cmake": "5.0-1", "gcc": "4:12.2.0-3"})
    hdf5, cmake = sorted(said.refusals, reverse=True)
    assert hdf5.startswith("node1: HDF5 2.2.0 is known not to work: torch-hdf5 ends")
    assert cmake.startswith("node1: CMake 5.0 is known not to work: it ends")
    assert said.untried == ()
    assert said.as_json()["refusals"] == list(said.refusals)


def test_version_that_is_installed_counts_before_one_that_would_be() -> None:
    plan = replace(bare(), versions={"cmake": "3.31.6"})
    assert trials.judged(plan, FIXED, {"cmake": "4.3.0-1"}).refusals == ()


def test_version_in_usr_local_is_named_as_such() -> None:
    plan = replace(bare(), versions={"cmake": "5.0", "gcc": "16.1"}, local=frozenset({"cmake", "gcc"}))
    said = trials.judged(plan, FIXED, {"cmake": "3.25.1"})
    assert said.refusals[0].startswith("node1: CMake 5.0 in /usr/local is known not to work")
    assert said.untried[0].startswith("gcc 16.1 in /usr/local was never tried")


def test_what_was_never_tried_goes_on_and_is_told() -> None:
    said = trials.judged(bare(), FIXED, {"gcc": "4:16.1.0-1"})
    assert (said.refusals, said.untried) == ((), ("gcc 16.1.0 was never tried (tried: 10.2 to 14)",))
    assert said.as_json()["untried"] == list(said.untried)


CUDA = replace(part("cutorch", 1), role="gpu_stack")
GCC_16 = {"gcc": "4:16.2.0-1", "libhdf5-dev": "2.2.0-1"}


def with_cards(gcc: str = "", cuda: str = "13.0") -> HostPlan:
    """The plan for a bare host for whose cards cutorch is built."""
    gpu = Gpu("modern", "9.0", "", cuda, "cuda-wheels", gcc, "", "")
    return planned("bare", "node1", replace(FULL, gpu=gpu, parts=(*FULL.parts, CUDA)))


def test_gcc_that_would_be_installed_and_is_too_new_for_nvcc_is_refused() -> None:
    (words,) = trials.with_nvcc(with_cards(), catalogue.load().compatibility, GCC_16).refusals
    assert words.startswith(
        "node1: gcc 16.2.0 of the OS packages, which would be installed, is too new for nvcc of CUDA 13"
    )
    assert "set gpu_stack_gcc to its path" in words
    assert words.endswith("set gpu_stack_skip_checks: [cuda-gcc]")


def test_host_refuses_that_gcc_itself_if_the_plan_could_not_know_it() -> None:
    """The host has not read its own repositories before."""
    (rule,) = trials.nvcc_rules(with_cards(), catalogue.load().compatibility)
    assert (rule["name"], rule["packages"], rule["versions"]) == ("gcc", ["gcc"], ">=16")
    assert trials.nvcc_rules(with_cards(cuda="99.9"), catalogue.load().compatibility) == []
    variables = converge.variables([with_cards()], Settings())
    given = variables["provision_unsupported"][variables["provision_unsupported_of"]["node1"]]
    assert rule in given
    assert {row["name"] for row in given} == {"gcc", "HDF5"}


@pytest.mark.parametrize(("cuda", "accepted", "refused"), [("7.5", "4.9.4", "4.10"), ("8.0", "5.4", "6.1")])
def test_range_that_nvcc_refuses_is_that_of_the_table(cuda: str, accepted: str, refused: str) -> None:
    table = catalogue.load().compatibility
    bounds = compatibility.refused_gcc(table, cuda)
    for gcc in (accepted, refused):
        facts = [Fact("cuda", (cuda,), cuda), Fact("gcc", (gcc,), gcc)]
        assert isinstance(compatibility.solve(table, facts), Contradiction) == versions.within(gcc, bounds)
    assert versions.within(refused, bounds)


def test_plan_compares_the_gcc_that_the_package_manager_names_with_nvcc() -> None:
    row = {"package": "gcc", "version": GCC_16["gcc"]}
    said = PackagesInfoResult.model_validate({"lacks": [], "absent": [], "problem": "", "versions": [row]})
    assert len(packages.judged(with_cards(), said).refusals) == 1
    document = state_of("bare").model_dump()
    document["inventory"]["skip_checks"] = ["cuda-gcc"]
    skipping = plan("node1", HostState.model_validate(document), with_cards().recipe)
    assert packages.judged(skipping, said).refusals == ()


@pytest.mark.parametrize(
    ("known", "installs"),
    [
        (bare(), GCC_16),
        (with_cards(), {"gcc": "4:14.2.0-1"}),
        (with_cards(), {}),
        (with_cards(gcc="/usr/bin/gcc-14"), GCC_16),
        (replace(with_cards(), versions={"gcc": "16.2.0"}), GCC_16),  # compared when its recipe was chosen
        (replace(with_cards(), skip_checks=("cuda-gcc",)), GCC_16),
        (replace(with_cards(), steps=()), GCC_16),
    ],
    ids=["no-cards", "fits", "unknown", "inventory", "installed", "skipped", "built"],
)
def test_gcc_that_does_not_matter_to_nvcc_is_not_refused(known: HostPlan, installs: dict[str, str]) -> None:
    assert trials.with_nvcc(known, catalogue.load().compatibility, installs) == known


@pytest.mark.parametrize("kind", ["converged", "unsealed"])
def test_stack_that_is_built_stays_as_it_is(kind: str) -> None:
    """A host got HDF5 2 after its stack was built: nothing is built with it."""
    plan = replace(planned(kind), versions={"cmake": "5.0", "gcc": "99.1"})
    assert trials.judged(plan, FIXED, {}) == plan


def test_only_what_the_components_to_build_use_is_compared() -> None:
    plan = replace(planned("half-built"), refusals=(), versions={"hdf5": "2.2", "python": "2.7.5", "protobuf": "99"})
    assert set(plan.builds) == {"nn", "weights"}
    assert trials.judged(plan, FIXED, {}) == plan
    assert len(trials.judged(replace(plan, versions={"cmake": "4.0"}), FIXED, {}).refusals) == 1


def test_usual_version_of_the_release_stands_for_one_that_is_not_known_and_refuses_nothing() -> None:
    usual = {"gcc": "8.5.0", "cmake": "5.0", "hdf5": "1.10.5"}
    said = trials.judged(bare(), FIXED, {"gcc": "12.2.0-3"}, usual)
    assert said.refusals == ()
    (cmake,) = said.untried
    assert cmake.startswith("CMake 5.0 is known not to work")
    assert cmake.endswith("that is the usual version of this release, and the host's own is not known yet")
    said = trials.judged(bare(), FIXED, {"cmake": "3.26-1"}, usual)
    assert [words.partition(" (")[0] for words in said.untried] == ["gcc 8.5.0 was never tried"]


@pytest.mark.parametrize(("platform", "manager", "told"), [("sparky-7", "apt", 1), ("centos-7", "yum", 4)])
def test_usual_versions_of_enterprise_linux_are_not_those_of_a_system_with_apt(
    platform: str, manager: str, told: int
) -> None:
    recipe = replace(FULL, platform=f"{platform}-x86_64", manager=manager)
    said = packages.judged(planned("bare", recipe=recipe), PackagesInfoResult(lacks=(), absent=(), problem=""))
    assert len(said.untried) == told


def test_two_compilers_are_told_because_cmake_takes_cc_and_the_others_gcc() -> None:
    known = replace(bare(), versions={"gcc": "12.2.0", "cc": "14.0.6"})
    said = trials.judged(known, FIXED, {})
    assert said.refusals == ()
    (words,) = said.untried
    assert words.startswith("cc is a compiler of version 14.0.6, and gcc of 12.2.0: CMake compiles with cc")
    assert "update-alternatives --config cc" in words


def test_hosts_of_which_the_same_is_said_are_one_line() -> None:
    plans = [replace(bare(f"node{number}"), untried=("HDF5 1.16.0 was never tried",)) for number in range(1, 8)]
    plans += [bare("other"), replace(bare("gpu1"), untried=("gcc 16 was never tried",))]
    assert trials.told(plans) == (
        "node[1-7]: HDF5 1.16.0 was never tried",
        "gpu1: gcc 16 was never tried",
    )
