# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The paths of the mirror's files on a host.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import posixpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping  # noqa: F401

DIGITS = 16
"""How many digits of the sha256 are put before a file's name, so that two versions have different paths."""


def path_of(directory, file):
    # type: (str, Mapping[str, str]) -> str
    """The path, in a host's directory of artifacts, of a file {file, sha256} from the mirror's lock."""
    return posixpath.join(directory, "%s-%s" % (file["sha256"][:DIGITS], file["file"]))
