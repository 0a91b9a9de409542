"""`python -m tests.lab`: images, labs and package archives from the command line."""

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
    up = verbs.add_parser("up", help="start a lab afresh; prints the folder of its inventory")
    up.add_argument("name")
    up.add_argument("--image", default="debian12", choices=images.IMAGES)
    up.add_argument("--committed", default="", metavar="TAG", help="start from this image, made of a host of --image")
    up.add_argument("--hosts", type=int, default=1, help="how many (default: 1)")
    up.add_argument("--names", default="", help="what to call them, with commas (default: NAME-1 and so on)")
    up.add_argument("--airgap", action="store_true", help="refuse and record what leaves the lab's network")
    up.add_argument("--open-port", type=int, action="append", default=[], help="of this machine, let through")
    up.add_argument("--user", default="ops", help="who logs in: ops (sudo; default), plain (no sudo) or root")
    up.add_argument("--cpus", default="", help="how many processors a host gets")
    up.add_argument("--tmpfs", action="append", default=[], metavar="SIZE:PATH", help="a small disk at PATH")
    verbs.add_parser("down", help="remove a lab with all that it left").add_argument("name")
    record = verbs.add_parser("record", help="print every attempt to cross the air gap, as JSON")
    record.add_argument("name")
    record.add_argument("--clear", action="store_true", help="and begin a new record")
    build = verbs.add_parser("build", help="build images; prints their tags")
    build.add_argument("image", nargs="*", default=list(images.IMAGES))
    for verb, what in (("packages", "packages-PLATFORM.tar"), ("wheels", "python-wheels-PLATFORM.tar")):
        archive = verbs.add_parser(verb, help=f"make {what} for an image; prints its path")
        archive.add_argument("image", choices=images.IMAGES)
        archive.add_argument("dest", type=Path)
    return top


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    asked = parser().parse_args(argv)
    try:
        match asked.verb:
            case "up":
                names = tuple(filter(None, asked.names.split(",")))
                lab = Lab(
                    asked.name,
                    asked.image,
                    len(names) or asked.hosts,
                    asked.airgap,
                    asked.user,
                    asked.cpus,
                    tuple(asked.tmpfs),
                    tuple(asked.open_port),
                    names,
                    committed=asked.committed,
                )
                print(hosts.up(lab))
            case "down":
                hosts.down(asked.name)
            case "record":
                print(json.dumps(proof.record(asked.name, clear=asked.clear), indent=2))
            case "build":
                for name in asked.image:
                    print(images.ensure(name), flush=True)
            case "packages":
                print(packages.archive(asked.image, asked.dest))
            case "wheels":
                print(packages.wheels_archive(asked.image, asked.dest))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
