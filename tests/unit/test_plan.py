"""Plans: one data file for each kind of host, in data/hosts."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site.obstacles import obstacles
from neuraltalk_provision.site.plan import plan
from tests.unit.plans import HOSTS, RECIPE, part, planned


@pytest.mark.parametrize("kind", HOSTS)
def test_plan_is_what_the_state_of_the_host_asks_for(kind: str) -> None:
    decided, expect = planned(kind), HOSTS[kind]["expect"]
    assert list(decided.builds) == expect["builds"]
    assert decided.stages == expect["stages"]
    assert decided.activates == expect["activates"]
    assert decided.changes == (expect["stages"] or expect["activates"])
    assert decided.take_over == expect.get("take_over", False)
    reasons = {step.component: step.why for step in decided.steps if step.build}
    assert reasons.items() >= expect.get("why", {}).items()


@pytest.mark.parametrize("kind", HOSTS)
def test_every_reason_not_to_begin_is_given_and_no_other(kind: str) -> None:
    refusals, expected = planned(kind).refusals, HOSTS[kind]["expect"].get("refusals", [])
    assert len(refusals) == len(expected), refusals
    for refusal, words in zip(refusals, expected, strict=True):
        assert refusal.startswith("node1")
        assert words in refusal


def test_plan_as_json_says_what_is_built_kept_and_left_out() -> None:
    told = planned("half-built").as_json()
    assert [entry["component"] for entry in told["build"]] == ["nn", "weights"]
    assert told["keep"] == ["packages", "account", "torch"]
    assert told["left_out"] == ["scorer"]
    assert (told["generation"], told["current"], told["activate"]) == (RECIPE.id, "", True)
    assert len(told["refusals"]) == 1


def test_who_uses_the_package_manager_is_told_and_no_reason_to_refuse() -> None:
    assert planned("package-users").remark == (
        "node1: the package manager is in use by pid 7 (/usr/bin/unattended-upgrade): `provision site` waits for its "
        "end, 10 minutes at most"
    )
    assert planned("bare").remark == ""


def test_files_that_hosts_download_need_no_space_for_temporary_files() -> None:
    state = HostState.model_validate(HOSTS["small-temporary-files"]["state"])
    assert plan("node1", state, RECIPE, pushed=False).refusals == ()


@pytest.mark.parametrize(("pip", "installed", "refused"), [(True, True, 0), (False, True, 1), (False, False, 0)])
def test_python_without_pip_is_refused_unless_pip_comes_with_the_packages(
    pip: bool, installed: bool, refused: int
) -> None:
    recipe = replace(RECIPE, parts=(*RECIPE.parts, part("python", 1)), required=("gcc", "python3-pip"))
    state = copy.deepcopy(HOSTS["bare"]["state"])
    state["platform"]["pip"] = pip
    state["packages"] = {"gcc": "1", **({"python3-pip": "1"} if installed else {})}
    refusals = plan("node1", HostState.model_validate(state), recipe).refusals
    assert len(refusals) == refused
    words = "/usr/bin/python3 (Python 3.11.2) has no pip, although the OS package of pip is installed"
    assert all(words in refusal for refusal in refusals)
    assert plan("node1", HostState.model_validate(state), RECIPE).refusals == ()  # which installs no Python packages
    state["platform"] |= {"python": "2.7.18", "executable": "/usr/bin/python"}
    recipe = replace(recipe, platform="debian-99-x86_64")
    assert bool(plan("node1", HostState.model_validate(state), recipe).refusals) == (not pip)


@pytest.mark.parametrize(
    ("python", "executable", "system", "refused"),
    [
        ("3.11.2", "/usr/bin/python3", "debian-12", 0),
        ("3.12.3", "/usr/local/bin/python3.12", "debian-12", 1),
        ("3.12.3", "/usr/bin/python3", "debian-12", 1),
        ("3.12.3", "/usr/bin/python3", "debian-99", 0),
        ("3.12.3", "/usr/bin/python3", "debian", 0),
        ("3.12.3", "/opt/python/bin/python3", "debian-99", 1),
        ("2.7.18", "/usr/bin/python", "amzn-2", 1),  # Amazon Linux 2: python3-pip is for a Python that comes with it
    ],
)
def test_pip_of_the_os_packages_counts_only_for_the_python_that_it_serves(
    python: str, executable: str, system: str, refused: int
) -> None:
    recipe = replace(RECIPE, parts=(*RECIPE.parts, part("python", 1)), required=("gcc", "python3-pip"))
    recipe = replace(recipe, platform=f"{system}-x86_64")
    state = copy.deepcopy(HOSTS["bare"]["state"])
    state["platform"] |= {"pip": False, "python": python, "executable": executable}
    refusals = plan("node1", HostState.model_validate(state), recipe).refusals
    assert len(refusals) == refused
    assert all("although the OS package of pip is for another Python" in refusal for refusal in refusals)


@pytest.mark.parametrize(("python", "refused"), [("2.7.5", 0), ("3.6.8", 1)])
def test_python_pip_of_el_7_is_for_python_2(python: str, refused: int) -> None:
    recipe = replace(RECIPE, parts=(*RECIPE.parts, part("python", 1)), required=("gcc", "python-pip"), manager="yum")
    recipe = replace(recipe, platform="like-el-7-x86_64")
    state = copy.deepcopy(HOSTS["bare"]["state"])
    state["platform"] |= {"pip": False, "python": python, "executable": "/usr/bin/python"}
    assert len(plan("node1", HostState.model_validate(state), recipe).refusals) == refused


@pytest.mark.parametrize("name", ["pip", "gcc"])
def test_program_that_does_not_start_is_refused_if_something_is_built_with_it(name: str) -> None:
    recipe = replace(RECIPE, parts=(*RECIPE.parts, part("python", 1)))
    state = copy.deepcopy(HOSTS["bare"]["state"])
    state["broken"] = [{"name": name, "path": f"/usr/local/bin/{name}", "words": "libmpfr.so.4 is missing"}]
    (refusal,) = plan("node1", HostState.model_validate(state), recipe).refusals
    assert f"/usr/local/bin/{name} does not start" in refusal
    assert "libmpfr.so.4 is missing. Repair" in refusal
    stamps = {one.name: one.digest for one in recipe.parts}
    state["stack"]["generations"] = {recipe.id: {"stamps": stamps, "sealed": True}}
    state["packages"], state["account"] = dict.fromkeys(recipe.required, "1"), True
    assert plan("node1", HostState.model_validate(state), recipe).refusals == ()


@pytest.mark.parametrize(("name", "built"), [("pip", "nn"), ("gcc", "python"), ("libhdf5", "nn")])
def test_program_that_does_not_start_does_not_matter_to_other_components(name: str, built: str) -> None:
    recipe = replace(RECIPE, parts=(*RECIPE.parts, part("python", 1), part("hdf5", 1)))
    state = copy.deepcopy(HOSTS["converged"]["state"])
    state["broken"] = [{"name": name, "path": f"/usr/local/bin/{name}", "words": "libmpfr.so.4 is missing"}]
    stamps = {one.name: one.digest for one in recipe.parts if one.name != built}
    state["stack"]["generations"] = {recipe.id: {"stamps": stamps, "sealed": True}}
    decided = plan("node1", HostState.model_validate(state), recipe)
    assert (decided.builds, decided.refusals) == ((built,), ())


@pytest.mark.parametrize(
    ("built", "space", "files"),
    [
        ((), 0, 0),
        (("weights",), 550_000_000, 2_000),
        (("packages", "weights"), 2_550_000_000, 2_000),  # the archive, and what it contains
        (("torch", "weights"), 2_090_000_000, 20_000),
    ],
)
def test_disk_of_the_stack_root_needs_space_for_what_is_built(built: tuple[str, ...], space: int, files: int) -> None:
    recipe = replace(RECIPE, repository={"file": "packages.tar", "sha256": "a" * 64, "size": 1_000_000_000})
    for free, left, refused in ((space, files, 0), (space - 1, files, 1), (space, files - 1, 1)):
        disk = {"path": "/opt", "free": max(free, 0), "files": max(left, 0), "writable": True}
        state = HostState.model_validate({**HOSTS["bare"]["state"], "disk": disk})
        assert len(list(obstacles(state, recipe, built, pushed=True))) == refused * bool(built)


@pytest.mark.parametrize(
    ("path", "least", "shares"),
    [
        ("/usr", {"free": 4_000_000_000, "files": 20_000}, False),
        ("/var", {"free": 1_000_000_000, "files": 2_000}, False),
        ("/var", {"free": 3_000_000_000, "files": 2_000}, True),
        ("/tmp", {"free": 100_000_000, "files": 2_000}, False),
    ],
)
def test_directories_outside_the_stack_root_need_this_much_and_no_more(
    path: str, least: dict[str, int], shares: bool
) -> None:
    recipe = replace(RECIPE, repository={"file": "packages.tar", "sha256": "a" * 64, "size": 1_000_000_000})
    for given, refused in ((least, 0), *(({**least, name: least[name] - 1}, 1) for name in least)):
        state = HostState.model_validate({**HOSTS["bare"]["state"], "outside": {path: given}})
        found = list(obstacles(state, recipe, ("packages", "torch"), pushed=True, shares=shares))
        assert len(found) == refused
        assert list(obstacles(state, recipe, ("weights", "python"), pushed=True)) == []


def test_scripts_of_packages_run_only_with_dpkg_and_mounts_are_named_if_they_are_known() -> None:
    no_scripts = {"free": 1 << 40, "executable": False}
    state = copy.deepcopy(HOSTS["bare"]["state"]) | {"outside": {"/var": no_scripts}}
    (refusal,) = plan("node1", HostState.model_validate(state), RECIPE).refusals
    assert "(mount -o remount,exec)" in refusal
    state["platform"]["managers"] = ["dnf"]
    assert list(obstacles(HostState.model_validate(state), RECIPE, ("packages",), pushed=True)) == []


def test_largest_file_just_fits_where_temporary_files_are() -> None:
    temporary = {"path": "/var/tmp", "free": 550_000_000, "problem": ""}
    state = HostState.model_validate({**HOSTS["bare"]["state"], "temporary": temporary})
    assert plan("node1", state, RECIPE).refusals == ()


@pytest.mark.parametrize(
    ("spaces", "words"),
    [
        ({"/usr": 3_999_999_999, "/var": 1 << 40}, "/usr has 3999 MB free, but 4000 MB are needed there"),
        ({"/usr": 1 << 40, "/var": 999_999_999}, "/var has 999 MB free, but 1000 MB are needed there"),
        ({"/usr": 4_000_000_000, "/var": 1_000_000_000}, ""),
        ({"/usr": 1 << 40, "/var": 0, "/var/cache": 999_999_999}, "/var/cache has 999 MB free, but 1000 MB"),
        ({"/usr": 1 << 40, "/var": 0, "/var/cache": 1_000_000_000}, ""),
    ],
)
def test_packages_of_the_mirror_need_space_where_they_are_installed(spaces: dict[str, int], words: str) -> None:
    repository = {"name": "packages", "file": "packages.tar", "sha256": "a" * 64, "size": 1_000_000_000}
    state = HostState.model_validate(
        {**HOSTS["bare"]["state"], "outside": {path: {"free": free} for path, free in spaces.items()}}
    )
    refusals = plan("node1", state, replace(RECIPE, repository=repository)).refusals
    assert [words in refusal for refusal in refusals] == [True] * bool(words)
    small = HostState.model_validate(
        {**HOSTS["bare"]["state"], "disk": {"path": "/opt", "free": 4_099_999_999, "writable": True}}
    )
    assert "the build needs 4.1 GB" in plan("node1", small, replace(RECIPE, repository=repository)).refusals[0]


@pytest.mark.parametrize(
    ("path", "said", "words"),
    [
        ("/usr", {"writable": False, "mount": "/usr"}, "mount -o remount,rw /usr"),
        ("/etc", {"writable": False, "mount": "/"}, "mount -o remount,rw /)"),
        ("/var/cache", {"writable": False, "mount": "/var/cache"}, "OS packages are installed there"),
        ("/var", {"executable": False, "mount": "/var"}, "dpkg runs the scripts of packages there"),
        ("/var/lib", {"executable": False, "mount": "/var/lib"}, "mount -o remount,exec /var/lib"),
        ("/usr", {"files": 1_999}, "the file system of /usr has space for 1999 more files"),
        ("/var", {"files": 7}, "the file system of /var has space for 7 more files"),
        ("/tmp", {"writable": False}, "chmod 1777 /tmp"),
        ("/tmp", {"files": 7}, "the file system of /tmp has space for 7 more files"),
        ("/tmp", {"executable": False}, ""),
        ("/usr", {"files": 2_000}, ""),
        ("/usr", {"executable": False}, ""),
    ],
)
def test_directories_of_packages_and_compilers_are_usable(path: str, said: dict[str, Any], words: str) -> None:
    state = HostState.model_validate({**HOSTS["bare"]["state"], "outside": {path: {"free": 1 << 40, **said}}})
    refusals = plan("node1", state, RECIPE).refusals
    assert [words in refusal for refusal in refusals] == [True] * bool(words)


def test_directories_do_not_matter_where_nothing_is_installed_or_nobody_may() -> None:
    outside = {path: {"free": 0, "files": 0, "writable": False, "executable": False} for path in ("/usr", "/var", "/t")}
    done = HostState.model_validate({**HOSTS["converged"]["state"], "outside": outside})
    assert plan("node1", done, RECIPE).refusals == ()
    without_rights = {
        **HOSTS["bare"]["state"],
        "user": {"uid": 1000},
        "outside": {"/usr": {**outside["/usr"], "free": 1}},
    }
    refusals = plan("node1", HostState.model_validate(without_rights), RECIPE).refusals
    assert not any("remount" in refusal for refusal in refusals)


@pytest.mark.parametrize(
    ("own", "package", "words"),
    [
        ({}, "3.21.12-3", ""),
        ({"protoc": "25.1"}, "3.21.12-3", "protoc 25.1, which does not fit the headers of the OS package, 3.21.12"),
        ({"protoc": "25.1"}, "", ""),
        ({"protoc": "25.1"}, "3.25.1-1", ""),
        ({"protoc": "3.21.12"}, "", ""),
        ({"protobuf": "3.21.12"}, "", ""),
        ({"protobuf": "25.1"}, "3.21.12-3", "headers of protobuf 25.1, which does not fit protoc of the OS package"),
        ({"protoc": "25.1", "protobuf": "3.21.12"}, "", "which does not fit the headers of protobuf 3.21.12"),
        ({"protoc": "25.1", "protobuf": "25.1"}, "3.21.12-3", ""),
        ({"protoc": "3.21.12"}, "3.21.12-3", ""),
        ({"cmake": "3.31.6", "hdf5": "1.10.0"}, "", ""),
    ],
)
def test_compiler_and_headers_of_protobuf_fit_each_other(own: dict[str, str], package: str, words: str) -> None:
    state = copy.deepcopy(HOSTS["bare"]["state"]) | {"programs": own}
    state["packages"] = {"libprotobuf-dev": package} if package else {}
    recipe = replace(RECIPE, parts=(*RECIPE.parts, part("loadcaffe", 1)))
    refusals = plan("node1", HostState.model_validate(state), recipe).refusals
    assert [words in refusal for refusal in refusals] == [True] * bool(words)
    assert plan("node1", HostState.model_validate(state), RECIPE).refusals == ()


@pytest.mark.parametrize(
    ("own", "package", "words"),
    [
        (
            {"hdf5": "1.14.5"},
            "1.10.8-1",
            "/usr/local has the headers of HDF5 1.14.5, which does not fit the library of",
        ),
        (
            {"libhdf5": "1.14.5"},
            "1.10.8-1",
            "the library of HDF5 1.14.5, which does not fit the headers of the OS pack",
        ),
        ({"hdf5": "1.14.5", "libhdf5": "1.12.0"}, "", "which does not fit the library of HDF5 1.12.0"),
        ({"hdf5": "1.14.5", "libhdf5": "1.14.5"}, "1.10.8-1", ""),
        ({"hdf5": "1.14.5"}, "", ""),
        ({"hdf5": "1.10.8"}, "1.10.8-1", ""),
    ],
)
def test_headers_and_library_of_hdf5_fit_each_other(own: dict[str, str], package: str, words: str) -> None:
    """CMake searches each by itself, /usr/local first."""
    state = copy.deepcopy(HOSTS["bare"]["state"]) | {"programs": own}
    state["packages"] = {"hdf5-devel": package} if package else {}
    recipe = replace(RECIPE, parts=(*RECIPE.parts, part("hdf5", 1)))
    refusals = plan("node1", HostState.model_validate(state), recipe).refusals
    assert [words in refusal for refusal in refusals] == [True] * bool(words)
    assert plan("node1", HostState.model_validate(state), RECIPE).refusals == ()


def test_library_of_hdf5_that_the_loader_does_not_find_is_refused_if_hdf5_is_built() -> None:
    state = copy.deepcopy(HOSTS["bare"]["state"])
    state["broken"] = [{"name": "libhdf5", "path": "/usr/local/lib/libhdf5.so", "words": "not in ldconfig -p"}]
    recipe = replace(RECIPE, parts=(*RECIPE.parts, part("hdf5", 1)))
    (refusal,) = plan("node1", HostState.model_validate(state), recipe).refusals
    assert "/usr/local/lib/libhdf5.so, which builds would use, is not found when the stack runs" in refusal
    assert "run ldconfig" in refusal
    assert plan("node1", HostState.model_validate(state), RECIPE).refusals == ()


def test_headers_of_hdf5_that_gcc_cannot_read_are_refused_if_hdf5_is_built() -> None:
    state = copy.deepcopy(HOSTS["bare"]["state"])
    state["broken"] = [{"name": "hdf5", "path": "/usr/local/include/hdf5.h", "words": "mpi.h: No such file"}]
    recipe = replace(RECIPE, parts=(*RECIPE.parts, part("hdf5", 1)))
    assert plan("node1", HostState.model_validate(state), recipe).refusals == ()  # libc6-dev may be what it lacks
    state["packages"] = dict.fromkeys(recipe.required, "1")
    state["broken"] += [{"name": "gcc", "path": "/usr/local/bin/gcc", "words": "no"}]
    refusal, other = plan("node1", HostState.model_validate(state), recipe).refusals
    assert "/usr/local/bin/gcc does not start" in other
    del state["broken"][1]
    assert "gcc cannot read /usr/local/include/hdf5.h, which builds would use: mpi.h: No such file" in refusal
    assert plan("node1", HostState.model_validate(state), RECIPE).refusals == ()


def test_generation_sealed_before_manifests_is_sealed_again() -> None:
    state = copy.deepcopy(HOSTS["converged"]["state"])
    state["stack"]["generations"][RECIPE.id]["manifest"] = False
    decided = plan("node1", HostState.model_validate(state), RECIPE)
    assert (decided.builds, decided.stages, decided.activates) == ((), True, False)
    state["stack"]["generations"][RECIPE.id]["manifest"] = True
    assert not plan("node1", HostState.model_validate(state), RECIPE).stages
