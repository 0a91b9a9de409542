# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Runs a module of ours as one program on the standard input of the host's Python, without Ansible's libraries.

Ansible packs a module with its own libraries, which each host must load: 0.1 to 0.2 s of processor time for each task.
Modules with simple options need none of them. Everything else is Ansible's: the connection, the other user, the choice
of the Python, and how the result is read; so failures of these have the same words. If the connection cannot send the
module on the standard input, or this ansible-core is not known here, the module runs as usual.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import functools
import io
import json
import os
import re
import sys
import zlib

from ansible.executor import module_common
from ansible.executor.interpreter_discovery import discover_interpreter
from ansible.module_utils import basic
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from . import plain_values

try:
    from ansible.module_utils.common.json import Direction, get_module_decoder, get_module_encoder

    get_module_decoder("legacy", Direction.MODULE_TO_CONTROLLER)  # once, before Ansible starts a process for each host
    ENCODING = {"cls": get_module_encoder("legacy", Direction.CONTROLLER_TO_MODULE)}
except ImportError:  # before 2.19
    from ansible.module_utils.common.json import AnsibleJSONEncoder

    ENCODING = {"cls": AnsibleJSONEncoder, "vault_to_text": True}

try:
    from ansible.errors import AnsibleValueOmittedError
except ImportError:  # before 2.19
    AnsibleValueOmittedError = None

display = Display()
NAMESPACE = "ansible_collections.neuraltalk.provision.plugins"
PLUGINS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
AGENT = os.path.join(PLUGINS, "plugin_utils", "agent")
BASIC = "ansible.module_utils.basic"
DISCOVERED = "discovered_interpreter_python"
IMPORT = re.compile(r"^(?:from (\.*)([\w.]*) import (\([^)]*\)|[^\n#(]*)|import ([\w., ]+))", re.MULTILINE)


class UnknownImportError(Exception):
    """A module imports something of Ansible's that is not sent with it."""


class PlainAction(ActionBase):
    """An action that runs the module of its name on the standard input of the host's Python, if that is possible."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def __init_subclass__(cls):
        super(PlainAction, cls).__init_subclass__()
        packed_sources(cls.__module__.rpartition(".")[2])  # once, before Ansible starts a process for each host

    def run(self, tmp=None, task_vars=None):
        result = super(PlainAction, self).run(tmp, task_vars)
        result.update(
            self._execute_module(module_name=self._task.action, module_args=self._task.args, task_vars=task_vars)
        )
        return result

    @classmethod
    def finalize_task_arg(cls, name, value, templar, context):
        """The value of an argument of the task. Ansible calls this since 2.19."""
        try:
            return plain_values.value_of(value, templar.available_variables)
        except plain_values.OmittedError:
            if isinstance(value, str):
                raise AnsibleValueOmittedError()
            return templar.template(value)
        except plain_values.UnknownError:
            return templar.template(value)

    def _configure_module(self, module_name, module_args, task_vars):
        """What Ansible calls for the program that it sends."""
        plain = self._is_pipelining_enabled("new") and not self._task.delegate_to and not self._task.async_val
        try:
            if plain:
                return self._built(module_name.rpartition(".")[2], module_args, task_vars)
        except (UnknownImportError, AttributeError, TypeError):  # not this module, or not this ansible-core
            display.vvv("the module %s runs as usual: %s" % (module_name, sys.exc_info()[1]))
        return super(PlainAction, self)._configure_module(module_name, module_args, task_vars)

    def _built(self, module, arguments, task_vars):
        """The program, as this ansible-core expects it."""
        data = program(module, packed_sources(module), json.dumps(arguments, **ENCODING))
        shebang = self._shebang(task_vars)
        path = os.path.join(PLUGINS, "modules", module + ".py")
        if not hasattr(module_common, "_BuiltModule"):  # before 2.19
            return "new", shebang, data, path
        built = module_common._BuiltModule(
            b_module_data=data, module_style="new", shebang=shebang, serialization_profile="legacy"
        )
        return built, path

    def _shebang(self, task_vars):
        """The first line with the Python of the host, which Ansible looks for on the host if the inventory has none."""
        remote_is_local = bool(getattr(self._connection, "_remote_is_local", False))
        for _try in (1, 2):
            try:
                return module_common._get_shebang(
                    "/usr/bin/python", task_vars, self._templar, remote_is_local=remote_is_local
                )[0]
            except module_common.InterpreterDiscoveryRequiredError as wanted:
                found = discover_interpreter(self, wanted.interpreter_name, wanted.discovery_mode, task_vars)
                self._discovered_interpreter = task_vars["ansible_facts"][DISCOVERED] = found
                self._discovered_interpreter_key = DISCOVERED
        return None


def program(module, sources, arguments):
    """The program that a host's Python reads: the agent, and a call with the packed sources and arguments."""
    call = "\n\nstart(%r, %r, %r, %r)\n"
    words = (oldest_python(), sources, "%s.modules.%s" % (NAMESPACE, module), packed(arguments))
    return (source_of(os.path.join(AGENT, "start.py")) + call % words).encode("utf-8")


def oldest_python():
    """The oldest Python 3 on hosts that this ansible-core supports, as (3, 8); (2, 7) if it supports that too."""
    oldest = getattr(basic, "_PY_MIN", None)
    return tuple(oldest) if isinstance(oldest, tuple) else (2, 7)


@functools.lru_cache(maxsize=None)
def packed_sources(module):
    """The packed sources that a module needs. UnknownImportError if it needs other parts of Ansible's libraries."""
    sources = {"ansible": (True, ""), "ansible.module_utils": (True, "")}
    sources[BASIC] = (False, source_of(os.path.join(AGENT, "plain_module.py")))
    for package in ("", ".neuraltalk", ".neuraltalk.provision", ".neuraltalk.provision.plugins"):
        sources["ansible_collections" + package] = (True, "")
    sources[NAMESPACE + ".modules"] = (True, "")
    waiting = ["modules.%s" % module]
    while waiting:
        name = waiting.pop()
        if NAMESPACE + "." + name in sources:
            continue
        path = os.path.join(PLUGINS, *name.split("."))
        is_package = os.path.isdir(path)
        text = source_of(os.path.join(path, "__init__.py") if is_package else path + ".py")
        sources[NAMESPACE + "." + name] = (is_package, text)
        waiting += imported(name if is_package else name.rpartition(".")[0], text)
        waiting += [name.rpartition(".")[0]] if name.count(".") > 1 else ["module_utils"]
    return packed(json.dumps(sources))


def imported(package, text):
    """The modules of this collection that a source imports, relative to plugins/. `package` is where it stands."""
    found = []
    for dots, name, names, _plain in IMPORT.findall(text):
        if name.startswith("ansible.") and name != BASIC:
            raise UnknownImportError(name)
        if not dots:
            continue
        parts = package.split(".")
        base = parts[: len(parts) - len(dots) + 1] + [part for part in name.split(".") if part]
        for one in names.strip("()").replace("\n", " ").split(","):
            wanted = base + [one.split(" as ")[0].strip()] if one.strip() else base
            path = os.path.join(PLUGINS, *wanted)
            found.append(".".join(wanted if os.path.exists(path + ".py") or os.path.isdir(path) else base))
    return found


def packed(text):
    """base64 of zlib of a text, which a program can contain."""
    return base64.b64encode(zlib.compress(text.encode("utf-8"))).decode("ascii")


@functools.lru_cache(maxsize=None)
def source_of(path):
    """The text of a file of this collection."""
    with io.open(path, "rb") as file:
        return file.read().decode("utf-8")
