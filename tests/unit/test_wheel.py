"""The wheel: everything that `provision` reads is in it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuraltalk_provision import paths
from tests.lab import collection

SHARED = ("playbooks", "roles", "plugins", "inventory")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What a wheel built here holds."""
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", target],
        cwd=paths.share(),
        env={**os.environ, "PYTHONWARNINGS": ""},
        check=True,
        capture_output=True,
    )
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        yield archive.namelist()


@pytest.mark.parametrize("folder", SHARED)
def test_wheel_holds_every_file_of(names: list[str], folder: str) -> None:
    files = [path.relative_to(paths.share()) for path in (paths.share() / folder).rglob("*") if path.is_file()]
    wanted = {f"neuraltalk_provision/share/{file}" for file in files if "__pycache__" not in file.parts}
    assert wanted
    assert wanted <= set(names)


def test_wheel_holds_the_whole_collection(names: list[str], tmp_path: Path) -> None:
    """What `ansible-galaxy collection build` packs: somebody who has the wheel has the collection."""
    with tarfile.open(collection.build(tmp_path)) as tar:
        packed = {member.name for member in tar if member.isfile()} - {"MANIFEST.json", "FILES.json"}
    share = "neuraltalk_provision/share/"
    held = {name.removeprefix(share) for name in names if name.startswith(share)}
    beside = {name for name in held if name.startswith("inventory/")} | {"galaxy.yml", "requirements.txt"}
    assert held - beside == packed
    assert "galaxy.yml" in held


def test_wheel_holds_the_package_with_its_catalogue(names: list[str]) -> None:
    package = Path(paths.__file__).parent
    files = [path.relative_to(package.parent) for path in package.rglob("*") if path.suffix in (".py", ".yaml")]
    assert {str(file) for file in files} <= set(names)


def test_wheel_holds_the_licence_and_the_command(names: list[str]) -> None:
    assert [name for name in names if name.endswith("dist-info/licenses/LICENSE")]
    assert [name for name in names if name.endswith("dist-info/entry_points.txt")]


def test_wheel_holds_the_list_of_what_it_needs(names: list[str]) -> None:
    assert "neuraltalk_provision/share/requirements.txt" in names


def test_wheel_holds_no_tests_and_no_leftovers(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"neuraltalk_provision"}
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc")] == []


def test_paths_are_found_beside_the_package_and_inside_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (paths.playbooks() / "site.yml").is_file()
    assert (paths.plugins() / "module_utils" / "host" / "files.py").is_file()
    installed = tmp_path / "share"
    monkeypatch.setattr(paths, "_WHEEL_SHARE", installed)
    assert paths.share() == Path(paths.__file__).parents[1]
    installed.mkdir()
    assert paths.share() == installed
