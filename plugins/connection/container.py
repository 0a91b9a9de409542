# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs tasks in a container of this machine, by the client of its engine."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = """
    name: container
    short_description: Run tasks in a container of this machine
    description:
      - Runs commands and copies files by C(docker exec) or C(podman exec). The container needs no SSH server and no
        network, but it has to be running, with C(/bin/sh) and C(cat).
    author: the neuraltalk-provision authors (!UNKNOWN)
    options:
      container:
        description: The name or the id of the container.
        default: inventory_hostname
        type: str
        vars:
          - name: inventory_hostname
          - name: ansible_host
      engine:
        description: The client of the engine, by name or path.
        default: docker
        type: str
        vars:
          - name: ansible_container_engine
    extends_documentation_fragment:
      - connection_pipelining
"""

import io
import os
import shlex
import subprocess

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_native
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

display = Display()


class Connection(ConnectionBase):
    """A container, as a host of Ansible."""

    transport = "container"
    has_pipelining = True

    def _connect(self):
        """Nothing to do: each command is a call of the engine's client."""
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        """Run a shell command; its exit code, output and error output."""
        super(Connection, self).exec_command(cmd, in_data=in_data, sudoable=sudoable)
        display.vvv("EXEC %s" % cmd, host=self.get_option("container"))
        process = self._start(["/bin/sh", "-c", cmd], subprocess.PIPE)
        output, errors = process.communicate(in_data)
        return process.returncode, output, errors

    def put_file(self, in_path, out_path):
        """Copy a file of the controller into the container."""
        super(Connection, self).put_file(in_path, out_path)
        if not os.path.exists(to_bytes(in_path, errors="surrogate_or_strict")):
            raise AnsibleFileNotFound("%s: there is no such file" % to_native(in_path))
        with io.open(to_bytes(in_path, errors="surrogate_or_strict"), "rb") as source:
            process = self._start(["/bin/sh", "-c", "cat > %s" % shlex.quote(out_path)], source)
            errors = process.communicate()[1]
        self._check(process, "copied to %s" % out_path, errors)

    def fetch_file(self, in_path, out_path):
        """Copy a file of the container to the controller."""
        super(Connection, self).fetch_file(in_path, out_path)
        with io.open(to_bytes(out_path, errors="surrogate_or_strict"), "wb") as target:
            process = self._start(["cat", in_path], None, target)
            errors = process.communicate()[1]
        self._check(process, "fetched from %s" % in_path, errors)

    def close(self):
        """Nothing to do."""
        self._connected = False

    def _start(self, argv, stdin, stdout=subprocess.PIPE):
        line = [self.get_option("engine"), "exec", "--interactive", self.get_option("container")] + argv
        words = [to_bytes(word, errors="surrogate_or_strict") for word in line]
        try:
            if stdin is not None:
                return subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
            with io.open(os.devnull, "rb") as nothing:
                return subprocess.Popen(words, stdin=nothing, stdout=stdout, stderr=subprocess.PIPE)
        except OSError as error:
            raise AnsibleConnectionFailure("%s cannot be started: %s" % (line[0], error.strerror))

    def _check(self, process, what, errors):
        if process.returncode != 0:
            name = self.get_option("container")
            raise AnsibleError("%s: the file cannot be %s: %s" % (name, what, to_native(errors.strip())))
