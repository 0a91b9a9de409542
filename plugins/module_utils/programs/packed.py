# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Packs a program of several modules into one file that any Python can run.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import re
import sys
import zipfile

from ..host.files import read_text

ROOT = "module_utils"
"""The name of the package that contains the modules, also in the packed file."""
_sources = {}  # type: dict[str, str]
"""{name of a module: its source text} of the modules that were packed."""


def imported():
    """Return the modules of ours that are imported by now, in the order of their names."""
    ours = __name__[: -len("programs.packed")]
    return [module for name, module in sorted(sys.modules.items()) if name.startswith(ours) and module]


def packed(modules, main):
    """Return the bytes of a file that Python can run: the source text `main` and the modules that it imports."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", main)
        packages = set([ROOT])
        for module in modules:
            name = name_in_archive(module)
            packages.add(name.rpartition("/")[0])
            if not is_package(module):
                archive.writestr(name + ".py", source_of(module))
        for package in sorted(packages):
            archive.writestr(package + "/__init__.py", "")
    return buffer.getvalue()


def name_in_archive(module):
    """Return the path of a module in the packed file, without the longer prefix by which it was imported here."""
    return (ROOT + module.__name__.rpartition(ROOT)[2]).replace(".", "/")


def is_package(module):
    """Return whether a module is a package. Our packages contain no code."""
    return hasattr(module, "__path__")


def source_of(module):
    """Return the source text of a module, also if it was imported from an archive.

    It is read only once: only root can read Ansible's archive, and a process that has given up root may pack again.
    """
    if module.__name__ not in _sources:
        loader = getattr(module, "__loader__", None)
        if loader is not None and hasattr(loader, "get_source"):
            _sources[module.__name__] = loader.get_source(module.__name__)
        else:
            _sources[module.__name__] = read_text(re.sub("[co]$", "", module.__file__))
        if _sources[module.__name__] is None:
            raise ValueError("the source of %s cannot be read" % module.__name__)
    return _sources[module.__name__]
