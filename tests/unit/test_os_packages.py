"""OS packages: reading the output of apt, dnf, yum, dpkg and rpm, and installing packages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from plugins.module_utils.host import package_managers, packages
from tests.unit.modules import ModuleError

Run = Callable[..., dict[str, Any]]
DATA = Path(__file__).parent / "data" / "packages"


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("os_packages")


@pytest.fixture(autouse=True)
def waits(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """How often other programs were waited for, without the locks of the machine that runs the tests."""
    asked: list[tuple[str, int]] = []
    locks = load("host.package_locks")
    monkeypatch.setattr(locks, "wait", lambda manager, limit: asked.append((manager, limit)))
    monkeypatch.setattr(load("os_packages"), "ended_with_controller", lambda: None)
    return asked


class Host:
    """A host with packages installed and others in its repositories; it counts what it is told to do."""

    def __init__(
        self, module: ModuleType, monkeypatch: pytest.MonkeyPatch, installed: set[str], known: set[str]
    ) -> None:
        self.installed, self.known, self.commands, self.rc = installed, known, list[list[str]](), 0
        self.breaks = False
        for asking in (package_managers, packages):
            monkeypatch.setattr(asking, "query", self.output)
        monkeypatch.setattr(package_managers, "run_logged", self.run)
        monkeypatch.setattr(module, "run_logged", self.run)

    def output(self, argv: list[str]) -> str:
        if argv[0] == "dpkg-query":
            return "".join(f"ii |{name}|all|1.0\n" for name in argv if name in self.installed)
        if argv[0] == "rpm":
            return "".join(
                f"ii |{name}|noarch|1.0\n" if name in self.installed else f"package {name} is not installed\n"
                for name in argv[5:]
            )
        if argv[0] == "apt-cache":
            return "".join(
                f"{n}:\n  Installed: (none)\n  Candidate: 1.0\n  Version table:\n" for n in argv if n in self.known
            )
        return "Available Packages\n" + "".join(f"{name}.x86_64   1.0   repo\n" for name in argv if name in self.known)

    def run(self, argv: list[str], log: str, **_more: Any) -> dict[str, Any]:
        self.commands.append(argv)
        if "install" in argv and not self.breaks:
            self.installed |= {name for name in argv if name in self.known}
        return {"rc": self.rc, "seconds": 0.1}


def converge(run_module: Run, tmp_path: Path, manager: str = "apt", **more: Any) -> dict[str, Any]:
    given = {"manager": manager, "required": ["gcc", "make"], "optional": ["sox"], "log": tmp_path / "p.log", **more}
    return run_module("os_packages", **given)


@pytest.mark.parametrize("manager", ["apt", "dnf", "yum"])
def test_missing_packages_are_installed_with_the_optional_ones_that_can_be_had(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    host = Host(module, monkeypatch, {"gcc"}, {"make", "gcc"})
    said = converge(run_module, tmp_path, manager, optional=["sox", "git"])
    assert (said["changed"], said["component"]["change"], said["absent"]) == (True, "build", ["sox", "git"])
    assert said["component"]["evidence"]["installed"] == {"gcc": "1.0", "make": "1.0"}
    assert said["diff"]["after"] == "make\n"
    *mending, refresh, install = host.commands
    dpkg = ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"]
    assert mending == ([dpkg, ["apt-get", "-q", "check"]] if manager == "apt" else [])
    assert refresh[-1] in ("update", "makecache")
    assert install[0] == ("apt-get" if manager == "apt" else manager)
    assert install[-1] == "make"


@pytest.mark.parametrize("broken", [True, False])
def test_transaction_that_was_killed_is_completed_and_nothing_is_removed_for_it(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    host = Host(module, monkeypatch, {"gcc"}, {"make", "gcc"})

    def run(argv: list[str], log: str, **more: Any) -> dict[str, Any]:
        return host.run(argv, log, **more) | ({"rc": 100} if broken and argv[-1] in ("check", "-a") else {})

    for runs in (module, package_managers):
        monkeypatch.setattr(runs, "run_logged", run)
    assert converge(run_module, tmp_path)["changed"] is True
    assert {"--fix-broken", "--no-remove"} <= set(host.commands[-1]) or not broken
    assert broken or "--fix-broken" not in host.commands[-1]


@pytest.mark.parametrize("manager", ["apt", "dnf"])
def test_host_that_has_them_is_left_alone(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    host = Host(module, monkeypatch, {"gcc", "make"}, {"sox"})
    said = converge(run_module, tmp_path, manager)
    assert (said["changed"], said["component"]["change"], host.commands) == (False, "keep", [])


def test_check_mode_predicts_and_runs_nothing(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(module, monkeypatch, set(), {"gcc", "make"})
    said = converge(run_module, tmp_path, check=True, repository=str(tmp_path / "repository"))
    assert (said["changed"], said["diff"]["after"], host.commands) == (True, "gcc\nmake\n", [])
    assert list(tmp_path.iterdir()) == []


def test_package_that_no_repository_has_is_named_before_anything_is_installed(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(module, monkeypatch, set(), {"gcc"})
    with pytest.raises(ModuleError, match=r"no repository of this host has make\. Add the packages archive"):
        converge(run_module, tmp_path)
    assert [command for command in host.commands if "install" in command] == []


def test_package_that_is_absent_after_all_is_an_error(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Host(module, monkeypatch, set(), {"gcc", "make"}).breaks = True
    with pytest.raises(ModuleError, match="installed without an error, but still missing: gcc, make"):
        converge(run_module, tmp_path)


def test_hooks_of_the_host_are_named_when_an_installation_fails(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(module, monkeypatch, set(), {"gcc", "make"})
    host.breaks = True
    monkeypatch.setattr(package_managers.dpkg, "hooks", lambda: ["/usr/bin/odd-hook apt"])

    def run(argv: list[str], log: str, **more: Any) -> dict[str, Any]:
        return host.run(argv, log, **more) | ({"rc": 100} if "install" in argv else {})

    for runs in (module, package_managers):
        monkeypatch.setattr(runs, "run_logged", run)
    (tmp_path / "p.log").touch()
    with pytest.raises(ModuleError, match=r"failed \(rc 100\)\. Programs of this host .*: /usr/bin/odd-hook apt"):
        converge(run_module, tmp_path)


def test_command_that_fails_shows_the_end_of_its_log(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Host(module, monkeypatch, set(), {"gcc", "make"}).rc = 100
    (tmp_path / "p.log").write_text("E: Unable to fetch some archives\n")
    with pytest.raises(ModuleError) as caught:
        converge(run_module, tmp_path, repository=str(tmp_path / "r"))
    assert re.search(r"apt-get -q .* update failed \(rc 100\)", str(caught.value))
    assert "E: Unable to fetch some archives" in str(caught.value)


@pytest.mark.parametrize("manager", ["apt", "dnf", "yum"])
def test_repository_that_cannot_be_read_is_no_failure_if_the_others_have_everything(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    """A third-party repository without Release, or one that does not answer: apt-get update fails."""
    host = Host(module, monkeypatch, set(), {"gcc", "make"})

    def run(argv: list[str], log: str, **more: Any) -> dict[str, Any]:
        return host.run(argv, log, **more) | ({"rc": 100} if argv[-1] in ("update", "makecache") else {})

    monkeypatch.setattr(module, "run_logged", run)
    assert converge(run_module, tmp_path, manager)["changed"] is True
    host.installed.clear()
    host.known.remove("make")
    with pytest.raises(ModuleError, match=r"(update|makecache) failed \(rc 100\)"):
        converge(run_module, tmp_path, manager)


RULE = {"name": "CMake", "packages": ["cmake3", "make"], "versions": ">=1", "words": "is known not to work: an error"}


@pytest.mark.parametrize("manager", ["apt", "dnf", "yum"])
def test_version_that_is_known_not_to_work_is_refused_before_anything_is_installed(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    """The host's own repositories are read only now, so the plan could not know it."""
    host = Host(module, monkeypatch, set(), {"gcc", "make"})
    words = r"no package was installed, because CMake 1\.0 is known not to work: an error"
    with pytest.raises(ModuleError, match=words):
        converge(run_module, tmp_path, manager, unsupported=[RULE])
    assert not any("install" in argv for argv in host.commands)
    converge(run_module, tmp_path, manager, unsupported=[{**RULE, "versions": ">=1.1"}])


def test_package_that_no_repository_has_is_told_with_the_one_that_usually_has_it(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Host(module, monkeypatch, set(), {"gcc"})
    origins = {"make": "EPEL (dnf install epel-release)", "hdf5": "EPEL"}
    words = r"no repository of this host has make\. make usually comes from EPEL \(dnf install epel-release\)\. Add"
    with pytest.raises(ModuleError, match=words):
        converge(run_module, tmp_path, "dnf", origins=origins)


def test_command_that_does_not_end_is_told(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(module, monkeypatch, set(), {"gcc", "make"})

    def run(argv: list[str], log: str, timeout: int | None = None, **more: Any) -> dict[str, Any]:
        assert timeout
        return {"rc": 124, "seconds": 1} if "install" in argv else host.run(argv, log, **more)

    monkeypatch.setattr(module, "run_logged", run)
    (tmp_path / "p.log").write_text("")
    with pytest.raises(ModuleError, match="install gcc make has not ended after 14400 s"):
        converge(run_module, tmp_path)


def test_optional_package_that_cannot_be_installed_does_not_keep_the_others_away(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example gnuplot-nox, which conflicts with the gnuplot-qt of somebody: that is not removed."""
    host = Host(module, monkeypatch, {"gcc"}, {"make", "sox"})

    def run(argv: list[str], log: str, **more: Any) -> dict[str, Any]:
        assert "--no-remove" in argv or "install" not in argv
        return {"rc": 100, "seconds": 1} if "sox" in argv else host.run(argv, log, **more)

    monkeypatch.setattr(module, "run_logged", run)
    (tmp_path / "p.log").write_text("")
    said = converge(run_module, tmp_path)
    assert (said["component"]["evidence"]["installed"], said["absent"]) == ({"gcc": "1.0", "make": "1.0"}, ["sox"])


def test_package_of_the_site_that_fails_beside_ours_is_no_failure(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(module, monkeypatch, {"gcc"}, {"make"})
    monkeypatch.setattr(
        module, "run_logged", lambda *a, **k: {**host.run(*a, **k), "rc": 100 if "install" in a[0] else 0}
    )
    (tmp_path / "p.log").write_text("")
    assert converge(run_module, tmp_path)["changed"] is True


def test_repair_of_dpkg_has_a_limit(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script of a package that waits for ever is often why dpkg was interrupted."""
    limits = []
    monkeypatch.setattr(package_managers, "run_logged", lambda *_, timeout, **__: limits.append(timeout) or {"rc": 124})
    package_managers.Apt("").repair(str(tmp_path / "log"))
    assert limits == [package_managers.REPAIR_LIMIT] * 2


@pytest.mark.parametrize(
    ("output", "code", "refused"),
    [
        ("Error: Unable to find a match: x", 1, True),
        ("Failed to resolve the transaction:\nProblem: conflicting requests\n  - nothing provides y", 1, True),
        ("dnf does not answer", 124, True),
        ("dnf cannot be started", 126, True),
        ("Operation aborted.", 1, False),
        ("Nothing to do.", 0, False),
    ],
)
def test_refusals_of_dnf_4_and_5_are_recognised(output: str, code: int, refused: bool) -> None:
    assert package_managers.Rpm.is_refusal(output, code, False) is refused


def test_others_are_waited_for_before_each_command(
    module: ModuleType, run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[tuple[str, int]]
) -> None:
    Host(module, monkeypatch, set(), {"gcc", "make"})
    converge(run_module, tmp_path, wait=7)
    assert waits == [("apt", 7)] * 3


def recorded(module: ModuleType, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.setattr(package_managers, "query", lambda argv: (DATA / file).read_text(encoding="utf-8"))


def test_apt_knows_what_has_a_candidate(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(module, monkeypatch, "apt-cache-policy.txt")
    assert package_managers.Apt("").known(["gcc", "awk", "libsox-fmt-all", "nosuch"]) == {
        "gcc": "4:12.2.0-3",
        "libsox-fmt-all": "14.4.2+git20190427-3.5",
    }


@pytest.mark.parametrize(("command", "word"), [("dnf", "--available"), ("yum", "available")])
def test_each_command_gets_the_arguments_that_it_accepts(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, command: str, word: str
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(package_managers, "query", lambda argv: asked.append(argv) or "")
    package_managers.Rpm(command, "").known(["gcc"])
    package_managers.Rpm(command, "").known(["gcc"], cached=True)
    own = ["--setopt=exit_on_lock=1", "--setopt=*.skip_if_unavailable=1"]
    assert asked == [[command, "-q", *cached, *own, "list", word, "gcc"] for cached in ([], ["-C"])]


def test_dnf_knows_what_it_lists_dots_and_long_names_included(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(module, monkeypatch, "dnf-list-available.txt")
    names = [
        "cmake",
        "gcc-c++",
        "python3.11-pip",
        "protobuf-compiler-with-a-long-name",
        "python3",
        "Available",
        "nosuch",
    ]
    known = package_managers.Rpm("dnf", "").known(names)
    assert list(known) == names[:4]
    assert known["protobuf-compiler-with-a-long-name"] == "3.14.0-13.el9"


def test_apt_with_a_repository_of_ours_sees_no_other(module: ModuleType, tmp_path: Path) -> None:
    command = package_managers.Apt(str(tmp_path)).install(["gcc"])
    assert (tmp_path / "provision.list").read_text() == f"deb [trusted=yes] file:{tmp_path} ./\n"
    assert f"Dir::Etc::sourcelist={tmp_path}/provision.list" in command
    assert "Dir::Etc::sourceparts=-" in command
    assert (tmp_path / "lists" / "partial").is_dir()
    assert package_managers.Apt("").install(["gcc"])[1:] == [
        *("-q", "-y", "-o", "APT::Get::Simulate=false", "-o", "APT::Get::Download-Only=false"),
        *("-o", "APT::Get::AutomaticRemove=false"),
        *("--no-install-recommends", "--no-remove"),
        *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
        *("-o", "DPkg::Lock::Timeout=300"),
        *("install", "gcc"),
    ]


def test_dnf_with_a_repository_of_ours_sees_no_other(module: ModuleType, tmp_path: Path) -> None:
    command = package_managers.Rpm("dnf", str(tmp_path)).install(["gcc"])
    assert command == ["dnf", "-y", "--setopt=exit_on_lock=1", "-c", f"{tmp_path}/provision.conf", "install", "gcc"]
    config = (tmp_path / "provision.conf").read_text()
    assert "reposdir=/dev/null\nplugins=0\n" in config
    assert f"baseurl=file://{tmp_path}\n" in config
    assert "module_hotfixes=1\n" in config


def test_tools_print_english(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert packages.query(["sh", "-c", "echo $LC_ALL"]) == "C\n"
    assert packages.query(["no-such-program"]) == ""
