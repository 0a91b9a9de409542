"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuraltalk_provision import settings as settings_file

SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", "-s", help="The file with the site's settings. Default: ./provision.yml, if it exists."),
]
Inventory = Annotated[
    list[Path] | None,
    typer.Option(
        "--inventory",
        "-i",
        help="Use this inventory instead of the one in the settings: a file, a directory, or a list such as "
        "node1,node2. Can be repeated; Ansible merges them.",
    ),
]
Mirror = Annotated[
    Path | None,
    typer.Option(
        "--mirror", "-m", help="Use this mirror directory instead of the one in the settings.", readable=False
    ),
]
StackRoot = Annotated[
    str | None,
    typer.Option("--stack-root", help="Use this stack root on the hosts instead of the one in the settings."),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit", "-l", help="Work only on these hosts or groups (an Ansible pattern, or @FILE). Can be repeated."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over", help="Take over the lease of another controller. Use it only if that controller is dead."
    ),
]


Busy = Annotated[
    settings_file.Busy | None,
    typer.Option("--busy", help="Hosts on which runs, jobs or other processes are active: skip, wait for, or refuse."),
]
Plan = Annotated[bool, typer.Option("--plan", help="Show what would be done; change nothing.")]


Launcher = Annotated[
    Literal["ssh", "slurm"], typer.Option("--launcher", help="Start runs over SSH, or submit them to Slurm.")
]
Slurm = Annotated[
    list[str] | None,
    typer.Option("--sbatch", help="An additional option for sbatch, such as --partition=gpu. Can be repeated."),
]


def names(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]
