"""Facts about cuDNN: where its version is written, and which version may replace which."""

from __future__ import annotations

import pytest

from neuraltalk_provision.rules import cudnn, machines
from tests.standin import cudnn as standin


@pytest.mark.parametrize(
    ("number", "version"),
    [
        (4007, "4.0.7"),
        (5005, "5.0.5"),
        (5110, "5.1.10"),
        (6021, "6.0.21"),
        (7605, "7.6.5"),
        (8902, "8.9.2"),
        (90100, "9.1.0"),
    ],
)
def test_number_of_the_library_is_a_version(number: int, version: str) -> None:
    assert cudnn.number_to_version(number) == version


def test_header_gives_all_of_its_version_or_nothing() -> None:
    assert cudnn.header_version(standin.HEADER.format(5, 0, 5)) == "5.0.5"
    assert cudnn.header_version("#define CUDNN_MAJOR 5\n#define CUDNN_MINOR 0\n") == ""
    assert cudnn.header_version("") == ""


@pytest.mark.parametrize(
    ("header", "library", "has_library", "phase", "state"),
    [
        ("", "", False, "", "absent"),
        ("5.0.5", "5.0.5", True, "", "whole"),
        ("5.0.5", "5.0.5", True, "swapped", "whole"),
        ("4.0.7", "5.0.5", True, "", "mixed"),
        ("5.0.5", "", False, "", "mixed"),
        ("", "", True, "", "mixed"),
        ("5.0.5", "5.0.5", True, "swapping", "unfinished"),
        ("", "", False, "restoring", "unfinished"),
    ],
)
def test_state_follows_from_header_library_and_journal(
    header: str, library: str, has_library: bool, phase: str, state: str
) -> None:
    assert cudnn.state_of(header, library, has_library, phase) == state


@pytest.mark.parametrize(
    ("state", "library", "in_place", "obstacle"),
    [
        ("absent", "", False, ""),
        ("whole", "4.0.7", False, ""),
        ("whole", "5.1.10", True, ""),
        ("whole", "6.0.21", False, "newer"),
        ("whole", "10.0.0", False, "newer"),
        ("mixed", "5.0.5", False, "mixed"),
        ("mixed", "", False, "mixed"),
        ("unfinished", "6.0.21", False, ""),
    ],
)
def test_older_one_is_replaced_and_a_newer_or_mixed_one_is_not(
    state: str, library: str, in_place: bool, obstacle: str
) -> None:
    assert cudnn.is_in_place(state, library, "5.0.5") is in_place
    assert cudnn.obstacle(state, library, "5.0.5") == obstacle


@pytest.mark.parametrize(
    ("head", "machine"),
    [
        (b"\x7fELF" + bytes(14) + b"\x3e\x00", "x86_64"),
        (b"\x7fELF" + bytes(14) + b"\xb7\x00", "aarch64"),
        (b"\x7fELF" + bytes(14) + b"\x08\x00", "machine 8"),
        (b"\x7fELF" + bytes(14), ""),
        (b"!<arch>\n" + bytes(40), ""),
    ],
)
def test_machine_stands_in_the_head_of_an_elf_file(head: bytes, machine: str) -> None:
    assert machines.of_elf(head) == machine
