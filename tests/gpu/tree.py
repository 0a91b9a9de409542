"""`python -m tests.gpu.tree MIRROR`: build the GPU half from real sources on a bare host, and pack it for a card.

The host is a container with no card and no route out; its inventory names what to build for. The packed tree holds
Torch with cutorch and cunn, neuraltalk2, the host's run-time libraries and a small data set, and neither CUDA nor
weights: the machine with the card has the one, and makes the others.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from tests.lab import engine, hosts, shell
from tests.lab.spec import Lab
from tests.real import brought
from tests.standin import dataset, images

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".cache" / "gpu"
LAB = Lab(name="gputree", image="bare", airgap=True)
PACK = Path(__file__).resolve().parent / "pack.sh"


def provision(*words: str) -> None:
    """Run the command as a user would, and end where it fails."""
    print(f"\n$ provision {' '.join(words)}", flush=True)
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "neuraltalk_provision", *words], cwd=WORK, check=False)
    print(f"{time.monotonic() - started:.0f} s", flush=True)
    if done.returncode:
        sys.exit(f"`provision {words[0]}` ended with {done.returncode}")


def site(mirror: Path, inventory: Path, archs: str) -> None:
    """A site of one build host."""
    (inventory / "gpu.yml").write_text(
        yaml.safe_dump({"all": {"vars": {"gpu_stack_arch_list": archs, "gpu_stack_profile": "modern"}}}),
        encoding="utf-8",
    )
    (WORK / "provision.yml").write_text(f"mirror: {mirror}\ninventory: {inventory}\n", encoding="utf-8")


def pack(name: str) -> Path:
    """The tree of a host's current generation, packed here: a bare host has no xz."""
    generation = engine.docker("exec", name, "readlink", "-f", "/opt/neuraltalk/current").strip()
    engine.docker("cp", str(PACK), f"{name}:/var/tmp/pack.sh")
    engine.docker("exec", name, "bash", "/var/tmp/pack.sh", generation, timeout=1800)
    plain = WORK / "tree.tar"
    engine.docker("cp", f"{name}:/var/tmp/tree.tar", str(plain))
    shell.need("xz", "xz-utils")
    shell.run("xz", "-T0", "-6", "--force", str(plain), timeout=1800)
    return plain.with_suffix(".tar.xz")


def main() -> int:
    """Build, verify, pack; 0 when the tree is there."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.tree", description=__doc__)
    parser.add_argument(
        "mirror", type=Path, help="a mirror with the real sources, cutorch-modern, cunn-modern, cuda-wheels"
    )
    parser.add_argument("--archs", default="9.0", help="what to build for (default: 9.0)")
    asked = parser.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    mirror = brought.complete(asked.mirror.resolve(), WORK, LAB.image, {})
    engine.ensure()
    site(mirror, hosts.up(LAB), asked.archs)
    dataset.write(WORK / "data", images=10)
    images.write(WORK / "data" / "images")
    (name,) = LAB.containers
    engine.docker("cp", str(WORK / "data"), f"{name}:/data")
    provision("site", "--plan")
    provision("site")
    provision("verify")
    target = pack(name)
    hosts.down(LAB.name)
    shutil.rmtree(mirror)
    print(f"\n{target}: {target.stat().st_size:,} bytes, for {asked.archs}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
