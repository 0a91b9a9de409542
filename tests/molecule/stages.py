"""`python -m tests.molecule.stages IMAGE ROLE...`: make the image of a host that has these roles; prints its tag.

A scenario for one role starts from a host to which the roles before it were applied. These images are built once for
all scenarios, each from the previous one, and again when their inputs change.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.lab import ansible, engine, hosts, images, paths, proof, shell
from tests.lab.errors import LabError
from tests.lab.spec import Lab
from tests.molecule import mirror

MADE_OF = ("galaxy.yml", "neuraltalk_provision", "playbooks", "plugins", "roles", "tests/molecule/stages.py")
"""The inputs of an image, besides the mirror."""
LABEL = "lab-stage"
UMASK = "/etc/sudoers.d/umask"
HARDENED = "Defaults umask=0077\\nDefaults umask_override\\n"
"""Roles are applied with the umask 0077. The files that they write must be readable in spite of it."""


def digest(image: str, roles: Sequence[str]) -> str:
    """Twelve digits that change when the inputs of the image change."""
    version = importlib.metadata.version("ansible-core")
    parts = (images.digest(image), mirror.digest(), mirror.digest(MADE_OF), version, *roles)
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]


def tag(image: str, roles: Sequence[str]) -> str:
    """Docker's tag of the image."""
    return f"{LABEL}-{image}-{roles[-1]}:{digest(image, roles)}"


def ensure(image: str, roles: Sequence[str]) -> str:
    """Make the image, and those that it is built on, if they are missing; returns the tag."""
    if not roles:
        return images.ensure(image)
    wanted = tag(image, roles)
    engine.ensure()
    if not exists(wanted):
        with paths.locked(f"stage-{image}-{roles[-1]}"):
            if not exists(wanted):
                make(image, roles, wanted)
                forget_old()
    return wanted


def exists(wanted: str) -> bool:
    """Whether Docker has the image."""
    return shell.works("docker", "image", "inspect", wanted)


def make(image: str, roles: Sequence[str], wanted: str) -> None:
    """Apply the last role to a host that has the others. Raises LabError if the host tried to use the network."""
    before = ensure(image, roles[:-1])
    lab = Lab(f"stage-{image}-{roles[-1].replace('_', '-')}", image, airgap=True, committed=before)
    (name,) = lab.containers
    with hosts.with_lab(lab):
        engine.docker("exec", name, "sh", "-c", f"printf '{HARDENED}' >{UMASK} && chmod 0440 {UMASK}")
        apply(lab, roles[-1], mirror.ensure(image))
        if crossings := proof.record(lab.name):
            raise LabError(f"while {roles[-1]} was applied, {name} tried to reach something outside: {crossings}")
        engine.docker("exec", name, "rm", UMASK)
        hosts.commit(name, wanted, LABEL)


def apply(lab: Lab, role: str, from_mirror: Path) -> None:
    """Run playbooks/site.yml for one role, as the scenarios do."""
    command = ("variables", "--inventory", str(lab.inventory), "--mirror", str(from_mirror))
    variables = shell.run(sys.executable, "-m", "neuraltalk_provision", *command, cwd=lab.folder, env=search_paths())
    (lab.folder / "variables.yml").write_text(variables, encoding="utf-8")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    options = ("--inventory", str(lab.inventory), "--extra-vars", f"@{lab.folder / 'variables.yml'}", "--tags", role)
    playbook = str(paths.ROOT / "playbooks" / "site.yml")
    shell.run(
        program, *options, playbook, env={**ansible.environment(), **search_paths()}, cwd=paths.ROOT, timeout=1800
    )


def search_paths() -> dict[str, str]:
    """PATH and PYTHONPATH that start with the programs of this environment and the modules of this checkout."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "PYTHONPATH": f"{paths.ROOT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"),
    }


def forget_old() -> None:
    """Remove the images that are older than a day and that no container uses."""
    engine.docker("image", "prune", "--all", "--force", "--filter", "until=24h", "--filter", f"label={LABEL}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.molecule.stages", description=__doc__)
    parser.add_argument("image", choices=images.IMAGES)
    parser.add_argument("role", nargs="+", help="tags of playbooks/site.yml, in their order")
    arguments = parser.parse_args()
    print(ensure(arguments.image, arguments.role))
