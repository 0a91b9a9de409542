"""The differences of one host in its cards and its cuDNN. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from neuraltalk_provision.fleet import drift_codes, drift_cures
from neuraltalk_provision.fleet.findings import Difference
from neuraltalk_provision.fleet.majority import Majority
from neuraltalk_provision.fleet.observed import NONE, Facts, Observed, in_words, versions
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.rules import cudnn


def of_gpu(
    observed: Observed,
    state: HostState,
    facts: Facts,
    majorities: Mapping[str, Majority],
    gpu_components: frozenset[str],
    richer: Majority | None,
) -> list[Difference]:
    """Whether the cards that the generation was built for are there, and the cuDNN that the recipe swaps in."""
    found = []
    if state.gpu.problem:
        found.append(Difference(drift_codes.CARDS_UNKNOWN, found=state.gpu.problem[:2_000], cure=drift_cures.CARDS))
    elif not state.gpu.cards and (observed.recipe is None or observed.recipe.gpu is None):
        stamps = state.stack.current_generation.stamps
        built = sorted(gpu_components & stamps.keys())
        if built:
            words = f"the generation has {', '.join(built)}"
            found.append(Difference(drift_codes.CARDS_LOST, item=words, found=NONE, cure=drift_cures.CARDS))
    if richer:
        models = in_words(facts.models)
        found.append(Difference(drift_codes.CARDS_MODELS, found=models, majority=str(richer), cure=drift_cures.COUNT))
    one = majorities.get("cudnn")
    swapped = _swapped(observed, state, one)
    if swapped:
        found.append(swapped)
    elif one and facts.values.get("cudnn", one.value) != one.value:
        cure = drift_cures.CUDA
        found.append(Difference(drift_codes.CUDNN_VERSION, found=facts.values["cudnn"], majority=str(one), cure=cure))
    return found


def _swapped(observed: Observed, state: HostState, most: Majority | None) -> Difference | None:
    """The difference in the CUDA directory where the recipe swaps cuDNN; None if the mirror's cuDNN is there."""
    recipe = observed.recipe
    if recipe is None or recipe.gpu is None or not recipe.swaps:
        return None
    tree = {tree.path: tree for tree in state.gpu.toolkits}.get(recipe.gpu.toolkit)
    if tree is None or cudnn.is_in_place(tree.cudnn.state, tree.cudnn.library, recipe.gpu.cudnn):
        return None
    if tree.cudnn.state == cudnn.UNFINISHED:
        code = drift_codes.CUDNN_UNFINISHED
    elif tree.cudnn.phase == cudnn.SWAPPED:
        code = drift_codes.CUDNN_UNDONE
    else:
        code = drift_codes.CUDNN_NOT_SWAPPED
    foreign = bool(cudnn.obstacle(tree.cudnn.state, tree.cudnn.library, recipe.gpu.cudnn))
    return Difference(
        code,
        item=tree.path,
        found=versions(tree),
        lock=recipe.gpu.cudnn,
        majority=str(most) if most else "",
        since=tree.cudnn.changed,
        cure=drift_cures.swap(observed, foreign=foreign),
    )
