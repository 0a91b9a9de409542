"""The programs that prepare and inspect data, on this machine: the code that hosts run, as a child process."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neuraltalk_provision import command_log, paths
from neuraltalk_provision.errors import BugError, CheckError, InterruptError, naming
from neuraltalk_provision.rules import codes
from neuraltalk_provision.rules.data import REQUEST, RESULT

MAIN = "import sys\nfrom module_utils.programs.data import main\nsys.exit(main(sys.argv[1:]))\n"
PACKAGE = "module_utils"


def packed() -> bytes:
    """All that hosts and modules share, as one file that Python runs as the program of a request."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", MAIN)
        for module in sorted((paths.plugins() / PACKAGE).rglob("*.py")):
            archive.writestr(str(module.relative_to(paths.plugins())), module.read_bytes())
    return whole.getvalue()


def run(name: str, request: Mapping[str, Any], show: Callable[[str], None]) -> Mapping[str, Any]:
    """The result of a program (`prepare`, `inspect`) on this machine; what it prints is shown as it comes.

    Raises CheckError with the program's own words where it could not do what was asked.
    """
    with contextlib.ExitStack() as stack:
        with naming("the directory for temporary files", "written"):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="neuraltalk-data-"))
            code, asked, told = (Path(folder, name) for name in ("data.zip", REQUEST, RESULT))
            code.write_bytes(packed())
            asked.write_text(json.dumps({**request, "program": name}), encoding="utf-8")
        command = [sys.executable, "-B", str(code), "attached", str(asked)]
        with naming("Python", "started"):
            started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        child = stack.enter_context(started)
        assert child.stdout is not None
        try:
            for line in child.stdout:
                show(line.decode("utf-8", "replace"))
        except KeyboardInterrupt:
            child.terminate()  # a terminal has told it already; whoever told only us has not
            child.wait()
            raise InterruptError(
                "interrupted", advice="Run the same command again; it continues where it stopped."
            ) from None
        child.wait()
        result = parsed(told.read_bytes() if told.exists() else b"")
    if child.returncode < 0:
        raise CheckError(
            f"{name} on this machine was ended by signal {-child.returncode}",
            advice="If nobody killed it, probably the out-of-memory killer did; see dmesg. Run the command again.",
        )
    return accepted(name, result, "this machine")


def parsed(text: bytes) -> Mapping[str, Any]:
    """What a program wrote as its result; empty where that is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def accepted(name: str, result: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The result of a program that did what was asked. Raises CheckError with its own words where it did not."""
    problem = result.get("error")
    if isinstance(problem, str) and problem and result.get("code") == codes.BUG:
        if log := command_log.current():
            log.write(f"== {name} on {where}\n{result.get('traceback')}\n")
        raise BugError(f"{name} on {where}: {problem}", advice="Send the log to the authors, and say what you did.")
    if isinstance(problem, str) and problem:
        raise CheckError(f"{name} on {where}: {problem}", document=dict(result))
    if not result:
        raise CheckError(
            f"{name} on {where} wrote no result", advice="Run the same command again; it continues where it stopped."
        )
    return result
