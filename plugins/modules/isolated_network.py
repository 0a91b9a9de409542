#!/usr/bin/python
# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: isolated_network
short_description: A network without a way out on a host, with a record of what was attempted there
description:
  - Starts a network namespace that has only a loopback interface, and in which every address is local, so that each
    attempt to reach something is refused at once. A process that belongs to it records these attempts. The network of
    the host itself does not change.
  - Modules run in this network if O(directory)C(/python) is their interpreter (C(ansible_python_interpreter)).
    Services of the host that they call do not.
  - Needs root, C(ip) and C(nsenter).
options:
  state:
    description:
      - V(started) starts the network and its recorder. One that a killed command left is ended first.
      - V(tried) tries to reach O(attempts), and waits until the recorder has seen them. It must run in the network.
      - V(ended) ends the recorder and the network, and returns the record.
    type: str
    choices: [started, tried, ended]
    required: true
  directory:
    description: The directory of the record and the interpreter. Only root can read it.
    type: path
    default: /run/neuraltalk-prove
  attempts:
    description: What to try. Each is a connection by TCP, or the look-up of a name.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: The kind of attempt.
        type: str
        choices: [tcp, name]
        required: true
      to:
        description: An address or a name.
        type: str
        required: true
      port:
        description: The port of the connection.
        type: int
        default: 53
  python_packages:
    description: A directory in which pip installed packages; they are listed with V(ended).
    type: path
    default: ''
extends_documentation_fragment: [action_common_attributes]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: posix
author: the neuraltalk-provision authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Start a network without a way out
  neuraltalk.provision.isolated_network:
    state: started

- name: Read what was attempted in it
  neuraltalk.provision.isolated_network:
    state: ended
"""

RETURN = r"""
predicted:
  description: Whether nothing was done because of check mode. The result is then a prediction.
  returned: success
  type: bool
interpreter:
  description: The interpreter with which modules run in the network.
  returned: success
  type: str
lines:
  description: The record so far, as traffic.py writes it.
  returned: success
  type: list
  elements: str
packages:
  description: The OS packages of the host, each as NAME=VERSION, for V(started) and V(ended).
  returned: success
  type: list
  elements: str
wheels:
  description: The entries of O(python_packages), for V(ended).
  returned: success
  type: list
  elements: str
"""

import ctypes
import io
import os
import signal
import socket
import sys
import time

from ansible.module_utils.basic import AnsibleModule
from ..module_utils.host import traffic
from ..module_utils.host.commands import output_of
from ..module_utils.host.errors import StackError
from ..module_utils.host.files import make_directory, read_text, remove, write_whole
from ..module_utils.host.outcome import run_module
from ..module_utils.host.packages import every
from ..module_utils.host.processes import is_alive, start_of
from ..module_utils.rules import clock

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of <linux/sched.h>."""
RECORD = "record"
OWNER = "owner"
PYTHON = "python"
PATIENCE = 60
LONGEST = 12 * 3600
"""Seconds after which a recorder ends by itself, if its command was killed and no other one came."""
ROUTES = (
    ["ip", "link", "set", "lo", "up"],
    ["ip", "-4", "route", "add", "local", "default", "dev", "lo"],
    ["ip", "-6", "route", "add", "local", "default", "dev", "lo"],
)


def start(directory):
    """Start the network and its recorder; returns when it records."""
    end(directory)
    make_directory(directory, 0o700)
    for program in ("ip", "nsenter"):
        if output_of([program, "-V" if program == "ip" else "--version"])[1] is None:
            raise StackError("%s is not installed, which is needed for a network without a way out" % program)
    write_whole(os.path.join(directory, RECORD), "")
    pid = os.fork()
    if not pid:
        _become_recorder(directory)
    interpreter = os.path.join(directory, PYTHON)
    script = '#!/bin/sh\nexec nsenter --net=/proc/%d/ns/net "%s" "$@"\n' % (pid, sys.executable)
    write_whole(interpreter, script, 0o700)
    lines = _wait(directory, lambda lines: bool(lines))
    if not any('"begin"' in line for line in lines):
        raise StackError("the recorder could not be started: %s" % ("; ".join(lines) or "it wrote nothing"))


def _become_recorder(directory):
    """Leave the module: this process records until it is asked to end."""
    try:
        os.setsid()
        # It says itself who it is: if this command is killed at any moment, the next one can still end it.
        write_whole(os.path.join(directory, OWNER), "%d %s\n" % (os.getpid(), start_of(os.getpid())))
        with io.open(os.devnull, "r+b") as nothing, io.open(os.path.join(directory, RECORD), "ab") as record:
            os.dup2(nothing.fileno(), 0)
            os.dup2(record.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        ending = _ended_by_signal()
        traffic.run(_isolate, traffic.Record(os.fdopen(1, "w")), ending)
    finally:
        os._exit(0)


def _ended_by_signal():
    """A file that ends when this process gets SIGTERM, or after LONGEST seconds."""
    read, write = os.pipe()

    def close(_number, _frame):
        try:
            os.close(write)
        except EnvironmentError:
            pass

    signal.signal(signal.SIGTERM, close)
    signal.signal(signal.SIGALRM, close)
    signal.alarm(LONGEST)
    return io.open(read, "rb", 0)


def _isolate():
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK):
        number = ctypes.get_errno()
        raise EnvironmentError(number, "a network namespace cannot be made: %s" % os.strerror(number))
    for name in ("all", "lo"):
        try:
            with io.open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % name, "wb") as opened:
                opened.write(b"0\n")
        except EnvironmentError:
            pass  # what is planted shows whether IPv6 works
    for argv in ROUTES:
        told, code = output_of(argv)
        if code and "-6" not in argv:
            raise EnvironmentError(0, "%s: %s" % (" ".join(argv), told.strip()))


def attempt(directory, wanted):
    """Try to reach something in this network, and wait until the recorder has seen it."""
    for one in wanted:
        if one["kind"] == "name":
            _look_up(one["to"])
        else:
            family = socket.AF_INET6 if ":" in one["to"] else socket.AF_INET
            try:
                link = socket.socket(family, socket.SOCK_STREAM)
                link.settimeout(5)
                link.connect_ex((one["to"], one["port"]))
                link.close()
            except EnvironmentError:
                pass  # this kernel has no IPv6; the controller finds that the attempt was not seen
    _wait(directory, lambda lines: all(any('"%s"' % one["to"] in line for line in lines) for one in wanted))


def _look_up(name):
    try:
        socket.getaddrinfo(name, 80)
    except (EnvironmentError, UnicodeError):
        pass


def end(directory):
    """End the recorder, if it runs. Returns its lines."""
    fields = (read_text(os.path.join(directory, OWNER)) or "").split()
    if len(fields) == 2 and is_alive(*fields):
        os.kill(int(fields[0]), signal.SIGTERM)
        _wait(directory, lambda lines: not is_alive(*fields))
        if is_alive(*fields):
            os.kill(int(fields[0]), signal.SIGKILL)
    lines = _lines(directory)
    for name in (RECORD, OWNER, PYTHON):
        remove(os.path.join(directory, name))
    return lines


def _lines(directory):
    return (read_text(os.path.join(directory, RECORD)) or "").splitlines()


def _wait(directory, true):
    """The lines of the record when the condition is true for them, or after PATIENCE seconds."""
    stop = clock.seconds() + PATIENCE
    while True:
        lines = _lines(directory)
        if true(lines) or clock.seconds() > stop:
            return lines
        time.sleep(0.05)


def work(module):
    """The result of the module."""
    options, state = module.params, module.params["state"]
    directory, lines = options["directory"], []
    if not module.check_mode:
        if os.geteuid():
            raise StackError("a network without a way out can only be made by root: set ansible_become")
        if state == "started":
            start(directory)
        elif state == "tried":
            attempt(directory, options["attempts"])
        lines = end(directory) if state == "ended" else _lines(directory)
    wheels = options["python_packages"] if state == "ended" else ""
    return {
        "changed": state != "tried",
        "interpreter": os.path.join(directory, PYTHON),
        "lines": lines,
        "packages": sorted("%s=%s" % one for one in every().items()) if state != "tried" else [],
        "wheels": sorted(os.listdir(wheels)) if wheels and os.path.isdir(wheels) else [],
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "tried", "ended"], "required": True},
            "directory": {"type": "path", "default": "/run/neuraltalk-prove"},
            "attempts": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "kind": {"type": "str", "choices": ["tcp", "name"], "required": True},
                    "to": {"type": "str", "required": True},
                    "port": {"type": "int", "default": 53},
                },
            },
            "python_packages": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
