"""`python -m tests.lab`: make images, labs and package archives."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.lab import hosts, images, packages, proof
from tests.lab.errors import LabError
from tests.lab.spec import Lab


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="start a new lab; prints the directory of its inventory")
    up.add_argument("name")
    up.add_argument("--image", default="debian12", choices=images.IMAGES)
    up.add_argument("--hosts", type=int, default=1, help="number of hosts (default: 1)")
    up.add_argument("--names", default="", help="names of the hosts, separated by commas (default: NAME-1 and so on)")
    up.add_argument("--airgap", action="store_true", help="refuse and record connections out of the lab's network")
    up.add_argument(
        "--open-port", type=int, action="append", default=[], help="a port of this machine that hosts can use"
    )
    up.add_argument(
        "--user", default="ops", help="the user that logs in: ops (with sudo, the default), plain (no sudo) or root"
    )
    up.add_argument("--cpus", default="", help="number of processors of each host")
    up.add_argument("--tmpfs", action="append", default=[], metavar="SIZE:PATH", help="a small disk at PATH")
    verbs.add_parser("down", help="remove a lab completely").add_argument("name")
    record = verbs.add_parser("record", help="print every attempt to cross the air gap, as JSON")
    record.add_argument("name")
    record.add_argument("--clear", action="store_true", help="and start a new record")
    build = verbs.add_parser("build", help="build images; prints their tags")
    build.add_argument("image", nargs="*", default=list(images.IMAGES))
    for verb, what in (("packages", "packages-PLATFORM.tar"), ("wheels", "python-wheels-PLATFORM.tar")):
        archive = verbs.add_parser(verb, help=f"make {what} for an image; prints its path")
        archive.add_argument("image", choices=images.IMAGES)
        archive.add_argument("dest", type=Path)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    arguments = parser().parse_args(argv)
    try:
        match arguments.verb:
            case "up":
                names = tuple(filter(None, arguments.names.split(",")))
                lab = Lab(
                    arguments.name,
                    arguments.image,
                    len(names) or arguments.hosts,
                    arguments.airgap,
                    arguments.user,
                    arguments.cpus,
                    tuple(arguments.tmpfs),
                    tuple(arguments.open_port),
                    names,
                )
                print(hosts.up(lab))
            case "down":
                hosts.down(arguments.name)
            case "record":
                print(json.dumps(proof.record(arguments.name, clear=arguments.clear), indent=2))
            case "build":
                for name in arguments.image:
                    print(images.ensure(name), flush=True)
            case "packages":
                print(packages.archive(arguments.image, arguments.dest))
            case "wheels":
                print(packages.wheels_archive(arguments.image, arguments.dest))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
