"""What is built for one platform, with the digests that decide whether it must be built again. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Protocol

from neuraltalk_provision.catalogue.gpu import Gpu
from neuraltalk_provision.catalogue.model import Catalogue, Component
from neuraltalk_provision.catalogue.platform import Platform
from neuraltalk_provision.errors import MirrorError
from neuraltalk_provision.rules import layout

# Increased when a role builds something else from the same inputs: everything is then built again.
RECIPE_VERSION = 2
ID_LENGTH = 16


class LockedFile(Protocol):
    """A file that the mirror's lock lists."""

    @property
    def name(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def version(self) -> str: ...


@dataclass(frozen=True)
class BuildSettings:
    """The settings that change what is built."""

    stack_root: str
    pip_source: str
    pip_index_url: str


@dataclass(frozen=True)
class Part:
    """A component of a recipe: its inputs by digest, and how it is built."""

    name: str
    role: str
    digest: str
    files: tuple[Mapping[str, Any], ...]
    edits: tuple[Mapping[str, Any], ...]
    rockspec: str
    requirements: tuple[str, ...]
    loads: tuple[str, ...]
    tries: tuple[str, ...]
    libraries: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """A generation before it is built. `id` is the digest of all inputs; `gpu` is None without a GPU part.

    `runs` are the OS packages, of those that no library names, that are needed when the stack is used.
    """

    id: str
    platform: str
    gpu: Gpu | None
    stack_root: str
    manager: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    repository: Mapping[str, Any] | None
    parts: tuple[Part, ...]
    left_out: tuple[str, ...]
    pip_source: str
    pip_index_url: str
    runs: tuple[str, ...] = ()

    @property
    def swaps(self) -> bool:
        """Whether cuDNN is swapped in the host's CUDA directory when the generation becomes current."""
        return self.gpu is not None and self.gpu.cudnn_mode == "swap"

    @cached_property
    def files(self) -> dict[str, Mapping[str, Any]]:
        """{SHA-256: the file} of the files of all parts."""
        return {str(file["sha256"]): file for part in self.parts for file in part.files}

    @cached_property
    def digests(self) -> dict[str, str]:
        """{part: its digest}."""
        return {part.name: part.digest for part in self.parts}

    def part(self, name: str) -> Part:
        """The part with that name. Raises KeyError if there is none."""
        return {part.name: part for part in self.parts}[name]

    @property
    def generation(self) -> PurePosixPath:
        """The directory on hosts in which the generation is built."""
        return PurePosixPath(layout.generation(self.stack_root, self.id))

    def as_vars(self) -> dict[str, Any]:
        """The recipe as variables for Ansible."""
        return {**asdict(self), "generation": str(self.generation)}


def write(
    catalogue: Catalogue,
    lock: Mapping[str, LockedFile],
    platform: Platform,
    settings: BuildSettings,
    gpu: Gpu | None = None,
) -> Recipe:
    """The recipe for a platform and the GPU part of a host, from the files in the mirror's lock.

    The keys of `lock` are the artifacts' names, or `<name>-<platform key>` for artifacts per platform. Raises
    MirrorError that names every required artifact that the lock lacks.
    """
    wants = [need for need in catalogue.needs if not need.artifacts or any(name in lock for name in need.artifacts)]
    needs = [(need, need.names(platform.manager, platform.lookups)) for need in wants]
    required = tuple(name for need, names in needs if not need.optional for name in names)
    optional = tuple(name for need, names in needs if need.optional for name in names)
    pip_source = _pip_source(settings, lock, platform)
    components = [component for component in catalogue.components if _applies(component, gpu)]
    wanted, left_out = _wanted(components, catalogue, lock, platform, pip_source)
    # Without the minor release: an update of the distribution must not cause a rebuild of all hosts.
    base = _digest(RECIPE_VERSION, platform.key, platform.manager, asdict(settings), sorted(required))
    parts: dict[str, Part] = {}
    for component in wanted:
        part = _part(component, catalogue, lock, platform, base, parts, pip_source, gpu)
        parts[component.name] = part
    return Recipe(
        id=_digest(base, [part.digest for part in parts.values()], gpu and asdict(gpu))[:ID_LENGTH],
        platform=platform.key,
        gpu=gpu,
        stack_root=settings.stack_root,
        manager=platform.manager,
        required=required,
        optional=optional,
        repository=_file(lock.get(f"packages-{platform.key}")),
        parts=tuple(parts.values()),
        left_out=left_out,
        pip_source=pip_source,
        pip_index_url=settings.pip_index_url,
        runs=tuple(name for need, names in needs if need.runs for name in names),
    )


def _pip_source(settings: BuildSettings, lock: Mapping[str, LockedFile], platform: Platform) -> str:
    if settings.pip_source != "auto":
        return settings.pip_source
    if f"python-wheels-{platform.key}" in lock:
        return "mirror"
    return "index" if settings.pip_index_url else "host"


def _applies(component: Component, gpu: Gpu | None) -> bool:
    """Whether the component is for a host with that GPU part."""
    if not component.profiles:
        return True
    return gpu is not None and gpu.profile in component.profiles and bool(gpu.cudnn or not component.cudnn)


def _artifact(component: Component, lock: Mapping[str, LockedFile], platform: Platform) -> str:
    """The artifact from which a component is built on hosts of the platform."""
    return component.python3 if platform.python == "3" and component.python3 in lock else component.artifact


def _wanted(
    components: Iterable[Component],
    catalogue: Catalogue,
    lock: Mapping[str, LockedFile],
    platform: Platform,
    pip_source: str,
) -> tuple[list[Component], tuple[str, ...]]:
    wanted: list[Component] = []
    left_out: list[Component] = []
    missing: list[str] = []
    for component in components:
        if component.requirements:
            (left_out if pip_source == "none" else wanted).append(component)
            continue
        if catalogue.artifact(component.artifact).per_platform:
            wanted.append(component)  # if the host's own toolkit lacks something, the wheels are added to it
            continue
        names = (_artifact(component, lock, platform), *component.companions)
        absent = [name for name in names if name not in lock]
        if not absent:
            wanted.append(component)
        elif not component.profiles and all(catalogue.artifact(name).optional for name in absent):
            left_out.append(component)
        else:
            missing += absent
    if missing:
        files = ", ".join(f"{name} ({catalogue.artifact(name).file_name()})" for name in missing)
        raise MirrorError(f"the mirror has no {files}", advice="Add the file with `provision mirror add FILE`.")
    return wanted, tuple(component.name for component in left_out)


def _part(
    component: Component,
    catalogue: Catalogue,
    lock: Mapping[str, LockedFile],
    platform: Platform,
    base: str,
    parts: Mapping[str, Part],
    pip_source: str,
    gpu: Gpu | None,
) -> Part:
    artifact = _artifact(component, lock, platform)
    files = [_file(lock.get(name)) for name in (artifact, *component.companions, *component.extras)]
    if component.requirements:
        files = [_file(lock.get(f"{component.artifact}-{platform.key}"))] if pip_source == "mirror" else []
        if files == [None]:
            raise MirrorError(
                f"the mirror has no {component.artifact}-{platform.key}.tar, but pip.source is `mirror`",
                advice="Add it with `provision mirror add`, or set pip.source to index, host or none.",
            )
    elif catalogue.artifact(component.artifact).per_platform:
        files = [_file(lock.get(gpu.wheels))] if gpu and gpu.wheels else []
    present = tuple(file for file in files if file)
    edits = tuple(edit.model_dump() for edit in catalogue.edits.get(artifact, ()))
    digest = _digest(
        base,
        # Without the names of optional inputs: the digests of the files that are used follow below.
        component.model_dump(exclude={"python3", "extras"}),
        [file["sha256"] for file in present],
        edits,
        [parts[name].digest for name in component.requires if name in parts],
        asdict(gpu) if gpu and component.profiles else None,
    )
    return Part(
        name=component.name,
        role=component.role,
        digest=digest[:ID_LENGTH],
        files=present,
        edits=edits,
        rockspec=component.rockspec,
        requirements=component.requirements,
        loads=component.loads,
        tries=component.tries,
        libraries=component.libraries,
    )


def _file(entry: LockedFile | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {"name": entry.name, "file": entry.file, "sha256": entry.sha256, "size": entry.size}


def _digest(*inputs: Any) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
