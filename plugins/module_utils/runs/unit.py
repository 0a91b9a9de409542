# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""How a supervisor is started so that it outlives us: as a confined unit of systemd's, else as a session of its own.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import subprocess

from .account import become
from ..host.commands import output_of
from ..scoring.scorer import found
from ..programs.dispatch import CODE, writes_to
from .files import Run
from ..rules import layout
from ..rules import run as rules

SYSTEMD = "/run/systemd/system"
"""There where systemd runs the host."""
HARDENING = (
    # (what a run's unit may not do, since which version of systemd it can be said of a unit like ours)
    ("Type=exec", 241),  # not one of these, but how it is noticed at once that this host cannot do one of them
    ("NoNewPrivileges=yes", 229),
    ("PrivateTmp=yes", 229),
    ("UMask=0077", 229),
    ("CapabilityBoundingSet=", 235),
    ("LockPersonality=yes", 235),
    ("ProtectControlGroups=yes", 235),
    ("ProtectHome=read-only", 235),
    ("ProtectKernelModules=yes", 235),
    ("ProtectKernelTunables=yes", 235),
    ("ProtectSystem=strict", 235),
    ("RemoveIPC=yes", 235),
    ("RestrictAddressFamilies=AF_UNIX AF_NETLINK", 235),
    ("RestrictNamespaces=yes", 235),
    ("RestrictRealtime=yes", 235),
    ("SystemCallArchitectures=native", 235),
    ("SystemCallFilter=@system-service", 235),
    ("PrivateNetwork=yes", 235),
    ("IPAddressDeny=any", 235),
    ("KeyringMode=private", 235),
    ("RestrictSUIDSGID=yes", 242),
    ("ProtectHostname=yes", 242),
    ("ProtectKernelLogs=yes", 244),
    ("ProtectClock=yes", 247),
    ("ProtectProc=invisible", 247),
)
WITHOUT_CARD = (("PrivateDevices=yes", 235), ("DevicePolicy=closed", 235))
"""What besides holds for a run on the processor, which has to open no device."""


def writable(root, runs):
    """The directories in which these runs write: their own, and where their models or data sets are to go."""
    own = [Run(root, asked["id"]).path for asked in runs]
    locks = [layout.locks(root)]
    elsewhere = [path for asked in runs for path in writes_to(asked["program"], asked["requested"])]
    return own + locks + sorted(set(os.path.realpath(path) for path in elsewhere))


def begin(run, account, places, plan):
    """Start the supervisor of the plan in a run's directory, such that it outlives us.

    (a remark, or nothing; its process, or None where it is systemd's).
    """
    card = plan["card"]
    words = [plan["python"], os.path.join(run.path, CODE), run.path]
    log = os.path.join(run.path, rules.SUPERVISOR_LOG)
    shell = ["/bin/sh", "-c", 'log=$1; shift; exec "$@" >> "$log" 2>&1 < /dev/null', "provision-run", log] + words
    if card:
        # A run may not load the driver's module for unified memory by itself, and libcuda would try.
        output_of(["nvidia-modprobe", "-u", "-c=0"])
    said = ""
    if os.path.isdir(SYSTEMD) and os.geteuid() == 0 and found("systemd-run"):
        unit = "neuraltalk-%s" % run.name
        for properties in (hardening(places, card), ["PrivateTmp=yes", "NoNewPrivileges=yes"]):
            # One that was killed under this name, or could not be begun, still has it.
            output_of(["systemctl", "reset-failed", unit])
            reply, code = output_of(systemd_run(unit, run, account, properties) + shell + [unit])
            if code == 0:
                return said and "its unit is less confined than it should be: systemd-run reported: %s" % said, None
            said = reply.strip() or "code %s" % code
        said = "it is not a systemd unit, but a session of its own: systemd-run reported: %s" % said
    return said, subprocess.Popen(shell, preexec_fn=lambda: of_its_own(account), close_fds=True, cwd="/")


def of_its_own(account):
    """In the child: a session of its own, as the account."""
    os.setsid()
    become(account)


def systemd_run(unit, run, account, properties):
    """The beginning of the command line that makes a unit of the supervisor."""
    kept = ["--setenv=%s=%s" % (name, os.environ[name]) for name in ("PATH", "LANG") if name in os.environ]
    argv = ["systemd-run", "--unit=" + unit, "--description=neuraltalk-provision run %s" % run.name]
    argv += ["--property=KillMode=mixed"] + kept
    if account is not None:
        argv += ["--uid=%s" % account.name, "--gid=%d" % account.gid]
        argv += ["--property=SupplementaryGroups=%d" % group for group in account.groups]
    return argv + ["--property=" + text for text in properties]


def hardening(places, card):
    """What a unit may not do, as far as this host's systemd knows how; where it may write."""
    reply, _code = output_of(["systemctl", "--version"])
    number = re.search(r"systemd (\d+)", reply)
    version = int(number.group(1)) if number else 0
    known = [text for text, since in HARDENING + (() if card else WITHOUT_CARD) if since <= version]
    if "ProtectSystem=strict" in known:
        known.append("ReadWritePaths=" + " ".join(quoted(path) for path in places))
    return known


def quoted(path):
    """A path as systemd reads it in a list."""
    return '"%s"' % path.replace("\\", "\\\\").replace('"', '\\"')
