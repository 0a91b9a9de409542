"""Runs mirror/dnf_program.py by the Python of this machine's dnf."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

from neuraltalk_provision.errors import MirrorError, UsageError
from neuraltalk_provision.mirror import dnf_answer, dnf_errors, programs, pull_errors

PROGRAM = Path(__file__).with_name("dnf_program.py")
_COMMANDS = ("dnf-3", "dnf4", "dnf")
"""Names of dnf 4, whose interface in Python is used; dnf 5 is a compiled program."""
_KEPT = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "CURL_CA_BUNDLE")
LONGEST = 64 << 20
"""The most bytes of an answer."""
PACKAGES = "On Debian or Ubuntu: apt-get install dnf createrepo-c rpm. On EL: dnf install python3-dnf createrepo_c rpm."


def interpreter() -> str:
    """The Python that dnf uses. Raises UsageError if there is no dnf 4."""
    for name in _COMMANDS:
        if (path := shutil.which(name)) is None:
            continue
        with Path(path).open("rb") as file:
            words = file.readline(200).decode("utf-8", "replace").split()
        if words and words[0].startswith("#!") and "python" in "".join(words):
            found = words[0].removeprefix("#!") if "python" in words[0] else words[1]
            if python := shutil.which(found):
                return python
    five = shutil.which("dnf5") or shutil.which("dnf")
    what = f"its {five} is dnf 5, whose interface is another one" if five else "it is not installed"
    raise UsageError(
        f"this machine lacks dnf 4, which finds packages for systems with rpm: {what}",
        advice=PACKAGES + " Then run the same command again.",
    )


def environment(work: Path) -> dict[str, str]:
    """The environment for dnf and rpm: settings of proxies, and nothing of the user's own configuration."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PATH": os.environ.get("PATH", os.defpath), "HOME": str(work), "TMPDIR": str(work), "LC_ALL": "C"}


def ask(request: Mapping[str, Any], work: Path, stop: Event) -> dnf_answer.Answer:
    """The answer to a request. `work` keeps the indexes. Raises MirrorError with the reason in words."""
    python = interpreter()
    with pull_errors.of_disk(work):
        work.mkdir(parents=True, exist_ok=True)
        asked = work / "asked.json"
        asked.write_text(json.dumps({**request, "work": str(work.absolute())}), encoding="utf-8")
    too_much = MirrorError(f"dnf named more than {LONGEST:,} bytes of packages", advice="Use other repositories.")
    command = [python, "-I", str(PROGRAM), str(asked)]
    ended, answer = programs.captured(command, environment(work), LONGEST, too_much=too_much, stop=stop)
    if stop.is_set():
        raise MirrorError("stopped while packages were looked for", advice="Run the same command again.")
    if ended.code or not answer:
        last = dnf_errors.harmless((ended.errors.splitlines() or ["no message"])[-1].strip())
        raise MirrorError(
            f"dnf could not read the indexes of the repositories (exit code {ended.code}): {last}",
            advice="An index is damaged, or it needs more than 6 GiB of memory or 30 minutes. Check the addresses of "
            f"the repositories, and the space below {work}, then run the same command again.",
        )
    return dnf_answer.read(answer)
