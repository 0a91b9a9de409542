"""The state of a host: platform from os-release, packages from dpkg and rpm, the stack, the disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.programs import program

pytestmark = pytest.mark.slow

Run = Callable[..., dict[str, Any]]
DATA = Path(__file__).parent / "data"


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("stack_state")


@pytest.fixture
def system(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("host.system")


@pytest.fixture(autouse=True)
def all_starts(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    """All programs that a build needs start; test_host_starting.py tests it. pip alone takes most of the time."""
    monkeypatch.setattr(load("host.starting"), "broken", lambda *_given: [])


def files(system: ModuleType, monkeypatch: pytest.MonkeyPatch, texts: Mapping[str, str]) -> None:
    monkeypatch.setattr(system, "read_text", lambda path: texts.get(path))


@pytest.mark.parametrize(
    ("name", "id_", "like", "version"),
    [
        ("debian-12", "debian", [], "12"),
        ("debian-testing", "debian", [], ""),
        ("ubuntu-22", "ubuntu", ["debian"], "22.04"),
        ("centos-7", "centos", ["rhel", "fedora"], "7"),
        ("rocky-9", "rocky", ["rhel", "centos", "fedora"], "9.4"),
        ("tlinux-2", "tlinux", ["rhel", "centos", "fedora"], "2.4"),
        ("some-1", "some", [], "1"),
    ],
)
def test_platform_is_what_os_release_says(
    system: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, id_: str, like: list[str], version: str
) -> None:
    with (DATA / "os-release" / name).open(encoding="utf-8", newline="") as file:
        files(system, monkeypatch, {"/etc/os-release": file.read()})
    said = system.facts()
    assert (said["id"], said["id_like"], said["version"]) == (id_, like, version)
    assert said["name"]
    assert (said["machine"], said["kernel"]) == (os.uname().machine, os.uname().release)


def test_codename_is_told_where_there_is_no_version(system: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DATA / "os-release" / "debian-testing").read_text(encoding="utf-8")
    files(system, monkeypatch, {"/etc/os-release": text})
    assert system.facts()["codename"] == "forky"


@pytest.mark.parametrize(("name", "base"), [("linuxmint-22", "noble"), ("linuxmint-6", "bookworm"), ("debian-12", "")])
def test_release_that_a_system_is_made_of_is_told(
    system: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, base: str
) -> None:
    text = (DATA / "os-release" / name).read_text(encoding="utf-8")
    files(system, monkeypatch, {"/etc/os-release": text})
    assert system.facts()["base"] == base


def test_os_release_has_a_second_place_and_el_6_a_file_of_its_own(
    system: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(system, monkeypatch, {"/usr/lib/os-release": "ID=debian\nVERSION_ID=12\n"})
    assert system.facts()["id"] == "debian"
    files(system, monkeypatch, {"/etc/redhat-release": "CentOS release 6.10 (Final)\n"})
    said = system.facts()
    assert (said["id"], said["id_like"], said["version"]) == ("centos", ["rhel"], "6.10")


def test_host_that_says_nothing_is_unknown_and_no_error(system: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    files(system, monkeypatch, {})
    assert system.facts()["id"] == "unknown"
    files(system, monkeypatch, {"/etc/os-release": "ID=\nVERSION_ID=\n"})
    assert system.facts()["id"] == "unknown"


def test_glibc_is_that_of_the_host_whatever_its_python_was_built_for(
    system: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """platform.libc_ver() of Python 2.7 to 3.7 tells the newest glibc that Python's own file asks for."""
    monkeypatch.setattr(system.platform, "libc_ver", lambda: ("glibc", "2.2.5"))
    name = os.confstr("CS_GNU_LIBC_VERSION") or ""
    assert system.facts()["libc"] == name.replace(" ", "-")
    monkeypatch.setattr(system, "glibc", lambda: "")
    assert system.facts()["libc"] == ""


def test_program_is_looked_for_where_administrators_have_them(module: ModuleType) -> None:
    assert module.path_of("no-such-program") is None
    assert module.path_of("sh") in ("/bin/sh", "/usr/bin/sh")


def test_packages_of_both_kinds_are_told_and_only_those_that_were_asked_for(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "of_rpm", lambda names: {"gcc": "4.8.5-44", "other": "1-1"})
    monkeypatch.setattr(module, "of_dpkg", lambda names: {"make": "4.3-4.1"})
    assert module.installed_packages(["make", "gcc", "nosuch"]) == {"make": "4.3-4.1", "gcc": "4.8.5-44"}


def test_stack_is_told_with_its_stamps_and_what_is_current(module: ModuleType, generation: Path) -> None:
    root = generation.parents[1]
    (generation / "stamps" / "nn.json").write_text('{"digest": "d-nn"}')
    (generation / "installed").write_text('{"path": "stamps/nn.json", "component": "nn"}\n')
    (generation.parent / "ffff").mkdir()
    (generation.parent / "ffff" / "generation.json").write_text("{}")
    (root / "current").symlink_to("generations/ffff")
    (root / "history.json").write_text(json.dumps({"previous": generation.name, "activated": {"ffff": 1764112380.5}}))
    assert module.stack_facts(str(root)) == {
        "current": "ffff",
        "previous": generation.name,
        "since": 1764112380,
        "generations": {
            generation.name: {"stamps": {"nn": "d-nn"}, "sealed": False, "manifest": False, "lacks": None},
            "ffff": {"stamps": {}, "sealed": True, "manifest": False, "lacks": None},
        },
    }


def test_generation_that_somebody_deleted_is_not_current(module: ModuleType, generation: Path) -> None:
    root = generation.parents[1]
    (root / "current").symlink_to("generations/ffff")
    assert module.stack_facts(str(root))["current"] is None


@pytest.mark.parametrize("activated", [None, [], {"0a1b2c3d4e5f6071": "yesterday"}, {"0a1b2c3d4e5f6071": -5}, {}])
def test_history_that_is_damaged_says_no_time(module: ModuleType, generation: Path, activated: Any) -> None:
    root = generation.parents[1]
    (root / "current").symlink_to(f"generations/{generation.name}")
    (root / "history.json").write_text(json.dumps({"previous": "", "activated": activated}))
    assert module.stack_facts(str(root))["since"] in (None, 0)


def test_bare_host_has_an_empty_stack(module: ModuleType, tmp_path: Path) -> None:
    assert module.stack_facts(str(tmp_path / "none")) == {
        **{"current": None, "previous": None, "since": None},
        "generations": {},
    }


def test_whole_answer_is_given_in_check_mode_too(run_module: Run, generation: Path) -> None:
    root = generation.parents[1]
    given = {"stack_root": root, "packages": ["no-such-package"], "variables": ["torch_x"], "build_space": 5}
    given["inventory"] = {"profile": "modern"}
    for check in (False, True):
        said = run_module("stack_state", check=check, **given)
        assert said["changed"] is False
        state = said["state"]
        assert (state["packages"], state["variables"], state["build_space"]) == ({}, ["torch_x"], 5)
        assert (state["busy"], state["controller"], state["user"]["uid"]) == ([], "", os.geteuid())
        assert state["cores"] >= 1
        assert set(state["gpu"]) == {
            *("driver", "cards", "processes", "problem", "toolkits", "gcc", "gcc_problem", "answer", "evidence")
        }
        assert state["inventory"] == {"profile": "modern"}


def test_gcc_that_builds_find_is_told_beside_the_one_for_nvcc(
    run_module: Run, generation: Path, tmp_path: Path
) -> None:
    other = program(tmp_path / "gcc-9", "#!/bin/sh\necho 9.5.0\n")
    given = {"stack_root": generation.parents[1], "inventory": {"gcc": str(other)}}
    state = run_module("stack_state", **given)["state"]
    assert state["gpu"]["gcc"] == "9.5.0"
    assert state["gcc"] == run_module("stack_state", stack_root=given["stack_root"])["state"]["gpu"]["gcc"]
    assert state["gcc"] != "9.5.0"
    assert state["cc"] == state["gcc"]


def test_lease_is_told(run_module: Run, generation: Path) -> None:
    root = generation.parents[1]
    assert run_module("stack_state", stack_root=root)["state"]["lease"] is None
    lease = {"holder": "h", "host": "node1", "what": "provision site", "since": 1764112380}
    (root / "lease.json").write_text(json.dumps(lease))
    assert run_module("stack_state", stack_root=root)["state"]["lease"] == lease


def test_controller_that_builds_is_told(run_module: Run, generation: Path) -> None:
    root = generation.parents[1]
    (root / "logs").mkdir()
    (root / "logs" / "controller").write_text("deploy pid 7 since 9\n")
    assert run_module("stack_state", stack_root=root)["state"]["controller"] == "deploy pid 7 since 9"


@pytest.mark.parametrize("root", ["loop", "loop/stack", "file/stack", "dangling"])
def test_answer_is_whole_if_no_directory_can_be_at_the_stack_root(run_module: Run, tmp_path: Path, root: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("none")
    (tmp_path / "file").touch()
    state = run_module("stack_state", stack_root=tmp_path / root)["state"]
    assert state["obstacles"]
    assert (state["lease"], state["activation"]["state"]) == (None, "none")


@pytest.mark.parametrize("place", ["runs", "queue"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.symlink_to(path.parent), "is a link, and runs need a directory there: remove the link"),
        (lambda path: path.symlink_to("/none"), "mount a directory of it there (mount --bind DIRECTORY "),
        (lambda path: path.touch(), "is a file, and runs need a directory there"),
    ],
)
def test_what_is_in_the_way_of_runs_is_told_before_a_build(
    run_module: Run, generation: Path, place: str, make: Callable[[Path], object], words: str
) -> None:
    path = generation.parents[1] / place
    make(path)
    (said,) = run_module("stack_state", stack_root=path.parent)["state"]["obstacles"]
    assert said.startswith(str(path))
    assert words in said
