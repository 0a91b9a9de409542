"""`provision site`, `verify`, `variables`: the state of the hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraltalk_provision import command_log, redaction
from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FAILED, EXIT_FINE, UsageError
from neuraltalk_provision.fleet import command, site_lines, survey
from neuraltalk_provision.fleet.outcome import raise_failures
from neuraltalk_provision.fleet.records import Phase
from neuraltalk_provision.host_names import lines
from neuraltalk_provision.output import Output
from neuraltalk_provision.settings import OnFailure
from neuraltalk_provision.site import converge, extra_vars, operations


def site(
    plan: options.Plan = False,
    check: Annotated[
        bool, typer.Option("--check", help="Run the roles in check mode: predict changes, make none.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show the changes line by line.")] = False,
    stage_only: Annotated[
        bool, typer.Option("--stage-only", help="Build on all hosts, and change no current generation.")
    ] = False,
    activate: Annotated[bool, typer.Option("--activate", help="Activate what was staged, and build nothing.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the last rollout that did not finish, with its hosts and waves.")
    ] = False,
    max_failures: Annotated[
        str | None,
        typer.Option("--max-failures", help="Stop if more hosts than this fail or are set aside: a number, or 5%."),
    ] = None,
    on_failure: Annotated[
        OnFailure | None,
        typer.Option("--on-failure", help="When the rollout must stop: leave the hosts as they are, or return them."),
    ] = None,
    busy: options.Busy = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Build on every host, and neither use nor fill the mirror's cache.")
    ] = False,
    take_over: options.TakeOver = False,
    limit: options.Limit = None,
    inventory: options.Inventory = None,
    mirror: options.Mirror = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Bring every host to the state that the mirror describes: build a new generation, test it, activate it.

    Hosts that cannot be reached or must not be changed are set aside, and the others are activated in waves.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(
        settings,
        inventory=inventory,
        mirror=mirror,
        stack_root=stack_root,
        max_failures=max_failures,
        on_failure=on_failure,
        busy=busy,
        cache=False if no_cache else None,
    )
    phase = _phase(stage_only=stage_only, activate=activate, resume=resume, plan=plan, check=check)
    if resume:
        outcome = command.resume(
            limit or (),
            chosen,
            output,
            lambda found: site_lines.show_found(found, output),
            given=[
                name
                for name, value in (
                    ("max_failures", max_failures),
                    ("on_failure", on_failure),
                    ("busy", busy),
                    ("stack_root", stack_root),
                )
                if value
            ],
            take_over=take_over,
            diff=diff,
        )
    else:
        before = None if plan or check else command.newest(chosen)
        found = command.for_phase(survey.survey(chosen, limit or (), output, take_over=take_over), phase)
        site_lines.show_found(found, output)
        if plan:
            doubtful = command.unproved(found, chosen)
            if remark := command.given_up(found, chosen, doubtful):
                output.remark("remark", remark)
            command.refuse(found, chosen, output)
            again = command.tested_again(found, phase, doubtful)
            why = "its current generation is tested again: it failed, or nobody has seen that it passed"
            output.of_hosts((host, f"{host}: {why}") for host in again)
            waves = command.waves_of(found, chosen, doubtful)
            site_lines.show_waves(waves, output)
            used = command.in_use(found, phase, chosen, doubtful)
            output.of_hosts(used.items())
            output.result(
                {
                    "plans": [host.as_json() for host in found.plans],
                    "waves": [wave.as_json() for wave in waves],
                    "tested_again": again,
                    "in_use": used,
                }
            )
            return EXIT_FINE
        if check:
            outcome = command.predict(found, chosen, output, diff=diff)
        else:
            outcome = command.carry_out(found, phase, chosen, output, before=before, take_over=take_over, diff=diff)
    raise_failures(outcome, resumed=resume)
    output.result(outcome.as_json())
    site_lines.show_end(outcome, chosen, output)
    return EXIT_FINE


def _phase(*, stage_only: bool, activate: bool, resume: bool, plan: bool, check: bool) -> Phase:
    """The part of the work that the options ask for. UsageError if they exclude each other."""
    parts = {"--stage-only": stage_only, "--activate": activate, "--resume": resume}
    for options_ in (parts, {"--plan": plan, "--check": check}):
        given = [name for name, value in options_.items() if value]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} exclude each other", advice="Give one of them.")
    if resume and (plan or check):
        raise UsageError(
            "--resume continues a rollout, so it cannot be combined with --plan or --check",
            advice="`provision rollout status` shows what is left to do.",
        )
    return Phase.STAGE_ONLY if stage_only else Phase.ACTIVATE if activate else Phase.FULL


def verify(
    limit: options.Limit = None,
    inventory: options.Inventory = None,
    mirror: options.Mirror = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Check on every host that the current generation is the one that the mirror describes, and that it works."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, mirror=mirror, stack_root=stack_root)
    verdicts = operations.verify_hosts(chosen, limit or (), output)
    site_lines.show_verdicts(verdicts, output)
    if any(verdict.failure for verdict in verdicts):
        command_log.host_failed()
    output.result({"hosts": [verdict.as_json() for verdict in verdicts]})
    good = sum(verdict.passed for verdict in verdicts)
    output.say(f"{good} of {len(verdicts)} hosts passed, {sum(len(v.checks) for v in verdicts)} checks")
    return EXIT_FINE if good == len(verdicts) else EXIT_FAILED


def variables(
    file: Annotated[Path | None, typer.Argument(help="The file to write. Default: stdout.")] = None,
    limit: options.Limit = None,
    inventory: options.Inventory = None,
    mirror: options.Mirror = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Write the variables that the playbooks read, for use with plain ansible-playbook.

    Only the owner can read the file, because pip.index_url can contain a token. On stdout, tokens are removed.
    """
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, mirror=mirror, stack_root=stack_root)
    plans = converge.make_plans(chosen, limit or ())
    shared = [(one.host, f"{one.host} {one.share.words(chosen.stack_root)}") for one in plans if one.share]
    if shared:
        raise UsageError(
            "\n".join(lines(shared)),
            advice="Plain playbooks would build there twice at the same time. Leave these names out with --limit.",
        )
    given = converge.variables(plans, chosen)
    # This process ends now, so a lease in its name would be invalid. Plain playbooks only check that there is no lease.
    given["provision_lease"] = {}
    shown = {
        **given,
        **{name: redaction.redact(given[name]) for name in ("provision_pip_index_url", "provision_artifact_url")},
    }
    if file:
        operations.write_private(file, extra_vars.as_yaml(given))
    else:
        output.pass_on(extra_vars.as_yaml(shown))
    output.result(shown)
    return EXIT_FINE
