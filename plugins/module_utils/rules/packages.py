# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The package managers of operating systems.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

COMMANDS = {"apt": "apt-get", "dnf": "dnf", "yum": "yum"}
"""{package manager: its command}. A package manager is present if its command exists. dnf is preferred to yum."""


def apt_listing(repository):
    # type: (str) -> str
    """The list of sources that names a repository of the mirror, unpacked in this directory, and no other."""
    return "deb [trusted=yes] file:%s ./\n" % repository


def apt_options(repository, listing):
    # type: (str, str) -> list[str]
    """The options with which apt uses only the sources in the file `listing`, and keeps its state in `repository`."""
    return [
        "-o", "Dir::Etc::sourcelist=" + listing, "-o", "Dir::Etc::sourceparts=-",
        "-o", "Dir::State::lists=" + repository + "/lists", "-o", "APT::Sandbox::User=root",
    ]  # fmt: skip
