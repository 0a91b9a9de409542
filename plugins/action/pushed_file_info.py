# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs the module pushed_file_info with the address that this machine has on the way to the host."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import socket

from ansible.plugins.action import ActionBase

ANY_PORT = 9


def own_address(host):
    """The address of this machine on the way to a host; empty if there is no way, as over a bastion. Sends nothing."""
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, ANY_PORT, 0, socket.SOCK_DGRAM)[0]
        opened = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError):
        return ""
    try:
        opened.connect(address)
        return str(opened.getsockname()[0])
    except OSError:
        return ""
    finally:
        opened.close()


class ActionModule(ActionBase):
    """Runs the module. What the inventory says about the host is taken from there, and not from its answer."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def shared_connection(self):
        """The name of the socket of ssh's shared connection to the host; empty if there is none."""
        return os.path.basename(getattr(self._connection, "control_path", None) or "")

    def run(self, tmp=None, task_vars=None):
        result = super(ActionModule, self).run(tmp, task_vars)
        args = dict(self._task.args)
        args["controller"] = args.get("controller") or own_address(str(args.get("address", "")))
        answer = self._execute_module(module_name=self._task.action, module_args=args, task_vars=task_vars)
        if isinstance(answer.get("place"), dict):
            known = {name: str(args.get(name, "")) for name in ("controller", "address", "rack")}
            answer["place"] = dict(answer["place"], connection=self.shared_connection(), **known)
        return dict(result, **answer)
