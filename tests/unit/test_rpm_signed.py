"""Hosts whose rpm refuses packages without a signature: --plan says so, not only the installation."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision.mirror import repository_index, rpm_signed
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import packages, playbook
from neuraltalk_provision.site.events import PlayResults
from neuraltalk_provision.site.plan import HostPlan
from plugins.module_utils.host import package_managers
from tests.unit.plans import RECIPE, planned
from tests.unit.test_os_packages_info import Host, Run, ask

FILE = "packages-rocky-9-x86_64.tar"
SIZE, RSA = 1000, 268


def rpm(*tags: int) -> bytes:
    """The beginning of a package whose first header has these tags."""
    entries = b"".join(struct.pack(">Iiii", tag, 7, 0, 1) for tag in tags)
    return b"\xed\xab\xee\xdb".ljust(96, b"\0") + struct.pack(">4s4xII", b"\x8e\xad\xe8\x01", len(tags), 0) + entries


def archive(folder: Path, files: dict[str, bytes]) -> Path:
    file = folder / FILE
    with tarfile.open(file, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


def test_packages_without_a_signature_are_found(tmp_path: Path) -> None:
    files = {
        "gcc-11.5-1.x86_64.rpm": rpm(SIZE, RSA),
        "hdf5-devel-1.12-2.x86_64.rpm": rpm(SIZE),
        "repodata/repomd.xml": b"<x/>",
        "short-1-1.noarch.rpm": b"no package",
        "cut-1-1.noarch.rpm": rpm(SIZE, RSA)[:-3],
        "much-1-1.noarch.rpm": rpm()[:104] + b"\xff" * 8,
    }
    assert rpm_signed.unsigned(archive(tmp_path, files)) == ("hdf5-devel",)
    assert rpm_signed.unsigned(tmp_path / "none.tar") == ()


@pytest.mark.parametrize(
    ("manager", "level", "signatures"),
    [("dnf", "all\n", True), ("yum", "signature\n", True), ("dnf", "digest\n", False), ("dnf", "\n", False),
     ("apt", "all\n", False)],
)  # fmt: skip
def test_host_says_whether_its_rpm_wants_signatures(
    load: Callable[[str], ModuleType], run_module: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    manager: str, level: str, signatures: bool,
) -> None:  # fmt: skip
    host = Host(load, monkeypatch, {"gcc", "make"})
    query = host.query
    monkeypatch.setattr(package_managers, "query", lambda argv: level if "--eval" in argv else query(argv))
    assert ask(run_module, tmp_path, manager)["signatures"] is signatures


@pytest.mark.parametrize(
    ("tags", "refused", "remark"),
    [
        ((SIZE,), "packages-rocky-9-x86_64.tar has these without one: gcc. Sign them", ""),
        ((SIZE, RSA), "", "Import the keys of the packages there before (rpm --import)"),
    ],
)
def test_plan_refuses_a_host_that_would_refuse_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tags: tuple[int, ...], refused: str, remark: str
) -> None:
    files = {"gcc-11.5-1.x86_64.rpm": rpm(*tags), "repodata/repomd.xml": b"<x/>"}
    assert repository_index.read(archive(tmp_path, files))
    answer: dict[str, Any] = {"lacks": [], "absent": [], "problem": "", "signatures": True}
    answer["versions"] = [{"package": "gcc", "version": "11.5-1"}]
    results = (("bare", "os_packages_info", answer), ("other", "os_packages_info", {**answer, "signatures": False}))
    monkeypatch.setattr(playbook, "run", lambda *_: playbook.Outcome(0, PlayResults(results=results)))
    recipe = replace(RECIPE, repository={"name": "packages", "file": FILE}, manager="dnf")
    plans: list[HostPlan] = [replace(planned("bare"), host=host, recipe=recipe) for host in ("bare", "other")]
    (plan, other), _ = packages.tried(tuple(plans), Settings(mirror=tmp_path), Output())
    assert (refused in " ".join(plan.refusals), bool(plan.refusals)) == (True, bool(refused))
    assert remark in plan.remark
    assert (other.refusals, other.remark) == ((), "")
