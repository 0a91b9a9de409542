"""`provision`: the application, and the one place where errors become words and exit codes."""

from __future__ import annotations

import sys
import traceback
from importlib import metadata

import typer

from neuraltalk_provision import paths, streams
from neuraltalk_provision.cli import (
    cudnn,
    init,
    inspect,
    mirror,
    prepare,
    resume,
    run,
    runs,
    score,
    site,
    sweep,
    verdict,
    watch,
)
from neuraltalk_provision.errors import EXIT_FINE, EXIT_USAGE, BugError, InterruptError, ProvisionError, UsageError
from neuraltalk_provision.output import Output

app = typer.Typer(
    help="Torch7, its rocks and neuraltalk2 on air-gapped hosts, from a local artifact mirror.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(init.init)
app.add_typer(mirror.app, name="mirror")
app.command()(site.site)
app.command()(site.verify)
app.command()(site.rollback)
app.command()(site.variables)
app.add_typer(cudnn.app, name="cudnn")
app.command()(run.train)
app.command("eval")(run.evaluate)
app.command()(sweep.sweep)
runs.app.command()(watch.watch)
runs.app.command()(resume.resume)
runs.app.command("verify")(verdict.verify_)
runs.app.command()(verdict.report)
runs.app.command()(score.score)
app.add_typer(runs.app, name="runs")
data = typer.Typer(
    help="Data sets: make one of pictures and captions, and find what will not load before a training does.",
    no_args_is_help=True,
)
data.command()(prepare.prepare)
data.command()(inspect.inspect)
app.add_typer(data, name="data")


@app.callback(invoke_without_command=True)
def provision(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """Torch7, its rocks and neuraltalk2 on air-gapped hosts, from a local artifact mirror."""
    if version:
        typer.echo(metadata.version("neuraltalk-provision"))
        raise typer.Exit


def main() -> None:
    """Run the command line and exit with its code."""
    if not streams.prepare():
        Output().warn("stdout is closed: nothing can be shown", "Send it to a file, or to /dev/null.")
        sys.exit(EXIT_USAGE)
    code = boundary(sys.argv[1:])
    streams.leave()
    sys.exit(code)


def boundary(arguments: list[str]) -> int:
    """The exit code of a command line: errors printed in words, our bugs filed with their traceback."""
    output = Output(as_json="--json" in arguments)
    code, told = _outcome(arguments)
    if told:
        output.error(told)
    lost = streams.flush()
    if lost is None:
        return code
    if told and output.as_json:
        Output().error(told)
    Output().warn(
        f"not all of the output could be written to stdout: {lost.strerror or lost}",
        "The work itself went on to its end." if told is None else "",
    )
    return code or EXIT_USAGE


def _outcome(arguments: list[str]) -> tuple[int, ProvisionError | None]:
    """(the exit code of a command line, the error that it ended with if there is something to say of it)."""
    try:
        return _invoke(arguments), None
    except typer.Exit as leaving:
        return leaving.exit_code, None
    except BrokenPipeError:
        streams.hush()
        return EXIT_FINE, None
    except (Exception, KeyboardInterrupt) as error:
        told = _in_words(error)
        # Empty where a group without a command has printed its help already.
        return told.exit_code, told if told.message else None


def _in_words(error: BaseException) -> ProvisionError:
    match error:
        case ProvisionError():
            return error
        case typer.TyperException():
            return UsageError(error.format_message(), advice="`provision COMMAND --help` lists the options.")
        case KeyboardInterrupt() | typer.Abort():
            return InterruptError("interrupted", advice="Run the same command again; it goes on where it was.")
        case OSError():
            return UsageError(f"{error.filename or 'this machine'}: {error.strerror or error}")
    return _bug(error)


def _invoke(arguments: list[str]) -> int:
    """Typer without its own handling of errors and interruption."""
    command = typer.main.get_command(app)
    with command.make_context("provision", arguments) as context:
        code = command.invoke(context)
    return code if isinstance(code, int) else EXIT_FINE


def _bug(error: BaseException) -> ProvisionError:
    what = f"this is a bug in neuraltalk-provision: {type(error).__name__}: {error}"
    told = "".join(traceback.format_exception(error))
    report = paths.state_dir() / "bug.txt"
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(told, encoding="utf-8")
    except OSError:
        return BugError(what, advice=f"Report it with this:\n{told}")
    return BugError(what, advice=f"Report it with {report}.")
