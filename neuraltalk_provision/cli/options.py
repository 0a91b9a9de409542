"""Options that several verbs share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", "-s", help="The site's settings. Default: ./provision.yml where there is one."),
]
Inventory = Annotated[Path | None, typer.Option("--inventory", "-i", help="The inventory, in place of the settings'.")]
Mirror = Annotated[
    Path | None, typer.Option("--mirror", "-m", help="The mirror's directory, in place of the settings'.")
]
StackRoot = Annotated[
    str | None,
    typer.Option("--stack-root", help="Where the stack lives on hosts, in place of the settings'."),
]
Limit = Annotated[
    list[str] | None,
    typer.Option("--limit", "-l", help="Only these hosts or groups (an Ansible pattern); may be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
TakeOver = Annotated[
    bool,
    typer.Option("--take-over", help="Take hosts over from another controller that you know to be dead."),
]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would happen and change nothing.")]


class Launchers(StrEnum):
    """Who starts a run."""

    SSH = "ssh"
    SLURM = "slurm"


Launcher = Annotated[
    Launchers, typer.Option("--launcher", help="Who starts it: provision itself over SSH, or the site's Slurm.")
]
Slurm = Annotated[
    list[str] | None,
    typer.Option("--sbatch", help="One more word for sbatch, such as --partition=gpu; may be repeated."),
]


def names(text: str) -> list[str]:
    """The names of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
