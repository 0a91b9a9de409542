"""A bare host gets every package, only from the mirror, and its own package sources are unchanged."""

from __future__ import annotations

import shlex

import pytest
from testinfra.host import Host

from tests.lab import names
from tests.molecule.conftest import PREPARED, Stack

USES = {
    "C": "echo '#include <png.h>\n#include <jpeglib.h>\n#include <readline/readline.h>' | gcc -include stdio.h -E -",
    "C++": "echo '#include <google/protobuf/message.h>' | g++ -E -x c++ -",
    "HDF5": "echo '#include <hdf5.h>' | gcc -I/usr/include/hdf5/serial -E -",
    "Fortran": "printf '      end\n' >/tmp/a.f && gfortran -o /tmp/a /tmp/a.f && /tmp/a",
    "BLAS": "echo 'void dgesv_(); int main() { return dgesv_ == 0; }' | gcc -o /tmp/b -x c - -lopenblas && /tmp/b",
    "tools": "cmake --version && make --version && unzip -v && curl --version && protoc --version && pip3 --version",
}


def test_every_required_package_is_installed(host: Host, stack: Stack) -> None:
    required = stack.recipe["required"]
    assert {"cmake", "libhdf5-dev"} <= set(required)
    assert [name for name in required if not host.package(name).is_installed] == []


@pytest.mark.parametrize("what", USES)
def test_the_installed_packages_work(host: Host, what: str) -> None:
    done = host.run(f"bash -o pipefail -c {shlex.quote(USES[what])}")
    assert done.rc == 0, done.stderr


def test_optional_packages_are_installed_if_the_mirror_has_them_and_are_no_error_otherwise(
    host: Host, stack: Stack
) -> None:
    optional = stack.recipe["optional"]
    available = {name for name in optional if name in names.SMALL_OPTIONAL}
    assert available
    assert available != set(optional)
    assert {name for name in optional if host.package(name).is_installed} == available


def test_the_repository_is_removed_and_the_hosts_own_sources_are_unchanged(host: Host, stack: Stack) -> None:
    assert not host.file(f"{stack.root}/build/packages").exists
    assert host.check_output(f"find /etc/apt -newer {PREPARED} -type f") == ""
    assert host.file("/etc/apt/sources.list").exists or host.file("/etc/apt/sources.list.d").exists


def test_a_killed_dpkg_is_repaired_and_the_sites_own_configuration_stays(host: Host) -> None:
    assert host.check_output("dpkg --audit") == ""
    assert host.file("/etc/gprofng.rc").content_string == "# the site's own\n"
    assert host.package("binutils").is_installed


def test_the_log_has_the_output_of_apt(host: Host, stack: Stack) -> None:
    log = host.file(f"{stack.root}/logs/packages.log").content_string
    assert "Setting up cmake" in log
