# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Limits of processes (ulimit, /etc/security/limits.conf), and what it means if a signal ended a command.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import resource
import signal

KINDS = ("fsize", "as", "cpu", "nproc", "nofile")
_SIGNALS = dict(
    (getattr(signal, name), name)
    for name in sorted(dir(signal), reverse=True)
    if name.startswith("SIG") and name[3] != "_"
)
_SHELL = 128
"""What shells add to the number of a signal."""
_REASONS = {
    "SIGXFSZ": "the limit of the size of files was reached (ulimit -f, /etc/security/limits.conf)",
    "SIGXCPU": "the limit of processor time was reached (ulimit -t, /etc/security/limits.conf)",
    "SIGKILL": "if nobody killed it, probably the out-of-memory killer (see dmesg)",
    "SIGSEGV": "it crashed",
    "SIGILL": "it has instructions that this processor lacks",
}


def current():
    """{kind: the limit for what this process starts}; None without a limit. Bytes, seconds, or a number."""
    limits = dict((kind, resource.getrlimit(getattr(resource, "RLIMIT_" + kind.upper()))[0]) for kind in KINDS)
    return dict((kind, None if limit == resource.RLIM_INFINITY else limit) for kind, limit in limits.items())


def signal_name(number):
    """The name of a signal; `signal 99` if it has none."""
    return _SIGNALS.get(number, "signal %d" % number)


def ending(code):
    """How a command ended, in words: `rc 1`, or which signal ended it, and what that usually means."""
    number = -code if code < 0 else code - _SHELL
    name = signal_name(number) if code < 0 else _SIGNALS.get(number)
    if not name or number <= 0:
        return "rc %d" % code
    reason = _REASONS.get(name)
    return "ended by %s%s" % (name, ": %s" % reason if reason else "")
