# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Where the files of the mirror lie on a host.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import posixpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping  # noqa: F401

DIGITS = 16
"""How many digits of a file's sha256 stand before its name, so that two versions never meet."""


def path_of(directory, file):
    # type: (str, Mapping[str, str]) -> str
    """The path on a host, in the directory of artifacts, of a file {file, sha256} of the mirror's lock."""
    return posixpath.join(directory, "%s-%s" % (file["sha256"][:DIGITS], file["file"]))
