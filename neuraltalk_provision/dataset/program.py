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
from neuraltalk_provision.errors import TEMPORARY, BugError, CheckError, naming
from neuraltalk_provision.results.base import read
from neuraltalk_provision.results.data import ProgramResult, shape_of
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
        with naming(TEMPORARY, "written"):
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
            raise
        child.wait()
        text = result_file.read_bytes() if result_file.exists() else b""
    if child.returncode < 0:
        raise CheckError(
            f"{name} on this machine was ended by signal {-child.returncode}",
            advice="If nobody killed it, probably the out-of-memory killer did; see dmesg. Run the command again.",
        )
    return result_of(name, request, text, "this machine")


def result_of(name: str, request: Mapping[str, Any], text: bytes, where: str) -> Mapping[str, Any]:
    """The result that a program wrote for a request.

    Raises CheckError with the program's message if it failed, and if the result is not as expected; BugError if the
    program has a bug.
    """
    document = parsed(text)
    failure = read(ProgramResult, document)
    if isinstance(failure, ProgramResult) and failure.error:
        if failure.code == codes.BUG:
            if log := command_log.current():
                log.write(f"== {name} on {where}\n{failure.traceback}\n")
            raise BugError(
                f"{name} on {where}: {failure.error}", advice="Send the log to the authors, and say what you did."
            )
        raise CheckError(f"{name} on {where}: {failure.error}", document=dict(document))
    again = "Run the same command again; it continues where it stopped."
    if not document:
        raise CheckError(f"{name} on {where} wrote no result", advice=again)
    result = read(shape_of(name, bool(request.get("undo"))), document)
    if isinstance(result, str):
        raise CheckError(f"{name} on {where}: its result is not as expected: {result}", advice=again)
    return document


def parsed(text: bytes) -> Mapping[str, Any]:
    """The JSON object in a file; empty if it is not one."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
