# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Directories for runs that are to start: made together or not at all.

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
    """Make a directory for every run of a plan. StackError, and nothing made, where an id is taken."""
    made = []
    make_directory(layout.runs(root))
    try:
        for asked in plan["runs"]:
            run = Run(root, asked["id"])
            if os.path.lexists(run.path) and not run.idle():
                raise StackError("there is a run called %s on this host already: choose another id" % run.name)
            os.close(run.hold())  # nobody else may lead one of that name, with or without a directory
            shutil.rmtree(run.path, ignore_errors=True)
            os.mkdir(run.path, 0o700)
            made.append(run.path)
            generation = os.path.basename(plan["generation"])
            record = dict(asked, supervisor=supervisor, generation=generation, started=int(time.time()))
            write_json(run.record, record)
    except Exception as error:
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, (IOError, OSError)):
            words = "%s cannot be written: %s. Nothing was started" % (error.filename, error.strerror)
            raise StackError(words, code=of_errno(error.errno))
        raise
