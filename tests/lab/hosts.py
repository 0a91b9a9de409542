"""Starts and removes labs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import engine, gap, images, inventory, paths, proof, shell
from tests.lab.errors import LabError
from tests.lab.spec import Lab, tmpfs_option

SYSTEMD = ("--cgroupns=private", "--cap-add=SYS_ADMIN", "--tmpfs=/run", "--tmpfs=/run/lock")
"""Options with which systemd runs in a container."""
SINK = Path(__file__).resolve().parent / "sink.py"


def up(lab: Lab) -> Path:
    """Start a new lab and wait until its hosts accept SSH; returns the directory of its inventory."""
    image = lab.committed or images.ensure(lab.image)
    sink = images.ensure("bare") if lab.airgap else ""
    down(lab.name)
    lab.folder.mkdir(parents=True)
    lab.folder.chmod(0o700)
    key = lab.folder / "id_ed25519"
    shell.need("ssh-keygen", "openssh-client")
    shell.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", lab.network, "-f", str(key))
    try:
        gateway = make_network(lab)
        resolver = start_sink(lab, sink) if lab.airgap else ()
        start_hosts(lab, image, resolver, key.with_suffix(".pub").read_text(encoding="utf-8").strip())
        if lab.airgap:
            route_to_gap(lab, sink, gateway)
        found = [reach(name, images.find(lab.image).python) for name in lab.containers]
    except BaseException:
        down(lab.name)
        raise
    state = {"airgap": lab.airgap, "gateway": gateway, "hosts": {host.address: host.name for host in found}}
    lab.state.write_text(json.dumps(state), encoding="utf-8")
    if lab.airgap:
        proof.prove(lab.name)
    return inventory.write(found, lab.folder, lab.user)


def make_network(lab: Lab) -> str:
    """Make the lab's network, closed if it has an air gap; returns this machine's address on it."""
    internal = ["--internal"] if lab.airgap else []
    named = ["-o", f"com.docker.network.bridge.name={lab.bridge}"]
    engine.docker("network", "create", *internal, *named, lab.network)
    output = engine.docker("network", "inspect", "--format", "{{json .IPAM.Config}}", lab.network)
    config: dict[str, str] = json.loads(output)[0]
    if lab.airgap:
        gap.close(lab.bridge, lab.bridge, config["Subnet"], config["Gateway"], lab.open_ports)
    return config["Gateway"]


def start_sink(lab: Lab, image: str) -> tuple[str, ...]:
    """Start the name server that knows no names; returns the Docker options with which hosts use it."""
    # The script is an argument and not a mount, because the engine may use another file system.
    script = ("-u", "-c", SINK.read_text(encoding="utf-8"))
    start_container(lab, lab.sink, "--entrypoint", "/usr/bin/python3", image, *script)
    return ("--dns", address_of(lab.sink))


def start_hosts(lab: Lab, image: str, resolver: tuple[str, ...], key: str) -> None:
    """Start the lab's containers."""
    cpus = ["--cpus", lab.cpus] if lab.cpus else []
    disks = [part for spec in lab.tmpfs for part in ("--tmpfs", tmpfs_option(spec))]
    disks += ["--volume", f"{lab.volume}:{lab.shared}"] if lab.shared else []
    boots = (*(SYSTEMD if lab.systemd else ()), *(f"--cap-add={name}" for name in lab.capabilities))
    for name in lab.containers:
        own = ("--hostname", name, "--env", f"LAB_KEY={key}")
        start_container(lab, name, *own, *resolver, *cpus, *disks, *boots, image)


def route_to_gap(lab: Lab, image: str, gateway: str) -> None:
    """Route traffic out of the network to the gap, which refuses and records it.

    Engines since 2024 (for example 26.1) give closed networks no default route, older ones do.
    """
    route = ("--cap-add", "NET_ADMIN", "--entrypoint", "ip", image, "route", "replace", "default", "via", gateway)
    for name in lab.containers:
        engine.docker("run", "--rm", "--network", f"container:{name}", *route)


def start_container(lab: Lab, name: str, *options: str) -> None:
    """Start one container on the lab's network. The variable LAB_CPU_SHARES is its weight for the processors."""
    common = ("--name", name, "--label", lab.network, "--network", lab.network)
    shares = ("--cpu-shares", os.environ["LAB_CPU_SHARES"]) if os.environ.get("LAB_CPU_SHARES") else ()
    engine.docker("run", "--detach", *common, *shares, *options)


def address_of(container: str) -> str:
    """The container's address."""
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return engine.docker("inspect", "--format", form, container).strip()


def commit(name: str, tag: str) -> None:
    """Make an image of the current state of a host, for other labs."""
    engine.docker("commit", name, tag)


def reach(name: str, python: str, patience: float = 90) -> inventory.Host:
    """Wait until sshd of the host answers; the host. Raises LabError after `patience` seconds."""
    address = address_of(name)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((address, 22), 1) as link:
                link.settimeout(5)
                if link.recv(4) == b"SSH-":
                    key = engine.docker("exec", name, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
                    return inventory.Host(name, address, key, python)
        except OSError:
            time.sleep(0.1)
        if engine.docker("inspect", "--format", "{{.State.Running}}", name).strip() != "true":
            break
    output = engine.logs(name)[-1000:] or "nothing"
    raise LabError(
        f"{name} does not answer on port 22 (address: {address or 'none, it ended'}).\n"
        f"its output: {output}\nwhat to do: start the image by hand, or fix its recipe in {paths.RECIPES}"
    )


def down(name: str) -> None:
    """Remove the lab completely, if it exists."""
    lab = Lab(name)
    engine.ensure()
    containers = engine.docker("ps", "--all", "--quiet", "--filter", f"label={lab.network}").split()
    if containers:
        engine.docker("rm", "--force", "--volumes", *containers)
    engine.docker("volume", "rm", "--force", lab.volume)
    networks = engine.docker("network", "ls", "--format", "{{.Name}} {{.Internal}}").splitlines()
    if f"{lab.network} true" in networks:
        gap.open_up(lab.bridge)
    if {f"{lab.network} true", f"{lab.network} false"} & set(networks):
        engine.docker("network", "rm", lab.network)
    shutil.rmtree(lab.folder, ignore_errors=True)


@contextmanager
def with_lab(lab: Lab) -> Iterator[Lab]:
    """The lab, which runs during the block."""
    up(lab)
    try:
        yield lab
    finally:
        down(lab.name)
