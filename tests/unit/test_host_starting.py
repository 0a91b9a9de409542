"""Programs that builds would use and that do not start: compilers, their links, and pip."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugins.module_utils.host import environment, runtime, starting
from plugins.module_utils.rules import layout
from tests.unit.programs import program

BROKEN = '#!/bin/sh\necho "$0: error while loading shared libraries: libmpfr.so.4" >&2; exit 127\n'
WORKING = "#!/bin/sh\necho gcc 12\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory before those of the distribution in which the programs of an administrator are."""
    monkeypatch.setattr(environment, "PATH", f"{tmp_path / 'local'}:/usr/bin:/bin")
    monkeypatch.setattr(starting, "COMPILERS", ("gcc", "no-such-program"))
    return tmp_path / "local"


def test_program_that_does_not_start_is_found_with_its_words(place: Path, tmp_path: Path) -> None:
    gcc = program(place / "gcc", BROKEN)
    (found,) = starting.broken(str(tmp_path / "none"))
    assert (found["name"], found["path"]) == ("gcc", str(gcc))
    assert "libmpfr.so.4" in found["words"]
    program(place / "gcc", WORKING)
    assert starting.broken(str(tmp_path / "none")) == []


def test_program_that_ends_without_a_word_is_found_too(place: Path, tmp_path: Path) -> None:
    program(place / "gcc", "#!/bin/sh\nexit 3\n")
    assert [one["words"] for one in starting.broken(str(tmp_path / "none"))] == ["it ended with code 3"]


def test_pip_that_is_there_and_does_not_start_is_found(place: Path, tmp_path: Path) -> None:
    program(place / "gcc", WORKING)
    python = program(
        tmp_path / "python", "#!/bin/sh\necho 'ImportError: cannot import name SSLTransport' >&2; exit 1\n"
    )
    file = program(tmp_path / "pip" / "__main__.py", "")
    (found,) = starting.broken(str(tmp_path / "none"), str(python), str(file))
    assert (found["name"], found["path"]) == ("pip", f"{python} -m pip")
    assert found["words"] == "ImportError: cannot import name SSLTransport"
    assert starting.broken(str(tmp_path / "none"), str(python), "") == []


def test_what_built_the_current_generation_is_not_started_again(place: Path, tmp_path: Path) -> None:
    """A host that needs nothing is asked at no cost."""
    program(place / "gcc", BROKEN)
    generation = tmp_path / "generations" / "0a"
    generation.mkdir(parents=True)
    Path(layout.current(str(tmp_path))).symlink_to(generation)
    assert len(starting.broken(str(tmp_path))) == 1
    seal = Path(layout.seal(str(generation)))
    seal.write_text("{}")
    while seal.stat().st_ctime <= (place / "gcc").stat().st_ctime:
        seal.touch()
    assert starting.broken(str(tmp_path)) == []


def test_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """update-alternatives changes no program."""
    old = program(tmp_path / "clang", WORKING)
    before = starting._changed(str(old))
    (tmp_path / "alternative").symlink_to("clang")
    while (tmp_path / "alternative").lstat().st_ctime <= before:
        (tmp_path / "alternative").unlink()
        (tmp_path / "alternative").symlink_to("clang")
    (tmp_path / "cc").symlink_to(tmp_path / "alternative")
    assert starting._changed(str(tmp_path / "cc")) > before


def test_library_of_hdf5_that_the_loader_does_not_find_is_broken(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CMake finds it in /usr/local, but the stack loads it by its soname: nobody called ldconfig."""
    program(place / "gcc", WORKING)
    library = tmp_path / "lib" / "libhdf5.so"
    library.parent.mkdir()
    library.with_name("libhdf5.so.310.3.0").write_bytes(b"")
    library.symlink_to("libhdf5.so.310.3.0")
    found: dict[str, str] = {"libc.so.6": "/lib/libc.so.6"}
    monkeypatch.setattr(runtime, "cached_libraries", lambda: found)
    assert starting.broken(str(tmp_path / "none"), local=str(tmp_path / "no-local")) == []
    (one,) = starting.broken(str(tmp_path / "none"), local=str(tmp_path))
    assert (one["name"], one["path"]) == ("libhdf5", str(library))
    found["libhdf5.so.310"] = str(library.with_name("libhdf5.so.310.3.0"))
    assert starting.broken(str(tmp_path / "none"), local=str(tmp_path)) == []
    library.unlink()
    library.with_name("libhdf5.a").write_bytes(b"!<arch>\n")
    (one,) = starting.broken(str(tmp_path / "none"), local=str(tmp_path))
    assert one["path"] == str(library.with_name("libhdf5.a"))  # CMake takes it, and no program can load it
    found.clear()  # there is no ldconfig
    assert starting.broken(str(tmp_path / "none"), local=str(tmp_path)) == []


def test_headers_of_hdf5_that_gcc_cannot_read_are_broken(place: Path, tmp_path: Path) -> None:
    """Those of a parallel HDF5 include mpi.h."""
    program(place / "gcc", '#!/bin/sh\n[ "$1" = --version ] || exec /usr/bin/gcc "$@"\n')
    header = tmp_path / "include" / "hdf5.h"
    header.parent.mkdir()
    header.write_text("int fine;\n")
    assert starting.broken(str(tmp_path / "none"), local=str(tmp_path)) == []
    header.write_text("#include <no-such-mpi.h>\n")
    (found,) = starting.broken(str(tmp_path / "none"), local=str(tmp_path))
    assert (found["name"], found["path"]) == ("hdf5", str(header))
    assert "no-such-mpi.h: No such file or directory" in found["words"]
    header.unlink()
    assert starting.broken(str(tmp_path / "none"), local=str(tmp_path)) == []
