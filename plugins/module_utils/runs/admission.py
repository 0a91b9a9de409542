# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Creates the directories of runs that will start: all of them or none.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import shutil
import time

from .files import Run
from ..host.errors import StackError
from ..host.files import make_directory, write_json
from ..rules.codes import of_errno
from ..rules import layout


def admit(root, plan, supervisor):
    """Create a directory for every run of a plan. If an id is in use: StackError, and no directory is created."""
    created = []
    make_directory(layout.runs(root))
    try:
        for request in plan["runs"]:
            run = Run(root, request["id"])
            if os.path.lexists(run.path) and not run.idle():
                raise StackError("this host already has a run called %s: choose another id" % run.name)
            os.close(run.hold())  # no other supervisor may have a run of this name, even if its directory is gone
            shutil.rmtree(run.path, ignore_errors=True)
            os.mkdir(run.path, 0o700)
            created.append(run.path)
            generation = os.path.basename(plan["generation"])
            record = dict(request, supervisor=supervisor, generation=generation, started=int(time.time()))
            write_json(run.record, record)
    except Exception as error:
        for path in created:
            shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, (IOError, OSError)):
            message = "%s cannot be written: %s. Nothing was started" % (error.filename, error.strerror)
            raise StackError(message, code=of_errno(error.errno))
        raise
