"""`provision mirror pull`: fetch what hosts of the given platforms need into the mirror."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision import settings as settings_file
from neuraltalk_provision import yaml_file
from neuraltalk_provision.catalogue import target
from neuraltalk_provision.catalogue.model import Catalogue, GitSource, PackageSource, UrlSource
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE, MirrorError
from neuraltalk_provision.mirror import addresses, collecting, collectors, pull, pull_plan, repository_file
from neuraltalk_provision.mirror.pull_plan import PullPlan, Row, Transfer
from neuraltalk_provision.output import Output
from neuraltalk_provision.rules.texts import some
from neuraltalk_provision.transfer_display import NOMINAL, TransferDisplay


class Profiles(StrEnum):
    """Which GPU software hosts get."""

    CPU = "cpu"
    LEGACY = "legacy"
    MODERN = "modern"


def pull_(
    platforms: Annotated[
        list[str],
        typer.Option("--for", help="A platform of hosts, such as debian-12-x86_64. Can be repeated."),
    ],
    profiles: Annotated[
        list[Profiles] | None,
        typer.Option("--profile", help="Also bring GPU software of this profile. Can be repeated. Default: cpu."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Pull only this artifact. Can be repeated.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace files of the mirror that differ from the catalogue's.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=32, help="How many transfers run at a time.")] = 4,
    address_file: Annotated[
        Path | None,
        typer.Option(
            "--addresses", help="A YAML file that replaces beginnings of addresses, for example by your own git server."
        ),
    ] = None,
    repository_file_: Annotated[
        Path | None,
        typer.Option(
            "--repositories",
            help="A YAML file with the repositories of OS packages for platforms other than this machine's.",
        ),
    ] = None,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would be moved; move only the indexes of repositories.")
    ] = False,
    as_json: options.Json = False,
) -> int:
    """Fetch sources into the mirror, at the commits that are known to work together, and OS packages and wheels.

    A command that was interrupted continues where it stopped, and moves nothing twice.
    """
    output = Output(as_json=as_json)
    place = settings_file.load(settings, mirror=mirror).mirror
    catalogue = catalogues.load()
    known = addresses.parse(yaml_file.read(address_file), str(address_file)) if address_file else {}
    given = repository_file.read(repository_file_) if repository_file_ else repository_file.Repositories()
    gather = collectors.load(catalogue, given)
    planned = pull_plan.plan(
        catalogue,
        [target.parse(key) for key in dict.fromkeys(platforms)],
        [profile.value for profile in dict.fromkeys(profiles or [Profiles.CPU])],
        pull.inventory(place),
        only=only or (),
        replace=replace,
        known=known,
        ask=gather.ask,
    )
    begin = time.monotonic()
    with TransferDisplay(output, len(planned.of("collect")), 0) as display:
        planned = collecting.collect(place, planned, gather, display, known=known, jobs=jobs)
    for line in _unused(catalogue, planned, known, bool(only)):
        output.remark("remark", f"{address_file}: {line}")
    if plan:
        _show(output, place, planned, bool(only))
        document = _document(place, planned)
        if planned.of("failed"):
            raise _failed(_not_found(planned), document)
        output.result(document)
        return EXIT_FINE
    transfers = planned.transfers
    size = sum(transfer.size or NOMINAL for transfer in transfers)
    with TransferDisplay(output, _lines(transfers), size) as display:
        pulled = pull.pull(place, planned, catalogue, display, jobs)
    failures = (*_not_found(planned), *pulled.failures)
    document = _document(place, planned)
    document |= {
        "added": [entry.model_dump(mode="json") for entry in pulled.added],
        "failures": [failure.__dict__ for failure in failures],
        "seconds": round(time.monotonic() - begin, 1),
    }
    for entry in pulled.added:
        output.say(f"added {entry.name}: {entry.size:,} bytes, sha256 {entry.sha256}")
    _say_rest(output, planned, bool(only))
    if failures:
        raise _failed(failures, document)
    output.say(_summary(place, planned, len(pulled.added), document["seconds"]))
    output.result(document)
    return EXIT_FINE


def _unused(catalogue: Catalogue, planned: PullPlan, known: Mapping[str, str], some: bool) -> list[str]:
    """What is said of lines of --addresses that replace nothing. Where kept packages came from is not known."""
    every = {one.origin for one in planned.transfers}
    for source in catalogue.sources.values():
        every |= {source.address} if isinstance(source, GitSource | UrlSource) else set()
        every |= {part.address for part in source.submodules} if isinstance(source, GitSource) else set()
    found = all(row.state == "pull" for row in planned.rows if isinstance(row.source, PackageSource))
    return addresses.unused(known, every, certain=found and not some)


def _not_found(planned: PullPlan) -> tuple[pull.Failure, ...]:
    """The artifacts whose files could not be found."""
    return tuple(pull.Failure(row.name, row.reason, row.advice) for row in planned.of("failed"))


def _lines(transfers: tuple[Transfer, ...]) -> int:
    """How many lines of progress these transfers have."""
    return len({one.group or one.key for one in transfers})


def _failed(failures: tuple[pull.Failure, ...], document: dict[str, Any]) -> MirrorError:
    """All failures as one error; the same reason is told once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        reasons.setdefault((failure.message, failure.advice), []).append(failure.name)
    message = "\n".join(f"{', '.join(names)}: {message}" for (message, _), names in reasons.items())
    advice = "\n".join(dict.fromkeys(advice for _, advice in reasons if advice))
    return MirrorError(message, advice=advice, document=document)


def _summary(place: Path, planned: PullPlan, added: int = 0, seconds: float = 0) -> str:
    present = len(planned.of("present"))
    if added:
        return f"artifacts that were added to {place} in {seconds:.0f} s: {added}; that it already had: {present}"
    if planned.of("failed") or not present:
        return f"nothing to move to {place}"
    return f"nothing to move: {place} already has all {present} artifacts that can be pulled"


def _say_rest(output: Output, planned: PullPlan, only: bool) -> None:
    """What this command does not bring, each with the reason."""
    for row in planned.of("kept", "by hand", "later"):
        output.say(f"{_kind(row)} {row.name}: {row.reason}")
    for row in planned.of("pull"):
        for name, reason in sorted(row.collection.left_out.items() if row.collection else ()):
            output.say(f"{row.name} has no {name}, which is optional: {reason}")
        for remark in row.collection.remarks if row.collection else ():
            output.say(f"{row.name}: {remark}")
    if not only and set(planned.profiles) == {"cpu"}:
        output.say("GPU software is left out; --profile legacy (CUDA 7.5 to 9.2) or modern (CUDA 10 to 13) brings it")


def _kind(row: Row) -> str:
    return "kept    " if row.state == "kept" else "optional" if row.artifact.optional else "required"


def _show(output: Output, place: Path, planned: PullPlan, only: bool) -> None:
    rows = [
        (row.name, row.artifact.role, row.state, f"{row.size:,}" if row.size else "", _from(row))
        for row in planned.rows
    ]
    keys = ", ".join(one.key for one in planned.targets)
    title = f"{place} for {keys}, profile {', '.join(planned.profiles)}"
    output.table(title, ("artifact", "role", "state", "bytes", "from"), rows)
    moved = _moved(planned)
    if moved:
        output.table("\nwhat would be moved", ("address", "commit", "bytes"), moved)
    _say_rest(output, planned, only)
    pulled = planned.of("pull")
    size = sum(row.size for row in pulled)
    unknown = sum(not row.size for row in pulled)
    output.say(
        f"{len(planned.transfers)} transfers would make {len(pulled)} artifacts of {size:,} bytes"
        + (f", without {unknown} whose size is not known" if unknown else "")
        if pulled
        else _summary(place, planned)
    )


def _moved(planned: PullPlan) -> list[tuple[str, str, str]]:
    """The rows of the table of transfers; the files of an artifact that consists of many have one together."""
    rows = {row.name: row for row in planned.rows}
    found: dict[str, tuple[str, str, str]] = {}
    for one in planned.transfers:
        if one.group:
            size = sum(other.size for other in planned.transfers if other.group == one.group)
            found.setdefault(one.group, (_places(rows[one.group]), "", f"{size:,}" if size else ""))
        else:
            found[one.key] = (one.address, one.commit, f"{one.size:,}" if one.size else "")
    return list(found.values())


def _places(row: Row) -> str:
    """How many files an artifact that is collected consists of, and from which servers they come."""
    servers = sorted({"/".join(one.address.split("/")[:3]) for one in row.transfers})
    return f"{len(row.transfers)} files from {some(servers, 2)}"


def _from(row: Row) -> str:
    if not row.transfers:
        return "" if row.state == "present" else row.reason if row.state == "make" else "see below"
    if row.collection:
        return _places(row) + (f" ({row.reason})" if row.reason else "")
    source = row.source
    parts = f" and {len(source.submodules)} submodules" if isinstance(source, GitSource) and source.submodules else ""
    return f"{row.transfers[0].address}{parts}" + (f" ({row.reason})" if row.reason else "")


def _document(place: Path, planned: PullPlan) -> dict[str, Any]:
    return {
        "mirror": str(place),
        "platforms": [one.key for one in planned.targets],
        "profiles": list(planned.profiles),
        "artifacts": [
            {
                "name": row.name,
                "role": row.artifact.role,
                "optional": row.artifact.optional,
                "state": row.state,
                "reason": row.reason,
                "size": row.size or None,
                "source": row.source.model_dump(mode="json") if row.source else None,
                "request": row.request or None,
                "left_out": dict(row.collection.left_out) if row.collection else {},
                "remarks": list(row.collection.remarks) if row.collection else [],
            }
            for row in planned.rows
        ],
        "transfers": [
            {
                "address": one.address,
                "origin": one.origin,
                "commit": one.commit,
                "sha256": one.file.sha256 if one.file else "",
                "size": one.size or None,
                "artifact": one.group or None,
            }
            for one in planned.transfers
        ],
    }
