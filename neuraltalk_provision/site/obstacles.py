"""What on a host is in the way of a build: disks, directories, and a Python without pip. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neuraltalk_provision.catalogue.recipe import Recipe
from neuraltalk_provision.results.host_state import HostState

FILES, FEW_FILES = 20_000, 2_000
"""How many files and directories a build of everything creates, and any other build. A real stack: 24,000 with runs."""
SCRATCH = 100_000_000
"""The bytes that compilers and pip need for temporary files."""
COPIES = 3
"""How often the OS packages are in /var on a host that shares its stack root: archive, unpacked, and apt's own copy."""
UNPACKED = 4
"""How much larger OS packages are when they are installed."""


def obstacles(
    state: HostState, recipe: Recipe, builds: Sequence[str], pushed: bool, *, shares: bool = False
) -> Iterator[str]:
    """Each reason why these components cannot be built, with what to do, without the name of the host.

    `pushed` means that the controller sends the files, which pass through the directory for temporary files. With
    `shares` another host builds in the stack root, and the OS packages are unpacked in /var/cache.
    """
    yield from state.obstacles
    yield from _temporary(state, recipe, builds, pushed)
    yield from _pip(state, recipe, builds)
    yield from _elsewhere(state, recipe, builds, shares)
    yield from _disk(state, recipe, builds)


def _disk(state: HostState, recipe: Recipe, builds: Sequence[str]) -> Iterator[str]:
    """Why the disk of the stack root does not suffice."""
    # The archive of the OS packages is sent there and unpacked there.
    held = sum(_sizes(recipe, builds)) + _packages(recipe, builds)
    needed = held + (state.build_space if "torch" in builds else 0)
    disk = state.disk
    if disk.free < needed and builds:
        yield (
            f"{disk.path} has {_gb(disk.free)} free, but the build needs {_gb(needed)}: "
            "free some space there, or choose another stack_root"
        )
    files = FILES if "torch" in builds else FEW_FILES if builds else 0
    if disk.files is not None and disk.files < files:
        yield (
            f"the file system of {disk.path} has space for {disk.files} more files and directories (inodes, see "
            f"`df -i`), but the build needs {files}: remove files there, or choose another stack_root"
        )
    if not disk.writable:
        yield (
            f"{disk.path} cannot be written by the user that Ansible becomes (uid {state.user.uid}): set "
            "ansible_become, or choose another stack_root"
        )


def _elsewhere(state: HostState, recipe: Recipe, builds: Sequence[str], shares: bool) -> Iterator[str]:
    """Which directories outside the stack root are too small for what compilers, pip and package managers write."""
    packages = _packages(recipe, builds)
    scratch = SCRATCH if {"torch", "python"} & set(builds) else 0
    needed = {"/usr": UNPACKED * packages, "/var": COPIES * packages if shares else packages}
    for path, free in state.spaces.items():
        if free < needed.get(path, scratch):
            yield (
                f"{path} has {free // 10**6} MB free, but {needed.get(path, scratch) // 10**6} MB are needed there: "
                "free some space"
            )


def _temporary(state: HostState, recipe: Recipe, builds: Sequence[str], pushed: bool) -> Iterator[str]:
    """Why Ansible's temporary files have no place."""
    place, largest = state.temporary, max(_sizes(recipe, builds), default=0)
    if place.problem:
        yield place.problem
    elif pushed and place.free is not None and place.free < largest:
        yield (
            f"{place.path}, through which files are sent, has {_gb(place.free)} free, but the largest file has "
            f"{_gb(largest)}: free some space there, or set ansible_remote_tmp to a directory on a larger disk"
        )


def _pip(state: HostState, recipe: Recipe, builds: Sequence[str]) -> Iterator[str]:
    """Why no Python package can be installed; nothing if pip is there, or comes with the OS packages."""
    missing = [name for name in recipe.required if name not in state.packages]
    if not state.platform.pip and "python" in builds and not any(name.endswith("-pip") for name in missing):
        yield (
            f"{state.platform.executable} (Python {state.platform.python}) has no pip, although the OS package of pip "
            "is installed: install pip for this Python, or set ansible_python_interpreter to a Python that has pip"
        )


def _packages(recipe: Recipe, builds: Sequence[str]) -> int:
    """The bytes of the mirror's OS packages that the host will get."""
    return int(recipe.repository["size"]) if recipe.repository and "packages" in builds else 0


def _sizes(recipe: Recipe, builds: Sequence[str]) -> list[int]:
    """The sizes of all files that are sent for these components."""
    parts = [int(file["size"]) for part in recipe.parts if part.name in builds for file in part.files]
    return [*parts, _packages(recipe, builds)]


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
