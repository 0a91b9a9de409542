"""pyinfra as a peer of `python -m tests.bench`: its own virtual environment, and an inventory of a lab."""

from __future__ import annotations

import pprint
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.lab import names, paths
from tests.lab.spec import Lab
from tests.site.command import LONG

VERSION = "3.10"
PLACE = paths.ROOT / ".cache" / f"pyinfra-{VERSION}"
DEPLOY = Path(__file__).resolve().with_name("pyinfra_deploy.py")


def program() -> Path:
    """The path of pyinfra, which is installed if it is missing."""
    found = PLACE / "bin" / "pyinfra"
    if not found.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(PLACE)], check=True)
        pip = [str(PLACE / "bin" / "python"), "-m", "pip", "install", "--quiet", f"pyinfra=={VERSION}"]
        subprocess.run(pip, check=True)
    return found


def variables(lab: Lab) -> dict[str, dict[str, str]]:
    """The variables of each host in a lab's inventory."""
    tree = yaml.safe_load((lab.inventory / "hosts.yml").read_text(encoding="utf-8"))
    found: dict[str, dict[str, str]] = tree["all"]["children"]["hosts_cpu"]["hosts"]
    return found


def inventory(lab: Lab, generation: str, system: str, to: Path) -> Path:
    """Write pyinfra's inventory of a lab: the same hosts, user and key. Hosts have the generation and the packages."""
    common = {
        "ssh_known_hosts_file": str(lab.folder / "known_hosts"),
        "ssh_strict_host_key_checking": "yes",
        "_sudo": True,
        "generation": generation,
        "packages": sorted(names.wanted("apt", system)),
    }
    hosts = [
        (one["ansible_host"], {**common, "ssh_user": lab.user, "ssh_key": one["ansible_ssh_private_key_file"]})
        for one in variables(lab).values()
    ]
    to.write_text(f"hosts = {pprint.pformat(hosts)}\n", encoding="utf-8")
    return to


def run(pyinfra: Path, hosts: Path) -> Callable[[], None]:
    """Run the operations on all hosts. AssertionError if something changed or failed."""

    def deploy() -> None:
        line = [str(pyinfra), "-y", hosts.name, str(DEPLOY)]
        done = subprocess.run(
            line, cwd=hosts.parent, capture_output=True, text=True, timeout=LONG, check=False, stdin=subprocess.DEVNULL
        )
        output = done.stdout + done.stderr
        (total,) = [line.split() for line in output.splitlines() if "Grand total" in line] or [[]]
        # Grand total, hosts, success, error, no change
        assert done.returncode == 0 and total[3:5] == ["-", "-"], f"pyinfra changed something or failed:\n{output}"

    return deploy
