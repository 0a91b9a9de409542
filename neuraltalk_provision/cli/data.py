"""Shared by the commands of `provision data`: run a program on this machine, or as a run on a host."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from neuraltalk_provision import paths
from neuraltalk_provision.cli import run
from neuraltalk_provision.dataset import program, request
from neuraltalk_provision.dataset.request import Inspect, Prepare
from neuraltalk_provision.errors import UsageError, naming
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.base import plain
from neuraltalk_provision.rules.data import RESULT
from neuraltalk_provision.runs import hosts
from neuraltalk_provision.runs.progress import ending
from neuraltalk_provision.runs.request.spec import RunSpec
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import inventory_names

app = typer.Typer(
    help="Data sets: make one from pictures and captions, find files that a training cannot load, copy files to hosts.",
    no_args_is_help=True,
)
Host = Annotated[
    str,
    typer.Option("--host", "-H", help="The host on which to run, where the pictures are. Default: this machine."),
]
Id = Annotated[str, typer.Option("--id", help="With --host: the run's id. Default: made from the time.")]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="With --host: start the run and return.")]
ImagesRoot = Annotated[
    str,
    typer.Option(
        "--images_root",
        "--images-root",
        help="The directory of the pictures. Default: the directory of the captions file.",
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=0, help="The number of processes. Default: one per CPU core.")]
LARGEST_RESULT = 1 << 20
"""The maximum size of a host's result, in bytes."""


def absolute_for(host: str) -> Callable[[str], str]:
    """The function that converts a path for the request: absolute on this machine, unchanged for a host."""
    return (lambda path: path) if host else _here


def _here(path: str) -> str:
    if not path:
        return ""
    with naming("the working directory", "read"):
        return str(Path(path).absolute())


def run_program(
    name: str,
    wanted: Prepare | Inspect,
    host: str,
    run_id: str,
    settings: Settings,
    output: Output,
    *,
    plan: bool,
    detach: bool = False,
    findings: Path | None = None,
) -> Mapping[str, Any] | None:
    """The result of a program, here or on a host; None with `plan` or `detach`."""
    if not host and (run_id or detach):
        raise UsageError("--id and --detach need a run on a host", advice="Give the host with --host.")
    if host and findings:
        raise UsageError(
            "--findings is only for an inspection on this machine", advice="On a host they are in the run's directory."
        )
    request.check(wanted)
    document = wanted.as_request()
    if plan:
        if host:
            inventory_names.refuse_unknown(settings, host)
        words = [*_words(document), *(["--host", host] if host else [])]
        output.say(f"would {name} on {host or 'this machine'}: provision data {name} {shlex.join(words)}")
        output.result({"plan": document, "host": host or None})
        return None
    if not host:
        document |= {"result": str((findings or _findings()).absolute())} if name == "inspect" else {}
        return program.run(name, document, output.pass_on)
    spec = RunSpec(run_id or run.new_id(name), name, document, ())
    return _on_host(spec, host, settings, output, detach)


def _words(document: Mapping[str, Any]) -> Iterator[str]:
    """The request as words of a command line."""
    for name, value in document.items():
        option = "--set-aside" if name == "set_aside" else f"--{name}"
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                yield option
            elif one not in ("", None) and one is not False and not (name == "jobs" and one == 0):
                yield from ([] if name == "path" else [option])
                yield str(one)


def _findings() -> Path:
    try:
        folder = paths.state_dir() / "inspect"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"there is no directory for the findings: {reason}",
            advice="Give a file with --findings, or set XDG_STATE_HOME to a directory that you may write.",
        ) from None
    return folder / time.strftime("%Y%m%d-%H%M%S-PID.jsonl").replace("PID", str(os.getpid()))


def _on_host(spec: RunSpec, host: str, settings: Settings, output: Output, detach: bool) -> Mapping[str, Any] | None:
    """Start a program as a run, follow it to its end, and return its result; None with `detach`."""
    started = hosts.start([spec], host, settings)
    for remark in started.remarks:
        output.say(remark)
    output.say(f"{spec.id} runs on {host} (pid {started.pid}), log {started.log}")
    if detach:
        output.say(f"next: provision runs watch {spec.id}")
        output.result({"id": spec.id, "host": host, **plain(started)})
        return None
    end = run.followed(spec, host, started.log, settings, output)
    content = hosts.read(spec.id, host, settings, [RESULT], most=LARGEST_RESULT).get(RESULT, b"")
    if not program.parsed(content):
        ending.check(spec.program, end)
    result = program.result_of(spec.program, spec.arguments, content, f"{host} (log {end.log})")
    return {"id": spec.id, "host": host, "log": end.log, **result}
