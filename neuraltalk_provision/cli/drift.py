"""`provision drift`: what on the hosts is no longer as the mirror describes it, or as on most other hosts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from neuraltalk_provision import command_log
from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE, EXIT_USAGE
from neuraltalk_provision.fleet import drift_hosts, drift_rows, findings
from neuraltalk_provision.fleet.drift import Report
from neuraltalk_provision.output import Output


def drift(
    every: Annotated[
        bool, typer.Option("--all", help="Show also what agrees, what was accepted, and all differences of a kind.")
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            help="A difference that does not count: CODE, or HOST:CODE, such as node3:kernel.version. Can be repeated.",
        ),
    ] = None,
    limit: options.Limit = None,
    inventory: options.Inventory = None,
    mirror: options.Mirror = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Compare every host with the mirror's lock and with most other hosts. Changes nothing.

    Exit code: 0 no drift; 1 drift; 2 no drift was found, but not everything could be compared.
    """
    output = Output(as_json=as_json)
    accepted = findings.accepted(accept or ())
    chosen = settings_file.load(settings, inventory=inventory, mirror=mirror, stack_root=stack_root)
    report = drift_hosts.report(chosen, limit or (), output, accepted)
    show(report, output, every=every)
    output.result(report.as_json())
    if report.untold:
        command_log.host_failed()
    return exit_code(report)


def exit_code(report: Report) -> int:
    """1 with drift; 2 without it if something could not be compared; else 0."""
    if report.drift:
        return EXIT_FAILED
    return EXIT_FINE if report.complete else EXIT_USAGE


def show(report: Report, output: Output, *, every: bool) -> None:
    """Print the report as tables."""
    if every:
        output.table("facts", drift_rows.FACTS, drift_rows.facts(report))
    columns, rows = drift_rows.table(report, when, every=every)
    if rows:
        output.table("differences", columns, rows)
    lines = drift_rows.cures(report, every=every)
    if lines:
        output.say("to do:")
        for line in lines:
            output.say(f"  {line}")
    for group in report.groups:
        if group.remark:
            output.say(f"{group.name}: {group.remark}")
    output.say(drift_rows.summary(report))


def when(seconds: int | None) -> str:
    """A time of a host in words, in UTC; empty without one."""
    if seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s"
