"""Codes of failures. Decisions depend on these codes and never on the words of a message. Pure.

Our own modules return the code of a failure themselves (rules/codes.py). ssh, sudo, Ansible and the programs of a host
only print text: the table here is the one place where such text is matched, and it assigns a code to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from neuraltalk_provision.rules import codes

BUG: str = codes.BUG
BUSY: str = codes.BUSY
IN_USE: str = codes.IN_USE
DISK_FULL: str = codes.DISK_FULL
DISK_BROKEN: str = codes.DISK_BROKEN
HOST_HANGS: str = codes.HOST_HANGS
MEMORY_FULL: str = codes.MEMORY_FULL
FILE_DENIED: str = codes.FILE_DENIED
PATH_LONG: str = codes.PATH_LONG
CACHE_UNFIT: str = codes.CACHE_UNFIT
DOWNLOAD_FAILED: str = codes.DOWNLOAD_FAILED
CUDNN_IN_USE: str = codes.CUDNN_IN_USE
CUDNN_FOREIGN: str = codes.CUDNN_FOREIGN
ACTIVATION_TIMER: str = codes.ACTIVATION_TIMER
ACTIVATION_RETURNED: str = codes.ACTIVATION_RETURNED
UNREACHABLE = "host.unreachable"
SSH_LOGIN = "ssh.login"
SSH_HOST_KEY = "ssh.host_key"
SSH_HOST_KEY_CHANGED = "ssh.host_key_changed"
SSH_HOST_KEY_REVOKED = "ssh.host_key_revoked"
SSH_KEY_FILE = "ssh.key_file"
SSH_CONFIG = "ssh.config"
SSH_TOO_MANY_KEYS = "ssh.too_many_keys"
SSH_ALGORITHMS = "ssh.algorithms"
LIMIT_REACHED: str = codes.LIMIT_REACHED
SSH_DROPPED = "ssh.dropped"
SSH_NOT_NOW = "ssh.not_now"
SSH_SILENT = "ssh.silent"
SUDO_PASSWORD = "sudo.password"
SUDO_PASSWORD_WRONG = "sudo.password_wrong"
SUDO_DENIED = "sudo.denied"
SUDO_SILENT = "sudo.silent"
SUDO_TTY = "sudo.tty"
SUDO_MISSING = "sudo.missing"
BECOME_UNKNOWN = "become.unknown"
SUDO_NOEXEC = "sudo.noexec"
SUDO_PYTHON = "sudo.python"
LOGIN_SHELL = "login.shell"
LOGIN_INPUT = "login.input"
LOGIN_EXPIRED = "login.expired"
TEMPORARY = "temporary.denied"
PYTHON_MISSING = "python.missing"
PYTHON_OLD = "python.old"
PYTHON_BROKEN = "python.broken"
PYTHON_DENIED = "python.denied"
RESULT_DROPPED = "answer.dropped"
RESULT_WRONG = "answer.wrong"
RESULT_MISSING = "answer.missing"
HOST_REFUSED = "host.refused"
NOT_STAGED = "host.not_staged"
INVENTORY_UNREADABLE = "inventory.unreadable"
INVENTORY_NO_MATCH = "inventory.no_match"
INVENTORY_VAULT = "inventory.vault"
LIMIT_FILE_MISSING = "limit.file_missing"
LIMIT_INVALID = "limit.invalid"
PASSWORD_FILE = "password.file"
SETTING_INVALID = "setting.invalid"

OF_ONE_MACHINE = frozenset({DISK_FULL, DISK_BROKEN, MEMORY_FULL, LIMIT_REACHED, FILE_DENIED, BUSY, IN_USE})
"""What one machine lacks, or who else works there: such a failure says nothing about other hosts."""

_OF_SSH_HERE = "ssh."
"""How codes begin that no host that answers can have: its words would send the user to known_hosts of this machine."""
_FORM = re.compile(r"[a-z0-9_]{1,40}(?:\.[a-z0-9_]{1,40}){0,3}")

_VAULT = r"no vault secrets (?:were )?found|(?i:vault password (?:file|script|client))|Vault format unhexlify error"
# Messages of other programs when a host fails: the first pattern that matches counts.
_OF_A_HOST: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (_VAULT, INVENTORY_VAULT),
        # sudo-rs, the sudo of Ubuntu 26.04, asks for an interactive authentication, and is sorry and afraid.
        (r"missing sudo password|a password is required|interactive authentication is required", SUDO_PASSWORD),
        (
            r"incorrect (?:\w+ )?password\b|incorrect authentication attempts|duplicate become password prompt",
            SUDO_PASSWORD_WRONG,
        ),
        (r"waiting for privilege escalation prompt", SUDO_SILENT),
        (r"Invalid become method specified", BECOME_UNKNOWN),
        (r"must have a tty", SUDO_TTY),
        (r"not in the sudoers|not allowed to execute|may not run sudo on|sudo: I'm sorry \S+ I'm afraid", SUDO_DENIED),
        (r"\b(?:sudo|doas): (?:(?:command )?not found|no such file)|command not found: (?:sudo|doas)", SUDO_MISSING),
        (r"password (?:has|is) expired|required to change your password|account has expired", LOGIN_EXPIRED),
        (r"account is (?:currently )?not available|restricted: cannot", LOGIN_SHELL),
        (r"(?:sftp|scp|git)[- ]only|allows (?:sftp|scp) connections only|interactive .* not allowed", LOGIN_SHELL),
        (r"failed to create temporary directory", TEMPORARY),
        (r"\AThe \S+ action failed to execute in the expected time frame", HOST_HANGS),  # ansible-core before 2.19
    )
)
# These patterns apply only to a host that could not be reached. ssh reports a closed connection also if a bastion
# cannot be reached, or cannot reach the host.
_OF_AN_UNREACHED_HOST: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (
            r"(?is)\A(?=.*permission denied \()"
            r".*(?:no such identity: |identity file [^\n]* not accessible|load key \")",
            SSH_KEY_FILE,
        ),
        (r"(?i)permission denied \(", SSH_LOGIN),
        (r"(?i)remote host identification has changed|host key for \S+ has changed", SSH_HOST_KEY_CHANGED),
        (r"(?i)host key for \S+ is marked as revoked", SSH_HOST_KEY_REVOKED),
        (r"(?i)host key verification failed", SSH_HOST_KEY),
        (r"Can't open user config file|[Bb]ad configuration option|Bad owner or permissions on ", SSH_CONFIG),
        (r"ControlPath too long|unix_listener: |command-line line \d+: ", SSH_CONFIG),
        (r"Too many authentication failures", SSH_TOO_MANY_KEYS),
        (r"Unable to negotiate with .*no matching ", SSH_ALGORITHMS),
        (r"connect to host |Could not resolve hostname|open failed: ", UNREACHABLE),
        (r"timed out during banner exchange", SSH_SILENT),
        (r"(?:kex|ssh)_exchange_identification|during banner exchange", SSH_DROPPED),
        # The server's own words stand before it: it knew the key, and closed the connection on purpose.
        (
            r"via ssh: (?!Connection |Warning: )[^\S\n]*\S[\s\S]*\nConnection closed by (?!UNKNOWN)\S+ port \d",
            SSH_NOT_NOW,
        ),
        # ssh ended before Ansible had written the module to it, and Ansible did not read why.
        (r"Data could not be sent to remote host.*Broken pipe", SSH_DROPPED),
        (r"Connection (?:closed|reset) by (?:\S+ ){1,4}port \d", SSH_DROPPED),
    )
)
# These patterns apply only to a host that could be reached.
_OF_A_REACHED_HOST: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (r"no space left on device", DISK_FULL),
        (r"too many open files|\bfork: .*resource temporarily unavailable", LIMIT_REACHED),
        (r"requires a minimum of Python|(?:<stdin>|AnsiballZ)[\s\S]{0,2000}SyntaxError", PYTHON_OLD),
        (
            r"\A(?:\w*ImportError|ModuleNotFoundError)\b|Fatal Python error|error while loading shared libraries",
            PYTHON_BROKEN,
        ),
        (r"python[\d.]*: permission denied", PYTHON_DENIED),
        (r"init_fs_encoding|python[\d.]*: (?:cannot execute|exec format error)", PYTHON_BROKEN),
        # Neither a result nor a word: the Python has ended, or it is another program.
        (r"\Ano result and no message, exit code", PYTHON_BROKEN),
        (r"interpreter .*not found|python[\d.]*: (?:command )?not found", PYTHON_MISSING),
    )
)
# Warnings that ansible-playbook prints before it connects to any host.
_OF_A_PLAY: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (_VAULT, INVENTORY_VAULT),
        (r"Unable to find limit file|Unable to read limit file", LIMIT_FILE_MISSING),
        (r"No hosts matched the subscripted pattern|Invalid host list pattern", LIMIT_INVALID),
        (r"[Tt]he password (?:file|script) |Could not read password file", PASSWORD_FILE),
        (r"Config '.*' from 'env: \w+' has an invalid value", SETTING_INVALID),
        (r"Invalid type for configuration option setting: ", SETTING_INVALID),  # ansible-core before 2.19
        (r"Unable to parse|No inventory was parsed|provided hosts list is empty", INVENTORY_UNREADABLE),
        (r"Could not match supplied host pattern|leaves us with no hosts to target", INVENTORY_NO_MATCH),
    )
)
# Messages of Ansible that do not name the cause; the cause is in another field then.
_NO_CAUSE = re.compile(
    r"\A(?:MODULE FAILURE|non-zero return code|\(traceback unavailable\))|See stdout/stderr for the exact error"
    # The output of a program that is not our module: then what it printed is the cause.
    r"|No start of json char found|Module result deserialization failed"
)
_NO_MODULE = re.compile(r"\A(?:MODULE FAILURE|Module result deserialization failed)")
_CONFLICT = re.compile(r"\bconflicts with\b(?! other versions of itself)|\b(?:Conflicts|Breaks): |will be REMOVED")
_DENIED = re.compile(r"(/\S{1,300}): permission denied", re.IGNORECASE)
_OF_SSH = re.compile(r"^(?:Shared connection to|Connection to) \S{1,300} closed\.\s*$", re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last)"


def of_result(result: Mapping[str, Any], message: str, *, unreachable: bool) -> str:
    """The code of a host's failure: the one that its module returned, else the one of its message; empty if unknown."""
    given = result.get("code")
    if isinstance(given, str) and _FORM.fullmatch(given) and not given.startswith(_OF_SSH_HERE):
        return given
    if "timedout" in result:  # the limit of playbook.py, which Ansible enforces
        return HOST_HANGS
    found = _first(_OF_A_HOST, message)
    if found or not unreachable:
        return found or _first(_OF_A_REACHED_HOST, message) or _of_a_traceback(str(result.get("module_stderr") or ""))
    return _first(_OF_AN_UNREACHED_HOST, message) or UNREACHABLE


def _of_a_traceback(text: str) -> str:
    """The code of what a Python printed before it ran a module of ours: only files of its own, or of PYTHONPATH."""
    return PYTHON_BROKEN if _TRACEBACK in text and "ansible" not in text else ""


def of_play(warnings: str) -> str:
    """The code of a warning that ansible-playbook printed before it connected to any host; empty if unknown."""
    return _first(_OF_A_PLAY, warnings)


def says_nothing(text: str) -> bool:
    """Whether a message of Ansible does not name the cause."""
    return bool(_NO_CAUSE.search(text))


def is_of_no_module(text: str) -> bool:
    """Whether Ansible says that it received no result of a module."""
    return bool(_NO_MODULE.search(text))


def is_silent(text: str) -> bool:
    """Whether this is the message of `silent`."""
    return text.startswith("no result and no message")


def silent(code: object) -> str:
    """The message for a host that sent no result and printed nothing; its exit code."""
    return f"no result and no message, exit code {code if isinstance(code, int) else 'unknown'}"


def is_conflict(text: str) -> bool:
    """Whether a package manager says that packages exclude each other."""
    return bool(_CONFLICT.search(text))


def denied_program(text: str) -> str:
    """The program that a shell was not allowed to start; empty if its message names none."""
    match = _DENIED.search(text)
    return match[1] if match else ""


def without_connection(text: str) -> str:
    """The text without the lines that ssh prints about its connection."""
    return _OF_SSH.sub("", text)


def without_traceback(text: str) -> str:
    """The message of an exception if the text is its traceback (ansible-core 2.16 passes the whole traceback on)."""
    return text.splitlines()[-1] if _TRACEBACK in text else text


def _first(table: tuple[tuple[re.Pattern[str], str], ...], text: str) -> str:
    return next((code for pattern, code in table if pattern.search(text)), "")
