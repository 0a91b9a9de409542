# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs the module logged_command without Ansible's libraries (plugin_utils/plain_action.py)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..plugin_utils.plain_action import PlainAction, packed_sources

packed_sources("logged_command")  # once, before Ansible starts a process for each host


class ActionModule(PlainAction):
    """Runs the module logged_command on the host."""
