"""The project's own files and its version: next to the package in a checkout, inside the package in a wheel."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
from importlib import metadata
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_WHEEL_SHARE = _PACKAGE / "share"

SETTINGS_FILE = "provision.yml"
"""The name of a site's settings file."""


def share() -> Path:
    """The directory of the collection: playbooks/, roles/, plugins/; and inventory/."""
    return _WHEEL_SHARE if _WHEEL_SHARE.is_dir() else _PACKAGE.parent


def version() -> str:
    """The version of this `provision`, also of a checkout that is not installed."""
    try:
        return metadata.version("neuraltalk-provision")
    except metadata.PackageNotFoundError:
        import tomllib  # imported here, because an installed command does not need it

        project = share() / "pyproject.toml"
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


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


def written(text: str) -> Path:
    """The path that a person wrote into a file, with the home directory for ~/.

    Raises ValueError, with words for that person, if it would be another path than they mean.
    """
    if not text.strip():
        raise ValueError("is empty: write a path, or leave it out")
    if text.startswith("$"):
        raise ValueError("variables are not replaced here: write the path itself; ~/ is the home directory")
    first, *others = Path(text).parts or (".",)
    if not first.startswith("~"):
        return Path(text)
    if first != "~":
        raise ValueError("only ~/ is replaced, by the home directory: write the path itself")
    try:
        return home().joinpath(*others)
    except RuntimeError as error:
        raise ValueError(f"~ cannot be replaced: {error}") from None


def state_dir() -> Path:
    """The directory of the controller's own files, below $XDG_STATE_HOME or ~/.local/state.

    A relative $XDG_STATE_HOME is ignored, as the XDG Base Directory Specification says. Raises RuntimeError as `home`.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else home() / ".local" / "state") / "neuraltalk-provision"


def logs_dir() -> Path:
    """The directory of the commands' logs."""
    return state_dir() / "logs"


def journal_file(site: Path) -> Path:
    """The file of the journal of a site; `site` is its settings file, or its directory. Nothing is created.

    If the site has a settings file, the journal is in `.provision` beside it: every controller that uses the directory
    then finds the same journal, and it moves with the directory. Links are followed, so a site has one journal by
    whatever path it is reached; two settings files in one directory are two sites with two journals.

    Without a settings file, or if this user can write nothing there, it is in the state directory of the user, under
    a name made from the path. Two users of such a directory have two journals; the leases of the hosts still prevent
    that both work on one host. A journal that exists is used wherever it is, also after the rights have changed. A user
    without a home directory has only the directory of the site.
    """
    settings = Path(os.path.realpath(site / SETTINGS_FILE if os.path.isdir(site) else site))  # noqa: PTH112
    has_settings = os.path.lexists(settings)
    own = settings.parent / ".provision" / _journal_name(settings.name)
    try:
        in_state = _journal_in_state(settings if settings.name != SETTINGS_FILE else settings.parent)
    except RuntimeError:
        return own
    if not has_settings or (os.path.lexists(in_state) and not os.path.lexists(own)):
        return in_state
    is_possible = os.path.lexists(own.parent) or os.access(settings.parent, os.W_OK | os.X_OK)
    return own if is_possible else in_state


def _journal_in_state(site: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(site)).hexdigest()[:16]
    return state_dir() / "journals" / f"{_plain(site.name)}-{digest}.sqlite"


def _journal_name(settings: str) -> str:
    if settings == SETTINGS_FILE:
        return "journal.sqlite"
    if settings == _plain(settings):
        return f"journal-{settings}.sqlite"
    return f"journal-{_plain(settings)}-{hashlib.sha256(os.fsencode(settings)).hexdigest()[:16]}.sqlite"


def _plain(name: str) -> str:
    """At most 50 characters of a name, with `_` for those that need quotes."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name[:50])
