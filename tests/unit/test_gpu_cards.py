"""What a host reports about its cards, with a stand-in for nvidia-smi."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision.rules.gpu import capability_of, reason_against, runs_on
from tests.unit.programs import program

# Answers in NVIDIA's format; the K80's numbers are of a published table. Neither was recorded for this project.
K80 = {
    "fields": "index uuid name memory.total memory.used compute_mode utilization.gpu driver_version",
    "gpu": [
        f"{index}, GPU-{index}0a1b2c3-d4e5, Tesla K80, 11519, {used}, Default, {use}, 352.79"
        for index, used, use in ((0, 3007, 99), (1, 470, 0), (2, 163, 0), (3, 163, 0))
    ],
    "compute-apps": ["4711, GPU-00a1b2c3-d4e5, 2844"],
}
H200 = {
    "fields": K80["fields"] + " compute_cap",
    "gpu": ["0, GPU-5f0a, NVIDIA H200, 143771, 0, Default, [N/A], 580.65.06, 9.0"],
    "compute-apps": ["12, GPU-5f0a, [N/A]"],
}
SCRIPT = r"""#!/bin/sh
# Stand-in for nvidia-smi: hands out what a test wrote down.
what=${1#--query-}; what=${what%%=*}; fields=${1#*=}
for field in $(echo "$fields" | tr , ' '); do
    case " $(cat FOLDER/fields) pid gpu_uuid used_memory " in
        *" $field "*) ;;
        *) echo "Field \"$field\" is not a valid field to query."; echo; exit 2 ;;
    esac
done
cat "FOLDER/$what"
"""


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("gpu.cards")


@pytest.fixture
def trial(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("gpu.trial")


@pytest.fixture
def facts_of(load: Callable[[str], ModuleType]) -> Callable[[], dict[str, Any]]:
    gpu_facts: Callable[[], dict[str, Any]] = load("gpu.facts").gpu_facts
    return gpu_facts


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Has nvidia-smi answer so."""

    def answers(told: dict[str, Any]) -> None:
        folder = tmp_path / "told"
        folder.mkdir(exist_ok=True)
        for what, lines in told.items():
            (folder / what).write_text(lines if isinstance(lines, str) else "".join(f"{line}\n" for line in lines))
        program(tmp_path / "bin" / "nvidia-smi", SCRIPT.replace("FOLDER", str(folder)))
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    return answers


def test_driver_that_does_not_know_compute_capability_is_asked_without_it(
    module: ModuleType, answers: Callable[[dict[str, Any]], None]
) -> None:
    answers(K80)
    cards = module.cards()
    assert len(cards) == 4
    assert cards[0] == {
        "index": 0,
        "uuid": "GPU-00a1b2c3-d4e5",
        "name": "Tesla K80",
        "memory": 11519,
        "used": 3007,
        "mode": "Default",
        "utilization": 99,
        "driver": "352.79",
        "capability": "3.7",
        "mig": None,
        "fault": "",
    }
    assert module.processes() == [{"pid": 4711, "uuid": "GPU-00a1b2c3-d4e5", "memory": 2844}]


def test_what_is_not_available_is_none_and_not_a_word(
    module: ModuleType, answers: Callable[[dict[str, Any]], None]
) -> None:
    answers(H200)
    (card,) = module.cards()
    assert (card["capability"], card["utilization"], card["memory"]) == ("9.0", None, 143771)
    assert module.processes() == [{"pid": 12, "uuid": "GPU-5f0a", "memory": None}]


@pytest.mark.parametrize(
    ("row", "fault", "used"),
    [
        ("1, GPU-1, NVIDIA H100, 81559, 0, Default, [GPU requires reset], 580.65.06", "GPU requires reset", 0),
        (
            "1, [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], 0, 580.65.06",
            "GPU is lost",
            None,
        ),
        ("1, GPU-1, NVIDIA H100, 81559, [Unknown Error], Default, 0, 580.65.06", "Unknown Error", None),
        ("1, GPU-1, Quadro, ERR!, ERR!, Default, 0, 580.65.06", "ERR!", None),
        ("1, GPU-1, NVIDIA H100, 81559, 3, Default, [Unknown Error], 580.65.06", "", 3),
        ("1, GPU-1, NVIDIA GB10, [N/A], [N/A], [Not Supported], 0, 580.65.06", "", None),
        ("1, GPU-1, NVIDIA H100, 81559, [Insufficient Permissions], Default, [N/A], 580.65.06", "", None),
    ],
)
def test_fault_of_a_card_is_not_the_same_as_a_value_that_it_does_not_report(
    module: ModuleType, answers: Callable[[dict[str, Any]], None], row: str, fault: str, used: int | None
) -> None:
    """A card in the state [GPU requires reset] reports that 0 MiB of its memory are in use."""
    answers({**K80, "gpu": ["0, GPU-0, NVIDIA H100, 81559, 3, Default, 0, 580.65.06", row]})
    assert [(card["fault"], card["used"]) for card in module.cards()] == [("", 3), (fault, used)]
    result = module.detect()
    assert (result["answer"], fault in result["problem"]) == ("unknown" if fault else "card", True)


def test_a_damaged_inforom_is_only_a_warning(module: ModuleType, machine: Callable[..., None]) -> None:
    """nvidia-smi prints every card, adds a line for the damaged one, and ends with 14."""
    row = ", ".join("1" for _field in (*module.CARD_FIELDS, *module.NEWER))
    machine(smi=f'echo "{row}"; echo "WARNING: infoROM is corrupted at gpu 0000:3B:00.0"; echo "{row}"; exit 14')
    assert (module.detect()["answer"], len(module.cards())) == ("card", 2)


def test_a_lost_card_among_others_is_not_left_out(
    module: ModuleType, machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    login_path = module.login_path
    row = ", ".join("1" for _field in (*module.CARD_FIELDS, *module.NEWER))
    lost = (
        "Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.  Reboot the system to recover this GPU"
    )
    machine(smi=f'echo "{row}"; echo "{lost}"; exit $CODE')
    for code in ("0", "15"):
        monkeypatch.setattr(module, "login_path", lambda code=code: {"CODE": code, **login_path()})
        result = module.detect()
        assert (result["answer"], "GPU is lost" in result["problem"]) == ("unknown", True)


@pytest.mark.parametrize(
    ("words", "place", "fault"),
    [
        ("GPU 0000:3B:00.0: GPU is lost.  Reboot the system to recover this GPU", "0000:3B:00.0", "GPU is lost"),
        ("GPU3: 0000:04:00.0: Unknown Error", "3: 0000:04:00.0", "Unknown Error"),
        ("gpu 0000:65:00.0: Not Found", "0000:65:00.0", "Not Found"),
    ],
)
def test_a_card_that_the_driver_cannot_reach_hides_no_other_card(
    machine: Callable[..., None], load: Callable[[str], ModuleType], tmp_path: Path, words: str, place: str, fault: str,
) -> None:  # fmt: skip
    """nvidia-smi prints this instead of the row of the card, in every query, and the rows of the others."""
    line = f'echo "Unable to determine the device handle for {words}"'
    machine(smi=f'case $1 in *gpu=*) echo "{ROW % (0, 0, 0, "Default")}";; esac; {line} >&2; exit 15')
    stack_for_cards(tmp_path)
    found = load("runs.free_cards").cards_now(str(tmp_path), 3000)
    assert ([one["uuid"] for one in found["free"]], found["busy"]) == (["GPU-0"], [])
    assert found["unusable"][0].startswith(f'card {place}: nvidia-smi reports "{fault}"')
    with pytest.raises(ValueError, match=f"GPU-0.*{place} .{fault}"):
        load("runs.launch").choose_card("7", 0, load("gpu.cards").cards(), [], {}, "")


PROCESSES = r"""#!/bin/sh
# Two processes, as NVIDIA prints them: the fields that are asked for, without quotes.
for pid in 1234 4711; do
    line=
    for field in $(echo "${1#*=}" | tr , ' '); do
        case $field in pid) v=$pid ;; gpu_uuid) v=GPU-1 ;; process_name) v=$(cat NAME) ;; *) v=10 ;; esac
        line="$line${line:+, }$v"
    done
    printf '%s\n' "$line"
done
"""


@pytest.mark.parametrize("name", ["/home/x/a, b/python", '/tmp/x\n"y', "/tmp/x\n4711, GPU-1"])
def test_process_is_seen_whatever_a_user_calls_his_program(
    module: ModuleType, machine: Callable[..., None], tmp_path: Path, name: str
) -> None:
    (tmp_path / "name").write_text(name)
    machine(smi=PROCESSES.replace("NAME", str(tmp_path / "name")))
    rows = [{"pid": pid, "uuid": "GPU-1", "memory": 10} for pid in (1234, 4711)]
    assert module.processes() == rows


def test_answer_about_processes_that_cannot_be_read_does_not_count_as_none(
    module: ModuleType, machine: Callable[..., None]
) -> None:
    machine(smi="echo 4711, GPU-1")
    with pytest.raises(ValueError, match="nvidia-smi reports: 4711, GPU-1"):
        module.processes()


@pytest.mark.parametrize("uuid", ["GPU-0", "[Not Supported]"])
def test_card_whose_driver_lists_no_processes_is_free_if_its_memory_is(
    answers: Callable[[dict[str, Any]], None], load: Callable[[str], ModuleType], tmp_path: Path, uuid: str
) -> None:
    """A GeForce with an old driver has one row that stands for no process."""
    told = {"fields": BOTH, "gpu": [ROW % (0, 0, 300, "Default"), ROW % (1, 1, 500, "Default")]}
    answers({**told, "compute-apps": [f"[Not Supported], {uuid}, [Not Supported]"]})
    assert load("runs.launch").take_card("auto", 3000, {}, str(tmp_path))[0]["uuid"] == "GPU-0"
    for hidden in ("[N/A]", "[Insufficient Permissions]"):
        answers({"compute-apps": [f"{hidden}, GPU-0, [Not Supported]"]})
        assert load("runs.launch").take_card("auto", 3000, {}, str(tmp_path))[0]["uuid"] == "GPU-1"


def test_facts_take_the_driver_from_the_cards_and_a_card_is_seen(
    module: ModuleType, facts_of: Callable[[], dict[str, Any]], answers: Callable[[dict[str, Any]], None]
) -> None:
    answers(H200)
    facts = facts_of()
    assert (facts["driver"], facts["problem"], len(facts["cards"])) == ("580.65.06", "", 1)
    assert len(module.listed_cards()) == 1


ROW = "%d, GPU-%d, NVIDIA H100, 81559, %d, %s, 0, 580.65.06, 9.0, Disabled"
BOTH = f"{K80['fields']} compute_cap mig.mode.current"


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([ROW % (0, 0, 0, "Default"), ROW % (1, 1, 500, "Default")], "GPU-1"),  # somebody computes on 0
        ([ROW % (0, 0, 0, "Default"), ROW % (1, 1, 500, "Prohibited")], "GPU-0"),
        ([ROW % (0, 0, 0, "Default"), (ROW % (1, 1, 0, "Default")).replace("9.0", "3.7")], "GPU-0"),  # as CUDA chooses
        ([ROW % (0, 0, 0, "Exclusive_Process"), ROW % (1, 1, 81000, "Default")], None),
    ],
)
def test_a_trial_sees_one_card_that_it_can_use(
    trial: ModuleType, answers: Callable[[dict[str, Any]], None], monkeypatch: pytest.MonkeyPatch,
    rows: list[str], chosen: str | None,
) -> None:  # fmt: skip
    """cutorch opens a context on every card that it sees, and ends where it cannot."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    answers({"fields": BOTH, "gpu": rows, "compute-apps": ["4711, GPU-0, 2844"]})
    variables, reasons = trial.trial_environment("", {})
    assert (variables, len(reasons)) == (({"CUDA_VISIBLE_DEVICES": chosen}, 0) if chosen else ({}, 2))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert trial.trial_environment("", {}) == ({}, [])


@pytest.mark.parametrize(
    ("modes", "chosen"),
    [
        (("Exclusive_Process", "Default"), "GPU-1"),
        (("Default", "Exclusive_Process"), "GPU-0"),  # the run and the trial can both use it
        (("Exclusive_Process", "Exclusive_Process"), None),
    ],
)
def test_a_trial_keeps_no_run_out_of_its_card(
    trial: ModuleType, answers: Callable[[dict[str, Any]], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    modes: tuple[str, str], chosen: str | None,
) -> None:  # fmt: skip
    """A run reserves its card some seconds before its program uses it; on such a card a second process ends the run."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    tried: list[dict[str, str]] = []
    monkeypatch.setattr(trial, "taken", lambda root: {"GPU-0": "base"} if root == str(tmp_path) else {})
    monkeypatch.setattr(trial, "try_part", lambda *given: tried.append(given[4]) or [])
    used = 0 if modes[0] == "Exclusive_Process" else 79000  # so that nothing speaks for the second card
    rows = [ROW % (0, 0, 0, modes[0]), ROW % (1, 1, used, modes[1])]
    answers({"fields": BOTH, "gpu": rows, "compute-apps": [] if chosen else ["4711, GPU-1, 2844"]})
    stack = stack_for_cards(tmp_path)
    if chosen:
        trial.try_on_card(str(stack), {}, "log", "")
        assert tried == [{"CUDA_VISIBLE_DEVICES": chosen}]
    else:
        with pytest.raises(trial.StackError, match=r"run base uses it, .* Exclusive_Process; card 1 .*: pid 4711"):
            trial.try_on_card(str(stack), {}, "log", "")
        assert tried == []


def stack_for_cards(root: Path) -> Path:
    """A current generation that was built for cards."""
    home = root / "generations" / "a"
    (home / "stamps").mkdir(parents=True)
    (home / "stamps" / "cutorch.json").write_text('{"digest": "d"}')
    (root / "current").symlink_to(home)
    return home


def test_cards_of_a_host_whose_stack_does_not_use_them_are_not_free(
    answers: Callable[[dict[str, Any]], None], load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """A sweep would give runs to them that cannot start."""
    answers({"fields": BOTH, "gpu": [ROW % (0, 0, 0, "Default")], "compute-apps": []})
    cards_now = load("runs.free_cards").cards_now
    assert cards_now(str(tmp_path), 3000)["unusable"] == [
        f"nothing is installed at {tmp_path}/current: run `provision site` first"
    ]
    (stack_for_cards(tmp_path) / "stamps" / "cutorch.json").unlink()
    found = cards_now(str(tmp_path), 3000)
    assert (found["free"], found["busy"]) == ([], [])
    words = "the stack on this host was built without GPU support: it has no cutorch"
    assert found["unusable"] == [words]  # `Use --gpu none` is advice for the start of one run
    # Nobody needs to repair the driver of a host that computes only on its CPU.
    answers({"gpu": ["NVIDIA-SMI has failed"]})
    assert cards_now(str(tmp_path), 3000)["unusable"] == [words]
    answers({"gpu": ["No devices were found"]})
    assert cards_now(str(tmp_path), 3000)["unusable"] == []


def test_cards_of_a_stack_without_the_backend_that_a_sweep_requests_are_not_free(
    answers: Callable[[dict[str, Any]], None], load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """The runs of that host were refused when those of the other hosts had started."""
    answers({"fields": BOTH, "gpu": [ROW % (0, 0, 0, "Default")], "compute-apps": []})
    cards_now = load("runs.free_cards").cards_now
    stamps = stack_for_cards(tmp_path) / "stamps"
    assert [len(cards_now(str(tmp_path), 3000, one)["free"]) for one in ("", "nn")] == [1, 1]
    found = cards_now(str(tmp_path), 3000, "cudnn")
    assert (found["free"], found["unusable"][0].partition(".")[0]) == (
        [],
        "-backend cudnn: the cudnn rock is not installed on this host",
    )
    (stamps / "cudnn-rock.json").write_text('{"digest": "d"}')
    assert len(cards_now(str(tmp_path), 3000, "cudnn")["free"]) == 1


RESET = (ROW % (1, 1, 0, "Default")).replace("Default, 0", "Default, [GPU requires reset]")


def test_a_card_with_a_fault_hides_no_other_card(
    module: ModuleType, trial: ModuleType, answers: Callable[[dict[str, Any]], None], monkeypatch: pytest.MonkeyPatch,
    load: Callable[[str], ModuleType], tmp_path: Path,
) -> None:  # fmt: skip
    """A run, the list of free cards and a trial choose in the same way; `site` is told of the fault."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    answers({"fields": BOTH, "gpu": [ROW % (0, 0, 0, "Default"), RESET], "compute-apps": []})
    card, remarks = load("runs.launch").take_card("auto", 3000, {}, str(tmp_path))
    stack_for_cards(tmp_path)
    found = load("runs.free_cards").cards_now(str(tmp_path), 3000)
    assert (card["uuid"], [one["uuid"] for one in found["free"]], found["busy"]) == ("GPU-0", ["GPU-0"], [])
    assert 'card 1 (NVIDIA H100): nvidia-smi reports "GPU requires reset"' in found["unusable"][0]
    assert remarks == [f"not used: {found['unusable'][0]}"]
    assert trial.trial_environment("", {})[0] == {"CUDA_VISIBLE_DEVICES": "GPU-0"}
    assert (module.detect()["answer"], module.detect()["cards"]) == ("unknown", [])
    answers({"gpu": [RESET]})
    assert load("runs.free_cards").cards_now(str(tmp_path), 3000)["free"] == []
    with pytest.raises(module.StackError, match=r'no card of this host can be used: card 1 .*"GPU requires reset"'):
        trial.trial_environment("", {})


def test_card_for_which_the_stack_has_no_code_is_used_by_nothing(
    module: ModuleType, trial: ModuleType, answers: Callable[[dict[str, Any]], None], monkeypatch: pytest.MonkeyPatch,
    load: Callable[[str], ModuleType], tmp_path: Path,
) -> None:  # fmt: skip
    """The seal of a generation records what it was built for; one without that record is used as before."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    old = (ROW % (1, 1, 0, "Default")).replace("9.0", "3.7")
    answers({"fields": BOTH, "gpu": [ROW % (0, 0, 9000, "Default"), old], "compute-apps": []})
    home = stack_for_cards(tmp_path)
    manifest, launch, free_cards = load("host.manifest"), load("runs.launch"), load("runs.free_cards")
    for archs, chosen in (("", "GPU-1"), ("9.0", "GPU-0")):
        manifest.write_seal(str(home), "a", {}, "digest", archs)
        assert launch.take_card("auto", 3000, {}, str(home))[0]["uuid"] == chosen
        assert free_cards.cards_now(str(tmp_path), 3000)["free"][0]["uuid"] == chosen
        assert manifest.built_for(str(home)) == archs
    manifest.write_seal(str(home), "a", {}, "digest", "7.0")
    words = r"card 0 .*is 9.0, and the stack is built for 7.0; card 1"
    with pytest.raises(module.StackError, match=words):
        launch.take_card("auto", 3000, {}, str(home))
    with pytest.raises(module.StackError, match=r"no card of this host can be used: " + words):
        trial.trial_environment("7.0", {})


@pytest.mark.parametrize(
    ("name", "capability"),
    [("Tesla K40m", "3.5"), ("Tesla K20Xm", "3.5"), ("Tesla P100-PCIE-16GB", "6.0"), ("NVIDIA A100-SXM4-40GB", "8.0"),
     ("Tesla M40 24GB", "5.2"), ("Tesla K8", "")],
)  # fmt: skip
def test_old_cards_are_known_by_the_names_that_nvidia_smi_gives_them(name: str, capability: str) -> None:
    assert capability_of(name) == capability


@pytest.mark.parametrize(
    ("archs", "capability", "runs"),
    [("8.6", "8.9", True), ("8.6", "8.6", True), ("8.6", "8.0", False), ("8.6", "9.0", False), ("3.5", "3.7", True),
     ("8.6+PTX", "12.0", True), ("8.6+PTX", "8.0", False), ("10.0", "9.0", False), ("9.0", "10.0", False),
     ("3.7 7.5", "7.5", True), ("3.7 7.5", "7.0", False), ("", "7.0", False)],
)  # fmt: skip
def test_code_runs_on_cards_by_the_rules_of_cuda(archs: str, capability: str, runs: bool) -> None:
    assert runs_on(archs, capability) is runs


def test_compute_capability_that_is_not_known_is_no_reason_against_a_card() -> None:
    assert [reason_against(0, "Default", capability, "8.6") for capability in (None, "")] == ["", ""]


@pytest.fixture
def machine(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a machine with what is named: `smi` a script, `driver`, `devices` and `bus` what the kernel shows."""

    def machine(
        smi: str = "", driver: bool = False, devices: tuple[str, ...] = (), bus: str = "", container: bool = False
    ) -> None:
        (tmp_path / "bin").mkdir()
        if smi:
            program(tmp_path / "bin" / "nvidia-smi", f"#!/bin/sh\n{smi}\n")
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
        (tmp_path / "dev").mkdir()
        for name in devices:
            (tmp_path / "dev" / name).touch()
        if driver:
            (tmp_path / "driver").mkdir()
        if bus:
            (tmp_path / "pci" / "0000:01:00.0").mkdir(parents=True)
            vendor, kind = bus.split()
            (tmp_path / "pci" / "0000:01:00.0" / "vendor").write_text(f"{vendor}\n")
            (tmp_path / "pci" / "0000:01:00.0" / "class").write_text(f"{kind}\n")
        monkeypatch.setattr(module, "DRIVER", str(tmp_path / "driver"))
        monkeypatch.setattr(module, "DEVICES", str(tmp_path / "dev" / "nvidia*"))
        monkeypatch.setattr(module, "BUS", str(tmp_path / "pci" / "*"))
        monkeypatch.setattr(module, "in_container", lambda: container)

    return machine


TESLA = "0x10de 0x030200"
FAILS = 'echo "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver."; exit 9'
CANNOT_TELL = {
    "nvidia-smi fails": ({"smi": FAILS}, "NVIDIA-SMI has failed because it couldn't communicate"),
    "it fails in a container": ({"smi": FAILS, "container": True}, "NVIDIA-SMI has failed"),
    "it fails without a word": ({"smi": "exit 6"}, "nvidia-smi ended with 6"),
    "it fails and the bus has a card": (
        {"smi": FAILS, "bus": TESLA},
        "(an NVIDIA card is on the PCI bus (0000:01:00.0))",
    ),
    "it says something else": ({"smi": "echo Failed to initialize NVML: Driver/library version mismatch"}, "mismatch"),
    "it lists none and the bus has one": ({"smi": "echo No devices were found", "bus": TESLA}, "lists no card, though"),
    "it lists none and a node is there": ({"smi": "exit 0", "devices": ("nvidia0", "nvidia-caps")}, "there is"),
    "it is gone and a node is there": (
        {"smi": "", "devices": ("nvidia0",)},
        "there is no nvidia-smi on the PATH, though",
    ),
    "there is none and the driver is loaded": ({"driver": True}, "though its driver is loaded"),
    "there is none and the bus has a card": ({"bus": TESLA}, "though an NVIDIA card is on the PCI bus"),
    "there is none and the bus has a VGA card": ({"bus": "0x10de 0x030000"}, "though an NVIDIA card"),
    "there is none and a container was given a node": (
        {"devices": ("nvidia0",), "container": True},
        "no nvidia-smi on the PATH, though there is",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CANNOT_TELL)
def test_it_cannot_be_told_and_that_is_no_no(
    module: ModuleType, facts_of: Callable[[], dict[str, Any]], machine: Callable[..., None], kind: str
) -> None:
    made, words = CANNOT_TELL[kind]
    machine(**made)
    facts = facts_of()
    assert (facts["answer"], facts["cards"]) == ("unknown", [])
    assert words in facts["problem"]
    with pytest.raises(module.StackError, match="gpu_stack_profile: cpu"):
        module.listed_cards()


NO_CARD = {
    "nothing at all": {},
    "another maker's card": {"bus": "0x1002 0x030000"},
    "NVIDIA's sound, bridge or network": {"bus": "0x10de 0x040300"},
    "a container that sees its machine's bus and driver": {"bus": TESLA, "driver": True, "container": True},
    "nvidia-smi lists none and nothing else does": {"smi": "echo No devices were found", "driver": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", NO_CARD)
def test_no_card_is_told_by_what_is_not_there(
    module: ModuleType, trial: ModuleType, facts_of: Callable[[], dict[str, Any]], machine: Callable[..., None],
    kind: str,
) -> None:  # fmt: skip
    machine(**NO_CARD[kind])
    facts = facts_of()
    assert (facts["answer"], facts["cards"], facts["problem"]) == ("none", [], "")
    assert facts["evidence"]
    assert module.listed_cards() == []
    assert trial.trial_environment("", {}) == (None, [])


def test_nvidia_smi_that_cannot_be_started_is_not_absent(
    module: ModuleType, machine: Callable[..., None], tmp_path: Path
) -> None:
    machine(smi="exit 0")
    script = tmp_path / "bin" / "nvidia-smi"
    script.write_text("#!/no/such/shell\n")
    assert module.detect()["answer"] == "unknown"
    script.unlink()
    script.symlink_to("/no/such/driver/nvidia-smi")
    assert module.detect()["answer"] == "unknown"
    assert "nvidia-smi cannot be started" in module.detect()["problem"]


def test_words_of_the_loader_hide_no_card(module: ModuleType, machine: Callable[..., None]) -> None:
    """/etc/ld.so.preload of an agent that was removed."""
    row = ", ".join("1" for _field in (*module.CARD_FIELDS, *module.NEWER))
    words = "ERROR: ld.so: object '/opt/agent.so' from /etc/ld.so.preload cannot be preloaded (no such file): ignored."
    machine(smi=f'echo "{words}" >&2; echo "{row}"')
    assert module.detect()["answer"] == "card"


def test_nvidia_smi_that_hangs_is_not_waited_for(module: ModuleType, machine: Callable[..., None]) -> None:
    machine(smi="sleep 600")
    text, rc = module.output_of(["nvidia-smi"], timeout=0.3, login=True)
    assert (rc, "does not answer" in text) == (124, True)


def test_container_is_known_by_what_its_engine_leaves(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONTAINERS", ())
    for environ, inside in [("", False), ("PATH=/bin\0container=lxc", True), ("mycontainer=x", False)]:
        monkeypatch.setattr(module, "read_text", {"/proc/1/environ": environ}.get)
        assert module.in_container() is inside
    monkeypatch.setattr(module, "CONTAINERS", (str(Path(__file__)),))
    assert module.in_container() is True


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  352.79  Wed Jan 13 16:17:53 PST 2016\n", "352.79"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n", "580.65.06"),
        ("", ""),
    ],
)
def test_kernels_driver_tells_its_version(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, text: str, version: str
) -> None:
    monkeypatch.setattr(module, "read_text", lambda path: text)
    assert module.driver() == version


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("export CUDA_VISIBLE_DEVICE=2,3", "CUDA_VISIBLE_DEVICE"),
        ("CUDA_VISIBLE_GPUS=0", "CUDA_VISIBLE_GPUS"),
        ("export CUDA_DEVICE=1", "CUDA_DEVICE"),
        ("export CUDA_VISIBLE_DEVICES=2,3", None),
        ("# export CUDA_VISIBLE_DEVICE=2,3", None),
        ("export CUDA_HOME=/usr/local/cuda", None),
    ],
)
def test_setting_that_nothing_reads_is_named_with_its_place(
    module: ModuleType, tmp_path: Path, line: str, named: str | None
) -> None:
    (tmp_path / ".bashrc").write_text(f"# .bashrc\n{line}\n")
    remarks = [remark for remark in module.misleading_settings(str(tmp_path)) if str(tmp_path) in remark]
    assert len(remarks) == (named is not None)
    if named:
        assert f"{tmp_path}/.bashrc, line 2 sets {named}, which no program reads" in remarks[0]
