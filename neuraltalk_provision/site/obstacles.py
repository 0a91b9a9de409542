"""What on a host is in the way of a build: disks, directories, and a Python without pip. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from neuraltalk_provision.catalogue import pythons, target, tried
from neuraltalk_provision.catalogue.recipe import Recipe
from neuraltalk_provision.results.host_state import Directory, HostPlatform, HostState
from neuraltalk_provision.rules.packages import CACHE, HDF5, HDF5_LIBRARY, LOCAL, SCRIPTS, WRITTEN

FILES, FEW_FILES = 20_000, 2_000
"""How many files and directories a build of everything creates, and any other build. A real stack: 24,000 with runs."""
SCRATCH = 100_000_000
"""The bytes that compilers need for temporary files. Pip has its own on the disk of the stack root."""
COPIES = 3
"""How often the OS packages are in /var on a host that shares its stack root: archive, unpacked, and apt's own copy."""
LIMITS = {"fsize": 200_000_000, "as": 1 << 30, "cpu": 600, "nproc": 64, "nofile": 128}
"""The least limits (ulimit) with which something can be built: bytes, seconds of one process, and numbers."""
WHAT_IS_LIMITED = {
    "fsize": "the size of a file (ulimit -f, in bytes)",
    "as": "the memory of a process (ulimit -v, in bytes)",
    "cpu": "the time of a process (ulimit -t, in seconds)",
    "nproc": "the number of processes (ulimit -u)",
    "nofile": "the number of open files (ulimit -n)",
}


@dataclass(frozen=True)
class Piece:
    """What builds find by itself: its key in HostState.programs, its name, and its name with what it belongs to."""

    key: str
    name: str
    of: str


PIECES = (
    ("protobuf", Piece("protoc", "protoc", "protoc"), Piece("protobuf", "the headers", "the headers of protobuf")),
    (
        "hdf5",
        Piece("hdf5", "the headers", "the headers of HDF5"),
        Piece(HDF5_LIBRARY, "the library", "the library of HDF5"),
    ),
)
"""(what is compared with what was tried, and the two pieces of it that must have one version)."""
UNPACKED = 4
"""How much larger OS packages are when they are installed."""
InWords = Callable[[int], str]
"""A number of bytes in words."""


def obstacles(
    state: HostState, recipe: Recipe, builds: Sequence[str], pushed: bool, *, shares: bool = False
) -> Iterator[str]:
    """Each reason why these components cannot be built, with what to do, without the name of the host.

    `pushed` means that the controller sends the files, which pass through the directory for temporary files. With
    `shares` another host builds in the stack root, and the OS packages are unpacked in /var/cache.
    """
    yield from state.obstacles
    yield from temporary(state, max(_sizes(recipe, builds)), pushed, _gb)
    yield from _pip(state, recipe, builds)
    yield from _programs(state, builds)
    yield from _limits(state, recipe, builds)
    yield from _mixed(state, builds)
    yield from _elsewhere(state, recipe, builds, shares)
    yield from _disk(state, recipe, builds)


def _disk(state: HostState, recipe: Recipe, builds: Sequence[str]) -> Iterator[str]:
    # The archive of the OS packages is sent there and unpacked there.
    held = sum(_sizes(recipe, builds)) + _packages(recipe, builds)
    needed = held + (state.build_space if "torch" in builds else 0)
    files = FILES if "torch" in builds else FEW_FILES if builds else 0
    return stack_root(state, needed, files, "the build", _gb)


def stack_root(state: HostState, needed: int, files: int, what: str, in_words: InWords) -> Iterator[str]:
    """Why the disk of the stack root does not suffice for what needs so many bytes and files."""
    disk = state.disk
    if disk.free < needed:
        yield (
            f"{disk.path} has {in_words(disk.free)} free, but {what} needs {in_words(needed)}: "
            "free some space there, or choose another stack_root"
        )
    if disk.files is not None and disk.files < files:
        yield (
            f"the file system of {disk.path} has space for {disk.files} more files and directories (inodes, see "
            f"`df -i`), but {what} needs {files}: remove files there, or choose another stack_root"
        )
    if not disk.writable:
        yield (
            f"{disk.path} cannot be written by the user that Ansible becomes (uid {state.user.uid}): set "
            "ansible_become, or choose another stack_root"
        )


def _elsewhere(state: HostState, recipe: Recipe, builds: Sequence[str], shares: bool) -> Iterator[str]:
    """Which directories outside the stack root do not suffice for compilers and package managers."""
    packages = _packages(recipe, builds)
    archive = CACHE if CACHE in state.outside else "/var"
    large = {"/usr": UNPACKED * packages, archive: COPIES * packages if shares else packages}
    for path, directory in state.outside.items():
        of_packages = path in dict(WRITTEN)
        if of_packages and "packages" in builds:
            yield from _of_packages(state, path, directory)
            # The mirror's archive has the packages of a bare host; how many files others have is not known.
            files = FILES if path == "/usr" and packages else FEW_FILES
            yield from _too_small(path, directory, large.get(path, 0), files)
        elif not of_packages and "torch" in builds:
            if not directory.writable:
                yield f"{path} cannot be written, but compilers need it: chmod 1777 {path}, or mount it for writing"
            yield from _too_small(path, directory, SCRATCH, FEW_FILES)


def _of_packages(state: HostState, path: str, directory: Directory) -> Iterator[str]:
    """Why OS packages cannot be installed in a directory, unless the user has no right to install them at all."""
    scripts = SCRIPTS if SCRIPTS in state.outside else "/var"
    if not directory.writable and state.user.uid == 0:
        yield f"{path} cannot be written, but OS packages are installed there: {_remount(directory, 'rw')}"
    elif path == scripts and not directory.executable and "apt-get" in state.platform.managers:
        cure = _remount(directory, "exec")
        yield f"{path} is mounted with noexec, but dpkg runs the scripts of packages there: {cure}"


def _too_small(path: str, directory: Directory, needed: int, files: int) -> Iterator[str]:
    if directory.free < needed:
        yield (
            f"{path} has {directory.free // 10**6} MB free, but {needed // 10**6} MB are needed there: free some space"
        )
    if directory.files is not None and directory.files < files:
        yield (
            f"the file system of {path} has space for {directory.files} more files and directories (inodes, see "
            f"`df -i`), but {files} are needed there: remove files there"
        )


def _remount(directory: Directory, option: str) -> str:
    place = f" {directory.mount}" if directory.mount else ""
    return f"remount it (mount -o remount,{option}{place}), and change /etc/fstab"


def temporary(state: HostState, largest: int, pushed: bool, in_words: InWords) -> Iterator[str]:
    """Why Ansible's temporary files have no place; `largest` is the largest file that is sent, in bytes."""
    place = state.temporary
    if place.problem:
        yield place.problem
    elif pushed and place.free is not None and place.free < largest:
        yield (
            f"{place.path}, through which files are sent, has {in_words(place.free)} free, but the largest file has "
            f"{in_words(largest)}: free some space there, or set ansible_remote_tmp to a directory on a larger disk"
        )


def _pip(state: HostState, recipe: Recipe, builds: Sequence[str]) -> Iterator[str]:
    """Why no Python package can be installed; nothing if pip is there, or comes with the OS packages."""
    missing = [name for name in recipe.required if name not in state.packages]
    if state.platform.pip or "python" not in builds:
        return
    coming = next((name for name in missing if name.endswith("-pip")), "")
    # A release that is not in our tables can have a Python 2.7 and get python3-pip, with a Python 3.
    same = coming.startswith("python3-") == (not state.platform.python.startswith("2."))
    if not coming or not same or not _is_of_the_distribution(state.platform, recipe.platform):
        why = "is for another Python" if coming else "is installed"
        yield (
            f"{state.platform.executable} (Python {state.platform.python}) has no pip, although the OS package of pip "
            f"{why}: install pip for this Python, or set ansible_python_interpreter to a Python that has pip"
        )


def _is_of_the_distribution(platform: HostPlatform, key: str) -> bool:
    """Whether the OS package of pip is for the Python of the stack: by its release, or else by its directory."""
    system, major, _ = target.split(key) or ("",) * 3
    release = pythons.release(system, int(major)) if major else None
    if release:
        return platform.python.split(".")[:2] == release.python.split(".")
    return platform.executable.startswith(("/usr/bin/", "/usr/libexec/"))


def _programs(state: HostState, builds: Sequence[str]) -> Iterator[str]:
    """Which programs of these builds do not start."""
    compiles = bool(set(builds) - {"packages", "account", "python"})
    for program in state.broken:
        if program.name == "pip" and "python" in builds:
            yield (
                f"{program.path} does not start: {program.words}. Repair pip of this Python (python3 -m pip comes from "
                "an OS package, unless /usr/local has another pip), or set ansible_python_interpreter to another Python"
            )
        elif program.name == HDF5 and "hdf5" in builds and "packages" not in builds:  # which can bring what it lacks
            yield (
                f"gcc cannot read {program.path}, which builds would use: {program.words}. Install what it needs, or "
                "remove this HDF5, so that builds find the one of the distribution"
            )
        elif program.name == HDF5_LIBRARY and "hdf5" in builds:
            yield (
                f"{program.path}, which builds would use, is not found when the stack runs: {program.words}. Name its "
                "directory in a file of /etc/ld.so.conf.d and run ldconfig, or remove this HDF5"
            )
        elif program.name not in ("pip", HDF5, HDF5_LIBRARY) and compiles:
            yield (
                f"{program.path} does not start, and builds would use it: {program.words}. Repair it, or remove it so "
                "that builds find the program of the distribution"
            )


def _limits(state: HostState, recipe: Recipe, builds: Sequence[str]) -> Iterator[str]:
    """Which limits of processes are too small; root has no limit of processes."""
    if not set(builds) - {"account"}:
        return
    needed = {**LIMITS, "fsize": max(LIMITS["fsize"], *_sizes(recipe, builds))}
    for kind, least in needed.items():
        limit = state.limits.get(kind)
        if limit is not None and limit < least and not (kind == "nproc" and state.user.uid == 0):
            yield (
                f"{WHAT_IS_LIMITED[kind]} is limited to {limit} for what Ansible starts there, but builds need "
                f"{least}: raise this limit in /etc/security/limits.conf, or where else the host sets it"
            )


def _mixed(state: HostState, builds: Sequence[str]) -> Iterator[str]:
    """Why builds would mix two versions of a library: what is in /usr/local does not fit."""
    for what, one, two in PIECES:
        own = (state.programs.get(one.key, ""), state.programs.get(two.key, ""))
        package = tried.of_packages(state.packages).get(what, "")
        first, second = (_release(version or package) for version in own)
        # What the OS package will be is not known before it is installed.
        if tried.USERS[what] not in builds or not first or not second or first == second:
            continue
        there = f"{one.of} {own[0]}" if own[0] else f"{two.of} {own[1]}"
        other = f"{two.of} {own[1]}" if all(own) else f"{(two if own[0] else one).name} of the OS package, {package}"
        yield (
            f"{LOCAL} has {there}, which does not fit {other}, and builds use both: remove it from {LOCAL}, or "
            "install the same version of both there"
        )


def _release(version: str) -> str:
    """The release of a version of protobuf: 25.1 is also called 3.25.1 or 4.25.1, with the number of a language."""
    return re.sub(r"^\d\.(?=(2[1-9]|[3-9]\d)\.)", "", version)


def _packages(recipe: Recipe, builds: Sequence[str]) -> int:
    """The bytes of the mirror's OS packages that the host will get."""
    return int(recipe.repository["size"]) if recipe.repository and "packages" in builds else 0


def _sizes(recipe: Recipe, builds: Sequence[str]) -> list[int]:
    """The sizes of all files that are sent for these components."""
    parts = [int(file["size"]) for part in recipe.parts if part.name in builds for file in part.files]
    return [*parts, _packages(recipe, builds)]


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
