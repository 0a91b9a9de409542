# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The command lines of apt-get, dnf and yum, for the mirror's repository or for the host's own ones.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from . import dpkg
from .commands import run_logged
from .files import make_directory, write_whole
from .packages import of_dpkg, of_rpm, query
from ..rules.packages import apt_configuration, apt_listing, apt_options

QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "APT_LISTBUGS_FRONTEND": "none"}
"""The environment in which nothing asks a question, restarts services of the host, or looks up bugs in the network."""
APT_GET = ["apt-get", "-q", "-y", "-o", "APT::Get::Simulate=false", "-o", "APT::Get::Download-Only=false"]
APT_GET += ["-o", "APT::Get::AutomaticRemove=false"]
"""apt-get whatever the host's configuration says. What follows, such as -s, counts more. With --no-remove, apt ends if
it is to remove what nobody needs any more."""
KEEP_PACKAGES = ["--no-remove"]
"""No package of the site may be removed, neither for ours nor to repair dependencies."""
REPAIR = ["--fix-broken"]
REPAIR_LIMIT = 1800
"""Seconds after which a repair is ended. A script of a package that never ends is often why dpkg was interrupted."""
KEEP_CONFIGURATION = ["--force-confdef", "--force-confold"]
# dnf 4 and yum begin with the first three, dnf 5 with the others.
_RPM_REFUSES = re.compile(r"^(?:Error|No package |No match |Failed to |Problem)", re.M)


class Apt(object):
    """apt-get. With a repository of the mirror it uses no other."""

    def __init__(self, repository):
        self.options = []
        self.repair_options = []
        if repository:
            make_directory(repository + "/lists/partial")
            write_whole(*apt_listing(repository))
            write_whole(*apt_configuration(repository))
            self.options = ["-c", apt_configuration(repository)[0]] + apt_options(repository)

    def repair(self, log):
        """Finish an interrupted dpkg, and set the options for installing if packages have missing dependencies."""
        for argv in (["dpkg"] + KEEP_CONFIGURATION + ["--configure", "-a"], ["apt-get", "-q", "check"]):
            outcome = run_logged(argv, log, environment=QUIET, append=True, timeout=REPAIR_LIMIT)
        self.repair_options = REPAIR if outcome["rc"] != 0 else []

    def refresh(self):
        return ["apt-get", "-q"] + self.options + ["update"]

    @property
    def tolerant(self):
        """Whether installing can go on although not every repository could be read."""
        return not self.options

    def install(self, names):
        keep = [argument for option in KEEP_CONFIGURATION for argument in ("-o", "Dpkg::Options::=" + option)]
        # For a program that takes the lock after we waited. apt before 1.9.11 ignores this option.
        keep += ["-o", "DPkg::Lock::Timeout=300"]
        argv = APT_GET + ["--no-install-recommends"] + KEEP_PACKAGES + self.repair_options + keep
        return argv + self.options + ["install"] + names

    def simulations(self, names, files, cached=False):
        """The commands that only find out whether packages could be installed; one success is enough.

        With `files` they also read the package files, else the index alone: apt never reads its repositories for this.
        The second command is for a host on which an interrupted dpkg left dependencies missing; see `repair`.
        """
        start = APT_GET + ["--download-only" if files else "-s", "--no-install-recommends"] + KEEP_PACKAGES
        return [start + more + self.options + ["install"] + names for more in ([], REPAIR)]

    @staticmethod
    def is_refusal(_output, code, _files):
        """Whether the end of a simulation means that the packages cannot be installed."""
        return code != 0

    def known(self, names, cached=False):
        """{name: version} of those packages that can be installed. apt never reads its repositories for this."""
        listing = query(["apt-cache"] + self.options + ["policy"] + names)
        blocks = re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (.*)$", listing, re.M)
        return dict((name, candidate) for name, candidate in blocks if candidate != "(none)")

    def installed(self, names):
        return of_dpkg(names)

    def broken(self):
        """Why no package at all can be installed, in the words of dpkg; empty if packages can be."""
        return dpkg.problem()

    def needs_signatures(self):
        """Never: apt and dpkg do not look at signatures of packages."""
        return False

    def hooks(self):
        """The commands of the host that are run before and after an installation."""
        return dpkg.hooks()


class Rpm(object):
    """dnf or yum. With a repository of the mirror it uses no other."""

    def __init__(self, command, repository):
        self.command = command
        # Without this, dnf waits for a lock for ever.
        self.options = ["--setopt=exit_on_lock=1"]
        if repository:
            config = repository + "/provision.conf"
            # module_hotfixes: packages of a module are in the repository without its description, and dnf would refuse
            # them. yum does not know the option and ignores it. plugins: versionlock would leave packages out.
            write_whole(
                config,
                "[main]\nreposdir=/dev/null\nplugins=0\ngpgcheck=0\ncachedir=%s/cache\n"
                "[provision]\nname=provision\nbaseurl=file://%s\nenabled=1\ngpgcheck=0\nmodule_hotfixes=1\n"
                % (repository, repository),
            )
            self.options += ["-c", config]
        else:
            # A repository that cannot be read is skipped.
            self.options += ["--setopt=*.skip_if_unavailable=1"]

    def repair(self, log):
        """Does nothing: an interrupted rpm transaction does not prevent others."""

    def refresh(self):
        return [self.command, "-q"] + self.options + ["makecache"]

    @property
    def tolerant(self):
        """Whether installing can go on although not every repository could be read."""
        return "-c" not in self.options

    def install(self, names):
        return [self.command, "-y"] + self.options + ["install"] + names

    def simulations(self, names, files, cached=False):
        """The commands that only find out whether packages could be installed; one success is enough.

        With `files` they also read the package files, else the index alone; with `cached` no repository is read.
        """
        how = ["-y", "--downloadonly"] if files else ["--assumeno"]
        return [[self.command, "-q"] + ["-C"] * cached + self.options + how + ["install"] + names]

    @staticmethod
    def is_refusal(output, code, files):
        """Whether the end of a simulation means that the packages cannot be installed."""
        if files:
            return code != 0
        # With --assumeno the code is always 1; 124 and 126 mean that the command did not end or could not be started.
        return code not in (0, 1) or bool(_RPM_REFUSES.search(output))

    def known(self, names, cached=False):
        """{name: version} of those packages that can be installed; with `cached` no repository is read for this."""
        # dnf 5 accepts only the option, yum only the argument, dnf 4 both.
        available = "available" if self.command == "yum" else "--available"
        start = [self.command, "-q"] + ["-C"] * cached + self.options
        # yum breaks long lines after the name.
        listed = dict(re.findall(r"^(\S+)\.[^\s.]+\s+(\S+)", query(start + ["list", available] + names), re.M))
        return dict((name, listed[name]) for name in names if name in listed)

    def installed(self, names):
        return of_rpm(names)

    def broken(self):
        """Empty: dnf and yum try the transaction with rpm themselves."""
        return ""

    def needs_signatures(self):
        """Whether rpm refuses packages without a signature of a key that it knows. An old rpm has no such level."""
        return query(["rpm", "--eval", "%{?_pkgverify_level}"]).strip() in ("all", "signature")

    def hooks(self):
        """Empty: plugins of dnf and yum are no commands."""
        return []


def manager_of(name, repository):
    """The package manager apt, dnf or yum, with the repository in that directory; empty for the host's own ones."""
    return Apt(repository) if name == "apt" else Rpm(name, repository)
