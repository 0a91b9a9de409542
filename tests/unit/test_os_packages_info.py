"""Whether the mirror's packages could be installed on a host: from the index alone, in the package manager's words."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.mirror import repository_index
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.packages import PackagesInfoResult
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import converge, packages, playbook
from neuraltalk_provision.site.events import Failure, PlayResults
from neuraltalk_provision.site.plan import HostPlan
from plugins.module_utils.host import package_managers
from plugins.module_utils.host import packages as host_packages
from tests.unit.plans import RECIPE, planned
from tests.unit.test_tried import FIXED

Run = Callable[..., dict[str, Any]]
UNMET = (
    "Reading package lists...\nThe following packages have unmet dependencies:\n"
    " zlib1g-dev : Depends: zlib1g (= 1.2) but 1.3 is to be installed\nE: Unable to correct problems\n"
)


CMAKE = {"package": "cmake", "version": "3.26.5-2"}
GCC = {"package": "gcc", "version": "1.0"}


def archive(folder: Path, *names: str) -> Path:
    """An archive of OS packages with these members."""
    file = folder / "packages-debian-12-x86_64.tar"
    with tarfile.open(file, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
    return file


def names_in(index: str) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(index))) as tar:
        return tar.getnames()


def test_index_is_sent_without_the_packages(tmp_path: Path) -> None:
    assert names_in(repository_index.read(archive(tmp_path, "gcc.deb", "Packages"))) == ["Packages"]
    rpm = archive(tmp_path, "gcc.rpm", "repodata/repomd.xml", "repodata/primary.xml.gz")
    assert names_in(repository_index.read(rpm)) == ["repodata/repomd.xml", "repodata/primary.xml.gz"]


def test_archive_without_an_index_or_none_at_all_is_not_the_plan_s_to_report(tmp_path: Path) -> None:
    assert repository_index.read(archive(tmp_path, "gcc.deb")) == ""
    assert repository_index.read(tmp_path / "none.tar") == ""
    (tmp_path / "bad.tar").write_bytes(b"no archive")
    assert repository_index.read(tmp_path / "bad.tar") == ""


def test_index_of_any_size_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_index, "_MOST", 7)
    assert repository_index.read(archive(tmp_path, "Packages")) == ""


class Host:
    """A host whose package manager answers as told; it keeps the command lines."""

    def __init__(self, load: Callable[[str], ModuleType], patch: pytest.MonkeyPatch, known: set[str]) -> None:
        self.known, self.commands, self.said, self.code = known, list[list[str]](), "", 0
        self.repairs, self.unreadable = False, False
        self.installed: set[str] = set()
        module = load("os_packages_info")
        for asking in (package_managers, host_packages):
            patch.setattr(asking, "query", self.query)
        patch.setattr(module, "output_of", self.run)
        self.broken = ""
        patch.setattr(package_managers.Apt, "broken", lambda _manager: self.broken)
        self.waits: list[str] = []
        patch.setattr(load("host.package_locks"), "wait", self.waits.append)

    def query(self, argv: list[str]) -> str:
        if argv[0] == "dpkg-query":
            return "".join(f"ii |{name}|all|1.0\n" for name in argv if name in self.installed)
        if argv[0] == "rpm":
            return "".join(f"ii |{name}|noarch|1.0\n" for name in argv if name in self.installed)
        if argv[0] == "apt-cache":
            return "".join(f"{n}:\n  Installed: (none)\n  Candidate: 1.0\n" for n in argv if n in self.known)
        return "".join(f"{name}.x86_64   1.0   repo\n" for name in argv if name in self.known)

    def run(self, argv: list[str], *_more: Any, **_given: Any) -> tuple[str, int]:
        self.commands.append(argv)
        if self.repairs and "--fix-broken" in argv:
            return "Inst gcc", 0
        installs = "install" in argv
        if self.unreadable and not installs:
            return "E: cannot be read", 100
        return (self.said, self.code) if installs else ("", 0)


def ask(run_module: Run, tmp_path: Path, manager: str = "apt") -> dict[str, Any]:
    index = repository_index.read(archive(tmp_path, "Packages", "repodata/repomd.xml"))
    return run_module("os_packages_info", manager=manager, required=["gcc", "make"], optional=["sox"], index=index)


@pytest.mark.parametrize("manager", ["apt", "dnf", "yum"])
def test_packages_that_can_be_installed_are_no_problem(
    load: Callable[[str], ModuleType], run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    host = Host(load, monkeypatch, {"gcc", "make"})
    host.said, host.code = ("Inst gcc", 0) if manager == "apt" else ("Operation aborted.", 1)
    said = ask(run_module, tmp_path, manager)
    assert (said["changed"], said["lacks"], said["problem"]) == (False, [], "")
    assert said["versions"] == [{"package": name, "version": "1.0"} for name in ("gcc", "make")]
    assert {"-s", "--assumeno"} & set(host.commands[-1])
    assert host.commands[-1][-2:] == ["gcc", "make"]


def test_unmet_dependency_is_told_in_the_words_of_apt(
    load: Callable[[str], ModuleType], run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(load, monkeypatch, {"gcc", "make", "sox"})
    host.said, host.code = UNMET, 100
    said = ask(run_module, tmp_path)
    assert said["problem"].splitlines()[0] == "The following packages have unmet dependencies:"
    assert "zlib1g-dev : Depends: zlib1g (= 1.2) but 1.3" in said["problem"]


def test_dependency_that_an_interrupted_dpkg_left_unmet_is_no_problem(
    load: Callable[[str], ModuleType], run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`site` finishes such an installation with the packages of the mirror."""
    host = Host(load, monkeypatch, {"gcc", "make"})
    host.said, host.code, host.repairs = UNMET, 100, True
    assert ask(run_module, tmp_path)["problem"] == ""
    assert "--no-remove" in host.commands[-1]


def test_unmet_dependency_is_told_in_the_words_of_dnf(
    load: Callable[[str], ModuleType], run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(load, monkeypatch, {"gcc", "make"})
    host.said, host.code = "Error: \n Problem: conflicting requests\n  - nothing provides zlib = 1.2\n", 1
    assert "nothing provides zlib = 1.2" in ask(run_module, tmp_path, "dnf")["problem"]


def test_package_that_the_repository_lacks_is_named(
    load: Callable[[str], ModuleType], run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Host(load, monkeypatch, {"gcc"})
    said = ask(run_module, tmp_path)
    assert (said["lacks"], said["problem"]) == (["make"], "")


@pytest.mark.parametrize(("manager", "option"), [("apt", "--download-only"), ("dnf", "--downloadonly")])
def test_packages_of_an_unpacked_repository_are_read_too(
    load: Callable[[str], ModuleType],
    run_module: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    manager: str,
    option: str,
) -> None:
    """So a proof finds a package whose file is missing or damaged. The repository is kept."""
    host = Host(load, monkeypatch, {"gcc", "make"})
    given = {"manager": manager, "required": ["gcc", "make"], "optional": ["sox"], "repository": str(tmp_path)}
    said = run_module("os_packages_info", **given)
    assert (said["changed"], said["lacks"], said["absent"], said["problem"]) == (False, [], ["sox"], "")
    assert option in host.commands[-1]
    assert not {"-s", "--assumeno"} & set(host.commands[-1])
    assert host.waits == [manager]
    assert any(str(tmp_path) in argument for argument in host.commands[-1])
    assert tmp_path.is_dir()
    wrong = "Err:1 file:/x ./ make 1\n  File not found\nE: Failed to fetch file:/x/make.deb  File not found"
    host.said, host.code = "  lots of names\n" * 99 + wrong, 100
    assert run_module("os_packages_info", **given)["problem"] == wrong
    host.said = "".join(f"{number}\n" for number in range(99)) + "killed"
    assert run_module("os_packages_info", **given)["problem"].splitlines()[-2:] == ["98", "killed"]


def test_host_that_has_the_required_packages_is_not_asked_further(
    load: Callable[[str], ModuleType], run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither does `site` install anything there, optional packages included."""
    host = Host(load, monkeypatch, set())
    host.installed = {"gcc", "make"}
    said = run_module("os_packages_info", manager="apt", required=["gcc", "make"], optional=["sox"])
    assert (said["lacks"], said["absent"], said["problem"], host.commands) == ([], [], "", [])


def test_own_repository_that_cannot_be_read_counts_only_if_the_others_lack_something(
    load: Callable[[str], ModuleType], run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(load, monkeypatch, {"gcc", "make"})
    host.unreadable = True
    assert run_module("os_packages_info", manager="apt", required=["gcc", "make"])["problem"] == ""
    host.known.remove("make")
    said = run_module("os_packages_info", manager="apt", required=["gcc", "make"])
    assert (said["lacks"], said["problem"]) == (["make"], "E: cannot be read")
    said = ask(run_module, tmp_path)
    assert (said["lacks"], said["problem"]) == ([], "E: cannot be read")


def test_nothing_is_left_on_the_host(
    load: Callable[[str], ModuleType], run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Host(load, monkeypatch, {"gcc"})
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(load("os_packages_info").tempfile, "tempdir", str(tmp_path / "tmp"))
    ask(run_module, tmp_path)
    assert list((tmp_path / "tmp").iterdir()) == []


def bare(**changes: Any) -> HostPlan:
    """The plan of a bare host that gets its packages from the mirror."""
    repository = {"name": "packages", "file": "packages-debian-12-x86_64.tar", "sha256": "a" * 64, "size": 9}
    plan = planned("bare", recipe=replace(RECIPE, repository=repository))
    return replace(plan, **changes)


def answering(patch: pytest.MonkeyPatch, results: PlayResults) -> list[playbook.Request]:
    asked: list[playbook.Request] = []
    patch.setattr(playbook, "run", lambda request, *more: asked.append(request) or playbook.Outcome(0, results))
    return asked


def settings(tmp_path: Path) -> Settings:
    archive(tmp_path, "gcc.deb", "Packages")
    return Settings(mirror=tmp_path)


def test_host_whose_packages_do_not_go_together_is_refused_in_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {"problem": "unmet dependencies:\nlibpng-dev : Depends: libpng16-16", "lacks": ["make"], "absent": []}
    asked = answering(monkeypatch, PlayResults(results=(("node1", "os_packages_info", result),)))
    (plan,), failures = packages.tried((bare(),), settings(tmp_path), Output())
    assert failures == ()
    lacking, unmet = plan.refusals
    assert lacking.startswith("node1: packages-debian-12-x86_64.tar lacks make. Collect that archive again")
    assert unmet.endswith("It says:\n  unmet dependencies:\n  libpng-dev : Depends: libpng16-16")
    assert (asked[0].playbook, asked[0].limit) == ("packages.yml", ["node1"])


def test_packages_of_the_host_s_own_repositories_are_told_as_theirs() -> None:
    result = PackagesInfoResult(lacks=("make",), absent=(), problem="unmet")
    lacking, unmet = packages.refusals(planned("bare"), result)
    assert lacking.startswith("node1: no repository of this host has make. Add the packages archive")
    assert "cannot install the packages of this host's own repositories" in unmet


def test_dpkg_that_installs_nothing_at_all_is_no_matter_of_the_archive(
    load: Callable[[str], ModuleType], run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a host that uses its own repositories, and only where something is missing."""
    host = Host(load, monkeypatch, {"gcc", "make"})
    host.broken = "dpkg: unrecoverable fatal error, aborting:\n unknown system group 'puppet' in statoverride file"
    found = PackagesInfoResult.model_validate(ask(run_module, tmp_path))
    assert (found.problem, found.broken) == ("", host.broken)
    (said,) = packages.refusals(bare(), found)
    assert said.startswith("node1: dpkg of this host installs no package, whichever it is. Repair that first.")
    assert "unknown system group 'puppet'" in said
    assert "Collect that archive again" not in said
    answering(monkeypatch, PlayResults(results=(("node1", "os_packages_info", found.model_dump()),)))
    (plan,), _failures = packages.tried((of_rocky(),), settings(tmp_path), Output())
    assert plan.refusals == (said,)
    host.installed = {"gcc", "make"}
    assert ask(run_module, tmp_path)["broken"] == ""


@pytest.mark.parametrize(
    "problem",
    [
        "package curl-minimal-7.76.1 from @System conflicts with curl provided by curl-7.76.1-29.el9.x86_64",
        "The following packages will be REMOVED:\n  gnuplot-qt",
        " gnuplot-qt : Conflicts: gnuplot-nox but 5.4.4 is to be installed",
    ],
)
def test_conflict_is_not_answered_with_another_archive(problem: str) -> None:
    result = PackagesInfoResult(lacks=(), absent=(), problem=problem)
    (said,) = packages.refusals(bare(), result)
    assert "because a package of the host conflicts with them" in said
    assert "Collect that archive again" not in said


def test_package_whose_installation_was_interrupted_is_repaired_on_the_host() -> None:
    """No archive of the mirror has it, and apt installs nothing until it is whole again."""
    words = "E: The package tini needs to be reinstalled, but I can't find an archive for it."
    (said,) = packages.refusals(bare(), PackagesInfoResult(lacks=(), absent=(), problem=words))
    assert "its installation or removal was interrupted" in said
    assert "`apt-get install --reinstall tini`" in said
    assert "`dpkg --remove --force-remove-reinstreq tini`" in said
    assert "Collect that archive again" not in said


def test_held_package_is_a_cause_that_is_named() -> None:
    result = PackagesInfoResult(lacks=(), absent=(), problem=" libpng-dev : Depends: libpng16-16 (= 1.6.39)")
    (said,) = packages.refusals(bare(), result)
    assert "`apt-mark showhold`" in said


def test_versions_of_one_package_that_exclude_each_other_are_no_conflict_of_the_host() -> None:
    """apt 3 explains a held package, or a newer one, by that; the advice was to remove a package of the host."""
    problem = "- a:amd64=2 is not selected for install because:\n2. a:amd64=1 conflicts with other versions of itself"
    (said,) = packages.refusals(bare(), PackagesInfoResult(lacks=(), absent=(), problem=problem))
    assert "has another version than these packages expect" in said


def test_host_that_has_its_packages_or_cannot_be_built_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, PlayResults())
    plans = (planned("converged"), bare(refusals=("no space",)))
    found, failures = packages.tried(plans, settings(tmp_path), Output())
    assert ([plan.refusals for plan in found], failures) == ([(), ("no space",)], ())
    assert asked == []


def of_rocky(**changes: Any) -> HostPlan:
    """The plan of a bare Rocky Linux 9 that uses its own repositories."""
    names = ("cmake", "hdf5-devel", "openblas-devel")
    recipe = replace(RECIPE, platform="rocky-9-x86_64", manager="dnf", required=names, repository=None)
    return replace(planned("bare", recipe=recipe), **changes)


def test_host_with_its_own_repositories_looks_up_what_it_has_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {"problem": "", "lacks": ["hdf5-devel", "openblas-devel"], "absent": [], "versions": [CMAKE]}
    asked = answering(monkeypatch, PlayResults(results=(("node1", "os_packages_info", result),)))
    (plan,), _failures = packages.tried((of_rocky(),), settings(tmp_path), Output())
    assert plan.refusals == ()
    assert plan.remark == (
        "node1: its repositories, as they were last read, lack hdf5-devel, openblas-devel. openblas-devel usually "
        "comes from CRB (dnf config-manager --set-enabled crb); hdf5-devel usually comes from EPEL (dnf install "
        "epel-release): enable these repositories, or collect an archive of OS packages (docs/mirror.md). `provision "
        "site` reads them again"
    )
    assert plan.untried[0].startswith("rocky-9-x86_64 was never tried")
    assert asked[0].variables["provision_indexes"] == {"": ""}
    assert asked[0].variables["provision_tries"]["node1"]["file"] == ""


def test_version_in_the_archive_that_is_known_not_to_work_is_refused_in_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogues, "tried_table", lambda: FIXED)
    versions = [{"package": "make", "version": "4.3-4.1"}, {"package": "cmake", "version": "5.0.0-1"}]
    result = {"problem": "", "lacks": [], "absent": [], "versions": versions}
    answering(monkeypatch, PlayResults(results=(("node1", "os_packages_info", result),)))
    (plan,), _failures = packages.tried((bare(),), settings(tmp_path), Output())
    assert plan.refusals[0].startswith("node1: CMake 5.0.0 is known not to work: it ends with `Compatibility")
    with pytest.raises(UsageError, match=r"CMake 5\.0\.0 is known not to work"):
        converge.refuse([plan])


def test_archive_that_lacks_packages_of_el_is_told_with_the_repository_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = {"name": "packages", "file": "packages-rocky-9-x86_64.tar", "sha256": "a" * 64, "size": 9}
    plan = of_rocky(recipe=replace(of_rocky().recipe, repository=repository))
    result = PackagesInfoResult(lacks=("hdf5-devel",), absent=(), problem="")
    (lacking,) = packages.refusals(plan, result)
    assert lacking.startswith(
        "node1: packages-rocky-9-x86_64.tar lacks hdf5-devel. hdf5-devel usually comes from EPEL (dnf install "
        "epel-release). Collect that archive again"
    )


@pytest.mark.parametrize("manager", ["apt", "dnf", "yum"])
def test_lookup_reads_no_repository_and_simulates_nothing_that_is_known_to_fail(
    load: Callable[[str], ModuleType], run_module: Run, monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    host = Host(load, monkeypatch, {"gcc"})
    given = {"manager": manager, "required": ["gcc", "make"], "cached": True}
    said = run_module("os_packages_info", **given)
    assert (said["lacks"], said["problem"], said["versions"], host.commands) == (["make"], "", [GCC], [])
    host.known = set()
    said = run_module("os_packages_info", **given)
    assert (said["lacks"], said["versions"]) == ([], []), "nothing was read before, so nothing is known"


@pytest.mark.parametrize("manager", ["apt", "dnf", "yum"])
def test_what_was_read_before_is_enough_to_see_that_packages_do_not_go_together(
    load: Callable[[str], ModuleType], run_module: Run, monkeypatch: pytest.MonkeyPatch, manager: str
) -> None:
    """A host with held or foreign packages: the plan promised what `site` could not install."""
    host = Host(load, monkeypatch, {"gcc", "make"})
    host.said, host.code = ("E: Unable to correct problems, you have held broken packages.", 100)
    if manager != "apt":
        host.said, host.code = "Error: \n Problem: package make-4 requires guile", 1
    given = {"manager": manager, "required": ["gcc", "make"], "optional": ["sox"], "cached": True}
    assert host.said.splitlines()[-1].strip() in run_module("os_packages_info", **given)["problem"]
    assert {"-s", "-C"} & set(host.commands[-1]) and "update" not in str(host.commands)


def test_packages_that_did_not_go_together_when_lists_were_read_are_a_remark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No refusal, because `site` reads the lists again."""
    said = {"lacks": [], "absent": [], "problem": "E: you have held broken packages.", "broken": "", "versions": []}
    plan = planned("bare")
    answering(monkeypatch, PlayResults(results=((plan.host, "os_packages_info", said),)))
    ((found,), _failures) = packages.tried((plan,), settings(tmp_path), Output())
    assert found.refusals == plan.refusals
    assert (
        "node1: apt cannot install the packages of this host's own repositories, as they were last read" in found.remark
    )
    assert found.remark.endswith("E: you have held broken packages.\n  `provision site` reads them again")


def test_host_that_gives_no_answer_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, PlayResults(failures=(Failure("node1", "Try the packages", "Killed"),)))
    plans, (failure,) = packages.tried((bare(),), settings(tmp_path), Output())
    assert (failure.host, failure.message, plans) == ("node1", "Killed", (bare(),))
    answering(monkeypatch, PlayResults())
    plans, (failure,) = packages.tried((bare(),), settings(tmp_path), Output())
    assert (failure.host, failure.code) == ("node1", "answer.missing")
