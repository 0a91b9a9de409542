# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""A small AnsibleModule for modules of ours whose options are simple.

It is sent to hosts as `ansible.module_utils.basic`, so that the same modules run with it and with Ansible's own, which
takes 0.1 s to load. Options are read as Ansible reads them, but a mapping can be a text only as JSON; a specification
that needs more is refused. Values of options with `no_log` stand neither in the result nor in the system log.
Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import re
import sys
import syslog

GIVEN = {}  # type: dict[str, object]
"""The arguments of the module, with Ansible's own (_ansible_check_mode and so on); start.py sets it."""
KNOWN = frozenset(["type", "required", "default", "elements", "choices", "options", "no_log"])
"""What a specification of an option may say."""
TRUE = ("y", "yes", "on", "1", "true", "t")
FALSE = ("n", "no", "off", "0", "false", "f")
TEXT = type("".encode("ascii").decode("ascii"))
LONGEST = 1000
"""Characters of the arguments that are written to the host's system log."""
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
"""What stands in place of a secret option, and MASK in place of a secret within a text; both are Ansible's."""
MASK = "********"


class OptionError(Exception):
    """Options of a module that its specification does not allow."""


class AnsibleModule(object):
    """What our modules use of Ansible's class of this name."""

    def __init__(self, argument_spec, supports_check_mode=False):
        given = dict((key, value) for key, value in GIVEN.items() if not key.startswith("_ansible_"))
        own = dict((key, value) for key, value in GIVEN.items() if key.startswith("_ansible_"))
        self.check_mode = bool(own.get("_ansible_check_mode"))
        self._remote_tmp = own.get("_ansible_remote_tmp")
        if self.check_mode and not supports_check_mode:
            raise ValueError("a plain module must support check mode")
        hidden = [name for name, spec in argument_spec.items() if spec.get("no_log")]
        self._secrets = sorted((text(given[name]) for name in hidden if given.get(name)), key=len, reverse=True)
        self._shown = self._without_secrets(hidden, given)
        try:
            self.params = parameters(argument_spec, given)
        except OptionError as error:
            self.fail_json(msg=text(error.args[0]))
        self._shown = self._without_secrets(hidden, self.params)
        if not own.get("_ansible_no_log"):
            record(own.get("_ansible_module_name", "module"), own.get("_ansible_syslog_facility"), self._shown)

    def exit_json(self, **result):
        """Print the result and end."""
        self._print(dict({"changed": False}, **result))
        sys.exit(0)

    def fail_json(self, msg, **more):
        """Print the failure and end."""
        self._print(dict(more, failed=True, msg=msg))
        sys.exit(1)

    def _without_secrets(self, hidden, values):
        """The options as they may be shown."""
        return dict(
            (name, HIDDEN if name in hidden and value else without(self._secrets, value))
            for name, value in values.items()
        )

    def _print(self, result):
        print("\n" + as_json(dict(without(self._secrets, result), invocation={"module_args": self._shown})))


def parameters(specification, given, where=""):
    """{option: value} in the types of the specification, with its defaults. `where` names the option around them.

    OptionError if an option is missing, unknown or of another type.
    """
    for name, spec in specification.items():
        if set(spec) - KNOWN:
            raise ValueError("%s: a plain module cannot have an option with %s" % (name, ", ".join(spec)))
        if where and spec.get("no_log"):
            raise ValueError("%s: a plain module cannot have a secret in another option" % name)
    found = " found in %s" % where if where else ""
    unknown = sorted(text(name) for name in set(given) - set(specification))
    if unknown:
        raise OptionError("Unsupported parameters%s: %s" % (found, ", ".join(unknown)))
    missing = sorted(name for name, spec in specification.items() if spec.get("required") and name not in given)
    if missing:
        raise OptionError("missing required arguments: %s%s" % (", ".join(missing), found))
    params = {}
    for name, spec in specification.items():
        value = given[name] if name in given else spec.get("default")
        empty = value is None and spec.get("default") is None and not (spec.get("required") and name in given)
        try:
            params[name] = None if empty else read(spec, value, name)
        except (TypeError, ValueError) as error:
            raise OptionError("argument '%s' is wrong%s: %s" % (name, found, error))
    return params


def without(secrets, value):
    """The value with each of these secrets masked in its texts."""
    if not secrets:
        return value
    if isinstance(value, dict):
        return dict((without(secrets, key), without(secrets, one)) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return [without(secrets, one) for one in value]
    if isinstance(value, (str, TEXT)):
        value = text(value)
        for secret in secrets:
            value = value.replace(secret, MASK)
    return value


def as_json(result):
    """The result as JSON. Bytes of Python 2 that are not UTF-8 are read as latin-1, as Ansible does it."""
    try:
        return json.dumps(result)
    except UnicodeDecodeError:
        return json.dumps(result, encoding="latin-1")


def record(module, facility, params):
    """Write to the system log that the module ran, as Ansible's modules do."""
    words = " ".join("%s=%s" % (name, params[name]) for name in sorted(params))
    words = re.sub(r"(://)[^\s/@]*@", r"\1********@", words)[:LONGEST]
    try:
        syslog.openlog(str("ansible-%s" % module), 0, getattr(syslog, str(facility), syslog.LOG_USER))
        syslog.syslog(syslog.LOG_INFO, str("Invoked with %s" % words))
    except (TypeError, ValueError, UnicodeError):
        pass


def read(spec, value, name):
    """The value of an option in the type of its specification. ValueError or TypeError if it has another one."""
    kind = spec.get("type", "str")
    found = KINDS[kind](value)
    if kind == "list":
        inner = {"type": spec.get("elements", "raw"), "options": spec.get("options")}
        found = [read(inner, one, name) for one in found]
    elif spec.get("options"):
        found = parameters(spec["options"], found, name)
    choices = spec.get("choices")
    for one in found if kind == "list" else [found]:
        if choices and one not in choices:
            raise ValueError("it must be one of %s, and is %s" % (", ".join(choices), one))
    return found


def text(value):
    """A text; numbers become texts, and nothing an empty one."""
    if value is None:
        return ""
    if isinstance(value, TEXT):
        return str(value) if str is TEXT else value.encode("utf-8")
    return str(value)


def path(value):
    """A path, with ~ and variables replaced."""
    return os.path.expanduser(os.path.expandvars(text(value)))


def whole(value):
    """A whole number."""
    if isinstance(value, float) and value != int(value):
        raise ValueError("it must be a whole number, and is %s" % value)
    return int(value)


def truth(value):
    """True or false."""
    word = text(int(value) if value in (0.0, 1.0) else value).strip().lower()
    if word not in TRUE + FALSE:
        raise ValueError("it must be true or false, and is %s" % word)
    return word in TRUE


def several(value):
    """A list; a text is split at commas."""
    if isinstance(value, list):
        return value
    if isinstance(value, TEXT):
        return value.split(",")
    if isinstance(value, (int, float)):
        return [text(value)]
    raise TypeError("it must be a list")


def mapping(value):
    """A mapping, whose texts are those of this Python; also one in a text, as JSON."""
    if isinstance(value, TEXT) and value.startswith("{"):
        value = json.loads(value)
    if not isinstance(value, dict):
        raise TypeError("it must be a mapping")
    return native(value)


def native(value):
    """The value with texts of this Python."""
    if isinstance(value, TEXT):
        return text(value)
    if isinstance(value, dict):
        return dict((native(key), native(one)) for key, one in value.items())
    return [native(one) for one in value] if isinstance(value, list) else value


KINDS = {
    "str": text,
    "path": path,
    "int": whole,
    "bool": truth,
    "list": several,
    "dict": mapping,
    "raw": native,
}
