"""`provision`: the application, and the one place where errors become words and exit codes."""

from __future__ import annotations

import sys
import traceback
from importlib import metadata

import click
import typer

from neuraltalk_provision import paths
from neuraltalk_provision.cli import init, mirror, run, site
from neuraltalk_provision.errors import EXIT_BUG, EXIT_FINE, EXIT_INTERRUPTED, EXIT_USAGE, ProvisionError
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
app.command()(run.train)
app.command("eval")(run.evaluate)


@app.callback(invoke_without_command=True)
def provision(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version.")
) -> None:
    """Torch7, its rocks and neuraltalk2 on air-gapped hosts, from a local artifact mirror."""
    if version:
        typer.echo(metadata.version("neuraltalk-provision"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(boundary(sys.argv[1:]))


def boundary(arguments: list[str]) -> int:
    """The exit code of a command line: errors printed in words, our bugs filed with their traceback."""
    output = Output(as_json="--json" in arguments)
    try:
        code = app(arguments, standalone_mode=False)
        return code if isinstance(code, int) else EXIT_FINE
    except ProvisionError as error:
        output.error(error)
        return error.exit_code
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        output.error(ProvisionError(error.format_message(), advice="`provision COMMAND --help` lists the options."))
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        output.error(ProvisionError("interrupted", advice="Run the same command again; it goes on where it was."))
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_FINE
    except OSError as error:
        output.error(ProvisionError(f"{error.filename or 'this machine'}: {error.strerror or error}"))
        return EXIT_USAGE
    except Exception as error:
        output.error(_bug(error))
        return EXIT_BUG


def _bug(error: Exception) -> ProvisionError:
    directory = paths.state_dir()
    directory.mkdir(parents=True, exist_ok=True)
    report = directory / "bug.txt"
    report.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return ProvisionError(
        f"this is a bug in neuraltalk-provision: {type(error).__name__}: {error}",
        advice=f"Report it with {report}.",
    )
