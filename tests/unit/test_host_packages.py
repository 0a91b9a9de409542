"""Installed OS packages, from the output of dpkg and rpm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("host.packages")


def printing(module: ModuleType, monkeypatch: pytest.MonkeyPatch, listing: str) -> None:
    text = (DATA / "packages" / listing).read_text(encoding="utf-8")
    machines = {"dpkg": "amd64\n", "rpm": "x86_64\n"}
    monkeypatch.setattr(
        module, "query", lambda argv: machines[argv[0]] if len(argv) < 4 and "-qa" not in argv else text
    )


def test_debian_packages_are_those_that_are_installed_whole(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    printing(module, monkeypatch, "dpkg-query.txt")
    found = module.of_dpkg(["gcc", "g++", "libc6-dev", "sox", "make", "gnuplot-nox", "nosuch", "python3-pip"])
    both = {"gcc": "4:12.2.0-3", "g++": "4:12.2.0-3", "libc6-dev": "2.36-9+deb12u14", "make": "4.3-4.1"}
    assert found == {**both, "python3-pip": "23.0.1+dfsg-1"}


def test_rpm_packages_are_those_that_were_asked_for_and_found(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    printing(module, monkeypatch, "rpm-q.txt")
    found = module.of_rpm(["gcc-c++", "nosuch", "glibc-devel", "package"])
    assert found == {"gcc-c++": "0.0-0.standin", "glibc-devel": "2.34-100.el9"}


def test_package_for_another_machine_is_not_installed(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    printing(module, monkeypatch, "dpkg-query.txt")
    assert "libhdf5-dev" not in module.of_dpkg(["libhdf5-dev"])
    printing(module, monkeypatch, "rpm-q.txt")
    assert "libpng-devel" not in module.of_rpm(["libpng-devel", "glibc-devel"])


def test_package_that_provides_another_counts_as_that(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """curl-minimal of EL 9. rpm prints a row for all that the package provides."""
    rows = "".join(f"ii |{name}|x86_64|7.76.1-29.el9\n" for name in ("curl", "curl-minimal", "curl-minimal(x86-64)"))
    asked: list[list[str]] = []
    monkeypatch.setattr(module, "query", lambda argv: asked.append(argv) or ("x86_64\n" if len(argv) == 3 else rows))
    assert module.of_rpm(["curl", "gcc"]) == {"curl": "7.76.1-29.el9"}
    assert "--whatprovides" in asked[0]


def test_no_command_runs_for_no_packages(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "query", lambda argv: pytest.fail("it ran a command"))
    assert (module.of_dpkg([]), module.of_rpm([])) == ({}, {})


def test_output_of_a_missing_tool_is_empty(module: ModuleType) -> None:
    assert module.query(["no-such-program"]) == ""
