# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The error that ends a module with a message for the user.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .texts import as_native


class StackError(Exception):
    """A failure on the host with a message for the user. `details` are added to the module's result.

    The detail `code` is the code of the cause, if it has one (rules/codes.py). str() returns the message; with Python
    2.7 it is bytes in UTF-8.
    """

    def __init__(self, message, **details):
        super(StackError, self).__init__(as_native(message))
        self.details = details
