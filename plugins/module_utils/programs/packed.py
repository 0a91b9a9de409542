# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A program of several modules packed into one file that any Python runs.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import re
import zipfile

from ..host.files import read_text

ROOT = "module_utils"
"""The package of all that modules share, and its name in what is packed."""
_sources = {}  # type: dict[str, str]
"""The text of each module that was packed, by its name."""


def packed(modules, main):
    """The bytes of a file that Python runs: the source `main`, with the modules that it imports."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", main)
        packages = set([ROOT])
        for module in modules:
            name = name_in_archive(module)
            packages.add(name.rpartition("/")[0])
            if not is_package(module):
                archive.writestr(name + ".py", source_of(module))
        for package in sorted(packages):
            archive.writestr(package + "/__init__.py", "")
    return whole.getvalue()


def name_in_archive(module):
    """Where a module of module_utils lies in the file, by whatever longer name it was imported here."""
    return (ROOT + module.__name__.rpartition(ROOT)[2]).replace(".", "/")


def is_package(module):
    """Whether it only holds other modules. Ours are empty."""
    return hasattr(module, "__path__")


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
