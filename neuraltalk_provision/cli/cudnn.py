"""`provision cudnn`: show, swap and restore the cuDNN in hosts' CUDA directories."""

from __future__ import annotations

from typing import Annotated

import typer

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.cli import options
from neuraltalk_provision.errors import EXIT_FINE
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.checks import CudnnTree
from neuraltalk_provision.site import cudnn

app = typer.Typer(
    help="Manage the cuDNN in hosts' CUDA directories: show it, replace v4 by v5, restore v4.", no_args_is_help=True
)

Cuda = Annotated[
    str, typer.Option("--cuda", help="The CUDA directory on the hosts, not a link to it. Default: the only one.")
]


@app.command()
def status(
    cuda: Cuda = "",
    limit: options.Limit = None,
    inventory: options.Inventory = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Show the versions of header and library, the processes that use them, and the backup of a swap."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory)
    states = cudnn.work("status", chosen, output, limit or (), cuda=cuda)
    for state in states:
        output.say(f"{state.host} {state.after.root}: {_describe(state.after)}")
        for path in state.after.backup:
            output.say(f"  backup: {path}")
        for user in state.users:
            output.say(f"  in use by pid {user.pid}: {user.command}")
    output.result({"hosts": [state.as_json() for state in states]})
    return EXIT_FINE


@app.command()
def swap(
    cuda: Cuda = "",
    in_use: Annotated[
        bool, typer.Option("--in-use", help="Swap even if processes have the library mapped; they keep the old one.")
    ] = False,
    foreign: Annotated[
        bool,
        typer.Option(
            "--foreign", help="Also replace a newer cuDNN, or one whose files do not belong together, with a backup."
        ),
    ] = False,
    take_over: options.TakeOver = False,
    plan: options.Plan = False,
    limit: options.Limit = None,
    inventory: options.Inventory = None,
    mirror: options.Mirror = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Replace an older cuDNN by the mirror's, and keep the old files as a backup."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory, mirror=mirror)
    states = cudnn.work(
        "swap",
        chosen,
        output,
        limit or (),
        cuda=cuda,
        in_use=in_use,
        foreign=foreign,
        plan=plan,
        take_over=take_over,
    )
    _show(states, output, plan)
    return EXIT_FINE


@app.command()
def restore(
    cuda: Cuda = "",
    take_over: options.TakeOver = False,
    plan: options.Plan = False,
    limit: options.Limit = None,
    inventory: options.Inventory = None,
    settings: options.SettingsFile = None,
    as_json: options.Json = False,
) -> int:
    """Restore, byte for byte, the files that a swap replaced."""
    output = Output(as_json=as_json)
    chosen = settings_file.load(settings, inventory=inventory)
    states = cudnn.work("restore", chosen, output, limit or (), cuda=cuda, plan=plan, take_over=take_over)
    _show(states, output, plan)
    return EXIT_FINE


def _show(states: tuple[cudnn.CudnnState, ...], output: Output, plan: bool) -> None:
    told = []
    for state in states:
        if plan:
            what = "would change" if state.changed else "nothing to change"
            told.append((state.host, f"{state.host} {state.before.root}: {what}; it is {_describe(state.before)}"))
            continue
        for action in state.did or (f"nothing to change in {state.after.root}",):
            told.append((state.host, f"{state.host}: {action}"))
        told.append((state.host, f"{state.host} {state.after.root}: {_describe(state.after)}"))
    output.of_hosts(told)
    output.result(
        {"hosts": [state.as_json() for state in states], "changed": not plan and any(s.changed for s in states)}
    )


def _describe(tree: CudnnTree) -> str:
    versions = f"header {tree.header or 'none'}, library {tree.library or 'none'}"
    return f"{tree.state}, {versions}" + (f" ({tree.problem})" if tree.problem else "")
