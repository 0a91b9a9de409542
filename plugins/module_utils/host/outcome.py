# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""How every module of ours ends: with its result, or with a failure that has a code and a traceback.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import traceback

from .commands import is_full
from .errors import StackError
from .texts import as_native, as_text
from ..rules.texts import without_users
from ..rules import codes


def run_module(module, function):
    """End a module with what `function(module)` returns: a dict, the module's result.

    `predicted` in the result says whether the module only looked what there would be to do (check mode). A failure
    has the `code` of its cause where that is a known one (rules/codes.py). Whatever was not expected is a failure too,
    with the code of a bug: no module ends with nothing but a traceback on its stderr. Each failure has its traceback.
    """
    try:
        result = function(module)
    except StackError as error:
        details = dict(error.details)
        if not details.get("code"):
            details.pop("code", None)
            if _lies_on_a_full_disk(details.get("log")):
                details["code"] = codes.DISK_FULL
        _fail(module, message_of(error), details)
    except (IOError, OSError) as error:
        code = codes.of_errno(error.errno, codes.BUG)
        words = "%s: %s" % (error.filename, error.strerror) if error.filename and error.strerror else _words(error)
        _fail(module, _unexpected(error) if code == codes.BUG else words, {"code": code})
    except MemoryError:
        _fail(module, "there is not enough memory", {"code": codes.MEMORY_FULL})
    except Exception as error:
        _fail(module, _unexpected(error), {"code": codes.BUG})
    module.exit_json(predicted=bool(module.check_mode), **result)


def message_of(error):
    """A StackError in words: its message, the log to read, and the end of that."""
    message = as_text(str(error))
    if error.details.get("log"):
        message += ". The whole log: " + as_text(error.details["log"])
    return "\n".join([message] + [as_text(line) for line in error.details.get("tail") or ()])


def _fail(module, message, details):
    told = without_users(as_text(traceback.format_exc()))
    # What ran as another account has a traceback of its own.
    module.fail_json(msg=as_native(message), **dict({"exception": as_native(told)}, **details))


def _unexpected(error):
    return "unexpected %s: %s" % (type(error).__name__, _words(error))


def _words(error):
    """What an exception says; under Python 2.7 its str() may fail at the first accent."""
    try:
        return str(error)
    except UnicodeError:
        return repr(error)


def _lies_on_a_full_disk(log):
    """Whether no space is left where a log lies: a program's own words did not fit into it then."""
    return bool(log) and os.path.isdir(os.path.dirname(log)) and is_full(os.path.dirname(log))
