"""Where the project's own files are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_WHEEL_SHARE = _PACKAGE / "share"


def share() -> Path:
    """The directory of the collection: playbooks/, roles/, plugins/; and inventory/."""
    return _WHEEL_SHARE if _WHEEL_SHARE.is_dir() else _PACKAGE.parent


def link_collection(folder: Path) -> Path:
    """`folder`, which Ansible can search for collections afterwards: it has ours, by a link, and no other."""
    namespace = folder / "ansible_collections" / "neuraltalk"
    namespace.mkdir(parents=True, exist_ok=True)
    link = namespace / "provision"
    if not link.is_symlink() or link.readlink() != share():
        # By a rename: another process may do the same at this moment.
        beside = link.with_name(f".{link.name}.{os.getpid()}")
        beside.symlink_to(share())
        beside.rename(link)
    return folder


def playbooks() -> Path:
    """The playbooks and their ansible.cfg."""
    return share() / "playbooks"


def plugins() -> Path:
    """What runs on hosts: modules, and below module_utils what they share."""
    return share() / "plugins"


def example_inventory() -> Path:
    """The site that `provision init` copies."""
    return share() / "inventory" / "example"


def local_inventory() -> Path:
    """This machine itself, the default without a site."""
    return share() / "inventory" / "local"


def state_dir() -> Path:
    """Where the controller keeps logs of its runs: $XDG_STATE_HOME or ~/.local/state."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "neuraltalk-provision"


def logs_dir() -> Path:
    """Where each command leaves its log."""
    return state_dir() / "logs"
