# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs the module stack_run. Its result is passed in a file (plugin_utils/result_by_file.py)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..plugin_utils.result_by_file import ResultByFile


class ActionModule(ResultByFile):
    """Runs the module stack_run on the host."""
