# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Starts a supervisor that continues after this process: as a hardened unit of systemd, else in its own session.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import subprocess

from .account import become
from ..host.commands import output_of
from ..host.environment import login_path, login_path_of
from ..programs.dispatch import CODE, writes_to
from .files import Run
from ..rules import layout
from ..rules.texts import UTF8
from ..rules import run as rules

SYSTEMD = "/run/systemd/system"
"""This directory exists if systemd runs the host."""
HARDENING = (
    # (property, the first version of systemd that accepts it for a transient unit)
    ("Type=exec", 241),  # no restriction; with it systemd-run fails at once if the host cannot apply one of the others
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
"""More properties for a run on the CPU, which does not need any device."""


def writable(root, runs):
    """Return the directories in which these runs write: their own, and those of their models or data sets."""
    own = [Run(root, request["id"]).path for request in runs]
    locks = [layout.locks(root)]
    elsewhere = [path for request in runs for path in writes_to(request["program"], request["requested"])]
    return own + locks + sorted(set(os.path.realpath(path) for path in elsewhere))


def start_supervisor(run, account, places, plan):
    """Start the supervisor of the plan in a run's directory, so that it continues after this process has ended.

    Return (remark, process): a remark for the user or "", and the process, or None if systemd started it.
    """
    card = plan["card"]
    argv = [plan["python"], os.path.join(run.path, CODE), run.path]
    log = os.path.join(run.path, rules.SUPERVISOR_LOG)
    shell = ["/bin/sh", "-c", 'log=$1; shift; exec "$@" >> "$log" 2>&1 < /dev/null', "provision-run", log] + argv
    if card:
        # libcuda would load the driver's module for unified memory, but a run is not allowed to do that.
        _ask(["nvidia-modprobe", "-u", "-c=0"])
    error = ""
    if os.path.isdir(SYSTEMD) and os.geteuid() == 0 and login_path_of("systemd-run"):
        unit = "neuraltalk-%s" % run.name
        for properties in (hardening(places, card), ["PrivateTmp=yes", "NoNewPrivileges=yes"]):
            # A unit of this name that was killed, or failed to start, still exists.
            _ask(["systemctl", "reset-failed", unit])
            reply, code = _ask(systemd_run(unit, run, account, properties) + shell + [unit])
            if code == 0:
                return error and "its unit is less confined than it should be: systemd-run reported: %s" % error, None
            error = reply.strip() or "code %s" % code
        error = "it is not a systemd unit, but a session of its own: systemd-run reported: %s" % error
    env = dict(os.environ, **UTF8)
    return error, subprocess.Popen(
        shell, env=env, preexec_fn=lambda: become_in_session(account), close_fds=True, cwd="/"
    )


def _ask(argv):
    return output_of(argv, environment=login_path())


def become_in_session(account):
    """In the child: start a new session and become the account."""
    os.setsid()
    become(account)


def systemd_run(unit, run, account, properties):
    """Return the first part of the command line that starts the supervisor as a unit."""
    kept = ["--setenv=%s=%s" % (name, os.environ[name]) for name in ("PATH", "LANG") if name in os.environ]
    argv = ["systemd-run", "--unit=" + unit, "--description=neuraltalk-provision run %s" % run.name]
    kept += ["--setenv=%s=%s" % (name, UTF8[name]) for name in sorted(UTF8)]
    argv += ["--property=KillMode=mixed"] + kept
    if account is not None:
        argv += ["--uid=%s" % account.name, "--gid=%d" % account.gid]
        argv += ["--property=SupplementaryGroups=%d" % group for group in account.groups]
    return argv + ["--property=" + text for text in properties]


def hardening(places, card):
    """Return the properties that restrict a unit and that this host's systemd knows, with the paths it may write."""
    reply, _code = _ask(["systemctl", "--version"])
    number = re.search(r"systemd (\d+)", reply)
    version = int(number.group(1)) if number else 0
    known = [text for text, since in HARDENING + (() if card else WITHOUT_CARD) if since <= version]
    if "ProtectSystem=strict" in known:
        known.append("ReadWritePaths=" + " ".join(quoted(path) for path in places))
    return known


def quoted(path):
    """Return a path quoted for a list of systemd."""
    return '"%s"' % path.replace("\\", "\\\\").replace('"', '\\"')
