"""`provision rollback`: hosts go back to an earlier generation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE, UsageError
from neuraltalk_provision.fleet.rollback import Request
from neuraltalk_provision.fleet.rollback import rollback as going_back
from neuraltalk_provision.output import Output


def rollback(
    to: Annotated[
        str, typer.Option("--to", help="The id of the generation to activate. Default: the previous one.")
    ] = "",
    busy: options.Busy = None,
    in_use: Annotated[
        bool, typer.Option("--in-use", help="Go back also on hosts in use. Their runs see the change.")
    ] = False,
    take_over: options.TakeOver = False,
    plan: options.Plan = False,
    limit: options.Limit = None,
    inventory: options.Inventory = None,
    stack_root: options.StackRoot = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Activate the previous generation again. This renames one link on every host that nothing uses.

    Hosts that cannot be asked are set aside, and the others go back, if max_failures allows that. Hosts in use are
    skipped, or as --busy says. The same command continues a rollback that did not finish.
    """
    if busy and in_use:
        raise UsageError(
            "--busy says what to do with hosts in use, and --in-use that they go back at once",
            advice="Leave out one of the two.",
        )
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, stack_root=stack_root, busy=busy)
    asked = Request(limit or (), to, in_use=in_use, take_over=take_over)
    moves = going_back(chosen, asked, output, plan=plan)
    changed = not plan and not all(move.is_done for move in moves)
    output.result({"hosts": [asdict(move) for move in moves], "changed": changed})
    return EXIT_FINE
