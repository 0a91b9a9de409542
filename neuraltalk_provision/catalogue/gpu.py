"""What is built for a host's cards: decided from what it said, what its inventory says, and the mirror. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from neuraltalk_provision.catalogue.compatibility import Contradiction, Fact, solve
from neuraltalk_provision.catalogue.model import Compatibility

ARCHITECTURE = re.compile(r"\d+\.\d(\+PTX)?")
WITHOUT_NVCC = "-libraries"
"""Ends the lock's version of wheels that hold CUDA's libraries and not its compiler."""
MODES = ("swap", "private")
PROFILES = ("auto", "cpu", "legacy", "modern")


class Versioned(Protocol):
    """A file of the mirror's lock, with what it said of its version when it was filed."""

    @property
    def file(self) -> str: ...
    @property
    def version(self) -> str: ...


@dataclass(frozen=True)
class Gpu:
    """The GPU half of one host.

    `archs` is a TORCH_CUDA_ARCH_LIST; `toolkit` the host's CUDA directory, empty where the mirror's wheels are
    the toolkit; `wheels` the name of the wheels that are merged into it; `gcc` the compiler that was named for
    nvcc; `cudnn` the version that `cudnn_mode` (swap or private) brings, both empty without one.
    """

    profile: str
    archs: str
    toolkit: str
    cuda: str
    wheels: str
    gcc: str
    cudnn: str
    cudnn_mode: str


@dataclass(frozen=True)
class Chosen:
    """What was chosen for a host's cards: nothing without a card; every reason not to begin; a remark."""

    gpu: Gpu | None = None
    refusals: tuple[str, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class _Tree:
    """A toolkit that a host could build with."""

    version: str
    path: str
    wheels: str

    @property
    def words(self) -> str:
        return f"CUDA {self.version} ({self.path or 'wheels of the mirror'})"


def choose(
    host: str,
    state: Mapping[str, Any],
    platform: str,
    table: Compatibility,
    lock: Mapping[str, Versioned],
    *,
    profile: str,
    cudnn_mode: str,
) -> Chosen:
    """What is built for the host's cards.

    `profile` and `cudnn_mode` are the site's; the host's inventory may say otherwise. A host without a card is
    left out, unless its inventory names an architecture to build for (a build host). Nothing is guessed: what
    cannot be known is a refusal that says which inventory variable tells it.
    """
    facts, said = state["gpu"], state["inventory"]
    wanted = said.get("profile") or profile
    mode = said.get("cudnn_mode") or cudnn_mode
    wrong = _misspelt(host, said)
    if wrong:
        return Chosen(refusals=wrong)
    cards, archs = facts["cards"], said.get("arch_list") or ""
    if wanted == "cpu":
        return Chosen(remark=f"{host}: the profile cpu leaves its cards unused" if cards else "")
    if facts["problem"] and not archs:
        return Chosen(refusals=(f"{host}: nvidia-smi cannot tell of its cards: {facts['problem']}",))
    if not cards and not archs:
        if said.get("profile") in ("legacy", "modern"):
            return Chosen(refusals=(f"{host} has no card: say in its inventory what to build for, {_ARCH_EXAMPLE}",))
        return Chosen()
    sources = [name for name, row in table.profiles.items() if row.cutorch in lock and row.cunn in lock]
    if wanted == "auto" and not sources:
        return Chosen(remark=f"{host}: its cards stay unused, because the mirror has neither cutorch nor cunn")
    nameless = [] if archs else [card["name"] for card in cards if not _capability(card, table)]
    if nameless:
        names = ", ".join(sorted(set(nameless)))
        words = f"{host}: its driver does not tell the compute capability of {names}: say it in its inventory"
        return Chosen(refusals=(f"{words}, {_ARCH_EXAMPLE}",))
    trees, why_none = _trees(facts["toolkits"], lock, platform, said.get("cuda") or "")
    if not trees:
        return Chosen(refusals=(f"{host}: {why_none}",))
    profiles = (wanted,) if wanted != "auto" else tuple(sources)
    known = _facts(state, table, lock, trees, profiles, archs)
    answer = solve(table, known, said.get("vouched") or ())
    if isinstance(answer, Contradiction):
        words = f"{host}: {answer}. Who knows better may say gpu_stack_vouched: [{', '.join(answer.rules)}]"
        return Chosen(refusals=(words,))
    fitting = [tree for tree in trees if tree.version == answer["cuda"]]
    if len(fitting) > 1:
        places = ", ".join(tree.path for tree in fitting)
        return Chosen(refusals=(f"{host} has several CUDA {answer['cuda']}: {places}. Set gpu_stack_cuda to one",))
    cudnn = answer.get("cudnn", "") if answer["profile"] == "legacy" and answer.get("rock") else ""
    tree = fitting[0]
    if cudnn and mode == "swap" and not tree.path:
        return Chosen(refusals=(f"{host} has no CUDA directory to swap cuDNN in: set gpu_stack_cudnn_mode: private",))
    return Chosen(
        Gpu(
            profile=answer["profile"],
            archs=_arch_list(archs) or _capabilities(cards, table),
            toolkit=tree.path,
            cuda=tree.version,
            wheels=tree.wheels,
            gcc=said.get("gcc") or "",
            cudnn=cudnn,
            cudnn_mode=mode if cudnn else "",
        )
    )


_ARCH_EXAMPLE = 'for instance gpu_stack_arch_list: "9.0"'


def _misspelt(host: str, said: Mapping[str, Any]) -> tuple[str, ...]:
    wrong = []
    if said.get("profile") and said["profile"] not in PROFILES:
        wrong.append(f"{host}: gpu_stack_profile is {said['profile']}, and can be {', '.join(PROFILES)}")
    if said.get("cudnn_mode") and said["cudnn_mode"] not in MODES:
        wrong.append(f"{host}: gpu_stack_cudnn_mode is {said['cudnn_mode']}, and can be {' or '.join(MODES)}")
    archs = _arch_list(said.get("arch_list") or "").split()
    bad = [arch for arch in archs if not ARCHITECTURE.fullmatch(arch)]
    if bad:
        wrong.append(f"{host}: gpu_stack_arch_list holds {', '.join(bad)}; compute capabilities such as 3.7 or 9.0+PTX")
    return tuple(wrong)


def _arch_list(text: str) -> str:
    return " ".join(re.split(r"[\s;,]+", str(text).strip()))


def _capability(card: Mapping[str, Any], table: Compatibility) -> str:
    """The card's compute capability: told by its driver, else by its name; the longest name that fits."""
    if card.get("capability"):
        return str(card["capability"])
    named = [name for name in table.cards if re.search(rf"\b{re.escape(name)}(\b|$)", card["name"] or "")]
    return table.cards[max(named, key=len)] if named else ""


def _capabilities(cards: Sequence[Mapping[str, Any]], table: Compatibility) -> str:
    return " ".join(sorted({_capability(card, table) for card in cards}, key=float))


def _trees(
    toolkits: Sequence[Mapping[str, Any]], lock: Mapping[str, Versioned], platform: str, asked: str
) -> tuple[list[_Tree], str]:
    """The toolkits to choose from, and where there is none, why."""
    name = f"cuda-wheels-{platform}"
    version = lock[name].version if name in lock else ""
    trees = [
        _Tree(tree["version"], tree["path"], name if tree["lacks"] else "")
        for tree in toolkits
        if tree["version"] and (not tree["lacks"] or version.removesuffix(WITHOUT_NVCC) == tree["version"])
    ]
    if asked and not toolkits:
        return [], f"gpu_stack_cuda is {asked}, and there is no bin/nvcc with its headers"
    if version and not version.endswith(WITHOUT_NVCC) and not asked and version not in {t.version for t in trees}:
        trees.append(_Tree(version, "", name))
    if trees:
        return trees, ""
    lacking = [f"{tree['path']} (CUDA {tree['version']}) lacks {', '.join(tree['lacks'])}" for tree in toolkits]
    return [], (
        "; ".join(lacking) or "no nvcc was found in /usr/local/cuda*, /opt/cuda* and /usr/bin"
    ) + f". Install a CUDA toolkit, name it with gpu_stack_cuda, or add {name}.tar to the mirror"


def _facts(
    state: Mapping[str, Any],
    table: Compatibility,
    lock: Mapping[str, Versioned],
    trees: Sequence[_Tree],
    profiles: tuple[str, ...],
    archs: str,
) -> list[Fact]:
    gpu, packages = state["gpu"], state["packages"]
    facts = [Fact("cuda", tuple(dict.fromkeys(tree.version for tree in trees)), " and ".join(t.words for t in trees))]
    facts.append(Fact("profile", profiles, f"profile {' or '.join(profiles)}"))
    if archs:
        listed = _arch_list(archs).replace("+PTX", "").replace(" ", ",")
        facts.append(Fact("capability", (listed,), f"gpu_stack_arch_list {archs}"))
    else:
        listed = _capabilities(gpu["cards"], table).replace(" ", ",")
        names = ", ".join(sorted({card["name"] for card in gpu["cards"]}))
        facts.append(Fact("capability", (listed,), f"{names} (compute capability {listed})"))
    single = {
        "driver": (gpu["driver"], "driver {}"),
        "gcc": (gpu["gcc"], "gcc {}"),
        "glibc": (state["platform"]["libc"].removeprefix("glibc-"), "glibc {}"),
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
