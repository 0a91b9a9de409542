# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Whether dpkg of a host installs anything at all, and which programs of the host take part in an installation.

A simulation of apt-get never starts dpkg. So a statoverride for a group that was removed, a damaged list of files, or
an unknown option in dpkg.cfg.d would be found only by the installation.
Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import shutil
import tempfile

from .commands import output_of
from .files import write_whole
from .packages import query

TIMEOUT = 120
NAME = "neuraltalk-provision-trial"
CONTROL = (
    """Package: %s
Version: 1
Architecture: all
Maintainer: neuraltalk-provision <root@localhost>
Description: an empty package with which dpkg is tried; it is not installed
"""
    % NAME
)
_HOOK = re.compile(r'^DPkg::(?:Pre-Invoke|Post-Invoke|Pre-Install-Pkgs):: "(.*)";$', re.M)
_OF_DEBCONF = "dpkg-preconfigure "
"""Every Debian has this hook."""


def problem():
    """Why dpkg would install no package, in its own words; empty if it would. Nothing is installed."""
    folder = tempfile.mkdtemp(prefix="neuraltalk-dpkg-")
    try:
        package = os.path.join(folder, NAME + ".deb")
        write_whole(os.path.join(folder, "root", "DEBIAN", "control"), CONTROL)
        os.chmod(os.path.join(folder, "root", "DEBIAN"), 0o755)
        text, code = output_of(["dpkg-deb", "--build", os.path.join(folder, "root"), package], TIMEOUT)
        if code == 0:
            text, code = output_of(["dpkg", "--no-act", "--install", package], TIMEOUT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return text.strip() if code else ""


def hooks():
    """The commands of the host that apt runs before and after an installation, without the one of every Debian."""
    return [hook for hook in _HOOK.findall(query(["apt-config", "dump"])) if _OF_DEBCONF not in hook]
