"""A private root of apt: its own sources, state and cache. Nothing of this machine's packages is read or changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Event

from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import apt_errors, programs
from neuraltalk_provision.mirror.apt_machine import Machine
from neuraltalk_provision.mirror.apt_sources import ARCHITECTURE

LARGEST = 1 << 29
"""The most bytes that are read of what apt prints: all records of a large distribution have about 100 million."""
SILENCE = 900.0
_LONGEST = 1 << 16
_SETTINGS = """
Dir "{root}/";
Dir::State "{root}/state/";
Dir::State::lists "{root}/state/lists/";
Dir::State::status "{root}/state/status";
Dir::Cache "{root}/cache/";
Dir::Log "{root}/log/";
Dir::Etc "{root}/etc/";
Dir::Etc::main "{root}/etc/none.conf";
Dir::Etc::parts "{root}/etc/none.d/";
Dir::Etc::preferences "{root}/etc/none.pref";
Dir::Etc::preferencesparts "{root}/etc/none.d/";
Dir::Etc::sourcelist "{root}/etc/all.sources";
Dir::Etc::sourceparts "{root}/etc/none.d/";
Dir::Etc::trusted "{trusted}";
Dir::Etc::trustedparts "{trustedparts}";
Dir::Etc::netrc "{netrc}";
Dir::Etc::netrcparts "{netrcparts}";
APT::Architecture "{machine}";
APT::Architectures {{ "{machine}"; }};
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Get::Always-Include-Phased-Updates "true";
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::AllowReleaseInfoChange "true";
Acquire::AllowWeakRepositories "false";
Acquire::ForceHash "SHA256";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "3";
"""
"""The user of the sandbox is root, because the default user could not read the directory of a mirror.

A release may change its name for its suite (stable becomes oldstable), because nothing that is installed depends on it.
"""


class AptRoot:
    """A private root in `folder`; `key` is the platform, for messages. If `stop` is set, apt is ended."""

    def __init__(self, folder: Path, key: str, stop: Event) -> None:
        self._folder, self._key, self._stop = folder, key, stop

    def prepare(self, sources: str, machine: Machine, own_keys: bool) -> None:
        """Write the settings. With `own_keys`, sources that name no file of keys can be signed by this machine's keys.

        The settings can contain the password of a proxy, so that only their owner can read them.
        """
        folder = self._folder
        if '"' in str(folder):
            raise UsageError(f"{folder}: apt cannot use a directory whose name contains a double quote")
        for name in ("state/lists/partial", "cache/archives/partial", "etc/none.d", "log"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "state/status").write_text("")
        (folder / "etc/all.sources").write_text(sources, encoding="utf-8")
        none = f"{folder}/etc/none"
        places = {
            "trusted": machine.places.get("trusted", none) if own_keys else none,
            "trustedparts": machine.places.get("trustedparts", f"{none}.d/") if own_keys else f"{none}.d/",
            "netrc": machine.places.get("netrc", none),
            "netrcparts": machine.places.get("netrcparts", f"{none}.d/"),
        }
        text = _SETTINGS.format(root=folder, machine=ARCHITECTURE, **places) + "".join(
            f"{line}\n" for line in machine.settings
        )
        file = folder / "apt.conf"
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")

    def update(self) -> None:
        """Fetch the indexes and check their signatures. Raises MirrorError unless all are there."""
        ended, _output = self._run("apt-get", "-q", "update")
        if ended.code or apt_errors.FAILED.search(ended.errors):
            raise apt_errors.of_update(self._key, ended.errors)

    def available(self) -> bytes:
        """The records of all packages."""
        ended, output = self._run("apt-cache", "dumpavail")
        if ended.code:
            raise apt_errors.of_update(self._key, ended.errors)
        return output

    def problem(self, names: Iterable[str]) -> str:
        """What apt says if these packages cannot be installed together on an empty system; empty if they can."""
        return _problem(*self._install("--simulate", names))

    def addresses(self, names: Sequence[str]) -> str:
        """The addresses of these packages and of all that they depend on, as apt prints them."""
        ended, output = self._install("--print-uris", names)
        if ended.code:
            raise apt_errors.not_installable(self._key, names, _problem(ended, output))
        return output.decode("utf-8", "replace")

    def remove_cache(self) -> None:
        """Remove what apt makes again from the indexes."""
        shutil.rmtree(self._folder / "cache", ignore_errors=True)

    def _install(self, how: str, names: Iterable[str]) -> tuple[programs.Ended, bytes]:
        return self._run("apt-get", "-q", "--yes", how, "install", "--", *names)

    def _run(self, *command: str) -> tuple[programs.Ended, bytes]:
        """How a program of apt ended, and what it printed."""
        too_much = MirrorError(
            f"{command[0]} printed more than {LARGEST:,} bytes", advice="Do not use this repository."
        )
        environment = {**os.environ, "APT_CONFIG": str(self._folder / "apt.conf"), "LC_ALL": "C"}
        ended, output = programs.captured(
            command, environment, LARGEST, too_much=too_much, stop=self._stop, silence=SILENCE
        )
        if self._stop.is_set():
            raise MirrorError("it was stopped", advice="Run the same command again.")
        return ended, output


def _problem(ended: programs.Ended, output: bytes) -> str:
    """What apt said, if it failed: the packages that do not fit together are on stdout."""
    if not ended.code:
        return ""
    return f"{output[-_LONGEST:].decode('utf-8', 'replace')}\n{ended.errors or f'E: exit code {ended.code}'}"
