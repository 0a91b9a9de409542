"""A host that unpacks a generation which another host has built, and what is in the way of that. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.catalogue.recipe import Recipe
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.results.cache import Runtime
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site.obstacles import FEW_FILES, stack_root, temporary

TIMES = 2
"""How large a tar and what is unpacked of it are together, in sizes of the tar."""


@dataclass(frozen=True)
class Unpack:
    """From where a host gets its generation without a build: from the cache, or from `builder` in the same command.

    The latter may have `built` it in an earlier one; then it only has to be packed.

    `origin` says in words where and when it was built. `size` is that of its tar in bytes, 0 if it is not built yet.
    `packages` are the OS packages that it needs when it is used, and `lacks` those of them that the host lacks.
    `left_out` are the SHA-256 of files of the mirror that it needs beside the tar. `cannot_build` says why the host
    cannot build instead; it is empty if it can.
    """

    origin: str
    builder: str = ""
    size: int = 0
    packages: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    cannot_build: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    built: bool = False

    @property
    def words(self) -> str:
        """What the plan says that is done."""
        if not self.builder:
            return f"unpack from the cache, {self.origin}"
        return f"unpack what {self.builder} {'has built' if self.built else 'builds'}"

    def as_json(self) -> dict[str, Any]:
        """It as `--json` prints it."""
        return {"from": self.builder or "cache", "origin": self.origin, "missing_packages": list(self.lacks)}


def from_cache(entry: CacheEntry, host: Runtime, cannot_build: tuple[str, ...] = ()) -> Unpack:
    """The way of a host on which the packed generation of the cache will run."""
    lacks = {package for soname, package in entry.packages.items() if soname not in host.libraries}
    packages = set(entry.packages.values())
    names = tuple(sorted(packages)), tuple(sorted(lacks))
    return Unpack(entry.origin, "", entry.size, *names, cannot_build, entry.left_out)


def from_builder(builder: str, cannot_build: tuple[str, ...] = (), *, built: bool = False) -> Unpack:
    """The way of a host for whose kind another one builds in this command, or has `built` in an earlier one."""
    return Unpack(f"built on {builder}", builder, cannot_build=cannot_build, built=built)


def obstacles(state: HostState, recipe: Recipe, unpack: Unpack, pushed: bool) -> Iterator[str]:
    """Each reason why the host cannot unpack, with what to do, without its name.

    Neither compilers nor pip are needed, and only the space for the tar and for what is unpacked. If the generation is
    not built yet, its size is not known.
    """
    yield from state.obstacles
    beside = _beside(recipe, unpack)
    yield from temporary(state, max(unpack.size, *beside), pushed, _mb)
    needed = TIMES * unpack.size + sum(beside) + (_packages(recipe) if unpack.lacks else 0)
    yield from stack_root(state, needed, FEW_FILES, "unpacking the generation", _mb)


def by_builder(
    groups: Mapping[str, Sequence[str]], unable: Mapping[str, tuple[str, ...]], named: Collection[str]
) -> dict[str, Unpack]:
    """{host: its way} of the hosts for whose kind another one builds. `groups` are the hosts by kind, in order.

    `unable` says of hosts why they cannot build. A named builder builds if it is able to, else the first host that is.
    If none is, nobody unpacks.
    """
    ways: dict[str, Unpack] = {}
    for group in groups.values():
        candidates = [host for host in group if host not in unable]
        if candidates:
            builder = min(candidates, key=lambda host: host not in named)
            ways |= {host: from_builder(builder, unable.get(host, ())) for host in group if host != builder}
    return ways


def _beside(recipe: Recipe, unpack: Unpack) -> list[int]:
    """The sizes of the files of the mirror that are sent beside the tar."""
    return [0, *(int(recipe.files[sha256]["size"]) for sha256 in unpack.left_out if sha256 in recipe.files)]


def _packages(recipe: Recipe) -> int:
    return int(recipe.repository["size"]) if recipe.repository else 0


def _mb(count: int) -> str:
    return f"{count // 10**6} MB"
