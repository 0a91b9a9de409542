"""Removes secrets from text that is shown or logged: passwords, tokens, private keys. Pure.

A secret is found in two ways: by the name before it (`ansible_become_password: ...`), or because its value is known: it
is the value of a variable with such a name, or the password or token in a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from neuraltalk_provision.rules.texts import HIDDEN, without_users

SHORTEST = 6
"""A known value with fewer characters is not searched for in the text: it would also be found in ordinary words."""

_PASSWORD = r"(?:passw(?:or)?d|pass|passphrase|secret|secret_key)"
_SECRET = rf"(?:{_PASSWORD}|token|api_?key|signature)"
# The lengths are limited so that any text is searched in linear time.
_NAME = rf"(?:[\w-]{{0,60}}[_-])?{_SECRET}"
_VALUE = r"(?:\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|\[[^\]]*\]?|[^\s,;&}\]\"']+)"

_PRIVATE_KEY = re.compile(
    r"(?s)-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:(?!-----END ).)*(?:-----END [A-Z ]{0,30}-----)?"
)
_HEADER = re.compile(r"(?i)\b(authorization\s{0,3}[:=]\s{0,3})[^\r\n]+")
# {"name": value}, as JSON and Python write it.
_IN_MAPPING = re.compile(rf"(?i)(?P<mark>[\"'])(?P<name>{_NAME})(?P=mark)(?P<colon>\s{{0,3}}:\s{{0,3}}){_VALUE}")
# name=value, as inventories, environments, command lines and URLs write it.
_ASSIGNED = re.compile(rf"(?i)(?<![\w-])((?:--)?{_NAME}=){_VALUE}")
# name=value of an inventory in INI format, in which the value ends with the word.
_IN_INVENTORY = re.compile(rf"(?i)(?<![\w-])(ansible_(?:[\w-]{{0,60}}_)?{_PASSWORD}=)(?![\"'])\S+")
# name: value, as YAML writes it: to the end of the line, because a value can contain spaces, or in the lines below, if
# they are indented. Compilers say `token:` too, so a single word is not enough, except for a password.
_YAML_NAME = rf"(?:[\w-]{{1,60}}[_-](?:{_PASSWORD}|token)|passw(?:or)?d)"
_QUOTED = r"\"(?:[^\"\\\n]|\\.)*\"?|'[^'\n]*'?"
_IN_BLOCK = re.compile(
    rf"(?im)^(?P<begin>(?P<indent>[ ]{{0,60}}){_YAML_NAME}:[ \t]{{1,3}})[|>][^\n]{{0,20}}(?:\n(?P=indent)[ ]+[^\n]*)+"
)
_IN_YAML = re.compile(rf"(?i)(?<![\w-])({_YAML_NAME}:[ \t]{{1,3}})(?:{_QUOTED}|[^\s\"'][^\n]*)")
# What Ansible says of a word that it did not expect behind a value with a space, or in a template.
_UNEXPECTED = re.compile(
    rf"(host variable assignment, got: )\S+"
    rf"|({re.escape(HIDDEN)}[^\n]{{0,200}}error in template:[^\n]{{0,200}} got )'[^'\n]*'"
)
_SECRET_NAME = re.compile(rf"(?i){_NAME}")


def redact(text: str, known: Sequence[str] = ()) -> str:
    """The text without secrets that are recognised by their form, and without the values in `known`."""
    for value in known:
        text = text.replace(value, HIDDEN)
    text = _PRIVATE_KEY.sub(f"{HIDDEN} (a private key)", text)
    text = without_users(text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    text = _IN_MAPPING.sub(rf"\g<mark>\g<name>\g<mark>\g<colon>\g<mark>{HIDDEN}\g<mark>", text)
    text = _IN_INVENTORY.sub(rf"\1{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    text = _IN_BLOCK.sub(rf"\g<begin>{HIDDEN}", text)
    text = _IN_YAML.sub(rf"\1{HIDDEN}", text)
    return _UNEXPECTED.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)


def known(variables: Mapping[str, Any]) -> tuple[str, ...]:
    """The secret values in variables, in every form in which they can be printed; the longest first."""
    found = {form for value in _secrets(variables) for form in (value, unquote(value)) if len(form) >= SHORTEST}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def _secrets(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _secrets(entry, str(key))
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _secrets(entry, name)
    elif isinstance(value, str):
        if _SECRET_NAME.fullmatch(name):
            yield value
        for user in re.findall(r"://([^/\s]*)@", value):
            # A user name without a password is a token; with a password the user name is not secret.
            yield user.partition(":")[2] or user
