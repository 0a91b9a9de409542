"""The paths of the project's own files: next to the package in a checkout, inside the package in a wheel."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_WHEEL_SHARE = _PACKAGE / "share"


def share() -> Path:
    """The directory of the collection: playbooks/, roles/, plugins/; and inventory/."""
    return _WHEEL_SHARE if _WHEEL_SHARE.is_dir() else _PACKAGE.parent


def link_collection(folder: Path) -> Path:
    """`folder` as a directory in which Ansible finds our collection (a link) and no other collection."""
    namespace = folder / "ansible_collections" / "neuraltalk"
    namespace.mkdir(parents=True, exist_ok=True)
    link = namespace / "provision"
    if not link.is_symlink() or link.readlink() != share():
        # Rename a temporary link: another process can do the same at the same time.
        beside = link.with_name(f".{link.name}.{os.getpid()}")
        beside.symlink_to(share())
        beside.rename(link)
    return folder


def playbooks() -> Path:
    """The playbooks and their ansible.cfg."""
    return share() / "playbooks"


def plugins() -> Path:
    """The plugins of the collection: the modules that run on hosts, and module_utils, the code that they share."""
    return share() / "plugins"


def example_inventory() -> Path:
    """The example site, which `provision init` copies."""
    return share() / "inventory" / "example"


def local_inventory() -> Path:
    """The inventory that contains only this machine: the default without a site."""
    return share() / "inventory" / "local"


def home() -> Path:
    """The user's home directory: $HOME if it is an absolute path, else the one in the list of users.

    Raises RuntimeError if neither is known. The directory may not exist.
    """
    given = os.environ.get("HOME", "")
    if given.startswith("/"):
        return Path(given)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise RuntimeError("HOME is not an absolute path, and this user has no entry in /etc/passwd") from None


def state_dir() -> Path:
    """The directory of the controller's own files, below $XDG_STATE_HOME or ~/.local/state.

    A relative $XDG_STATE_HOME is ignored, as the XDG Base Directory Specification says. Raises RuntimeError as `home`.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else home() / ".local" / "state") / "neuraltalk-provision"


def logs_dir() -> Path:
    """The directory of the commands' logs."""
    return state_dir() / "logs"
