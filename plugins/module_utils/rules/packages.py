# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The package managers of operating systems.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

COMMANDS = {"apt": "apt-get", "dnf": "dnf", "yum": "yum"}
"""{package manager: its command}. A package manager is present if its command exists. dnf is preferred to yum."""
