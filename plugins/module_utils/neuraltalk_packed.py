# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A program of several modules packed into one file that any Python runs.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import re
import zipfile

from ansible.module_utils.neuraltalk_stack import read_text

_sources = {}
"""The text of each module that was packed, by its name."""


def packed(modules, main):
    """The bytes of a file that Python runs: the source `main`, with the modules that it imports."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", main)
        for package in ("ansible", "ansible/module_utils"):
            archive.writestr(package + "/__init__.py", "")
        for module in modules:
            archive.writestr(module.__name__.replace(".", "/") + ".py", source_of(module))
    return whole.getvalue()


def source_of(module):
    """The text of a module, also of one that came in an archive.

    It is read once: Ansible's archive is for root alone, and whoever has given up root may pack once more.
    """
    if module.__name__ not in _sources:
        loader = getattr(module, "__loader__", None)
        if loader is not None and hasattr(loader, "get_source"):
            _sources[module.__name__] = loader.get_source(module.__name__)
        else:
            _sources[module.__name__] = read_text(re.sub("[co]$", "", module.__file__))
    return _sources[module.__name__]
