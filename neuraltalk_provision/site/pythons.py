"""The Pythons of a host on which no module runs, and what to do: another interpreter or another ansible-core. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from neuraltalk_provision.site import codes
from neuraltalk_provision.site.events import Failure

CODES = frozenset({codes.PYTHON_MISSING, codes.PYTHON_OLD, codes.PYTHON_BROKEN, codes.PYTHON_DENIED})
"""The codes of failures that are explained here."""
NAMES = (
    *(f"python3.{minor}" for minor in range(16, 5, -1)),
    *("/usr/bin/python3", "python3", "/usr/libexec/platform-python", "python2.7", "/usr/bin/python"),
)
"""The Pythons that a host is asked about; the one that the inventory names is asked about too."""
IMPORTS = (
    *("ctypes", "fcntl", "grp", "json", "mmap", "pwd", "resource", "select", "socket", "subprocess", "syslog"),
    *("tempfile", "zipfile", "zlib"),
)
"""What modules import and a Python can lack, because it was damaged, or compiled without some headers."""
BEGIN = "neuraltalk-provision"
"""The first line of a host's answer. If it is missing, the login shell ran no command."""
# {ansible-core: the oldest Python 3 that it drives on hosts}, from its support matrix. Newer ones: as the last.
_OLDEST = {(2, 16): (3, 6), (2, 17): (3, 7), (2, 18): (3, 8), (2, 19): (3, 8), (2, 20): (3, 9), (2, 21): (3, 9)}
LAST_FOR_PYTHON_2 = (2, 16)
"""The last ansible-core that drives hosts with Python 2.7, and with Python 3.6."""
ITS_CONTROLLERS = "3.11 or 3.12"
"""The Pythons on which that ansible-core and provision itself run."""
_SET = re.compile(r"^set (PYTHON(?:HOME|PATH)=.{1,300}?)\s*$", re.MULTILINE)
_LINE = re.compile(r"found (/\S{1,300})(?: (.{0,500}))?")
_VERSION = re.compile(r"(\d{1,2})\.(\d{1,3})")


@dataclass(frozen=True)
class Python:
    """A Python on a host; `version` is None if it does not start, and `words` are then what it printed."""

    path: str
    version: tuple[int, int] | None
    words: str = ""


def parse(text: str) -> tuple[Python, ...]:
    """The Pythons in the output of the playbook, each once."""
    found: dict[str, Python] = {}
    for line in text[:100_000].splitlines():
        match = _LINE.fullmatch(line.strip())
        if match and match[1] not in found:
            version = _VERSION.fullmatch(match[2] or "")
            number = (int(version[1]), int(version[2])) if version else None
            found[match[1]] = Python(match[1], number, "" if version else match[2] or "it prints nothing")
    return tuple(found.values())


def answer(failure: Failure, text: str, core: str) -> Failure:
    """The failure with what follows from the output of the playbook; `core` as in `explain`."""
    # What stands before it, a login script has printed.
    _, begin, listed = text[:100_000].partition(BEGIN)
    if not begin:
        return replace(failure, code=codes.LOGIN_SHELL)
    said = explain(failure, parse(listed), core)
    variables = " and ".join(_SET.findall(listed))
    if not variables or said.code != codes.PYTHON_BROKEN:
        return said
    return replace(said, message=f"{said.message}\n  The login sets {variables}, which may be the cause")


def explain(failure: Failure, pythons: Iterable[Python], core: str) -> Failure:
    """The failure with the Pythons of its host and what to do. `core` is the version of ansible-core here."""
    listed = tuple(pythons)
    numbers = _release(core)
    working = [python for python in listed if python.version]
    usable = [python for python in working if python.version and _drives(numbers, python.version)]
    broken = [python for python in listed if not python.version]
    if failure.code == codes.PYTHON_DENIED and codes.denied_program(failure.message) in {p.path for p in working}:
        return replace(failure, code=codes.SUDO_NOEXEC)  # the list is of the login user, without sudo
    if failure.code == codes.PYTHON_BROKEN and working and not broken:
        return replace(failure, code=codes.LOGIN_INPUT if codes.is_silent(failure.message) else codes.SUDO_PYTHON)
    if usable:
        chosen = max(usable, key=lambda python: python.version or (0, 0))
        cure = f"set ansible_python_interpreter: {chosen.path} (Python {_text(chosen.version)}) for this host"
        cure += f"; {_not_starting(broken)}" if broken else ""
        return replace(failure, message=f"{failure.message}\n  {cure}")
    if not working:
        return failure
    each = {python.version: python.path for python in reversed(working)}
    there = ", ".join(f"{path} is Python {_text(version)}" for version, path in each.items())
    needs = f"ansible-core {core} on this machine needs Python {_text(_oldest(numbers))} or later on hosts"
    words = f"{there}, but {needs}. Install a newer Python on the host, or use another ansible-core"
    if any(python.version and _drives(LAST_FOR_PYTHON_2, python.version) for python in working):
        last = ".".join(map(str, LAST_FOR_PYTHON_2))
        words = (
            f"{there}, but {needs}. ansible-core {last} drives this host: install provision a second time, with Python "
            f"{ITS_CONTROLLERS}, from the mirror (`sh MIRROR/install-provision.sh --ansible {last} DIR`) or from an "
            f"index (`python3.12 -m venv DIR`, `DIR/bin/pip install PROVISION 'ansible-core=={last}.*'`; PROVISION is "
            "its wheel or source directory). Call DIR/bin/provision with --limit for such hosts, and this one with "
            "--limit '!HOST' for the others"
        )
    return replace(failure, message=f"{failure.message}\n  {words}", code=codes.PYTHON_OLD)


def _not_starting(broken: Sequence[Python]) -> str:
    """Which Pythons do not start, and why the first one of them does not."""
    first, others = broken[0], ", ".join(python.path for python in broken[1:])
    return f"{first.path} does not start: {first.words}" + (f"; nor do {others}" if others else "")


def _release(core: str) -> tuple[int, int]:
    match = _VERSION.match(core)
    return (int(match[1]), int(match[2])) if match else max(_OLDEST)


def _oldest(core: tuple[int, int]) -> tuple[int, int]:
    return _OLDEST.get(core) or _OLDEST[max(_OLDEST) if core > max(_OLDEST) else min(_OLDEST)]


def _drives(core: tuple[int, int], version: tuple[int, int]) -> bool:
    """Whether an ansible-core runs its modules under that Python."""
    return version >= _oldest(core) or (version == (2, 7) and core <= LAST_FOR_PYTHON_2)


def _text(version: tuple[int, int] | None) -> str:
    return ".".join(map(str, version or ()))
