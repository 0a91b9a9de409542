"""torch-hdf5 needs no compiler after its build, and Python can read its files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testinfra.host import Host

from tests.molecule.conftest import Stack

WRITE = """
require 'hdf5'
local file = hdf5.open('/tmp/lua.h5', 'w')
file:write('/t', torch.FloatTensor(3, 4):fill(2.5))
file:close()
"""
READ = "import h5py; print(h5py.File('/tmp/lua.h5', 'r')['t'][...].sum())"


@pytest.fixture
def without_compiler(host: Host) -> Iterator[None]:
    """Hides gcc, hdf5.h and the unversioned library, as on a host without development packages."""
    hidden = host.check_output(
        "ls -d /usr/bin/*gcc* /usr/bin/cc /usr/bin/cpp* /usr/include/hdf5 /usr/lib/x86_64-linux-gnu/hdf5 "
        "/usr/lib/x86_64-linux-gnu/libhdf5*.so 2>/dev/null || true"
    ).split()
    assert any("gcc" in path for path in hidden)
    assert any("hdf5" in path for path in hidden)
    each = f"for path in {' '.join(hidden)}; do mv"
    host.check_output(f"{each} $path $path.hidden; done")
    try:
        yield
    finally:
        host.check_output(f"{each} $path.hidden $path; done")


@pytest.mark.usefixtures("without_compiler")
def test_a_file_is_written_and_read_back_without_a_compiler(host: Host, stack: Stack) -> None:
    assert host.run("gcc --version").rc == 127
    done = stack.run("luajit", f"{stack.path}/etc/hdf5-round-trip.lua", "/tmp/round-trip.h5")
    assert done.rc == 0, done.stderr
    assert "round trip through HDF5 1." in done.stdout


def test_python_reads_what_lua_writes(stack: Stack) -> None:
    stack.lua(WRITE)
    done = stack.run("python3", "-c", READ)
    assert done.stdout.strip() == "30.0", done.stderr


def test_ipython_runs(stack: Stack) -> None:
    assert stack.run("python3", "-m", "IPython", "--version").rc == 0


def test_python_packages_are_only_in_the_generation(host: Host, stack: Stack) -> None:
    assert stack.run("python3", "-c", "import h5py; print(h5py.__file__)").stdout.startswith(f"{stack.path}/python/")
    assert host.run("cd / && python3 -c 'import h5py'").rc != 0


@pytest.mark.parametrize("component", ["totem", "hdf5"])
def test_a_stamp_lists_the_loaded_modules(stack: Stack, component: str) -> None:
    part = stack.part(component)
    assert stack.stamp(component)["digest"] == part["digest"]
    assert set(part["loads"]) <= set(stack.evidence(component))


def test_the_stamp_of_python_has_the_versions(stack: Stack) -> None:
    assert "h5py " in str(stack.stamp("python")["evidence"])


def test_every_edit_is_in_the_sources(host: Host, stack: Stack) -> None:
    edits = stack.part("hdf5")["edits"]
    assert len(edits) > 5
    for edit in edits:
        text = host.file(f"{stack.build}/hdf5/{edit['file']}").content_string
        assert text.count(edit["replacement"]) == edit["count"], edit["reason"]


def test_of_the_python_packages_what_a_program_loads_is_compiled_and_nothing_else(host: Host, stack: Stack) -> None:
    """Pip takes longer to compile all files than to unpack them, and other hosts do not get what it compiled."""
    for loaded in ("h5py", "numpy", "PIL", "IPython"):
        assert host.file(f"{stack.path}/python/{loaded}/__pycache__").is_directory
    assert not host.file(f"{stack.path}/python/numpy/f2py/__pycache__").exists
