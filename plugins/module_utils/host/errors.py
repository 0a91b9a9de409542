# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What a module tells a person when it cannot go on.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .texts import as_native


class StackError(Exception):
    """Something on the host that a person has to know; `details` go into the module's result.

    `code` among them names the cause, where somebody goes by it (rules/codes.py). str() of it is the message; under
    Python 2.7 that are bytes in UTF-8.
    """

    def __init__(self, message, **details):
        super(StackError, self).__init__(as_native(message))
        self.details = details
