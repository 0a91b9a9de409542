"""`python -m tools.wheel_pins`: write catalogue/data/wheels.yaml, the wheels that `provision mirror pull` fetches.

For every Python of hosts, pip resolves what the catalogue's components require. The wheels of CUDA and of the scorer
are the versions below. Those of `provision` itself are the versions of requirements.txt, for every Python of a
controller. For each version the wheel is taken that the oldest of the hosts with this Python can use, with the digest
that the package index tells. pip's own configuration decides which index that is; further indexes, directories with
wheels and constraints of this machine do not count.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue import pythons
from neuraltalk_provision.mirror import package_index, pip_settings
from neuraltalk_provision.mirror.index_page import Link
from neuraltalk_provision.rules import machines
from tools.host_pip import AS_THE_HOST
from tools.release import ROOT

COMMAND = "python -m tools.wheel_pins"
FILE = ROOT / "neuraltalk_provision" / "catalogue" / "data" / "wheels.yaml"
HEAD = f"""\
# The wheels that `provision mirror pull` fetches, by artifact and by the Python that they are for.
# Written by `{COMMAND}`. Run it again to use newer versions; CONTRIBUTING.md says how.
"""
CUDA = {
    "nvidia-cuda-nvcc": "13.0.88",
    "nvidia-cuda-crt": "13.0.88",
    "nvidia-nvvm": "13.0.88",
    "nvidia-cuda-runtime": "13.0.96",
    "nvidia-cuda-cccl": "13.0.85",
    "nvidia-cublas": "13.1.0.3",
    "nvidia-curand": "10.4.0.35",
    "nvidia-cusparse": "12.6.3.3",
    "nvidia-nvjitlink": "13.0.88",
}
"""One release of CUDA: {package: version}. nvcc, runtime and nvjitlink must have the same first two numbers."""
SCORER = {"pycocoevalcap": "1.2"}
_DISTURBING = ("PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX")
_GLIBC = ((2, 34), (2, 31), (2, 28), (2, 27), (2, 26), (2, 24), (2, 17), (2, 12), (2, 5))
_OLD = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}


def main() -> int:
    """Write the file; returns the exit code."""
    text = HEAD + "".join(document(pins()))
    beside = FILE.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(FILE)
    return 0


def document(found: Mapping[str, Mapping[str, Iterable[Mapping[str, Any]]]]) -> Iterable[str]:
    """The lines of the file: one for each wheel."""
    for artifact, sets in found.items():
        yield f"{artifact}:\n"
        for python, rows in sets.items():
            yield f'  "{python}":\n'
            for row in rows:
                yield "    - {" + ", ".join(f"{key}: {_scalar(value)}" for key, value in row.items()) + "}\n"


def _scalar(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) and re.fullmatch(r"[0-9.e]+", value) else str(value)


def pins() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """{artifact: {Python: rows}}."""
    wanted = [name for part in catalogue.load().components if part.name == "python" for name in part.requirements]
    hosts = {python: _limit(pythons.releases(python)) for python in pythons.every_python()}
    newest = "3.13"  # these wheels contain nothing that depends on the version of Python
    return {
        "python-wheels": {
            python: rows(resolved(python, limit, wanted), python, limit) for python, limit in hosts.items()
        },
        "score-wheels": {"any": rows(SCORER, newest, (2, 5))},
        "cuda-wheels": {"any": rows(CUDA, newest, (2, 28))},
        "provision-wheels": {
            python: rows(required(python), python, pythons.version(release.manylinux), hashes())
            for python, release in pythons.CONTROLLER.items()
        },
    }


def _limit(releases: Iterable[pythons.Release]) -> tuple[int, ...]:
    return min(pythons.version(release.manylinux) for release in releases)


def required(python: str) -> dict[str, str]:
    """{package: version} of requirements.txt for that Python on Linux."""
    where = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    found = [one for one in _requirements() if one.marker is None or one.marker.evaluate(dict(where))]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in found}


def hashes() -> set[str]:
    """The SHA-256 of every file that requirements.txt allows."""
    return set(re.findall(r"--hash=sha256:([0-9a-f]{64})", (ROOT / "requirements.txt").read_text(encoding="utf-8")))


def _requirements() -> list[Requirement]:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return [Requirement(line.partition("\\")[0]) for line in text.splitlines() if re.match(r"[a-z0-9]", line, re.I)]


def resolved(python: str, limit: tuple[int, ...], names: Iterable[str]) -> dict[str, str]:
    """{package: version} that pip installs for that Python."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        platforms = [part for name in _platforms(limit) for part in ("--platform", name)]
        abis = [part for name in _abis(python) for part in ("--abi", name)]
        command = [
            *(sys.executable, "-c", AS_THE_HOST, python, "install", "--quiet", "--dry-run", "--ignore-installed"),
            *("--report", str(report), "--target", folder, "--only-binary", ":all:", "--implementation", "cp"),
            *("--python-version", python, *abis, *platforms, *names),
        ]
        kept = {name: value for name, value in os.environ.items() if name not in _DISTURBING}
        own = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": _index().indexes[0]}
        subprocess.run(command, check=True, env=kept | own)
        installed = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {canonicalize_name(one["metadata"]["name"]): one["metadata"]["version"] for one in installed}


def rows(
    versions: Mapping[str, str], python: str, limit: tuple[int, ...], allowed: set[str] | None = None
) -> list[dict[str, Any]]:
    """The rows of these versions; with `allowed`, only files with these digests."""
    listings = package_index.listed(set(versions), _index(), Event())
    tags = _tags(python, limit)
    found = []
    for name, version in sorted(versions.items()):
        link = _best(listings[name].links, version, tags, allowed)
        if link is None or not link.sha256 or not link.size:
            problems = "".join(f": {problem.message}" for problem in listings[name].problems)
            raise SystemExit(f"{name} {version}: no wheel for Python {python} with its digest and size{problems}")
        found.append({"name": name, "version": version, "file": link.file, "sha256": link.sha256, "size": link.size})
    return found


@cache
def _index() -> pip_settings.Settings:
    """The machine's first index alone. A page of another one may not tell for which Python a file is."""
    return replace(pip_settings.read(), indexes=pip_settings.read().indexes[:1], links=())


def _best(links: Iterable[Link], version: str, tags: list[Tag], allowed: set[str] | None) -> Link | None:
    """The link whose tags come first."""
    ranked = []
    for link in links:
        try:
            _name, found, _build, own = parse_wheel_filename(link.file)
        except InvalidWheelFilename:
            continue
        places = [tags.index(tag) for tag in own if tag in tags]
        if str(found) == version and places and (allowed is None or link.sha256 in allowed):
            ranked.append((min(places), link.file, not link.size, link))
    return min(ranked, key=lambda one: one[:3])[3] if ranked else None


def _tags(python: str, limit: tuple[int, ...]) -> list[Tag]:
    numbers = pythons.version(python)
    platforms = _platforms(limit)
    own = cpython_tags(numbers, abis=_abis(python), platforms=platforms)
    return [*own, *compatible_tags(numbers, interpreter=f"cp{python.replace('.', '')}", platforms=platforms)]


def _abis(python: str) -> list[str]:
    """The names of the binary interface: wide Unicode until 2.7, a suffix for pymalloc until 3.7."""
    name = f"cp{python.replace('.', '')}"
    suffix = "mu" if python == "2.7" else "m" if python in ("3.6", "3.7") else ""
    return [name + suffix, *(["abi3"] if python != "2.7" else []), "none"]


def _platforms(limit: tuple[int, ...]) -> list[str]:
    """The names of platforms that wheels for this glibc or an older one have, the newest first."""
    found = list[str]()
    for glibc in (glibc for glibc in _GLIBC if glibc <= limit):
        found.append(f"manylinux_{glibc[0]}_{glibc[1]}_{machines.BUILT_FOR}")
        if glibc in _OLD:
            found.append(f"{_OLD[glibc]}_{machines.BUILT_FOR}")
    return found


if __name__ == "__main__":
    sys.exit(main())
