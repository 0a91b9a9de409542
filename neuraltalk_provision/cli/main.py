"""`provision`: the application, and the one place where errors become words and exit codes."""

from __future__ import annotations

import re
import sys
import traceback
from importlib import metadata

import typer

from neuraltalk_provision import command_log, streams
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
from neuraltalk_provision.command_log import CommandLog
from neuraltalk_provision.errors import (
    EXIT_FINE,
    EXIT_USAGE,
    BugError,
    HostError,
    InterruptError,
    ProvisionError,
    UsageError,
)
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


_VERBOSE = re.compile(r"-v{1,9}|--verbose")


@app.callback(invoke_without_command=True)
def provision(
    version: bool = typer.Option(False, "--version", help="Print the version."),
    _verbose: int = typer.Option(
        0,
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Show on stderr Ansible's tasks as they go, and with -vv the modules' results too; may stand anywhere "
        "before a `--`. Every command that asks hosts keeps all of it in a log, in "
        "~/.local/state/neuraltalk-provision/logs or below $XDG_STATE_HOME, which its errors name.",
    ),
) -> None:
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


def verbosity(arguments: list[str]) -> tuple[int, list[str]]:
    """(how often -v was given, the other words): it may stand anywhere before the options of a program."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    asked = [word for word in arguments[:end] if _VERBOSE.fullmatch(word)]
    count = sum(1 if word == "--verbose" else len(word) - 1 for word in asked)
    return count, [word for word in arguments[:end] if word not in asked] + arguments[end:]


def boundary(arguments: list[str]) -> int:
    """The exit code of a command line: errors printed in words, our bugs with where their report lies."""
    level, words = verbosity(arguments)
    output, beside = Output(as_json="--json" in words), Output()
    with command_log.begin(words, verbosity=level, show=beside.detail) as log:
        code, told = _outcome(words, log)
    where = str(log.path) if log.path and (log.host_failed or isinstance(told, HostError | BugError)) else ""
    if told:
        output.error(told, where)
    elif where and code:
        beside.remark("log", where)
    if log.problem:
        beside.remark("warning", f"this command has no {'whole ' if log.path else ''}log: {log.problem}")
    return _flushed(code, told, output)


def _flushed(code: int, told: ProvisionError | None, output: Output) -> int:
    """The exit code after all that was printed is written; another one where a part of it got lost."""
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


def _outcome(arguments: list[str], log: CommandLog) -> tuple[int, ProvisionError | None]:
    """(the exit code of a command line, the error that it ended with if there is something to say of it)."""
    try:
        return _invoke(arguments), None
    except typer.Exit as leaving:
        return leaving.exit_code, None
    except BrokenPipeError:
        streams.hush()
        return EXIT_FINE, None
    except (Exception, KeyboardInterrupt) as error:
        told = _in_words(error, log)
        # Empty where a group without a command has printed its help already.
        return told.exit_code, told if told.message else None


def _in_words(error: BaseException, log: CommandLog) -> ProvisionError:
    match error:
        case ProvisionError():
            return error
        case typer.TyperException():
            return UsageError(error.format_message(), advice="`provision COMMAND --help` lists the options.")
        case KeyboardInterrupt() | typer.Abort():
            return InterruptError("interrupted", advice="Run the same command again; it goes on where it was.")
    return _bug(error, log)


def _invoke(arguments: list[str]) -> int:
    """Typer without its own handling of errors and interruption."""
    command = typer.main.get_command(app)
    with streams.guarded(), command.make_context("provision", arguments) as context:
        code = command.invoke(context)
    return code if isinstance(code, int) else EXIT_FINE


def _bug(error: BaseException, log: CommandLog) -> ProvisionError:
    """The error for what nobody thought of: its traceback is in the command's log, with versions and the command."""
    what = log.redacted(f"this is a bug in neuraltalk-provision: {type(error).__name__}: {error}")
    told = "".join(traceback.format_exception(error))
    log.write(f"== {what}\n{told}")
    if log.path and not log.problem:
        return BugError(
            what, advice="Send the log to the authors, and say what you did. It names your hosts and files."
        )
    return BugError(what, advice=f"Send this to the authors, and say what you did:\n{log.redacted(told)}")
