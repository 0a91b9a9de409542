"""Tars of OS packages and of wheels for one platform: whether hosts of that platform can install from them."""

from __future__ import annotations

import re
from pathlib import Path

from neuraltalk_provision.catalogue import target
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.mirror.archive import Contents
from neuraltalk_provision.rules import machines

PACKAGES, REPOMD = "Packages", "repodata/repomd.xml"
_ADVICE = {
    "apt": "Make the index in the directory of the packages, then pack its content: dpkg-scanpackages . > Packages && "
    "tar cf ../NAME.tar *.deb Packages",
    "rpm": "Make the index, then pack the directory's content: createrepo_c rpms && tar cf NAME.tar -C rpms .",
}
_SUFFIX = {"apt": ".deb", "rpm": ".rpm"}
_INDEX = {"apt": PACKAGES, "rpm": REPOMD}


def check_packages(file: Path, key: str, contents: Contents) -> str:
    """Raises MirrorError for a tar that is no repository for hosts of the platform; returns what it is, in words."""
    names = set(contents.files)
    manager = target.manager_of(key) or ("rpm" if any(name.endswith(".rpm") for name in names) else "apt")
    suffix, index = _SUFFIX[manager], _INDEX[manager]
    packages = sorted(name for name in names if name.endswith(suffix))
    if not packages:
        others = [name for name in names if name.endswith(tuple(_SUFFIX.values()))]
        what = f"its packages are for another system ({others[0]})" if others else "there is no package in it"
        raise MirrorError(f"{file}: {what}; hosts of {key} need *{suffix} and {index}", advice=_ADVICE[manager])
    if index not in names:
        deeper = next((name for name in names if name.endswith(f"/{index}")), "")
        where = f"; {deeper} is not at its root" if deeper else ""
        raise MirrorError(f"{file}: it has packages, but no index {index} at its root{where}", advice=_ADVICE[manager])
    _check_machines(file, key, manager, packages)
    if manager == "apt":
        _check_index(file, contents, packages)
    return f"{len(packages)} packages with their index"


def _check_machines(file: Path, key: str, manager: str, packages: list[str]) -> None:
    machine = target.machine_of(key)
    names = (machine, *(other for other, name in machines.OTHER_NAMES.items() if name == machine))
    own = tuple(f"_{name}.deb" if manager == "apt" else f".{name}.rpm" for name in names)
    bound = [name for name in packages if not name.endswith(("_all.deb", ".noarch.rpm", ".src.rpm", ".i686.rpm"))]
    # A machine at the end of the name, so that a file with another form of name is not refused.
    wrong = [name for name in bound if re.search(r"[_.][a-z0-9_]+\.(deb|rpm)$", name) and not name.endswith(own)]
    if wrong and len(wrong) == len(bound):
        raise MirrorError(f"{file}: {wrong[0]} is not for {machine}, and no other package is", advice=_ADVICE[manager])


def _check_index(file: Path, contents: Contents, packages: list[str]) -> None:
    text = contents.texts.get(PACKAGES, "")
    listed = {name.strip().removeprefix("./") for name in re.findall(r"^Filename:(.*)$", text, re.M)}
    missing = sorted(listed - set(contents.files))
    unlisted = sorted(set(packages) - listed)
    if missing or unlisted:
        what = f"lists {missing[0]}, which is not there" if missing else f"does not list {unlisted[0]}"
        raise MirrorError(f"{file}: its index {PACKAGES} {what}", advice=_ADVICE["apt"])


def listed(index: str) -> dict[str, str]:
    """{package: its file} in an index of apt."""
    found = {}
    for stanza in _stanzas(index):
        name = re.search(r"^Package:[ \t]*(\S+)", stanza, re.M)
        if name and (file := _file_of(stanza)):
            found[name[1]] = file
    return found


def without(index: str, file: str) -> str:
    """An index of apt without the package of this file."""
    return "".join(f"{stanza}\n\n" for stanza in _stanzas(index) if _file_of(stanza) != file)


def _stanzas(index: str) -> list[str]:
    return [stanza for stanza in re.split(r"\n[ \t]*\n", index.strip()) if stanza]


def _file_of(stanza: str) -> str:
    name = re.search(r"^Filename:[ \t]*(\S+)", stanza, re.M)
    return name[1].removeprefix("./") if name else ""


def check_wheels(file: Path, key: str, contents: Contents) -> str:
    """Raises MirrorError for a tar without wheels at its root, or with one for another machine; returns what it is."""
    wheels = sorted(name for name in contents.files if name.endswith(".whl"))
    advice = f"Run pip download on a machine with the platform {key}, then: tar cf NAME.tar -C DIRECTORY ."
    deeper = next((name for name in wheels if "/" in name), "")
    if deeper or not wheels:
        raise MirrorError(
            f"{file}: {deeper} is not at its root" if deeper else f"{file}: there is no wheel in it", advice=advice
        )
    machine = target.machine_of(key)
    for wheel in wheels:
        tag = wheel.removesuffix(".whl").rpartition("-")[2]
        if wheel.count("-") >= 4 and tag != "any" and not ("linux" in tag and tag.endswith(machine)):
            raise MirrorError(f"{file}: {wheel} is for {tag}, and hosts of {key} cannot install it", advice=advice)
    return f"{len(wheels)} wheels"
