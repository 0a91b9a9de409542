"""What is built for a host's cards: chosen from its state, its inventory and the mirror, never guessed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import pytest

from neuraltalk_provision import catalogue
from neuraltalk_provision.catalogue.compatibility import RULES
from neuraltalk_provision.catalogue.facts import made_for
from neuraltalk_provision.catalogue.gpu import Choice, Gpu, choose
from neuraltalk_provision.catalogue.platform import Platform
from neuraltalk_provision.catalogue.recipe import BuildSettings, Recipe, write
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.site.plan import plan
from tests.unit.plans import HOSTS

CATALOGUE = catalogue.load()
PLATFORM = "debian-12-x86_64"
DEBIAN = Platform("debian", "12", "x86_64", "apt")
SETTINGS = BuildSettings(stack_root="/opt/neuraltalk", pip_source="auto", pip_index_url="")


@dataclass(frozen=True)
class Held:
    """A line of a lock."""

    name: str
    file: str
    version: str = ""
    sha256: str = "a" * 64
    size: int = 10


def lock(*lines: Held) -> dict[str, Held]:
    """A lock that holds all that is needed without a card, and these."""
    needed = (Held(a.name, f"{a.name}.tgz") for a in CATALOGUE.artifacts if not a.optional)
    return {held.name: held for held in (*needed, *lines)}


LEGACY = (Held("cutorch", "cutorch.tgz"), Held("cunn", "cunn.tgz"))
MODERN = (Held("cutorch-modern", "cutorch-modern.tgz"), Held("cunn-modern", "cunn-modern.tgz"))
CUDNN = (Held("cudnn-archive", "cudnn-7.5-linux-x64-v5.0-ga.tgz", "5.0.5"), Held("cudnn-rock", "cudnn.torch.tgz", "R5"))
WHEELS = Held(f"cuda-wheels-{PLATFORM}", f"cuda-wheels-{PLATFORM}.tar", "13.0")
ALL = lock(*LEGACY, *MODERN, *CUDNN, WHEELS)


def tree(version: str, path: str = "", lacks: tuple[str, ...] = (), library: str = "") -> dict[str, Any]:
    """A CUDA directory as stack_state tells it."""
    state = {"state": "whole" if library else "absent", "header": library, "library": library, "phase": ""}
    place = path or f"/usr/local/cuda-{version}"
    return {"path": place, "link": "", "version": version, "lacks": list(lacks), "cudnn": state, "apart": False}


def card(name: str, capability: str | None, driver: str) -> dict[str, Any]:
    return {
        "index": 0,
        "uuid": f"GPU-{name}",
        "name": name,
        "capability": capability,
        "driver": driver,
        "memory": 11519,
    }


def host(*cards: dict[str, Any], said: dict[str, Any] | None = None, libc: str = "2.36", **gpu: Any) -> dict[str, Any]:
    """The state of a host with these cards and what its inventory says."""
    state = copy.deepcopy(HOSTS["bare"]["state"])
    state["platform"]["libc"] = f"glibc-{libc}"
    state["gpu"] |= {"cards": list(cards), "driver": cards[0]["driver"] if cards else "", **gpu}
    state["inventory"] |= said or {}
    return state


K80 = host(card("Tesla K80", "3.7", "352.79"), libc="2.17", toolkits=[tree("7.5", library="4.0.7")], gcc="4.8.5")
H200 = host(card("NVIDIA H200", "9.0", "580.65.06"), toolkits=[tree("13.0")], gcc="12.2.0")
BUILDER = {"arch_list": "9.0"}


def typed(state: dict[str, Any]) -> HostState:
    return HostState.model_validate(state)


def ask(state: dict[str, Any], held: dict[str, Held] = ALL, profile: str = "auto", mode: str = "swap") -> Choice:
    return choose("node1", typed(state), PLATFORM, CATALOGUE.compatibility, held, profile=profile, cudnn_mode=mode)


def test_k80_of_the_seed_gets_upstreams_rocks_and_its_cudnn_swapped() -> None:
    assert ask(K80).gpu == Gpu(
        profile="legacy",
        archs="3.7",
        toolkit="/usr/local/cuda-7.5",
        cuda="7.5",
        wheels="",
        gcc="",
        cudnn="5.0.5",
        cudnn_mode="swap",
    )
    private = ask(K80, mode="private").gpu
    assert private and private.cudnn_mode == "private"


def test_hopper_gets_the_forks_and_no_cudnn() -> None:
    assert ask(H200).gpu == Gpu("modern", "9.0", "/usr/local/cuda-13.0", "13.0", "", "", "", "")


def test_toolkit_that_lacks_a_part_is_completed_from_wheels_of_its_release_and_only_of_that() -> None:
    lacking = host(*H200["gpu"]["cards"], toolkits=[tree("13.0", lacks=("cublas", "cusparse"))])
    chosen = ask(lacking).gpu
    assert chosen and (chosen.toolkit, chosen.wheels) == ("/usr/local/cuda-13.0", WHEELS.name)
    other = ask(lacking, {**ALL, WHEELS.name: replace(WHEELS, version="12.8-libraries")})
    assert "/usr/local/cuda-13.0 (CUDA 13.0) lacks cublas, cusparse" in other.refusals[0]


def test_cuda_of_the_distribution_is_made_for_its_glibc() -> None:
    card_of = H200["gpu"]["cards"]
    own = {**tree("12.4", "/usr"), "apart": True}
    chosen = ask(host(*card_of, toolkits=[own], libc="2.41"), lock(*MODERN)).gpu
    assert chosen and chosen.cuda == "12.4"
    both = ask(host(*card_of, toolkits=[own, tree("12.8")], libc="2.41", gcc="13.3.0"), lock(*MODERN)).gpu
    assert both and both.cuda == "12.4"  # NVIDIA's 12.8 cannot read the headers
    (refusal,) = ask(host(*card_of, toolkits=[tree("12.4")], libc="2.41"), lock(*MODERN)).refusals
    assert "nvcc of CUDA 12.4 can read headers of glibc up to 2.40, but the host has 2.41" in refusal


def test_wheels_with_nvcc_are_a_toolkit_of_their_own() -> None:
    bare = host(*H200["gpu"]["cards"])
    chosen = ask(bare).gpu
    assert chosen and (chosen.toolkit, chosen.cuda, chosen.wheels) == ("", "13.0", WHEELS.name)
    without = ask(bare, {**ALL, WHEELS.name: replace(WHEELS, version="13.0-libraries")})
    assert "no nvcc was found" in without.refusals[0]


def test_host_without_a_card_is_left_out_whatever_the_site_says() -> None:
    for profile in ("auto", "cpu", "legacy", "modern"):
        assert ask(HOSTS["bare"]["state"], profile=profile) == Choice()


def test_build_host_without_a_card_builds_for_what_its_inventory_names() -> None:
    chosen = ask(host(said={"arch_list": "8.0;9.0+PTX"}, toolkits=[tree("13.0")])).gpu
    assert chosen and (chosen.profile, chosen.archs) == ("modern", "8.0 9.0+PTX")


def test_card_that_no_table_knows_is_asked_for_and_not_guessed() -> None:
    strange = host(card("Quadro 9999", None, "352.79"), toolkits=[tree("7.5")], libc="2.17")
    assert "does not report the compute capability of Quadro 9999" in ask(strange).refusals[0]
    assert 'gpu_stack_arch_list: "9.0"' in ask(strange).refusals[0]
    told = host(*strange["gpu"]["cards"], toolkits=[tree("7.5")], libc="2.17", said={"arch_list": "3.5"})
    chosen = ask(told).gpu
    assert chosen and chosen.archs == "3.5"


OLD = "its compute capability is 3.7, and the stack is built for"
FORBIDDEN = "its compute mode is Prohibited. To let processes use it: nvidia-smi -i 0 -c DEFAULT"
K, A = card("Tesla K80", "3.7", "470.199.02"), card("NVIDIA A10", "8.6", "470.199.02")


@pytest.mark.parametrize(
    ("archs", "cards", "refused", "words"),
    [
        ("8.6", (K, A), False, f"not used: card 0 (Tesla K80): {OLD} 8.6"),
        ("8.0", (A,), False, ""),
        ("3.5;8.0", (K, A), False, ""),
        ("7.5+PTX", (A,), False, ""),
        ("7.5", (K, A), True, f"none of its cards can be used: card 0 (Tesla K80): {OLD} 7.5; card 0 (NVIDIA A10): "),
        ("7.5", (K, A), True, "is built for 7.5. Correct gpu_stack_arch_list. If its cards must not be used, set"),
        ("8.6", (card("Quadro 9999", None, "352.79"),), False, ""),
        ("8.6", (), False, ""),
        ("8.6", (A, {**A, "mode": "Prohibited"}), False, f"not used: card 0 (NVIDIA A10): {FORBIDDEN}"),
        ("", ({**A, "mode": "Prohibited"},), True, f"can be used: card 0 (NVIDIA A10): {FORBIDDEN}. If its"),
        ("", ({**A, "mode": "Exclusive_Process"},), False, ""),
    ],
)
def test_cards_that_no_program_can_use_are_told_and_a_host_of_only_such_cards_is_refused(
    archs: str, cards: tuple[dict[str, Any], ...], refused: bool, words: str
) -> None:
    said = {"arch_list": archs, "skip_checks": [rule.name for rule in RULES]}
    chosen = ask(host(*cards, toolkits=[tree("11.8")], gcc="9", said=said), lock(*MODERN))
    assert (bool(chosen.refusals), chosen.gpu is None) == (refused, refused), chosen
    assert (words in chosen.refusals[0]) if refused else chosen.remark == (words and f"node1: {words}")


def test_verify_tells_of_the_cards_that_are_not_used() -> None:
    mixed = host(K, A, said={"arch_list": "8.6"}, toolkits=[tree("11.8")], gcc="9", evidence="2 by nvidia-smi")
    recipe, chosen = write(CATALOGUE, lock(*MODERN), DEBIAN, SETTINGS, None), ask(mixed, lock(*MODERN))
    cards = [plan("node1", typed(mixed), recipe, remark=remark).cards for remark in ("", chosen.remark)]
    assert cards == ["2 by nvidia-smi", f"2 by nvidia-smi; not used: card 0 (Tesla K80): {OLD} 8.6"]


def test_inventory_wins_over_the_cards() -> None:
    state = host(
        *H200["gpu"]["cards"], toolkits=[tree("13.0")], said={"arch_list": "8.0+PTX", "gcc": "/opt/gcc/bin/gcc"}
    )
    chosen = ask(state).gpu
    assert chosen and (chosen.archs, chosen.gcc) == ("8.0+PTX", "/opt/gcc/bin/gcc")
    assert ask(host(*H200["gpu"]["cards"], said={"profile": "cpu"})).gpu is None


def test_cards_stay_unused_and_that_is_said_where_the_mirror_has_nothing_for_them() -> None:
    chosen = ask(H200, lock())
    assert (chosen.gpu, chosen.refusals) == (None, ())
    assert "neither cutorch nor cunn" in chosen.remark


BUILT = host(evidence="no nvidia-smi")
BUILT["stack"] = {
    "current": "f00",
    "previous": None,
    "generations": {"f00": {"stamps": {"torch": "t", "cutorch": "c"}, "sealed": True}},
}
REFUSED = {
    "K80 and CUDA 13": (
        host(card("Tesla K80", "3.7", "580.65.06"), toolkits=[tree("13.0")]),
        ALL,
        "node1: CUDA 13.0 (/usr/local/cuda-13.0); Tesla K80 (compute capability 3.7). These do not work together: "
        "CUDA 13.0 builds for compute capability 7.5 to 12.1, not for 3.7",
    ),
    "Hopper and CUDA 7.5": (
        host(card("NVIDIA H200", "9.0", "580.65.06"), toolkits=[tree("7.5")], libc="2.17"),
        lock(*LEGACY, *MODERN),
        "not for 9.0",
    ),
    "cuDNN 6 under R5": (
        K80,
        ALL | lock(replace(CUDNN[0], version="6.0.21")),
        "cuDNN 6.0.21; branch R5 of the cudnn rock. These do not work together: cuDNN 6.0.21 needs the branch R6",
    ),
    "gcc too new for nvcc": (
        host(*K80["gpu"]["cards"], toolkits=[tree("7.5")], gcc="12.2.0", libc="2.17"),
        lock(*LEGACY),
        "nvcc of CUDA 7.5 accepts gcc up to 4.9, but the host has 12.2.0",
    ),
    "nvidia-smi that fails": (
        host(problem="NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."),
        ALL,
        "it is not clear whether it has a card: NVIDIA-SMI has failed",
    ),
    "nvidia-smi that fails where the inventory says what to build for": (
        host(problem="NVIDIA-SMI has failed", said={"arch_list": "9.0"}, toolkits=[tree("13.0")]),
        ALL,
        "set gpu_stack_profile: cpu in its inventory",
    ),
    "card that is gone since it was built for": (
        BUILT,
        ALL,
        "node1: its current generation f00 was built for cards, but no card is found now (no nvidia-smi)",
    ),
    "two CUDA trees": (
        host(*H200["gpu"]["cards"], toolkits=[tree("13.0"), tree("13.0", "/opt/cuda")]),
        ALL,
        "node1: it has several CUDA 13.0 directories: /usr/local/cuda-13.0, /opt/cuda. Set gpu_stack_cuda to one",
    ),
    "a CUDA directory of another user": (
        host(
            *H200["gpu"]["cards"],
            said={"cuda": "/opt/cuda"},
            toolkits=[{**tree("", "/opt/cuda"), "problem": "/opt/cuda belongs"}],
        ),
        ALL,
        "node1: /opt/cuda belongs",
    ),
    "a compiler of another user": (
        host(*H200["gpu"]["cards"], toolkits=[tree("13.0")], gcc="", gcc_problem="/opt/gcc belongs"),
        ALL,
        "node1: /opt/gcc belongs",
    ),
    "a swap in Debian's toolkit": (
        host(*K80["gpu"]["cards"], toolkits=[{**tree("7.5"), "apart": True}], libc="2.17"),
        ALL,
        "so cuDNN cannot be swapped there: set gpu_stack_cudnn_mode: private",
    ),
    "no nvcc": (host(*H200["gpu"]["cards"]), lock(*MODERN), "no nvcc was found in /usr/local/cuda*"),
    "no nvcc where it was said to be": (
        host(*H200["gpu"]["cards"], said={"cuda": "/opt/cuda-9"}),
        ALL,
        "gpu_stack_cuda is /opt/cuda-9, but there is no CUDA toolkit (bin/nvcc with its headers) there",
    ),
    "profile without a card": (host(said={"profile": "modern"}), ALL, "node1: it has no card: set in its inventory"),
    "misspelt profile": (
        host(said={"profile": "modren"}),
        ALL,
        "gpu_stack_profile is modren, but it must be one of auto, cpu",
    ),
    "misspelt mode": (host(said={"cudnn_mode": "swop"}), ALL, "gpu_stack_cudnn_mode is swop, but it must be swap"),
    "nonsense to build for": (host(said={"arch_list": "9.0 sm_90"}), ALL, "gpu_stack_arch_list contains sm_90"),
}


@pytest.mark.parametrize(("state", "held", "words"), REFUSED.values(), ids=REFUSED)
def test_contradiction_is_refused_in_words(state: dict[str, Any], held: dict[str, Held], words: str) -> None:
    chosen = ask(state, held)
    assert chosen.gpu is None
    assert words in "\n".join(chosen.refusals)


@pytest.mark.parametrize("state", [BUILT, host(problem="NVIDIA-SMI has failed")], ids=["gone", "cannot tell"])
def test_host_whose_inventory_says_cpu_is_not_asked_for_its_cards(state: dict[str, Any]) -> None:
    said = copy.deepcopy(state)
    said["inventory"]["profile"] = "cpu"
    assert ask(said) == Choice()
    assert ask(state, profile="cpu") == Choice()


def test_rule_can_be_skipped_by_the_name_that_the_refusal_tells() -> None:
    state, held, _words = REFUSED["gcc too new for nvcc"]
    assert "gpu_stack_skip_checks: [cuda-gcc]" in ask(state, held).refusals[0]
    trusted = copy.deepcopy(state)
    trusted["inventory"]["skip_checks"] = ["cuda-gcc"]
    assert ask(trusted, held).gpu


@pytest.mark.parametrize(
    ("file", "release"),
    [("cudnn-7.5-linux-x64-v5.0-ga.tgz", "7.5"), ("cudnn-8.0-linux-x64-v5.1.tgz", "8.0"), ("cudnn.tgz", "")],
)
def test_archives_name_tells_the_release_that_it_is_made_for(file: str, release: str) -> None:
    assert made_for(file) == release


def recipe(gpu: Gpu | None) -> Recipe:
    return write(CATALOGUE, ALL, DEBIAN, SETTINGS, gpu)


def names(of: Recipe, role: str = "gpu_stack") -> list[str]:
    return [part.name for part in of.parts if part.role == role]


def test_parts_for_the_cards_come_with_the_profile_and_against_the_co_dated_nn() -> None:
    legacy, modern = recipe(ask(K80).gpu), recipe(ask(H200).gpu)
    assert names(legacy) == ["cuda", "cutorch", "cunn", "cudnn", "cudnn-rock"]
    assert names(modern) == ["cuda", "cutorch", "cunn"]
    assert names(recipe(None)) == []
    order = [part.name for part in modern.parts]
    assert order.index("nn") < order.index("cutorch") < order.index("cunn") < order.index("neuraltalk2")
    files = {part.name: [file["name"] for file in part.files] for part in modern.parts}
    assert (files["cutorch"], files["cuda"]) == (["cutorch-modern"], [])


def test_what_changes_for_the_cards_leaves_the_rest_of_the_stack_as_it_is() -> None:
    gpu = ask(H200).gpu
    assert gpu
    one, other = recipe(gpu), recipe(replace(gpu, archs="8.0 9.0"))
    digests = {part.name: part.digest for part in other.parts}
    assert {part.name for part in one.parts if digests[part.name] != part.digest} == {"cuda", "cutorch", "cunn"}
    cpu = {part.name: part.digest for part in recipe(None).parts}
    assert all(part.digest == cpu[part.name] for part in one.parts if part.name in cpu)
    assert (
        len({one.id, other.id, recipe(None).id, recipe(ask(K80).gpu).id, recipe(ask(K80, mode="private").gpu).id}) == 5
    )


@pytest.mark.parametrize(
    ("state", "library", "words"),
    [("whole", "6.0.21", "header 6.0.21, library 6.0.21"), ("mixed", "", "header 6.0.21, library none")],
)
def test_somebody_elses_cudnn_is_a_reason_not_to_begin(state: str, library: str, words: str) -> None:
    host_state = copy.deepcopy(K80)
    cudnn = {"state": state, "header": "6.0.21", "library": library, "phase": ""}
    host_state["gpu"]["toolkits"] = [{**tree("7.5"), "cudnn": cudnn}]
    (refusal,) = plan("node1", typed(host_state), recipe(ask(host_state).gpu)).refusals
    assert words in refusal
    assert "--foreign" in refusal
    assert plan("node1", typed(host_state), recipe(ask(host_state, mode="private").gpu)).refusals == ()


@pytest.mark.parametrize(
    ("library", "mode", "swaps"),
    [
        ("4.0.7", "swap", True),
        ("", "swap", True),
        ("5.0.5", "swap", False),
        ("5.1.10", "swap", False),
        ("4.0.7", "private", False),
    ],
)
def test_plan_swaps_where_the_directory_holds_another_branch(library: str, mode: str, swaps: bool) -> None:
    state = copy.deepcopy(K80)
    state["gpu"]["toolkits"] = [tree("7.5", library=library)]
    wanted = recipe(ask(state, mode=mode).gpu)
    decided = plan("node1", typed(state), wanted)
    assert (decided.swaps, decided.cuda) == (swaps, "/usr/local/cuda-7.5" if swaps else "")
    state["stack"] = {
        "current": wanted.id,
        "previous": None,
        "generations": {wanted.id: {"stamps": {part.name: part.digest for part in wanted.parts}, "sealed": True}},
    }
    assert plan("node1", typed(state), wanted).activates is swaps
