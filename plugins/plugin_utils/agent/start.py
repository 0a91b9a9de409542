# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The beginning of a program that a host's Python reads from its standard input: imports the module and runs it.

plugin_utils/plain_action.py appends a call of `start`. Nothing is written on the host to send it. Runs under Python 2.7
and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import sys

# As Ansible's own modules begin: the directory in which this runs is a user's, and may contain a json.py.
sys.path = [path for path in sys.path if path not in ("", ".")]

import base64
import json
import os
import types
import zlib


class Sources(object):
    """Imports modules from {name: (is a package, source)}."""

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, name, path=None, target=None):
        """Python 3."""
        if name not in self.sources:
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, self, origin=self.file_of(name), is_package=self.sources[name][0])  # type: ignore[arg-type]

    def create_module(self, spec):
        """Python 3: the usual module."""
        return None

    def exec_module(self, module):
        """Python 3."""
        self.run(module)

    def find_module(self, name, path=None):
        """Python 2.7."""
        return self if name in self.sources else None

    def load_module(self, name):
        """Python 2.7."""
        module = sys.modules[name] = types.ModuleType(str(name))
        module.__loader__ = self
        module.__package__ = str(name if self.sources[name][0] else name.rpartition(".")[0])
        if self.sources[name][0]:
            module.__path__ = []
        try:
            self.run(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    def get_source(self, name):
        """The source as a text of this Python, for modules that pack a program (module_utils/programs/packed.py)."""
        text = self.sources[name][1]
        return text if isinstance(text, str) else text.encode("utf-8")

    def file_of(self, name):
        """The name of the module's file in tracebacks."""
        return str("<stdin>/%s.py" % name.replace(".", "/"))

    def run(self, module):
        """Run the source of a module in its namespace."""
        name = module.__name__
        module.__file__ = self.file_of(name)
        code = compile(self.sources[name][1].encode("utf-8"), module.__file__, "exec", dont_inherit=True)
        exec(code, module.__dict__)


def start(minimum, sources, name, arguments):
    """Run the function `main` of the module `name`.

    `sources` and `arguments` are packed: base64 of zlib of JSON. `minimum` is the oldest Python that the controller's
    Ansible supports; with an older one all later tasks would fail, so this is reported as Ansible does it.
    """
    if sys.version_info < tuple(minimum):
        words = "ansible-core requires a minimum of Python version %s. Current version: %s"
        told = words % (".".join("%d" % part for part in minimum), "".join(sys.version.splitlines()))
        print(json.dumps({"failed": True, "msg": told}))
        sys.exit(1)
    sources, arguments = [
        json.loads(zlib.decompress(base64.b64decode(one)).decode("utf-8")) for one in (sources, arguments)
    ]
    try:
        os.getcwd()
    except OSError:  # it was removed, or this user must not read it
        os.chdir("/")
    sys.meta_path.insert(0, Sources(sources))
    __import__("ansible.module_utils.basic")
    vars(sys.modules["ansible.module_utils.basic"])["GIVEN"] = arguments
    __import__(name)
    sys.modules[name].main()
