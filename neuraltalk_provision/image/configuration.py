"""The configuration of an image: what is started, in which environment, and the labels. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.image import oci
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.mirror.lock import Lock
from neuraltalk_provision.rules import layout, machines
from neuraltalk_provision.rules.texts import SYSTEM_PATH, UTF8

NAME = "neuraltalk2"
"""The name of every image; its tag is the id of the generation."""
ACCOUNT = 10001
"""The user and group that programs in the image run as: a number, so that it is known not to be root."""
HOME = "/work"
"""The home of that user, where programs start."""
CREATED = "2016-01-01T00:00:00Z"
"""The time of every image, which is that of all files in it (pack.DATE)."""
OURS = "neuraltalk.provision"
_STANDARD = "org.opencontainers.image"
_CUDA = re.compile(r"\bCUDA (\d{1,3})\.(\d{1,3})")
_ONE_DRIVER_FOR_ALL = 11
"""From this major version of CUDA on, a driver that runs one minor version runs all of the same major version."""


def reference(entry: CacheEntry) -> str:
    """The name and tag of an image."""
    return f"{NAME}:{entry.id}"


def labels(entry: CacheEntry, packages: str, provision: str, versions: Mapping[str, str]) -> dict[str, str]:
    """The labels. `packages` is the SHA-256 of the archive of OS packages, `versions` those of `versions_of`.

    Nothing in them says where or when: the same inputs give the same image.
    """
    ours = {
        "generation": entry.id,
        "generation.sha256": entry.sha256,
        "lock": entry.lock,
        "packages": packages,
        "platform": entry.platform,
        "stack-root": entry.stack_root,
        "version": provision,
        "components": oci.as_json(dict(entry.components)).decode(),
        "gpu": entry.gpu or "none",
    }
    if versions:
        ours["versions"] = oci.as_json(dict(versions)).decode()
    return {
        f"{_STANDARD}.title": NAME,
        f"{_STANDARD}.description": f"Torch7 and neuraltalk2 for {entry.gpu or 'the processor alone'}",
        f"{_STANDARD}.version": entry.id,
        **{f"{OURS}.{key}": value for key, value in ours.items()},
    }


def versions_of(lock: Lock, catalogue: Catalogue, entry: CacheEntry) -> dict[str, str]:
    """{component: version of its artifact}, sorted, for the artifacts that the lock knows a version of."""
    known, profile = lock.by_name(), entry.gpu.partition(":")[0]
    found = {}
    for component in catalogue.components:
        if component.name not in entry.components or (component.profiles and profile not in component.profiles):
            continue
        names = (component.python3, component.artifact, f"{component.artifact}-{entry.platform}")
        version = next((known[name].version for name in names if name in known), "")
        if version:
            found[component.name] = version
    return dict(sorted(found.items()))


def write(entry: CacheEntry, layers: Sequence[oci.Layer], described: Mapping[str, str]) -> bytes:
    """The document. Raises UsageError for a machine type that images cannot name."""
    machine = entry.platform.rpartition("-")[2]
    if machine != machines.BUILT_FOR:
        raise UsageError(f"{entry.platform}: no images are made for the machine type {machine[:40]!r}")
    environment = {"PATH": SYSTEM_PATH, "HOME": HOME, **UTF8, **gpu_environment(entry)}
    document: dict[str, Any] = {
        "created": CREATED,
        "architecture": machines.SAME[1],
        "os": "linux",
        "config": {
            "User": f"{ACCOUNT}:{ACCOUNT}",
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Entrypoint": [f"{layout.current(entry.stack_root)}/bin/with-stack"],
            "Cmd": ["th"],
            "WorkingDir": HOME,
            "Labels": dict(described),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.sha256}" for layer in layers]},
        "history": [
            {"created": CREATED, "created_by": "provision image", "comment": comment}
            for comment in ("OS packages", "generation")
        ],
    }
    return oci.as_json(document)


def gpu_environment(entry: CacheEntry) -> dict[str, str]:
    """The variables that NVIDIA's container runtime reads; empty for a stack without GPU software.

    The driver's libraries are not in the image: the runtime adds those of the host.
    """
    match = _CUDA.search(entry.gpu)
    if not match:
        return {}
    major, minor = int(match[1]), int(match[2])
    return {
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_REQUIRE_CUDA": f"cuda>={major}.{0 if major >= _ONE_DRIVER_FOR_ALL else minor}",
    }
