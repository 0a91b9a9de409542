# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs the module slurm_node without Ansible's libraries (plugin_utils/plain_action.py)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..plugin_utils.plain_action import PlainAction


class ActionModule(PlainAction):
    """Runs the module slurm_node on the host."""
