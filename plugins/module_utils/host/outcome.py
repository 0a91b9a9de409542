# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs a module and ends it: with its result, or with a failure that has a code and a traceback.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import traceback

from .disk import is_full
from .errors import StackError
from .texts import as_native, as_text, for_json, text_of
from ..rules.texts import without_users
from ..rules import codes


def run_module(module, function):
    """Run `function(module)` and end the module with the dict that it returns.

    `predicted` in the result is true in check mode: then the result says what would be done. A failure has the `code`
    of its cause if the cause is known (rules/codes.py). An exception that was not expected is a failure with the code
    `bug`. So no module ends with only a traceback on its stderr. Each failure has its traceback.
    """
    try:
        result = function(module)
    except StackError as error:
        details = dict(error.details)
        if not details.get("code"):
            details.pop("code", None)
            if _is_on_full_disk(details.get("log")):
                details["code"] = codes.DISK_FULL
        _fail(module, message_of(error), details)
    except (IOError, OSError) as error:
        code = codes.of_errno(error.errno, codes.BUG)
        has_path = error.filename and error.strerror
        message = "%s: %s" % (error.filename, error.strerror) if has_path else text_of(error)
        _fail(module, _unexpected(error) if code == codes.BUG else message, {"code": code})
    except MemoryError:
        _fail(module, "there is not enough memory", {"code": codes.MEMORY_FULL})
    except Exception as error:
        _fail(module, _unexpected(error), {"code": codes.BUG})
    module.exit_json(predicted=bool(module.check_mode), **for_json(result))


def message_of(error):
    """The text of a StackError for the user: its message, the path of the log, and the last lines of the log."""
    message = as_text(str(error))
    if error.details.get("log"):
        message += ". The whole log: " + as_text(error.details["log"])
    return "\n".join([message] + [as_text(line) for line in error.details.get("tail") or ()])


def _fail(module, message, details):
    text = without_users(as_text(traceback.format_exc()))
    # If the function ran as another account, `details` has the traceback from there.
    module.fail_json(**for_json(dict({"exception": as_native(text)}, msg=as_native(message), **details)))


def _unexpected(error):
    return "unexpected %s: %s" % (type(error).__name__, text_of(error))


def _is_on_full_disk(log):
    """Whether the disk of a log is full. Then the error message of a program may be missing in it."""
    return bool(log) and os.path.isdir(os.path.dirname(log)) and is_full(os.path.dirname(log))
