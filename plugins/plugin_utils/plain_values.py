# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Evaluates the simplest templates without Jinja, which takes 2 ms of processor time for each template and host.

Only `{{ name }}` and `{{ name | default(...) }}` are evaluated, where the default is a text in quotes, `[]`, `omit`
or another such expression; and texts that consist of them. Everything else is left to Ansible.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

BRACES = re.compile(r"(\{\{.*?\}\})")
SIMPLE = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*(?:\|\s*default\((.*)\)\s*)?\Z", re.DOTALL)
LITERAL = re.compile(r"\s*'([^'\\{}]*)'\s*\Z")


class UnknownError(Exception):
    """The value needs Ansible."""


class OmittedError(UnknownError):
    """The argument is left out."""


def value_of(given, variables):
    """The value of a task's argument. UnknownError if it needs Ansible, OmittedError if it is left out.

    `variables` are those of the host, as the inventory has them; a value that is a template itself needs Ansible.
    """
    if isinstance(given, dict):
        return dict((key, value_of(one, variables)) for key, one in given.items())
    if isinstance(given, list):
        return [value_of(one, variables) for one in given]
    if given is not None and not isinstance(given, (str, bool, int, float)):
        raise UnknownError(type(given).__name__)
    if not isinstance(given, str):
        return given
    parts = [part for part in BRACES.split(given) if part]
    if len(parts) == 1:
        return _part(parts[0], variables)
    try:
        return "".join(_as_text(_part(part, variables)) for part in parts)
    except OmittedError:  # a part of a text cannot be left out
        raise UnknownError(given)


def _part(text, variables):
    if text.startswith("{{"):
        return _expression(text[2:-2], variables)
    if "{{" in text or "{%" in text or "{#" in text:
        raise UnknownError(text)
    return text


def _expression(text, variables):
    """The value of the words between the braces."""
    found = SIMPLE.match(text)
    if not found or not _is_simple(text):
        raise UnknownError(text)
    name, default = found.groups()
    if (name, default) == ("omit", None):
        raise OmittedError(text)
    if name in variables:
        return plain(variables[name])
    if default is None:
        raise UnknownError(text)
    if default.strip() == "[]":
        return []
    literal = LITERAL.match(default)
    return literal.group(1) if literal else _expression(default, variables)


def _is_simple(text):
    """Whether it is a name, also with a default that is simple itself: nothing may follow the default."""
    found = SIMPLE.match(text)
    default = found and found.group(2)
    return bool(found) and (
        default is None or default.strip() == "[]" or bool(LITERAL.match(default)) or _is_simple(default)
    )


def plain(value):
    """The value if it contains no template. UnknownError if it does, or if it is of a type that Ansible decrypts."""
    if isinstance(value, dict):
        return dict((plain(key), plain(one)) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if value is not None and not isinstance(value, (str, int, float)):
        raise UnknownError(type(value).__name__)
    if isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value):
        raise UnknownError(value)
    return value


def _as_text(value):
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise UnknownError(type(value).__name__)
