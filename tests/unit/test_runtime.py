"""What programs need at run time, and whether a host has it: read from real and from damaged ELF files."""

from __future__ import annotations

import io
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuraltalk_provision.mirror import elf
from neuraltalk_provision.mirror.cache_entry import CacheEntry, Needs
from neuraltalk_provision.results.cache import Runtime
from neuraltalk_provision.rules import runtime
from neuraltalk_provision.site import packs
from tests.unit.modules import ModuleError

pytestmark = pytest.mark.slow

Run = Callable[..., dict[str, Any]]
PYTHON = Path(sys.executable).resolve()
"""A program with a dynamic section and versions of symbols, on every machine of a developer."""
NEEDS: dict[str, Any] = {
    "machine": "x86_64",
    "glibc": "2.36",
    "level": 1,
    "python": "3.11",
    "libraries": {"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.36"], "libjpeg.so.62": ["LIBJPEG_6.2"], "libz.so.1": []},
}
HAS: dict[str, Any] = {
    "machine": "x86_64",
    "glibc": "2.36",
    "level": 2,
    "python": "3.11",
    "libraries": {
        "libc.so.6": {"path": "/lib/libc.so.6", "versions": ["GLIBC_2.2.5", "GLIBC_2.36"], "package": "libc6"},
        "libjpeg.so.62": {"path": "/lib/libjpeg.so.62", "versions": ["LIBJPEG_6.2"], "package": ""},
        "libz.so.1": {"path": "/lib/libz.so.1", "versions": [], "package": ""},
    },
}
OLD_LIBC = {"path": "/lib/libc.so.6", "versions": ["GLIBC_2.2.5"], "package": "libc6"}


def entry(**more: Any) -> CacheEntry:
    given = {
        "id": "0a1b2c3d4e5f6071",
        "sha256": "a" * 64,
        "size": 10240,
        "platform": "debian-12-x86_64",
        "stack_root": "/opt/neuraltalk",
        "lock": "b" * 64,
        "builder": "node1",
        "provision": "0.1.0",
        "built": "2026-11-26T10:00:00Z",
        "components": {"torch": "0a1b2c3d4e5f6071"},
        "needs": NEEDS,
    }
    return CacheEntry.model_validate({**given, **more})


def has(**more: Any) -> Runtime:
    return Runtime.model_validate({**HAS, **more})


def without(soname: str) -> dict[str, Any]:
    return {name: library for name, library in HAS["libraries"].items() if name != soname}


def test_host_that_has_everything_fits() -> None:
    assert packs.fits(entry(), has()) == ()


UNFIT = {
    "older glibc": (
        {"glibc": "2.28", "libraries": {**HAS["libraries"], "libc.so.6": OLD_LIBC}},
        ("its glibc is 2.28, needed is 2.36 or later", "its libc.so.6 (/lib/libc.so.6) lacks GLIBC_2.36"),
    ),
    "glibc that is newer by text alone": ({"glibc": "2.4"}, ("its glibc is 2.4, needed is 2.36 or later",)),
    "no glibc": ({"glibc": ""}, ("its glibc is unknown, needed is 2.36 or later",)),
    "missing library": ({"libraries": without("libjpeg.so.62")}, ("it has no libjpeg.so.62",)),
    "library without the version": (
        {"libraries": {**HAS["libraries"], "libjpeg.so.62": {"path": "/x", "versions": [], "package": ""}}},
        ("its libjpeg.so.62 (/x) lacks LIBJPEG_6.2",),
    ),
    "other Python": ({"python": "3.12"}, ("its Python is 3.12, needed is 3.11",)),
    "unknown Python": ({"python": ""}, ("its Python is unknown, needed is 3.11",)),
    "unknown machine": ({"machine": ""}, ("its machine type is unknown, needed is x86_64",)),
    "other machine": ({"machine": "aarch64"}, ("its machine type is aarch64, needed is x86_64",)),
}


@pytest.mark.parametrize("what", UNFIT)
def test_host_that_lacks_something_is_told_what(what: str) -> None:
    changes, reasons = UNFIT[what]
    assert packs.fits(entry(), has(**changes)) == reasons


def test_older_processor_does_not_fit() -> None:
    needs = entry(needs={**NEEDS, "level": 3})
    assert packs.fits(needs, has()) == ("its processor is x86-64-v2, needed is x86-64-v3",)
    assert [packs.fits(needs, has(level=level)) for level in (3, 4)] == [(), ()]


def test_library_whose_package_will_be_installed_may_be_missing_but_not_be_too_old() -> None:
    known = entry(packages={"libjpeg.so.62": "libjpeg62-turbo", "libc.so.6": "libc6"})
    assert packs.fits(known, has(libraries=without("libjpeg.so.62"))) == ()
    old = {**HAS["libraries"], "libc.so.6": OLD_LIBC}
    assert packs.fits(known, has(libraries=old)) == ("its libc.so.6 (/lib/libc.so.6) lacks GLIBC_2.36",)


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("", 1),
        ("sse sse2", 1),
        ("pni ssse3 sse4_1 sse4_2 popcnt cx16", 2),
        ("pni ssse3 sse4_1 sse4_2 popcnt cx16 avx avx2 bmi1 bmi2 f16c fma movbe", 2),
        ("pni ssse3 sse4_1 sse4_2 popcnt cx16 avx avx2 bmi1 bmi2 f16c fma movbe abm", 3),
        ("avx avx2 bmi1 bmi2 f16c fma movbe", 1),
    ],
)
def test_level_of_a_processor_is_that_of_all_its_flags(flags: str, level: int) -> None:
    assert runtime.level_of(flags.split()) == level


def test_newest_glibc_is_found_by_number() -> None:
    assert runtime.glibc_of(["GLIBC_2.4", "GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_PRIVATE", "GLIBCXX_3.4.30"]) == "2.34"
    assert runtime.glibc_of(["GLIBCXX_3.4.30"]) == ""
    assert [runtime.number(text) for text in ("2.36", "2.x", "2." + 9 * "9", "")] == [(2, 36), (), (), ()]


def test_program_says_what_it_needs() -> None:
    with PYTHON.open("rb") as file:
        found = elf.read(file)
    assert found is not None
    assert found.needed["libc.so.6"] > {"GLIBC_2.2.5"}
    assert (found.machine, found.level) == ("x86_64", 1)


def test_damaged_elf_files_are_refused_in_words_and_soon() -> None:
    """Bytes of the headers and tables are exchanged at random; the same ones each time."""
    content = PYTHON.read_bytes()
    chance = random.Random(1)
    started, refused = time.monotonic(), 0
    for _round in range(150):
        damaged = bytearray(content[: chance.choice((64, 4096, len(content)))])
        for _byte in range(20):
            damaged[chance.randrange(min(len(damaged), 3000))] = chance.randrange(256)
        damaged[:4] = elf.MAGIC
        try:
            elf.read(io.BytesIO(bytes(damaged)))
        except ValueError as error:
            assert str(error).startswith("it is not a complete ELF file")
            refused += 1
    assert refused > 50
    assert time.monotonic() - started < 60


def test_table_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elf, "MOST_READ", 4 << 20)
    with tempfile.TemporaryFile() as file:
        content = bytearray(PYTHON.read_bytes())
        content[0x28:0x30] = (len(content)).to_bytes(8, "little")  # the section headers are behind the end
        content[0x3C:0x3E] = b"\xff\xff"
        file.write(content)
        file.truncate(1 << 40)
        file.seek(0)
        started = time.monotonic()
        with pytest.raises(ValueError, match="its tables are too large"):
            elf.read(file)
        assert time.monotonic() - started < 30


def test_module_finds_the_libraries_of_this_host_and_their_versions(run_module: Run) -> None:
    wanted = {"libc.so.6": ["GLIBC_2.2.5", "GLIBC_9.9"], "libnone.so.1": []}
    result = run_module("runtime_libraries_info", libraries=wanted)
    assert result["runtime"]["libraries"]["libc.so.6"]["versions"] == ["GLIBC_2.2.5"]
    assert result["reasons"][0].endswith("lacks GLIBC_9.9")
    assert result["reasons"][1] == "it has no libnone.so.1"
    assert runtime.number(result["runtime"]["glibc"]) >= (2, 17)


def test_module_fails_with_a_code_if_what_is_demanded_is_missing(run_module: Run) -> None:
    with pytest.raises(ModuleError, match=r"it has no libnone\.so\.1") as refused:
        run_module("runtime_libraries_info", libraries={"libnone.so.1": []}, demanded=True)
    assert refused.value.result["code"] == "cache.unfit"


def test_module_reads_directories_that_are_given_first(run_module: Run, tmp_path: Path) -> None:
    (tmp_path / "libcudart.so.7.5").write_bytes(PYTHON.read_bytes())
    result = run_module("runtime_libraries_info", libraries={"libcudart.so.7.5": []}, directories=[str(tmp_path)])
    assert result["runtime"]["libraries"]["libcudart.so.7.5"]["path"] == str(tmp_path / "libcudart.so.7.5")
    (tmp_path / "libcudart.so.7.5").write_text("no library")
    assert run_module("runtime_libraries_info", libraries={"libcudart.so.7.5": []}, directories=[str(tmp_path)])[
        "reasons"
    ] == ["it has no libcudart.so.7.5"]


def test_module_refuses_a_path_in_place_of_a_name(run_module: Run) -> None:
    with pytest.raises(ModuleError, match="not the name of a library"):
        run_module("runtime_libraries_info", libraries={"../../etc/shadow": []})


def test_damaged_libraries_of_a_host_are_none(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    content = Path("/lib/x86_64-linux-gnu/libc.so.6")
    source = (content if content.is_file() else PYTHON).read_bytes()
    chance = random.Random(2)
    defined = load("host.elf").defined_versions
    file = tmp_path / "libx.so"
    for _round in range(100):
        damaged = bytearray(source)
        for _byte in range(30):
            damaged[chance.choice((chance.randrange(64), len(damaged) - 1 - chance.randrange(4000)))] = 255
        file.write_bytes(damaged)
        assert defined(str(file)) is None or isinstance(defined(str(file)), list)


def test_needs_are_limited() -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        Needs(machine="x86_64", glibc="2.36", level=1, libraries={"../x": ()})
