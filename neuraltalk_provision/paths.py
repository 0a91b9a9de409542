"""Where the project's own files are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_WHEEL_SHARE = _PACKAGE / "share"


def share() -> Path:
    """The directory that holds playbooks/, roles/, plugins/ and inventory/."""
    return _WHEEL_SHARE if _WHEEL_SHARE.is_dir() else _PACKAGE.parent


def playbooks() -> Path:
    """The playbooks and their ansible.cfg."""
    return share() / "playbooks"


def module_utils() -> Path:
    """Code that modules on hosts and the controller share."""
    return share() / "plugins" / "module_utils"


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
