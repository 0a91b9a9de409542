# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The timer that starts the program of the return: units of systemd, else a process of its own session.

systemd's units are files in /etc/systemd/system, so that they survive a reboot: the service is also started by every
boot. A process does not survive a reboot; then the next command finds the record. Runs under Python 2.7 and 3 and
needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import os
import sys

from ..host.commands import output_of
from ..host.environment import login_path
from ..host.errors import StackError
from ..host.files import make_directory, naming, remove, sync, write_whole
from ..host.texts import as_text
from ..programs.packed import imported, packed
from ..rules import codes, layout
from ..rules.texts import UTF8

RUNNING = "/run/systemd/system"
"""This directory exists if systemd runs the host."""
UNITS = "/etc/systemd/system"
AT_BOOT = "multi-user.target.wants"
READY = "ready"
"""What the program prints when it has read its modules."""
TRY, DETACH = "try", "detach"
"""The arguments with which it only prints that, or continues in a session of its own."""
PATIENCE = 30
"""Seconds in which the program must have started."""
MAIN = """import sys
from module_utils.activation.program import main
sys.exit(main(sys.argv[1:]))
"""
SERVICE = """# Written by neuraltalk-provision, which removes it when the activation is confirmed.
[Unit]
Description=Return %(root)s to its former generation, unless the activation was confirmed
After=local-fs.target remote-fs.target
RequiresMountsFor=%(mounts)s
ConditionPathExists=%(program)s

[Service]
Type=simple
Environment=%(environment)s
ExecStart=%(command)s
Restart=on-failure
RestartSec=30
"""
TIMER = """# Written by neuraltalk-provision, which removes it when the activation is confirmed.
[Unit]
Description=The time in which an activation below %(root)s has to be confirmed

[Timer]
OnActiveSec=%(limit)ds
AccuracySec=1s
Unit=%(service)s
"""


def uses_systemd():
    """Whether the timer is a unit of systemd: it runs this host, and the current user may write units."""
    return os.path.isdir(RUNNING) and os.geteuid() == 0


def name_of(root):
    """The name of the units for a stack root."""
    return "neuraltalk-return-%s" % hashlib.sha256(as_text(root).encode("utf-8")).hexdigest()[:8]


def write_program(root):
    """Write the program and all modules that it imports to the stack root, as one file that any Python runs."""
    path = layout.return_program(root)
    new = path + ".new"
    with naming(path):
        remove(new)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(packed(imported(), MAIN))
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, path)
        sync(root)


def command(root, token):
    """The command line of the program for the record with that token."""
    return [sys.executable, "-s", layout.return_program(root), root, token]


def arm(root, record):
    """Arm the timer for a record that was written. Returns it in words.

    StackError with the code ACTIVATION_TIMER if it cannot be armed; then a part of its units may be written.
    """
    argv = command(root, record["token"])
    try:
        answer = _start(argv, TRY if uses_systemd() else DETACH)
        if not uses_systemd():
            return "process %s" % answer
        _write_units(root, record, argv)
        for words in (["daemon-reload"], ["restart", name_of(root) + ".timer"]):
            _systemctl(*words)
    except (IOError, OSError) as error:
        raise refusal("%s: %s" % (error.filename or argv[0], error.strerror), codes.of_errno(error.errno))
    return "timer of systemd %s" % name_of(root)


def _start(argv, how):
    """Start the program, and return what it says after READY. StackError if it does not start."""
    text, code = output_of(argv + [how], timeout=PATIENCE, environment=UTF8)
    # A Python can print lines of its own: a sitecustomize.py of the host, or a .pth file of a package that is gone.
    said = [line.split() for line in text.splitlines() if line.split()[:1] == [READY]]
    if code or not said:
        shown = text.strip()[-1000:] or "%s printed nothing" % argv[0]
        raise refusal("the program of the return does not start (code %s): %s" % (code, shown))
    return " ".join(said[-1][1:])


def refusal(reason, code=""):
    """The StackError for a timer that cannot be armed. If the disk is full or broken, that is its code."""
    code = "" if code == codes.FILE_DENIED else code
    message = "the timer that returns this host if the activation is not confirmed cannot be armed: %s" % reason
    return StackError(message + ". Nothing was activated", code=code or codes.ACTIVATION_TIMER)


def _systemctl(*words):
    text, code = output_of(["systemctl"] + list(words), environment=login_path())
    if code is None:
        raise refusal("systemd runs this host, but there is no program systemctl")
    if code:
        raise refusal("systemctl %s ended with %d: %s" % (" ".join(words), code, text.strip()[-1000:]))


def files(root):
    """The files of the units: the service, the timer, and the link that starts the service at boot."""
    service, timer = name_of(root) + ".service", name_of(root) + ".timer"
    return [os.path.join(UNITS, service), os.path.join(UNITS, timer), os.path.join(UNITS, AT_BOOT, service)]


def _write_units(root, record, argv):
    service, timer, link = files(root)
    values = {
        "root": _escaped(root),
        "program": layout.return_program(root).replace("%", "%%"),
        "mounts": " ".join(_quoted(path) for path in (root, record["cuda"]) if path),
        "environment": " ".join("%s=%s" % (key, UTF8[key]) for key in sorted(UTF8)),
        # In a command line, systemd also replaces variables.
        "command": " ".join(_quoted(word).replace("$", "$$") for word in argv),
        "limit": record["limit"],
        "service": os.path.basename(service),
    }
    write_whole(service, SERVICE % values)
    write_whole(timer, TIMER % values)
    make_directory(os.path.dirname(link))
    remove(link)
    os.symlink(os.path.join("..", os.path.basename(service)), link)
    for directory in (os.path.dirname(service), os.path.dirname(link)):
        sync(directory)


def _escaped(text):
    """A text in which systemd replaces nothing."""
    return text.replace("\\", "\\\\").replace("%", "%%")


def _quoted(path):
    return '"%s"' % _escaped(path).replace('"', '\\"')


def keep(root):
    """Start systemd's timer if an attempt to arm it again has stopped it. A process still waits. Raises nothing."""
    if uses_systemd():
        output_of(["systemctl", "start", name_of(root) + ".timer"], environment=login_path())


def disarm(root):
    """Remove what `arm` wrote for systemd. A process ends by itself when its record is gone. Raises nothing.

    What cannot be removed does no harm: without a record, the program does nothing but remove it again.
    """
    if not uses_systemd() or not any(os.path.lexists(path) for path in files(root)):
        return
    output_of(["systemctl", "stop", name_of(root) + ".timer"], environment=login_path())
    for path in files(root):
        try:
            remove(path)
        except (IOError, OSError):
            pass
    output_of(["systemctl", "daemon-reload"], environment=login_path())
