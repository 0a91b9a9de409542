"""Pushes a file to hosts: the controller sends it once, and the hosts pass it on to each other."""

from __future__ import annotations

import contextlib
import errno
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from neuraltalk_provision import rates
from neuraltalk_provision.errors import UsageError, raise_limit
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.pushed import Place, PushedFileResult, Received
from neuraltalk_provision.rules import clock, codes, pieces
from neuraltalk_provision.rules.piece_server import Server
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import host_results, limits, masters, playbook
from neuraltalk_provision.site.distribution import chain as chains
from neuraltalk_provision.site.distribution import checking, shared, silent, source
from neuraltalk_provision.site.distribution.chain import Link
from neuraltalk_provision.site.distribution.checking import Request
from neuraltalk_provision.site.distribution.source import Description
from neuraltalk_provision.site.events import Failure

PATIENCE, PATIENCE_PER_HOST = 20, 0.3
"""In so many seconds, and more for each host, the module must have started everywhere."""
SPARES, TIMES = 4, 4
"""A host that cannot tell that it gets on is given up after so many times push_wait, and so many times as long as
sending takes."""


@dataclass(frozen=True)
class Report:
    """What became of every host. `seconds` is the time of the transfer alone, `sent` what the controller sent."""

    request: Request
    description: Description
    present: tuple[str, ...]
    chain: Mapping[str, Link]
    received: Mapping[str, Received]
    failures: tuple[Failure, ...]
    seconds: float = 0.0
    sent: int = 0
    shared: Mapping[str, str] = field(default_factory=dict)
    """{host: the name that received the file for both}, of hosts that have the directory in common."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What the plan says of these hosts."""

    def host_of(self, number: int) -> str:
        """The name of a host by its number in the chain; `controller` for 0."""
        names = {link.number: host for host, link in self.chain.items()}
        return names.get(number, "controller" if number == pieces.SOURCE else f"host {number}")


def push(request: Request, settings: Settings, output: Output, *, plan: bool = False) -> Report:
    """Push a file. With `plan` it is only determined which hosts need it, and their order.

    Hosts that fail are in the report. Raises UsageError if the file cannot be read or is changed meanwhile, or if no
    host reaches this machine.
    """
    with source.opened(request.file) as handle:
        with output.working(f"reading {request.file}"):
            description = source.describe(request.file, handle)
        if request.sha256 not in ("", description.sha256):
            raise source.changed(request.file)
        store = source.Store(handle, description)
        server = Server(store, secrets.token_hex(32), pieces.SOURCE, request.limit)
        with _serving(server, request.own_port):
            report = _pushed(request, description, server, settings, output, plan=plan)
        if server.changed:
            raise source.failed(request.file, store)
    return report


def _pushed(
    request: Request, description: Description, server: Server, settings: Settings, output: Output, *, plan: bool
) -> Report:
    found = checking.check(request, description, server.key, settings, output)
    firsts = shared.first_names(found.places)
    chain = chains.make({host: one for host, one in found.places.items() if host not in {*found.present, *firsts}})
    notes = {host: shared.words(host, first, found.places) for host, first in firsts.items()}
    report = Report(request, description, found.present, chain, {}, found.failures, shared=firsts, notes=notes)
    if plan:
        return report
    if chain:
        _refuse_too_many(len(chain))
        chain = _reachable(request, chain)
        began = time.monotonic()
        received, failures = _transfer(request, description, chain, server, settings, output)
        report = replace(
            report,
            chain=chain,
            received=received,
            failures=found.failures + failures,
            seconds=time.monotonic() - began,
            sent=server.sent,
        )
    have = [*found.present, *report.received]
    present, failures = checking.check_again(request, description, server.key, firsts, have, settings, output)
    return replace(report, present=found.present + present, failures=report.failures + failures)


@contextlib.contextmanager
def _serving(server: Server, port: int) -> Iterator[None]:
    try:
        server.start(port)
    except OSError as error:
        is_used = error.errno == errno.EADDRINUSE
        raise UsageError(
            pieces.in_use(port) if is_used else f"port {port} of this machine cannot be used: {error.strerror}",
            advice="Wait until it is free, or use another --port, which must be open on the hosts too.",
        ) from None
    try:
        yield
    finally:
        server.stop()


def _refuse_too_many(hosts: int) -> None:
    """UsageError if Ansible cannot work on so many hosts at once: those that wait would be missed by the others."""
    possible = limits.forks(hosts)
    if possible < hosts:
        raise UsageError(
            f"{hosts} hosts must receive at the same time, but this machine lets a process open files only for "
            f"{possible} (ulimit -Hn)",
            advice=f"Nothing was sent. {raise_limit(errno.EMFILE, hard=True)}. Or push to at most {possible} hosts at "
            "a time with --to.",
        )


def _reachable(request: Request, chain: Mapping[str, Link]) -> dict[str, Link]:
    """The chain; if few hosts reach this machine, the first others do it over the SSH connections that are open.

    If only one host could ask this machine, its loss would be the loss of all hosts after it.
    """
    found = dict(chain)
    others = [host for host, link in chain.items() if not link.place.reaches]
    if len(chain) - len(others) < chains.ANCESTORS:
        for host in others[: chains.ANCESTORS]:
            forwarded = masters.forward(chain[host].place.connection, request.own_port)
            found[host] = replace(chain[host], forwarded=forwarded)
    if not any(link.place.reaches or link.forwarded for link in found.values()):
        raise _unreached(request, {host: link.place for host, link in chain.items()})
    return found


def _unreached(request: Request, places: Mapping[str, Place]) -> UsageError:
    tried = sorted({place.controller for place in places.values() if place.controller})
    where = f"port {request.own_port} of {', '.join(tried) or 'this machine, whose address is not known'}"
    return UsageError(
        f"no host reaches this machine: nobody could connect to {where}",
        advice="ssh could not forward it either (AllowTcpForwarding in sshd_config, or no shared connection, for which "
        "ansible_ssh_args must have ControlMaster and ControlPersist). Open this port of this machine "
        "for at least one host, or use another --port. If this machine has another address for the hosts, give it "
        "with --controller.",
    )


def _transfer(
    request: Request,
    description: Description,
    chain: Mapping[str, Link],
    server: Server,
    settings: Settings,
    output: Output,
) -> tuple[dict[str, Received], tuple[Failure, ...]]:
    """Let all hosts receive at the same time; what each of them received, and the failures of the others."""
    names = list(chain)
    patience = round(PATIENCE + PATIENCE_PER_HOST * len(names))
    begin, wait = clock.seconds() + patience, settings.push_wait
    with output.working(f"pushing {request.name}"), silent.watching(chain, server, begin, wait) as watch:
        outcome = playbook.run(
            playbook.Request(
                playbook="push.yml",
                inventory=settings.inventory,
                limit=names,
                forks=max(settings.forks, len(names)),  # every host must work from the beginning to the end
                ssh_args=checking.SSH,
                task_limit=longest(request, description.size, patience, wait),
                variables={
                    "provision_push": {
                        **checking.variables(request, description),
                        "patience": patience,
                        "wait": wait,
                    },
                    "provision_push_secret": server.key,
                    "provision_push_places": {
                        host: link.as_variables(chain, request.port, request.own_port) for host, link in chain.items()
                    },
                },
            ),
            watch.note,
        )
    results, failures = host_results.of(outcome.results, "pushed_file", PushedFileResult, names)
    failures = tuple(_given_up(one, wait) if one.host in watch.given_up else one for one in failures)
    received, wrong = {}, []
    for host, result in results.items():
        if result.file.sha256 == description.sha256:
            received[host] = result.file
        else:
            wrong.append(Failure(host, "", f"it has a file with sha256 {result.file.sha256}", code=codes.BUG))
    return received, (*failures, *wrong)


def _given_up(failure: Failure, wait: int) -> Failure:
    message = (
        f"it has not got on for {round(silent.TIMES * wait)} s (push_wait), and was given up: its program is stopped, "
        "or its disk or network file system does not answer"
    )
    return replace(failure, message=message, unreachable=False, code=codes.HOST_HANGS)


def longest(request: Request, size: int, patience: int, wait: int) -> int:
    """The seconds after which a host that has not ended hangs, whatever it says. The others keep their results."""
    return patience + SPARES * wait + TIMES * size // (request.limit or rates.SLOWEST)


def hosts_by_outcome(report: Report) -> dict[str, Sequence[str]]:
    """The lists of hosts for `--limit @FILE`."""
    return {"done": [*report.present, *report.received], "failed": [failure.host for failure in report.failures]}
