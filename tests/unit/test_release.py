"""A release: one version in three files, built from the last commit, with nothing in it that users must not get."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import release

PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "small-thing"
version = "{version}"
requires-python = ">=3.11"
[tool.hatch.build.targets.wheel]
packages = ["small_thing"]
"""
GALAXY = """namespace: small
name: thing
version: {version}
readme: README.md
authors: [somebody]
build_ignore: [{ignored}]
"""


def git(project: Path, *words: str) -> None:
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.invalid")
    subprocess.run(["git", *identity, *words], cwd=project, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A committed project with a space in its path."""
    root = tmp_path / "small thing"
    (root / "small_thing").mkdir(parents=True)
    (root / "tests").mkdir()
    write(root)
    for file in ("README.md", "small_thing/__init__.py", "tests/test_small.py"):
        (root / file).write_text("")
    (root / ".gitignore").write_text("/dist/\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "all of it")
    return root


def write(root: Path, galaxy: str = "0.1.0", changelog: str = "## 0.1.0 - 2026-11-26", ignored: str = "tests") -> None:
    (root / "pyproject.toml").write_text(PROJECT.format(version="0.1.0"))
    (root / "galaxy.yml").write_text(GALAXY.format(version=galaxy, ignored=ignored))
    (root / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog}\n\n- It exists.\n\n## 0.0.1 - 2025-01-01\n")


def test_release_is_a_wheel_an_sdist_and_a_collection_with_their_sums(project: Path) -> None:
    files = release.release(project)
    assert [file.name for file in files] == [
        "small_thing-0.1.0-py3-none-any.whl",
        "small_thing-0.1.0.tar.gz",
        "small-thing-0.1.0.tar.gz",
    ]
    subprocess.run(["sha256sum", "--check", "--strict", release.SUMS], cwd=project / "dist", check=True)
    with zipfile.ZipFile(files[0]) as wheel:
        assert "small_thing/__init__.py" in wheel.namelist()
    with tarfile.open(files[2]) as collection:
        assert "README.md" in collection.getnames()


def test_what_an_earlier_release_left_is_removed(project: Path) -> None:
    (project / "dist").mkdir()
    (project / "dist" / "small_thing-0.0.9-py3-none-any.whl").write_text("")
    release.release(project)
    assert len(list((project / "dist").iterdir())) == 4


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"galaxy": "0.2.0"}, "galaxy.yml: 0.2.0"),
        ({"changelog": "## 0.2.0 - 2026-11-26"}, "CHANGELOG.md: 0.2.0"),
        ({"changelog": "## 0.1.0"}, "`## VERSION - YYYY-MM-DD`"),
        ({"changelog": "Nothing"}, "CHANGELOG.md: 0.0.1"),
    ],
)
def test_versions_that_differ_are_refused(project: Path, texts: dict[str, str], words: str) -> None:
    write(project, **texts)
    with pytest.raises(release.ReleaseError, match=words.replace("(", r"\(")):
        release.release(project)
    assert not (project / "dist").exists()


@pytest.mark.parametrize("file", ["galaxy.yml", "CHANGELOG.md"])
def test_missing_file_is_named(project: Path, file: str) -> None:
    (project / file).unlink()
    with pytest.raises(release.ReleaseError, match=f"{file} is missing"):
        release.release(project)


def test_changes_that_are_not_committed_are_refused_by_name(project: Path) -> None:
    (project / "small_thing" / "new.py").write_text("")
    with pytest.raises(release.ReleaseError, match=r"small_thing/new\.py"):
        release.release(project)


def test_collection_that_contains_the_tests_is_refused(project: Path) -> None:
    write(project, ignored="")
    git(project, "commit", "-qam", "nothing is ignored")
    with pytest.raises(release.ReleaseError, match="contains tests; see build_ignore"):
        release.release(project)


def test_command_that_fails_is_told_with_its_words(project: Path) -> None:
    (project / "pyproject.toml").write_text(PROJECT.format(version="0.1.0") + "[tool.hatch.build.hooks.absent]\n")
    git(project, "commit", "-qam", "a hook that does not exist")
    with pytest.raises(release.ReleaseError, match=r"hatchling build.* failed:(.|\n)*absent"):
        release.release(project)


def test_this_project_names_one_version() -> None:
    assert release.agreed(release.versions(release.ROOT))
