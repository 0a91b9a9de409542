"""The facts about a host for the compatibility table: its toolkits, cards and versions, and the mirror's. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from neuraltalk_provision.catalogue.compatibility import Fact, reads_headers
from neuraltalk_provision.catalogue.model import Compatibility
from neuraltalk_provision.results.host_state import Card, HostState
from neuraltalk_provision.results.host_state import Toolkit as CudaDirectory
from neuraltalk_provision.rules.gpu import DEBIAN, SEARCHED, architectures, compute_capability, number

WITHOUT_NVCC = "-libraries"
"""The end of the version in the lock if the wheels contain the libraries of CUDA but not its compiler."""


class Versioned(Protocol):
    """A file in the mirror's lock, with the version that was found when it was added."""

    @property
    def file(self) -> str: ...
    @property
    def version(self) -> str: ...


@dataclass(frozen=True)
class Toolkit:
    """A toolkit with which a host can build; `apart` if its files are not all in one directory."""

    version: str
    path: str
    wheels: str
    apart: bool = False

    @property
    def is_of_distribution(self) -> bool:
        """Whether it is the distribution's package, which is made for its glibc."""
        return self.apart and self.path in (DEBIAN, "/usr")

    @property
    def text(self) -> str:
        return f"CUDA {self.version} ({self.path or 'wheels of the mirror'})"


class RefusalError(Exception):
    """A reason not to start; its arguments are the messages."""


def only(trees: Sequence[Toolkit], release: str) -> Toolkit:
    """The one toolkit of that release."""
    fitting = [tree for tree in trees if tree.version == release]
    if len(fitting) > 1:
        places = ", ".join(tree.path for tree in fitting)
        raise RefusalError(f"it has several CUDA {release} directories: {places}. Set gpu_stack_cuda to one of them")
    return fitting[0]


def arch_list(text: str) -> str:
    """The inventory's list of architectures in the form of TORCH_CUDA_ARCH_LIST."""
    return " ".join(architectures(text))


def capabilities(cards: Sequence[Card]) -> str:
    """The compute capabilities of all cards, each once. None of them may be unknown."""
    return " ".join(sorted({card.capability or "" for card in cards}, key=number))


def toolkits_of(
    toolkits: Sequence[CudaDirectory], lock: Mapping[str, Versioned], platform: str, requested: str
) -> list[Toolkit]:
    """The toolkits to choose from, without those in which another user could replace something."""
    name = f"cuda-wheels-{platform}"
    version = lock[name].version if name in lock else ""
    trees = [
        Toolkit(tree.version, tree.path, name if tree.lacks else "", tree.apart)
        for tree in toolkits
        if tree.version and (not tree.lacks or version.removesuffix(WITHOUT_NVCC) == tree.version)
    ]
    if requested and not toolkits:
        raise RefusalError(
            f"gpu_stack_cuda is {requested}, but there is no CUDA toolkit (bin/nvcc with its headers) there"
        )
    if version and not version.endswith(WITHOUT_NVCC) and not requested and version not in {t.version for t in trees}:
        trees.append(Toolkit(version, "", name))
    if trees:
        return trees
    problems = [tree.problem for tree in toolkits if tree.problem]
    if problems:
        raise RefusalError(*problems)
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
    """What is known; the toolkit comes first, because it is the easiest to change."""
    gpu, archs = state.gpu, state.inventory.arch_list
    glibc = state.platform.libc.removeprefix("glibc-")
    if any(tree.is_of_distribution for tree in trees):
        trees = [tree for tree in trees if tree.is_of_distribution or reads_headers(table, tree.version, glibc)]
        glibc = ""  # all that are left can read its headers
    facts = [Fact("cuda", tuple(dict.fromkeys(tree.version for tree in trees)), " and ".join(t.text for t in trees))]
    facts.append(Fact("profile", profiles, f"profile {' or '.join(profiles)}"))
    if archs:
        listed = ",".join(compute_capability(arch) for arch in architectures(archs))
        facts.append(Fact("capability", (listed,), f"gpu_stack_arch_list {archs}"))
    else:
        listed = capabilities(gpu.cards).replace(" ", ",")
        names = ", ".join(sorted({card.name for card in gpu.cards}))
        facts.append(Fact("capability", (listed,), f"{names} (compute capability {listed})"))
    single = {
        "driver": (gpu.driver, "driver {}"),
        "gcc": (gpu.gcc, "gcc {}"),
        "glibc": (glibc, "glibc {}"),
    }
    if "cudnn-archive" in lock and "cudnn-rock" in lock:
        archive = lock["cudnn-archive"]
        single["cudnn"] = (archive.version, "cuDNN {}")
        single["cudnn_cuda"] = (made_for(archive.file), "a cuDNN archive for CUDA {}")
        single["rock"] = (lock["cudnn-rock"].version, "branch {} of the cudnn rock")
    facts += [Fact(name, (value,), text.format(value)) for name, (value, text) in single.items() if value]
    return facts


def made_for(file: str) -> str:
    """The CUDA release of a cuDNN archive, which only its file name shows; empty if it does not."""
    release = re.match(r"cudnn-(\d+\.\d+)-", file)
    return release[1] if release else ""
