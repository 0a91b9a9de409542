"""What is known about one host for `provision drift`, as facts that can be compared between hosts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neuraltalk_provision.catalogue.platform import key_of
from neuraltalk_provision.catalogue.recipe import Recipe
from neuraltalk_provision.results.checks import Check, Files
from neuraltalk_provision.results.host_state import HostState, Toolkit
from neuraltalk_provision.rules.cudnn import ABSENT

NONE = "none"
"""The value of a fact for something that a host does not have."""
UNKNOWN = "unknown"
"""The value of a fact that every host has, but that this one does not say."""
_MAKER = "NVIDIA "


@dataclass(frozen=True)
class Observed:
    """What one host returned, and what was decided from it.

    `recipe` is what the lock and the settings describe for it, None if nothing can be built for it. `refusals` are the
    reasons for that. `unasked` says why its state could not be read, and `unverified` why its files could not be
    compared.
    """

    host: str
    state: HostState | None = None
    recipe: Recipe | None = None
    refusals: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    files: Files | None = None
    unasked: str = ""
    unverified: str = ""


@dataclass(frozen=True)
class Facts:
    """{group: {name: value}} of what is compared between hosts, and {name: value} of what the lock says."""

    by_group: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    lock: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    models: tuple[str, ...] = ()
    """The models of the cards, sorted."""
    machine: str = ""
    """What several names of one machine have in common; empty if it is not known."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups of the host: its platform, and if it has cards, its platform with these cards."""
        return tuple(self.by_group)

    @property
    def values(self) -> dict[str, str]:
        """{name: value} of all groups."""
        return {name: value for found in self.by_group.values() for name, value in found.items()}


def facts(observed: Observed) -> Facts:
    """The facts about a host; none if its state is not known."""
    state = observed.state
    if state is None:
        return Facts()
    platform = key_of(state.platform)
    by_group = {platform: _general(state)}
    # The driver writes the maker before the name, or not, depending on its version.
    models = tuple(sorted({card.name.removeprefix(_MAKER) for card in state.gpu.cards}))
    if models:
        by_group[f"{platform} with {in_words(models)}"] = _of_cards(state)
    return Facts(by_group, _lock(observed.recipe), platform, models, state.identity.machine)


def in_words(models: Sequence[str]) -> str:
    """The models of cards, as the name of a group has them."""
    return " and ".join(models)


def component(name: str) -> str:
    """The name of the fact about a component."""
    return f"component {name}"


def package(name: str) -> str:
    """The name of the fact about an OS package."""
    return f"package {name}"


def has_former(state: HostState) -> bool:
    """Whether `provision rollback` has a complete former generation to go back to."""
    former = state.stack.previous
    return bool(former) and former != state.stack.current and state.stack.generation(former or "").sealed


def _general(state: HostState) -> dict[str, str]:
    stack, system = state.stack, state.platform
    found = {
        "generation": stack.current or NONE,
        "kernel": system.kernel or UNKNOWN,
        "libc": system.libc or UNKNOWN,
        "python": system.python or UNKNOWN,
        "rollback": "available" if has_former(state) else NONE,
    }
    found |= {component(name): digest for name, digest in stack.current_generation.stamps.items()}
    found |= {package(name): version for name, version in state.packages.items()}
    return {name: value for name, value in found.items() if value}


def _of_cards(state: HostState) -> dict[str, str]:
    toolkits = sorted(state.gpu.toolkits, key=lambda tree: tree.path)
    return {
        "driver": state.gpu.driver or NONE,
        "cards": str(len(state.gpu.cards)),
        "cuda": ", ".join(f"{tree.version} in {tree.path}" for tree in toolkits) or NONE,
        "cudnn": ", ".join(_cudnn(tree) for tree in toolkits if tree.cudnn.state != ABSENT) or NONE,
    }


def _cudnn(tree: Toolkit) -> str:
    return f"{versions(tree)} in {tree.path}"


def versions(tree: Toolkit) -> str:
    """The state of the cuDNN of a CUDA directory, with its version; both versions if they differ."""
    header, library = tree.cudnn.header or NONE, tree.cudnn.library or NONE
    return f"{tree.cudnn.state} {library if header == library else f'header {header}, library {library}'}"


def _lock(recipe: Recipe | None) -> dict[str, str]:
    if recipe is None:
        return {}
    found = {"generation": recipe.id} | {component(name): digest for name, digest in recipe.digests.items()}
    found |= {component(name): "left out, because the mirror does not contain it" for name in recipe.left_out}
    if recipe.gpu is not None:
        found |= {"cuda": recipe.gpu.cuda, "cudnn": recipe.gpu.cudnn}
    return {name: value for name, value in found.items() if value}
