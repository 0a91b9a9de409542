"""`provision data push`: a file to many hosts, in a time that does not grow with their number."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer

from neuraltalk_provision import rates
from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE, UsageError
from neuraltalk_provision.fleet import host_lists
from neuraltalk_provision.output import Output
from neuraltalk_provision.rules import pieces
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice
from neuraltalk_provision.site.distribution import chain as chains
from neuraltalk_provision.site.distribution import push as pushing
from neuraltalk_provision.site.distribution.checking import Request
from neuraltalk_provision.site.distribution.push import Report

_LEFT = {
    "refused": "refused the connection",
    "unreachable": "could not be reached",
    "silent": "did not answer any more",
    "closed": "closed the connection",
    "stalled": "sent nothing new",
    "wrong": "sent wrong bytes",
    "changed": "had another version",
    "slow": "was slower than the hosts before it",
}


def push(
    file: Annotated[Path, typer.Argument(help="The file to push.", readable=False)],
    to: Annotated[
        list[str], typer.Option("--to", help="The hosts or groups (an Ansible pattern, or @FILE). Can be repeated.")
    ],
    into: Annotated[
        str,
        typer.Option("--into", help="The directory on the hosts. Default: the directory data below the stack root."),
    ] = "",
    limit_rate: Annotated[
        str,
        typer.Option(
            "--limit-rate",
            help="The most bytes per second that this machine and each host send, such as 50M; at least 1M. "
            "0: no limit. Default: push_rate in provision.yml.",
        ),
    ] = "",
    port: Annotated[
        int,
        typer.Option("--port", min=1024, max=65534, help="The TCP port of the hosts; this machine uses the next one."),
    ] = pieces.PORT,
    controller: Annotated[
        str, typer.Option("--controller", help="The address of this machine for the hosts. Default: it is determined.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a file of the same name that has other contents.")
    ] = False,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    plan: options.Plan = False,
    as_json: options.Json = False,
) -> int:
    """Copy a file to many hosts: this machine sends it once, and the hosts pass it on to each other.

    Every byte is verified. The same command continues where an interrupted one stopped.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root)
    request = Request(
        file=file,
        name=checked_name(file.name),
        into=checked_directory(into or f"{chosen.stack_root}/data"),
        hosts=tuple(to),
        limit=rate(limit_rate) if limit_rate else chosen.push_rate,
        port=port,
        controller=controller,
        replace=replace,
    )
    report = pushing.push(request, chosen, output, plan=plan)
    return _show_plan(report, output) if plan else _show(report, chosen, output)


def rate(text: str) -> int:
    """Bytes per second; 0 for no limit. Raises UsageError."""
    try:
        return rates.read(text)
    except ValueError as error:
        raise UsageError(
            f"--limit-rate {error}",
            advice="1 Mbit/s is 125K: for a tenth of a link of 1 Gbit/s give 12.5M.",
        ) from None


def checked_name(name: str) -> str:
    """The name of a file if every host can have it. Raises UsageError."""
    if not re.fullmatch(pieces.NAME, name):
        raise UsageError(
            f"{name!a} is not a name for a file that is pushed: it must begin with a letter or digit and contain "
            "only letters, digits and . _ + = @ -, at most 200",
            advice="Rename the file, or make a link with another name and push that.",
        )
    return name


def checked_directory(directory: str) -> str:
    """A directory of hosts if it is an absolute path. Raises UsageError."""
    path = PurePosixPath(directory)
    if not path.is_absolute() or ".." in path.parts or not re.fullmatch(r"[A-Za-z0-9_./+@=-]{1,1000}", directory):
        raise UsageError(
            f"--into {directory!a} must be an absolute path without '..' that contains only letters, digits and "
            "_ . / + @ = -"
        )
    return str(path)


def _show_plan(report: Report, output: Output) -> int:
    output.say(f"would push {_described(report)}")
    for host in report.present:
        output.say(f"  {host} has it")
    for host, link in report.chain.items():
        before = link.before[0] if link.before else "controller"
        have = f", has {link.place.have / 1e6:.0f} MB" if link.place.have else ""
        output.say(f"  {host} from {before}{have}")
    for host, words in report.notes.items():
        output.say(f"  {host} {words}: nothing is sent to it, and it is asked whether it has the file")
    crossings = chains.crossings(list(report.chain.values()))
    if crossings:
        output.say(f"  from one rack to another: {crossings} of {len(report.chain)} transfers")
    _refuse_failures(report, {}, output)
    output.result({"plan": as_json_document(report)})
    return EXIT_FINE


def _show(report: Report, chosen: Settings, output: Output) -> int:
    rows = [[host, "has it", "", report.shared.get(host, ""), ""] for host in report.present]
    for host in report.chain:
        if host not in report.received:
            continue
        one = report.received[host]
        sources = ", ".join(report.host_of(sent.number) for sent in one.sources)
        rows.append([host, "copied", f"{one.received / 1e6:.1f}", sources, f"{one.seconds:.1f}"])
    if rows:
        output.table(f"sha256 {report.description.sha256}", ["host", "file", "MB received", "from", "s"], rows)
    for line in remarks(report):
        output.remark("remark", line)
    lists = host_lists.write(chosen.journal.parent / "push", pushing.hosts_by_outcome(report), output)
    _refuse_failures(report, lists, output)
    done = len(report.received) + len(report.present)
    sent = f"; this machine sent {report.sent / 1e6:.1f} MB in {report.seconds:.1f} s" if report.chain else ""
    output.say(f"{_counted(done)} {_described(report)}{sent}")
    output.result({**as_json_document(report), "lists": lists})
    return EXIT_FINE


def remarks(report: Report) -> list[str]:
    """One line for each time that a host left the one from which it received, with the reason."""
    lines = []
    for host, one in report.received.items():
        for left in one.left:
            line = f"{host}: {report.host_of(left.number)} {_LEFT[left.why]}"
            if left.why in ("refused", "unreachable"):
                port = report.request.port if left.number else report.request.own_port
                line += f" at port {port}: if it was running, open this port between the hosts"
            lines.append(line)
    return list(dict.fromkeys(lines))


def _refuse_failures(report: Report, lists: dict[str, str], output: Output) -> None:
    """HostError if a host has failed."""
    if not report.failures:
        return
    done = len(report.received) + len(report.present)
    if done:
        output.say(f"{_counted(done)} {_described(report)}")
    files = f" Lists of hosts for --to @FILE: {', '.join(lists.values())}" if lists else ""
    raise advice.host_error(
        report.failures,
        advice=f"The other hosts were not affected. Run the same command again; what arrived is kept.{files}",
        document={**as_json_document(report), "lists": lists},
    )


def _counted(hosts: int) -> str:
    return "1 host has" if hosts == 1 else f"{hosts} hosts have"


def _described(report: Report) -> str:
    return f"{report.request.path} ({report.description.size / 1e6:.1f} MB)"


def as_json_document(report: Report) -> dict[str, Any]:
    """The report as `--json` prints it."""
    return {
        "path": report.request.path,
        "size": report.description.size,
        "sha256": report.description.sha256,
        "seconds": round(report.seconds, 3),
        "sent": report.sent,
        "present": list(report.present),
        "order": list(report.chain),
        "shared": dict(report.shared),
        "hosts": {
            host: {
                "sha256": one.sha256,
                "received": one.received,
                "kept": one.kept,
                "seconds": one.seconds,
                "from": {report.host_of(sent.number): sent.bytes for sent in one.sources},
                "left": [{"host": report.host_of(left.number), "why": left.why} for left in one.left],
            }
            for host, one in report.received.items()
        },
        "remarks": remarks(report),
    }
