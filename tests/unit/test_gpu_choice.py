"""Which card a run gets, or the reason why it gets none."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("gpu.choice")


def card(index: int, used: int = 0, mode: str = "Default", **more: Any) -> dict[str, Any]:
    found = {"index": index, "uuid": f"GPU-{index}", "name": "Tesla K80", "memory": 11519, "used": used, "mode": mode}
    return {**found, "capability": "3.7", "mig": None, "fault": "", **more}


ARCHS = "3.5 8.6"
BUSY = [{"pid": 4711, "uuid": "GPU-0", "name": "luajit", "memory": 3000}]


@pytest.mark.parametrize(
    ("asked", "cards", "leased", "chosen"),
    [
        ("auto", [card(0), card(1, 163), card(2, 100)], {}, 2),  # somebody computes on 0; 2 has most to give
        ("auto", [card(1), card(2, 100)], {"GPU-1": "base"}, 2),
        ("auto", [card(1, mode="Prohibited"), card(2, 100)], {}, 2),
        ("0", [card(0, 3000), card(1)], {}, 0),  # asked for by name, and there is room
        ("GPU-1", [card(0), card(1, 8000)], {}, 1),
        ("auto:GPU-1", [card(1), card(2)], {}, 1),  # chosen by a sweep when it was idle
        ("auto", [card(1, fault="GPU requires reset"), card(2, 100)], {}, 2),  # its memory reads as free
        ("auto", [card(1, mig="Enabled"), card(2, 100, mig="Disabled")], {}, 2),
        ("auto", [card(1, capability="8.0"), card(2, 100)], {}, 2),  # the stack has no code for it
        ("auto", [card(1, capability=None), card(2, 100)], {}, 1),  # not known: the inventory says what it is
        ("auto", [card(1, memory=None, used=None)], {}, 1),  # a card without memory of its own, such as GB10
    ],
)
def test_card_is_free_or_the_one_that_was_asked_for(
    module: ModuleType, asked: str, cards: list[dict[str, Any]], leased: dict[str, str], chosen: int
) -> None:
    assert module.choose_card(asked, 3000, cards, BUSY, leased, ARCHS)[0]["index"] == chosen


@pytest.mark.parametrize(
    ("asked", "cards", "leased", "words"),
    [
        ("auto", [], {}, "nvidia-smi lists no card on this host"),
        ("7", [card(0)], {}, r"there is no card called 7; the cards of this host are: 0 \(GPU-0\)"),
        ("1", [card(1)], {"GPU-1": "base"}, r"card 1 \(Tesla K80\): run base uses it"),
        ("1", [card(1, 9000)], {}, "2519 MiB are free, and about 3000 are needed"),
        ("auto", [card(0)], {}, "pid 4711 computes on it"),
        ("0", [card(0, mode="Exclusive_Process")], {}, "pid 4711 computes on it"),
        ("auto:GPU-0", [card(0), card(1)], {}, r"^card 0 \(Tesla K80\): pid 4711 computes on it$"),  # not idle any more
        ("auto:GPU-7", [card(0)], {}, "there is no card called GPU-7; the cards"),
        ("1", [card(1, mode="Prohibited")], {}, "compute mode is Prohibited. .*: nvidia-smi -i 1 -c DEFAULT"),
        ("auto", [card(0), card(1, 9000)], {}, "card 0 .*; card 1 .*2519 MiB are free"),
        ("1", [card(1, fault="GPU requires reset")], {}, 'nvidia-smi reports "GPU requires reset"'),
        ("1", [card(1, uuid=None)], {}, "nvidia-smi does not report its UUID"),
        ("1", [card(1, used=None)], {}, "nvidia-smi does not report how much of its memory is in use"),
        ("1", [card(1, capability="9.0")], {}, "capability is 9.0, and the stack is built for 3.5 8.6"),
        ("1", [card(1, mig="Enabled")], {}, r"divided into instances .* nvidia-smi -i 1 -mig 0"),
    ],
)
def test_every_card_that_is_not_given_has_its_reason(
    module: ModuleType, asked: str, cards: list[dict[str, Any]], leased: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        module.choose_card(asked, 3000, cards, BUSY, leased, ARCHS)


def test_cards_that_nobody_can_use_are_told_from_those_that_are_in_use(module: ModuleType) -> None:
    cards = [card(0), card(1), card(2, 100), card(3, mig="Enabled"), card(4, fault="GPU is lost"), card(5, 9000)]
    found = module.sort_cards(3000, cards, BUSY, {"GPU-2": "base"}, "")
    assert [one["index"] for one in found["free"]] == [1]
    assert [words.partition(":")[0][:6] for words in found["unusable"]] == ["card 3", "card 4"]
    assert [words.partition(":")[0][:6] for words in found["busy"]] == ["card 0", "card 2", "card 5"]
    chosen, unusable = module.choose_card("auto", 3000, cards, BUSY, {"GPU-2": "base"}, "")
    assert (chosen["index"], unusable) == (1, found["unusable"])


@pytest.mark.parametrize(
    ("process", "asked", "words"),
    [
        ({"pid": 4711, "uuid": None}, "auto", "pid 4711 computes on it"),
        ({"pid": None, "uuid": None}, "auto", "a process computes on it"),
        ({"pid": None, "uuid": "GPU-1"}, "auto", "a process computes on it"),
        ({"pid": 4711, "uuid": "GPU-1"}, "1", "pid 4711 computes on it, and its compute mode is Exclusive_Process"),
    ],
)
def test_process_of_which_something_is_not_known_counts(
    module: ModuleType, process: dict[str, Any], asked: str, words: str
) -> None:
    """A process can be on any card if nvidia-smi does not say on which."""
    with pytest.raises(ValueError, match=rf"card 1 \(Tesla K80\): {words}$"):
        mode = "Default" if asked == "auto" else "Exclusive_Process"
        module.choose_card(asked, 3000, [card(1, mode=mode)], [process], {}, "")


def test_test_takes_the_best_card_for_which_the_stack_has_code(module: ModuleType) -> None:
    cards = [card(0), card(1, capability="9.0"), card(2, capability="8.9")]
    tried = {
        archs: module.card_to_try(1000, cards, BUSY, {}, archs)["index"] for archs in ("", "3.7", "8.0", "3.5+PTX")
    }
    assert tried == {"": 1, "3.7": 0, "8.0": 2, "3.5+PTX": 1}
    assert module.card_to_try(1000, cards, BUSY, {}, "5.2") is None
    assert module.reasons_against_all(cards, "3.7") == []
    assert len(module.reasons_against_all(cards, "5.2")) == 3
    assert module.reasons_against_all([card(0, mig="Enabled")], "3.7") == []  # a test can use an instance
