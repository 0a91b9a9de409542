"""Chooses what is built for a host's cards, from its state, its inventory and the mirror. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuraltalk_provision.catalogue.compatibility import Assignment, Contradiction, solve
from neuraltalk_provision.catalogue.facts import (
    RefusalError,
    Toolkit,
    Versioned,
    arch_list,
    capabilities,
    facts_of,
    only,
    toolkits_of,
)
from neuraltalk_provision.catalogue.model import Compatibility
from neuraltalk_provision.results.host_state import HostState, HostVariables
from neuraltalk_provision.rules.gpu import ARCHITECTURE, CURE, architectures, reason_against

MODES = ("swap", "private")
PROFILES = ("auto", "cpu", "legacy", "modern")


@dataclass(frozen=True)
class Gpu:
    """The GPU part of one host's stack.

    `archs` is a TORCH_CUDA_ARCH_LIST. `toolkit` is the host's CUDA directory, empty if the mirror's wheels are the
    toolkit; `wheels` is the name of the wheels that are added to it. `gcc` is the compiler for nvcc from the inventory.
    `cudnn` is the version that is installed in the way `cudnn_mode` (swap or private); both are empty without cuDNN.
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
class Choice:
    """The choice for a host's cards (None without a card), the refusals (reasons not to start), and a remark."""

    gpu: Gpu | None = None
    refusals: tuple[str, ...] = ()
    remark: str = ""


def choose(
    host: str,
    state: HostState,
    platform: str,
    table: Compatibility,
    lock: Mapping[str, Versioned],
    *,
    profile: str,
    cudnn_mode: str,
) -> Choice:
    """What is built for the host's cards.

    `profile` and `cudnn_mode` are the site's settings; the host's inventory can override them. Nothing is built for a
    host without a card, unless its inventory names an architecture to build for (a build host). Nothing is guessed: if
    something is unknown, the host is refused, and the refusal names the inventory variable that sets it.
    """
    given = state.inventory
    wanted, mode = given.profile or profile, given.cudnn_mode or cudnn_mode
    try:
        _refuse_misspelt(given)
        sources = [name for name, row in table.profiles.items() if row.cutorch in lock and row.cunn in lock]
        reason = _reason_to_skip(state, wanted, sources)
        if reason is not None:
            return Choice(remark=f"{host}: {reason}" if reason else "")
        _refuse_unknown_capability(state)
        unused = _unused_cards(state)
        if state.gpu.gcc_problem:
            raise RefusalError(state.gpu.gcc_problem)
        trees = toolkits_of(state.gpu.toolkits, lock, platform, given.cuda)
        known = facts_of(state, table, lock, trees, (wanted,) if wanted != "auto" else tuple(sources))
        solution = solve(table, known, given.skip_checks)
        if isinstance(solution, Contradiction):
            rules = ", ".join(solution.rules)
            raise RefusalError(f"{solution}. To skip this check for this host, set gpu_stack_skip_checks: [{rules}]")
        return Choice(_gpu(state, only(trees, solution["cuda"]), solution, mode), remark=unused and f"{host}: {unused}")
    except RefusalError as refused:
        return Choice(refusals=tuple(f"{host}: {reason}" for reason in refused.args))


def _refuse_misspelt(given: HostVariables) -> None:
    wrong = []
    if given.profile and given.profile not in PROFILES:
        wrong.append(f"gpu_stack_profile is {given.profile}, but it must be one of {', '.join(PROFILES)}")
    if given.cudnn_mode and given.cudnn_mode not in MODES:
        wrong.append(f"gpu_stack_cudnn_mode is {given.cudnn_mode}, but it must be {' or '.join(MODES)}")
    bad = [arch for arch in architectures(given.arch_list) if not ARCHITECTURE.match(arch)]
    if bad:
        wrong.append(
            f"gpu_stack_arch_list contains {', '.join(bad)}; it must list compute capabilities such as 3.7 or 9.0+PTX"
        )
    if wrong:
        raise RefusalError(*wrong)


_ARCH_EXAMPLE = 'for example gpu_stack_arch_list: "9.0"'


def _reason_to_skip(state: HostState, wanted: str, sources: Sequence[str]) -> str | None:
    """Why nothing is built for cards (empty if this needs no remark); None if something is built."""
    facts, given = state.gpu, state.inventory
    cards, archs = facts.cards, given.arch_list
    if wanted == "cpu":
        return "its cards are not used, because its profile is cpu" if cards else ""
    if facts.problem:
        raise RefusalError(f"it is not clear whether it has a card: {facts.problem}. {CURE}")
    if not cards and not archs:
        if given.profile in ("legacy", "modern"):
            raise RefusalError(f"it has no card: set in its inventory what to build for, {_ARCH_EXAMPLE}")
        if "cutorch" in state.stack.current_generation.stamps:
            raise RefusalError(
                f"its current generation {state.stack.current} was built for cards, but no card is found now "
                f"({facts.evidence or 'there is no sign of a card'}). Repair the card or its driver. If the card was "
                "removed, set gpu_stack_profile: cpu in its inventory"
            )
        return ""
    if wanted == "auto" and not sources:
        return "its cards are not used, because the mirror has neither cutorch nor cunn"
    return None


def _refuse_unknown_capability(state: HostState) -> None:
    if state.inventory.arch_list:
        return
    unknown = sorted({card.name for card in state.gpu.cards if not card.capability})
    if unknown:
        raise RefusalError(
            f"its driver does not report the compute capability of {', '.join(unknown)}: set it in its inventory, "
            + _ARCH_EXAMPLE
        )


def _unused_cards(state: HostState) -> str:
    """The cards on which no program of the stack can compute; empty for none. RefusalError if these are all."""
    archs = arch_list(state.inventory.arch_list)
    reasons = [(card, reason_against(card.index, card.mode, card.capability, archs)) for card in state.gpu.cards]
    words = "; ".join(f"card {card.index} ({card.name}): {reason}" for card, reason in reasons if reason)
    if words and all(reason for _card, reason in reasons):
        cure = "Correct gpu_stack_arch_list. " if archs else ""
        raise RefusalError(
            f"none of its cards can be used: {words}. {cure}If its cards must not be used, set gpu_stack_profile: cpu"
        )
    return words and f"not used: {words}"


def _gpu(state: HostState, tree: Toolkit, solution: Assignment, mode: str) -> Gpu:
    """The GPU part for an assignment of the table."""
    given = state.inventory
    cudnn = solution.get("cudnn", "") if solution["profile"] == "legacy" and solution.get("rock") else ""
    if cudnn and mode == "swap" and (tree.apart or not tree.path):
        raise RefusalError(
            "its CUDA toolkit is not in one directory, so cuDNN cannot be swapped there: "
            "set gpu_stack_cudnn_mode: private"
        )
    return Gpu(
        profile=solution["profile"],
        archs=arch_list(given.arch_list) or capabilities(state.gpu.cards),
        toolkit=tree.path,
        cuda=tree.version,
        wheels=tree.wheels,
        gcc=given.gcc,
        cudnn=cudnn,
        cudnn_mode=mode if cudnn else "",
    )
