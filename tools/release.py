"""`python -m tools.release`: build the wheel, the sdist and the collection of the last commit into dist/.

Each file is checked. Needs no network: everything is built with the tools of the virtual environment.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
DIST = "dist"
SUMS = "SHA256SUMS"
HEADING = re.compile(r"^## (\S+) - \d{4}-\d{2}-\d{2}$")
"""A version in CHANGELOG.md, with the date of its release."""
NOT_FOR_USERS = ("tests", "tools", ".venv", ".cache", ".git")
"""Directories that neither the wheel nor the collection may contain."""


class ReleaseError(Exception):
    """No release was built; the message says why."""


def versions(root: Path) -> dict[str, str]:
    """{file: version} of the three files that name it. Raises ReleaseError if one has no version."""
    project = tomllib.loads(_read(root / "pyproject.toml"))["project"]
    galaxy = yaml.safe_load(_read(root / "galaxy.yml"))
    headings = [line for line in _read(root / "CHANGELOG.md").splitlines() if line.startswith("## ")]
    newest = HEADING.match(headings[0]) if headings else None
    if newest is None:
        raise ReleaseError("CHANGELOG.md: the first heading of level 2 must be `## VERSION - YYYY-MM-DD`")
    return {"pyproject.toml": project["version"], "galaxy.yml": str(galaxy["version"]), "CHANGELOG.md": newest[1]}


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ReleaseError(f"{file.name} is missing: a release needs it") from None


def agreed(found: dict[str, str]) -> str:
    """The common version. Raises ReleaseError, with each file's version, if they differ."""
    if len(set(found.values())) > 1:
        listing = "\n".join(f"  {file}: {version}" for file, version in found.items())
        raise ReleaseError(f"These files name different versions; change them to the same one:\n{listing}")
    return next(iter(found.values()))


def check_committed(root: Path) -> None:
    """Raises ReleaseError if the working tree has uncommitted changes."""
    changes = _run("git", "status", "--porcelain", cwd=root).decode().rstrip()
    if changes:
        raise ReleaseError(f"A release is built from the last commit. Commit or remove these changes first:\n{changes}")


def build(root: Path, source: Path, dist: Path) -> None:
    """Build all three into `dist`, from a copy of the last commit in `source`."""
    with tarfile.open(fileobj=io.BytesIO(_run("git", "archive", "--format=tar", "HEAD", cwd=root))) as tar:
        tar.extractall(source, filter="data")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", dist, cwd=source)
    galaxy = Path(sys.executable).parent / "ansible-galaxy"
    _run(galaxy, "collection", "build", "--output-path", dist, cwd=source)


def _run(*command: str | Path, cwd: Path) -> bytes:
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        line = " ".join(str(argument) for argument in command)
        raise ReleaseError(f"`{line}` failed:\n{done.stderr.decode(errors='replace').rstrip()}")
    return done.stdout


def check(dist: Path, version: str) -> list[Path]:
    """The wheel, the sdist and the collection. Raises ReleaseError if one is missing or contains private files."""
    wheel = _only(dist, f"*-{version}-py3-none-any.whl")
    collection = _only(dist, f"*-*-{version}.tar.gz")
    sdist = next((file for file in dist.glob(f"*-{version}.tar.gz") if file != collection), None)
    if sdist is None:
        raise ReleaseError(f"{dist} has no sdist of version {version}")
    with zipfile.ZipFile(wheel) as archive:
        _refuse_private(wheel, archive.namelist())
    with tarfile.open(collection) as tar:
        _refuse_private(collection, tar.getnames())
        manifest = json.load(tar.extractfile("MANIFEST.json"))  # type: ignore[arg-type]
    if manifest["collection_info"]["version"] != version:
        raise ReleaseError(f"{collection.name}: its MANIFEST.json names another version than {version}")
    return [wheel, sdist, collection]


def _only(dist: Path, pattern: str) -> Path:
    found = list(dist.glob(pattern))
    if len(found) != 1:
        raise ReleaseError(f"{dist} has {len(found)} files named {pattern}, but must have one")
    return found[0]


def _refuse_private(file: Path, names: Iterable[str]) -> None:
    private = sorted({name.split("/")[0] for name in names} & set(NOT_FOR_USERS))
    if private:
        raise ReleaseError(f"{file.name} contains {', '.join(private)}; see build_ignore in galaxy.yml")


def write_sums(files: Sequence[Path]) -> None:
    """Write SHA256SUMS beside the files, as `sha256sum --check` reads it."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (files[0].parent / SUMS).write_text("".join(lines), encoding="utf-8")


def release(root: Path) -> list[Path]:
    """Build and check a release of the last commit. The previous content of dist/ is removed."""
    version = agreed(versions(root))
    check_committed(root)
    dist = root / DIST
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    with tempfile.TemporaryDirectory() as source:
        build(root, Path(source), dist)
    files = check(dist, version)
    write_sums(files)
    return files


def main() -> int:
    """Build a release and print its files, or the error. Returns the exit code."""
    try:
        files = release(ROOT)
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size:,} bytes")
    print(f"{DIST}/{SUMS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
