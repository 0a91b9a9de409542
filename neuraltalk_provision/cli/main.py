"""`provision`: the Typer application, and the only place where errors become messages and exit codes."""

from __future__ import annotations

import functools
import importlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

import typer

from neuraltalk_provision import again, command_log, paths, streams
from neuraltalk_provision.cli import words
from neuraltalk_provision.command_log import CommandLog
from neuraltalk_provision.errors import (
    EXIT_FINE,
    EXIT_USAGE,
    BugError,
    HostError,
    InterruptError,
    ProvisionError,
    UsageError,
    limit_reached,
)
from neuraltalk_provision.output import Output

Command = tuple[str, str]
"""(module of cli/, function)."""
# The verbs in the order of the help. Only the modules of the verb that was given are imported, and none for
# --version: all of them take 0.7 s.
COMMANDS: Mapping[str, Command] = {
    "init": ("init", "init"),
    "site": ("site", "site"),
    "verify": ("site", "verify"),
    "rollback": ("rollback", "rollback"),
    "drift": ("drift", "drift"),
    "variables": ("site", "variables"),
    "image": ("image", "image"),
    "train": ("run", "train"),
    "eval": ("run", "evaluate"),
    "sweep": ("sweep", "sweep"),
}
# The groups of verbs: the module that has the group, and the commands of other modules that belong to it.
GROUPS: Mapping[str, tuple[str, Mapping[str, Command]]] = {
    "mirror": ("mirror", {"sign": ("signatures", "sign"), "prove": ("prove", "prove")}),
    "rollout": ("rollout", {}),
    "cudnn": ("cudnn", {}),
    "cache": ("cache", {}),
    "runs": (
        "runs",
        {
            "watch": ("watch", "watch"),
            "resume": ("resume", "resume"),
            "verify": ("verdict", "verify_"),
            "report": ("verdict", "report"),
            "score": ("score", "score"),
        },
    ),
    "data": (
        "data",
        {"prepare": ("prepare", "prepare"), "inspect": ("inspect", "inspect"), "push": ("push", "push")},
    ),
}


def application(verbs: Sequence[str] = (*COMMANDS, *GROUPS)) -> typer.Typer:
    """The Typer application with these verbs and groups."""
    app = typer.Typer(
        help="Torch7, its rocks and neuraltalk2 on air-gapped hosts, from a local artifact mirror.",
        epilog=f"The documents that messages name, such as docs/mirror.md, are in {paths.share() / 'docs'}.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback(invoke_without_command=True)(provision)
    for verb in verbs:
        if verb in COMMANDS:
            app.command(verb)(_function(COMMANDS[verb]))
        else:
            app.add_typer(_group(verb), name=verb)
    return app


@functools.cache
def _group(name: str) -> typer.Typer:
    """A group of verbs, with the commands of other modules."""
    module, commands = GROUPS[name]
    group: typer.Typer = _function((module, "app"))
    for verb, command in commands.items():
        group.command(verb)(_function(command))
    return group


def _function(command: Command) -> Any:
    module, name = command
    return getattr(importlib.import_module(f"neuraltalk_provision.cli.{module}"), name)


_VERBOSE = re.compile(r"-v{1,9}|--verbose")


def provision(
    version: bool = typer.Option(False, "--version", help="Print the version."),
    _verbose: int = typer.Option(
        0,
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Show Ansible's tasks on stderr, and with -vv also the results of modules; can be given anywhere before a "
        "`--`. Every command that connects to hosts writes all of this to a log in "
        "~/.local/state/neuraltalk-provision/logs, or below $XDG_STATE_HOME; error messages give its path.",
    ),
) -> None:
    """Torch7, its rocks and neuraltalk2 on air-gapped hosts, from a local artifact mirror."""
    if version:
        typer.echo(paths.version())
        raise typer.Exit


def main() -> None:
    """Run the command line and exit with its code."""
    streams.use_utf8_names()
    if not streams.prepare():
        Output().warn("stdout is closed: nothing can be shown", "Send it to a file, or to /dev/null.")
        sys.exit(EXIT_USAGE)
    _end_like_ctrl_c()
    code = boundary(sys.argv[1:])
    streams.finish_stderr()
    sys.exit(code)


def _end_like_ctrl_c() -> None:
    """Let SIGTERM, and the end of the terminal (SIGHUP), end the command as Ctrl-C does, also outside a playbook.

    So nothing temporary is left behind, and leases are released. During a playbook ansible-runner handles SIGTERM.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def terminate(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # the shell and the kernel send one each, and it is to end in order
        os.kill(os.getpid(), signal.SIGTERM)

    for number, handler in ((signal.SIGTERM, interrupt), (signal.SIGHUP, terminate)):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, handler)


def verbosity(arguments: list[str]) -> tuple[int, list[str]]:
    """(how often -v was given, the other arguments). -v can be given anywhere before the options of a program."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = [word for word in arguments[:end] if _VERBOSE.fullmatch(word)]
    count = sum(1 if word == "--verbose" else len(word) - 1 for word in flags)
    return count, [word for word in arguments[:end] if word not in flags] + arguments[end:]


def boundary(arguments: list[str]) -> int:
    """Run a command line and return its exit code. Errors are printed, with the path of the log if a host failed."""
    level, rest = verbosity(arguments)
    with again.repeating(rest, _options):
        return _run(rest, level)


def _run(rest: list[str], level: int) -> int:
    output, plain_output = Output(as_json="--json" in rest), Output()
    with command_log.begin(rest, verbosity=level, show=plain_output.detail) as log:
        code, error = _outcome(rest, log)
    log_path = str(log.path) if log.path and (log.host_failed or isinstance(error, HostError | BugError)) else ""
    if error:
        output.error(error, log_path)
    elif log_path and code:
        plain_output.remark("log", log_path)
    if log.problem:
        plain_output.remark("warning", f"this command has no {'complete ' if log.path else ''}log: {log.problem}")
    return _flushed(code, error, output)


def _flushed(code: int, error: ProvisionError | None, output: Output) -> int:
    """Flush stdout; return the exit code, which changes from 0 to 2 if a part of the output was lost."""
    lost = streams.flush()
    if lost is None:
        return code
    if error and output.as_json:
        Output().error(error)
    Output().warn(
        f"not all of the output could be written to stdout: {lost.strerror or lost}",
        "The command itself ran to its end." if error is None else "",
    )
    return code or EXIT_USAGE


def _outcome(arguments: list[str], log: CommandLog) -> tuple[int, ProvisionError | None]:
    """(exit code of a command line, the error to print or None)."""
    try:
        return _invoke(arguments), None
    except typer.Exit as end:
        return end.exit_code, None
    except BrokenPipeError:
        streams.discard_stdout()
        return EXIT_FINE, None
    except (Exception, KeyboardInterrupt) as error:
        converted = _converted(error, log, arguments)
        # The message is empty if a group without a command has already printed its help.
        return converted.exit_code, converted if converted.message else None


def _converted(error: BaseException, log: CommandLog, arguments: Sequence[str]) -> ProvisionError:
    """Any exception as the error that the user sees."""
    match error:
        case ProvisionError():
            return error
        case typer.TyperException():
            return UsageError(_explained(error), advice=_where_help_is(arguments))
        case KeyboardInterrupt() | typer.Abort():
            return InterruptError("interrupted", advice="Run the same command again; it continues where it stopped.")
    if advice := limit_reached(error):
        return UsageError(f"a limit of this machine was reached: {error}", advice=advice)
    return _bug(error, log)


def _explained(error: typer.TyperException) -> str:
    """What is wrong with the command line. A wrong value of an option has the same words as one in a file."""
    from pydantic import ValidationError  # imported here, because --help should not need it

    from neuraltalk_provision import field_words

    if isinstance(error, typer.BadParameter) and isinstance(error.__cause__, ValidationError):
        error.message = field_words.problems(error.__cause__)[0].words
    return error.format_message()


def _where_help_is(arguments: Sequence[str]) -> str:
    """Advice that names the command whose help explains what the user typed."""
    first, second = [*(word for word in arguments if not word.startswith("-")), "", ""][:2]
    if first in COMMANDS:
        return f"`provision {first} --help` lists the options."
    if first not in GROUPS:
        return "`provision --help` lists the commands."
    known = second in getattr(typer.main.get_command(_group(first)), "commands", ())
    return f"`provision {first}{f' {second}' * known} --help` lists the {'options' if known else 'commands'}."


def _invoke(arguments: list[str]) -> int:
    """Run the command with Typer, without Typer's own handling of errors and Ctrl-C."""
    arguments = words.checked(arguments)
    given = next((word for word in arguments if not word.startswith("-")), "")
    everything = () if arguments == ["--version"] else (*COMMANDS, *GROUPS)
    command = typer.main.get_command(application([given] if given in {*COMMANDS, *GROUPS} else everything))
    _join_lines(command)
    with streams.safe_output(), command.make_context("provision", arguments) as context:
        code = command.invoke(context)
    return code if isinstance(code, int) else EXIT_FINE


@functools.cache
def _options(verb: str) -> frozenset[str]:
    """The options of a command by its words, such as `mirror add`; none if there is no such command."""
    first, *rest = [*verb.split(), ""]
    if first not in (*COMMANDS, *GROUPS):
        return frozenset()
    group = typer.main.get_command(application([first])).commands[first]  # type: ignore[attr-defined]
    command = getattr(group, "commands", {"": group}).get(rest[0] if first in GROUPS else "")
    return frozenset(name for one in command.params for name in one.opts) if command else frozenset()


def _join_lines(command: Any) -> None:
    """Let the help fill its lines. Typer keeps the line breaks of a docstring after its first paragraph."""
    command.help = re.sub(r"(?<=\S)\n(?=\S)", " ", command.help or "")
    for one in getattr(command, "commands", {}).values():
        _join_lines(one)


def _bug(error: BaseException, log: CommandLog) -> ProvisionError:
    """The error for an unexpected exception; its traceback is written to the command's log."""
    what = log.redacted(f"this is a bug in neuraltalk-provision: {type(error).__name__}: {error}")
    trace = "".join(traceback.format_exception(error))
    log.write(f"== {what}\n{trace}")
    if log.path and not log.problem:
        return BugError(
            what,
            advice="Send the log to the authors, and say what you did. It contains the names of your hosts and files.",
        )
    return BugError(what, advice=f"Send this to the authors, and say what you did:\n{log.redacted(trace)}")
