"""The environment in which Ansible runs: a part of the caller's, and our configuration."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from neuraltalk_provision import access_lists, paths
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.rules.texts import UTF8
from neuraltalk_provision.site import masters

# The variables of the caller's environment that Ansible and ssh need; no others are passed on or written to a file.
_PASSED_ON = (
    "HOME",
    "USER",
    "LOGNAME",
    "SSH_AUTH_SOCK",
    "XDG_RUNTIME_DIR",
    "KRB5CCNAME",
    "ANSIBLE_VAULT_PASSWORD_FILE",
    "ANSIBLE_VAULT_IDENTITY_LIST",
    "ANSIBLE_PRIVATE_KEY_FILE",
    "ANSIBLE_REMOTE_USER",
    "ANSIBLE_REMOTE_PORT",
    "ANSIBLE_HOST_KEY_CHECKING",
    "ANSIBLE_CONNECTION_PASSWORD_FILE",
    "ANSIBLE_BECOME_PASSWORD_FILE",
    "ANSIBLE_SSH_COMMON_ARGS",
    "ANSIBLE_SSH_EXTRA_ARGS",
)


_IDENTITIES = "ANSIBLE_VAULT_IDENTITY_LIST"
_PASSWORDS = tuple(name for name in _PASSED_ON if name.endswith("_PASSWORD_FILE"))
ROOM = 8 << 20
"""The bytes that Ansible's own files need: the packed modules of a playbook."""


def variables(names: Iterable[str] = ()) -> dict[str, str]:
    """Ansible's environment: a part of ours, with the bin directory of this interpreter first in PATH.

    `names` are those of further variables that the inventory reads. UsageError for a file of passwords that is open.
    """
    _refuse_open_passwords()
    # Ansible takes an empty name of a file for the current directory, and an empty truth value for no.
    kept = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}
    kept |= {name: os.environ[name] for name in names if name in os.environ}
    with contextlib.suppress(RuntimeError):
        kept["HOME"] = str(paths.home())
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH') or '/usr/bin:/bin'}"
    config = str(paths.playbooks() / "ansible.cfg")
    sockets = str(masters.directory())
    ours = {"ANSIBLE_CONFIG": config, "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets, "ANSIBLE_NOCOLOR": "1"}
    # ansible-core 2.19 passes a module's traceback on only with this setting; older releases always do.
    return {**kept, "PATH": path, **UTF8, "ANSIBLE_DISPLAY_TRACEBACK": "error", **ours}


def given() -> list[str]:
    """The names of the caller's variables that change what Ansible does."""
    return [name for name in _PASSED_ON if name.startswith("ANSIBLE_") and os.environ.get(name)]


def refuse_prompts() -> None:
    """UsageError for a vault password that Ansible would ask for: nobody sees the question."""
    asked = os.environ.get("ANSIBLE_VAULT_IDENTITY_LIST", "").split(",")
    if any(one.strip().rpartition("@")[2] in ("prompt", "prompt_ask_vault_pass") for one in asked):
        raise UsageError(
            "ANSIBLE_VAULT_IDENTITY_LIST contains `prompt`, but provision cannot ask for a vault password",
            advice="Name a file or a program that prints the password instead, for example dev@FILE.",
        )


def _refuse_open_passwords() -> None:
    """UsageError for a file with a password of Ansible that every user of this machine can read or write.

    Only others' rights to write count for a program that prints the password.
    """
    asked = [one.strip() for one in os.environ.get(_IDENTITIES, "").split(",")]
    given = [(name, os.environ.get(name, "")) for name in _PASSWORDS]
    for name, path in given + [(_IDENTITIES, one.partition("@")[2] or one) for one in asked]:
        mode = 0
        with contextlib.suppress(OSError, RuntimeError):  # Ansible says so itself
            file = Path(os.path.expandvars(path)).expanduser()
            mode = file.stat().st_mode if path else 0
        if not stat.S_ISREG(mode):
            continue
        is_read = mode & stat.S_IROTH and not os.access(file, os.X_OK) and _is_reached(file)
        reason = access_lists.open_to_all(file) or (
            f"every user can read {file} (mode {stat.S_IMODE(mode):04o})" if is_read else ""
        )
        if reason:
            raise UsageError(
                f"the password file {file} ({name}) is not used, because {reason}",
                advice="If others may have read or changed it, change the password. Then allow only yourself: "
                f"`chmod 600 {shlex.quote(str(file))}`, or 700 for a program, in a directory of your own.",
            )


def _is_reached(file: Path) -> bool:
    """Whether every user can reach a file: all directories above it let everybody through."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in file.resolve().parents)


def home(private: str) -> dict[str, str]:
    """Another directory for Ansible's own files, if the home directory does not exist, cannot be written or is full."""
    try:
        folder = paths.home() / ".ansible" / "tmp"
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, ROOM)
    except (OSError, RuntimeError):
        return {"ANSIBLE_HOME": f"{private}/ansible"}
    return {}
