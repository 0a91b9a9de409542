"""Runs the programs that prepare and inspect data on this machine: the same code as on hosts, in a child process."""

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
    """A zip file of plugins/module_utils that Python can run as the program of a request."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", MAIN)
        for module in sorted((paths.plugins() / PACKAGE).rglob("*.py")):
            archive.writestr(str(module.relative_to(paths.plugins())), module.read_bytes())
    return content.getvalue()


def run(name: str, request: Mapping[str, Any], show: Callable[[str], None]) -> Mapping[str, Any]:
    """Run a program (`prepare` or `inspect`) on this machine, pass its output to `show`, and return its result.

    Raises CheckError with the program's own message if it failed.
    """
    with contextlib.ExitStack() as stack:
        with naming("the directory for temporary files", "written"):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="neuraltalk-data-"))
            code, request_file, result_file = (Path(folder, name) for name in ("data.zip", REQUEST, RESULT))
            code.write_bytes(packed())
            request_file.write_text(json.dumps({**request, "program": name}), encoding="utf-8")
        command = [sys.executable, "-B", str(code), "attached", str(request_file)]
        with naming("Python", "started"):
            started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        child = stack.enter_context(started)
        assert child.stdout is not None
        try:
            for line in child.stdout:
                show(line.decode("utf-8", "replace"))
        except KeyboardInterrupt:
            child.terminate()  # Ctrl-C in a terminal reaches it too, but a signal to this process alone does not
            child.wait()
            raise InterruptError(
                "interrupted", advice="Run the same command again; it continues where it stopped."
            ) from None
        child.wait()
        result = parsed(result_file.read_bytes() if result_file.exists() else b"")
    if child.returncode < 0:
        raise CheckError(
            f"{name} on this machine was ended by signal {-child.returncode}",
            advice="If nobody killed it, probably the out-of-memory killer did; see dmesg. Run the command again.",
        )
    return accepted(name, result, "this machine")


def parsed(text: bytes) -> Mapping[str, Any]:
    """The result that a program wrote; empty if it is not a JSON object."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def accepted(name: str, result: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The result of a program. Raises CheckError with its message if it failed, BugError if it has a bug."""
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
