# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The package managers of operating systems.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

LOCAL = "/usr/local"
"""Where administrators install programs and libraries beside the OS packages. Compilers and CMake find those first."""
HDF5, HDF5_LIBRARY = "hdf5", "libhdf5"
"""The names of HDF5's headers and of its library in what is said of LOCAL."""
SCRIPTS, CACHE = "/var/lib", "/var/cache"
"""Where dpkg has the scripts of packages that it runs, and where package managers keep what they have fetched."""
WRITTEN = (("/usr", ""), ("/etc", "/usr"), ("/var", ""), (SCRIPTS, "/var"), (CACHE, "/var"))
"""Where package managers write. Each directory is examined unless it is on the file system of the second one."""
COMMANDS = {"apt": "apt-get", "dnf": "dnf", "yum": "yum"}
"""{package manager: its command}. A package manager is present if its command exists. dnf is preferred to yum."""


def base_codename(release):
    # type: (dict[str, str]) -> str
    """The codename of the Ubuntu or Debian whose packages a system uses, in the values of its os-release; or empty."""
    return release.get("UBUNTU_CODENAME") or release.get("DEBIAN_CODENAME", "")


def usual_origins(names, origins):
    # type: (list[str] | tuple[str, ...], dict[str, str]) -> str
    """Where packages usually come from, in words, by {package: repository}; empty if that is not known of any."""
    held = {}  # type: dict[str, list[str]]
    for name in names:
        if name in origins:
            held.setdefault(origins[name], []).append(name)
    return "; ".join(
        "%s usually %s from %s" % (", ".join(held[place]), "comes" if len(held[place]) == 1 else "come", place)
        for place in sorted(held)
    )


def apt_listing(repository):
    # type: (str) -> tuple[str, str]
    """(path, content) of the list of sources that names only this repository of the mirror, unpacked in a directory."""
    return repository + "/provision.list", "deb [trusted=yes] file:%s ./\n" % repository


def apt_configuration(repository):
    # type: (str) -> tuple[str, str]
    """(path, content) of a configuration for `apt-get -c` that leaves out the host's hooks around `update`.

    They have nothing to do with our repository, may fail, and may change the host.
    """
    hooks = ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")
    return repository + "/apt.conf", "".join("#clear APT::Update::%s;\n" % hook for hook in hooks)


def apt_options(repository):
    # type: (str) -> list[str]
    """The options with which apt uses only that list of sources, and keeps what it reads in the same directory.

    The release and the pins of a host have no meaning there, and an archive is valid whatever the clock of the host
    says.
    """
    return [
        "-o", "Dir::Etc::sourcelist=" + apt_listing(repository)[0], "-o", "Dir::Etc::sourceparts=-",
        "-o", "Dir::State::lists=" + repository + "/lists", "-o", "APT::Sandbox::User=root",
        "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", "APT::Default-Release=",
        "-o", "Dir::Etc::preferences=/dev/null", "-o", "Dir::Etc::preferencesparts=/dev/null",
        "-o", "Acquire::Check-Date=false", "-o", "Acquire::Check-Valid-Until=false",
    ]  # fmt: skip
