# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Fetches a packed generation in pieces, so that no host can send more than was announced.

Ansible's own fetch reads a file into memory if it becomes another user, and knows no limit.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import binascii
import hashlib
import os
import zlib

from ..module_utils.rules import pack
from ..plugin_utils.plain_action import PlainAction


def unpacked(piece, most):
    """The bytes of a piece; empty if it is damaged, or if it has more than `most` bytes."""
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(piece or ""), most + 1)
    except (TypeError, ValueError, binascii.Error, zlib.error):
        return b""
    return data if len(data) <= most else b""


class ActionModule(PlainAction):
    """Calls the module for one piece after the other, and writes the file."""

    def run(self, tmp=None, task_vars=None):
        result = super(PlainAction, self).run(tmp, task_vars)
        args = self._task.args
        dest, size = args["dest"], int(args["size"])
        if not 0 < size <= int(args.get("largest", pack.LARGEST)):
            message = "the packed generation has %d bytes, but at most %s are accepted"
            return dict(result, failed=True, msg=message % (size, args.get("largest", pack.LARGEST)))
        if self._task.check_mode:
            return dict(result, changed=True, predicted=True)
        temporary = dest + ".part"
        try:
            problem = self.write(temporary, size, args, task_vars)
            if problem:
                return dict(result, **dict(problem, failed=True))
            os.rename(temporary, dest)
        except OSError as error:
            message = "%s on the controller cannot be written: %s" % (error.filename or dest, error.strerror)
            return dict(result, failed=True, msg=message)
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)
        return dict(result, changed=True)

    def write(self, temporary, size, args, task_vars):
        """Write all pieces to a file. Returns a failure, or None."""
        digest, count = hashlib.sha256(), 0
        if os.path.lexists(temporary):
            os.unlink(temporary)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
            while count < size:
                answer = self._execute_module(
                    module_name=self._task.action, module_args=dict(args, offset=count), task_vars=task_vars
                )
                if answer.get("failed") or answer.get("unreachable"):
                    return dict(answer, msg=answer.get("msg", "the host sent nothing"))
                piece = unpacked(answer.get("piece"), min(pack.CHUNK, size - count))
                if not piece:
                    return {"msg": "the host sent another number of bytes than it announced (%d)" % size}
                file.write(piece)
                digest.update(piece)
                count += len(piece)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != args["sha256"]:
            return {"msg": "what arrived has SHA-256 %s, announced was %s" % (digest.hexdigest(), args["sha256"])}
        return None
