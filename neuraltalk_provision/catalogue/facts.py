"""What is known of a host for the compatibility table: its toolkits and cards, its versions, the mirror's. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from neuraltalk_provision.catalogue.compatibility import Fact
from neuraltalk_provision.catalogue.model import Compatibility
from neuraltalk_provision.results.host_state import Card, HostState
from neuraltalk_provision.results.host_state import Toolkit as CudaDirectory
from neuraltalk_provision.rules.gpu import SEARCHED, architectures, compute_capability

WITHOUT_NVCC = "-libraries"
"""Ends the lock's version of wheels that hold CUDA's libraries and not its compiler."""


class Versioned(Protocol):
    """A file of the mirror's lock, with what it said of its version when it was filed."""

    @property
    def file(self) -> str: ...
    @property
    def version(self) -> str: ...


@dataclass(frozen=True)
class Toolkit:
    """A toolkit that a host could build with; `apart` where no one directory holds all of it."""

    version: str
    path: str
    wheels: str
    apart: bool = False

    @property
    def words(self) -> str:
        return f"CUDA {self.version} ({self.path or 'wheels of the mirror'})"


class RefusalError(Exception):
    """A reason not to begin; its arguments are the words."""


def only(trees: Sequence[Toolkit], release: str) -> Toolkit:
    """The one toolkit of that release."""
    fitting = [tree for tree in trees if tree.version == release]
    if len(fitting) > 1:
        places = ", ".join(tree.path for tree in fitting)
        raise RefusalError(f"it has several CUDA {release}: {places}. Set gpu_stack_cuda to one")
    return fitting[0]


def arch_list(text: str) -> str:
    """What an inventory says to build for, as TORCH_CUDA_ARCH_LIST has it."""
    return " ".join(architectures(text))


def capability(card: Card, table: Compatibility) -> str:
    """The card's compute capability: told by its driver, else by its name; the longest name that fits."""
    if card.capability:
        return card.capability
    named = [name for name in table.cards if re.search(rf"\b{re.escape(name)}(?!\d)", card.name)]
    return table.cards[max(named, key=len)] if named else ""


def capabilities(cards: Sequence[Card], table: Compatibility) -> str:
    """The compute capabilities of all cards, each once."""
    return " ".join(sorted({capability(card, table) for card in cards}, key=float))


def toolkits_of(
    toolkits: Sequence[CudaDirectory], lock: Mapping[str, Versioned], platform: str, asked: str
) -> list[Toolkit]:
    """The toolkits to choose from."""
    name = f"cuda-wheels-{platform}"
    version = lock[name].version if name in lock else ""
    trees = [
        Toolkit(tree.version, tree.path, name if tree.lacks else "", tree.apart)
        for tree in toolkits
        if tree.version and (not tree.lacks or version.removesuffix(WITHOUT_NVCC) == tree.version)
    ]
    if asked and not toolkits:
        raise RefusalError(f"gpu_stack_cuda is {asked}, but it has no bin/nvcc with headers")
    if version and not version.endswith(WITHOUT_NVCC) and not asked and version not in {t.version for t in trees}:
        trees.append(Toolkit(version, "", name))
    if trees:
        return trees
    lacking = [f"{tree.path} (CUDA {tree.version}) lacks {', '.join(tree.lacks)}" for tree in toolkits]
    what = "; ".join(lacking) or f"no nvcc was found in {SEARCHED}"
    raise RefusalError(f"{what}. Install a CUDA toolkit, name it with gpu_stack_cuda, or add {name}.tar to the mirror")


def facts_of(
    state: HostState,
    table: Compatibility,
    lock: Mapping[str, Versioned],
    trees: Sequence[Toolkit],
    profiles: tuple[str, ...],
) -> list[Fact]:
    """What is known, the toolkit first, for that is what a person can change."""
    gpu, packages, archs = state.gpu, state.packages, state.inventory.arch_list
    facts = [Fact("cuda", tuple(dict.fromkeys(tree.version for tree in trees)), " and ".join(t.words for t in trees))]
    facts.append(Fact("profile", profiles, f"profile {' or '.join(profiles)}"))
    if archs:
        listed = ",".join(compute_capability(arch) for arch in architectures(archs))
        facts.append(Fact("capability", (listed,), f"gpu_stack_arch_list {archs}"))
    else:
        listed = capabilities(gpu.cards, table).replace(" ", ",")
        names = ", ".join(sorted({card.name for card in gpu.cards}))
        facts.append(Fact("capability", (listed,), f"{names} (compute capability {listed})"))
    single = {
        "driver": (gpu.driver, "driver {}"),
        "gcc": (gpu.gcc, "gcc {}"),
        "glibc": (state.platform.libc.removeprefix("glibc-"), "glibc {}"),
        "hdf5": (_package(packages, "libhdf5-dev", "hdf5-devel"), "HDF5 {}"),
        "protobuf": (_package(packages, "libprotobuf-dev", "protobuf-devel"), "protobuf {}"),
    }
    if "cudnn-archive" in lock and "cudnn-rock" in lock:
        archive = lock["cudnn-archive"]
        single["cudnn"] = (archive.version, "cuDNN {}")
        single["cudnn_cuda"] = (made_for(archive.file), "a cuDNN archive for CUDA {}")
        single["rock"] = (lock["cudnn-rock"].version, "branch {} of the cudnn rock")
    facts += [Fact(name, (value,), words.format(value)) for name, (value, words) in single.items() if value]
    return facts


def made_for(file: str) -> str:
    """The CUDA release that a cuDNN archive is made for, which only its name tells; empty where it does not."""
    release = re.match(r"cudnn-(\d+\.\d+)-", file)
    return release[1] if release else ""


def _package(packages: Mapping[str, str], *names: str) -> str:
    """The version of the first of these packages that is installed: `1.10.8` of `1.10.8+repack1-1`."""
    for name in names:
        version = re.match(r"(\d+:)?(\d+(\.\d+)*)", packages.get(name, ""))
        if version:
            return version[2]
    return ""
