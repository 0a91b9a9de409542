"""A container without a network as a host: started, used and removed by the client of its engine."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from neuraltalk_provision.errors import HostError, UsageError
from neuraltalk_provision.mirror import programs
from neuraltalk_provision.rules import texts
from neuraltalk_provision.site import controller

LABEL = "neuraltalk-provision.prove"
"""The label of our containers. Its value is the name of the controller that uses it, or KEPT."""
KEPT = "kept"
PREFIX = "neuraltalk-prove-"
HOSTNAME = "prove"
"""Known in the container without a look-up: dnf asks for the name of its own host."""
NAMESERVER = "192.0.2.53"
"""An address that is reserved for documentation: no look-up is answered, and each is recorded."""
ENGINES = ("docker", "podman")
_MOST = 16 << 20
# A shell as first process: it ends at once when it is asked to, and does not keep processes that have ended.
_WAIT = 'trap "exit 0" TERM; while :; do sleep 3600 & wait $!; done'


@dataclass(frozen=True)
class Done:
    """How a program ended, and what it wrote."""

    code: int
    output: str
    errors: str


@dataclass(frozen=True)
class Engine:
    """The client of an engine, and the program before a command of this machine that works on its containers."""

    path: str
    before: tuple[str, ...] = ()

    def call(self, *arguments: str) -> Done:
        """Run the client."""
        return run([self.path, *arguments])

    def must(self, what: str, *arguments: str) -> str:
        """The output of the client. Raises UsageError if it failed."""
        done = self.call(*arguments)
        if done.code:
            raise UsageError(
                f"{what} failed: {' '.join([Path(self.path).name, *arguments[:2]])}: {done.errors or done.output}",
                advice=programs.namespaces_denied(done.errors)
                or f"Check that the engine runs: `{Path(self.path).name} info`. Give another one with --engine.",
            )
        return done.output.strip()


@dataclass(frozen=True)
class Container:
    """A running container, by its id; `pid` is its first process on this machine, `image` the digest of its image."""

    engine: Engine
    id: str
    name: str
    pid: int
    image: str

    @property
    def namespace(self) -> Path:
        """The network namespace."""
        return Path(f"/proc/{self.pid}/ns/net")

    def run(self, script: str, *arguments: str) -> Done:
        """Run a shell script in the container."""
        return self.engine.call("exec", self.id, "/bin/sh", "-c", script, "sh", *arguments)

    def must(self, what: str, script: str, *arguments: str) -> str:
        """The output of a shell script in the container. Raises HostError if it failed."""
        done = self.run(script, *arguments)
        if done.code:
            tail = "\n".join((done.output + "\n" + done.errors).strip().splitlines()[-25:])
            raise HostError(f"{self.name}: {what} failed (exit code {done.code}): {tail}")
        return done.output

    def copy(self, file: Path, target: str) -> None:
        """Copy a file of this machine into the container."""
        source = str(file.resolve())
        self.engine.must(f"the copy of {file.name} into the container", "cp", source, f"{self.id}:{target}")

    def beside(self, *command: str) -> list[str]:
        """The command line that runs a program of this machine in the network namespace of the container."""
        return [*self.engine.before, "nsenter", f"--net={self.namespace}", *command]

    def inventory(self, folder: Path) -> Path:
        """Write an inventory with this container as its only host."""
        variables = {
            "ansible_connection": "neuraltalk.provision.container",
            "ansible_host": self.id,
            "ansible_container_engine": self.engine.path,
            "ansible_pipelining": True,
        }
        file = folder / "hosts.yml"
        file.write_text(yaml.safe_dump({"all": {"hosts": {self.name: variables}}}), encoding="utf-8")
        return file


def run(command: Sequence[str], *, most: int = _MOST) -> Done:
    """Run a program of this machine, without input; what it writes beyond `most` bytes is dropped."""
    ended, kept = programs.captured(command, {**os.environ, **texts.UTF8}, most)
    return Done(ended.code, kept.decode("utf-8", "replace"), ended.errors)


def engine(name: str = "") -> Engine:
    """The engine of that name, or the first that is installed. Raises UsageError if it cannot be used for a proof."""
    path = next(filter(None, map(shutil.which, [name] if name else ENGINES)), None)
    if path is None:
        raise UsageError(
            f"{name or 'no engine for containers'} is {'not ' if name else ''}installed",
            advice="Install docker or podman, or prove on a host of your inventory.",
        )
    for program in ("nsenter", "ip"):
        if not shutil.which(program):
            raise UsageError(
                f"{program} is not installed, which is needed to record what a container tries to reach",
                advice="Install util-linux and iproute2.",
            )
    if not os.geteuid():
        return Engine(path)
    if Path(path).name != "podman":
        raise UsageError(
            "only root can record what a container of docker tries to reach",
            advice="Run the same command with sudo, or use --engine podman.",
        )
    return Engine(path, (path, "unshare"))


@contextlib.contextmanager
def started(chosen: Engine, image: str, *, keep: bool = False) -> Iterator[Container]:
    """A new container without a network, which is removed at the end unless `keep`."""
    remove_orphans(chosen)
    name = f"{PREFIX}{secrets.token_hex(6)}"
    label = f"{LABEL}={KEPT if keep else controller.name()}"
    try:
        identity = chosen.must(
            f"the start of a container of {image}",
            *("run", "--detach", "--name", name, "--label", label, "--network", "none"),
            *("--hostname", HOSTNAME, "--add-host", f"{HOSTNAME}:127.0.1.1"),
            *("--dns", NAMESERVER, "--dns-search", ".", "--user", "0", "--entrypoint", "/bin/sh", image, "-c", _WAIT),
        ).splitlines()[-1]
        form = "{{.State.Pid}} {{.Image}}"
        pid, _, digest = chosen.must(
            "the inspection of the container", "inspect", "--format", form, identity
        ).partition(" ")
        container = Container(chosen, identity, name, int(pid), digest)
        _isolate(container)
        yield container
    finally:
        if not keep:
            chosen.call("rm", "--force", "--volumes", name)


def remove_orphans(chosen: Engine) -> None:
    """Remove the containers of proofs whose controller was killed; never one without our label and our name."""
    for identity in chosen.call("ps", "--all", "--quiet", "--filter", f"label={LABEL}").output.split():
        form = f'{{{{.Name}}}} {{{{index .Config.Labels "{LABEL}"}}}}'
        name, _, owner = chosen.call("inspect", "--format", form, identity).output.strip().partition(" ")
        if name.lstrip("/").startswith(PREFIX) and controller.is_dead(owner):
            chosen.call("rm", "--force", "--volumes", identity)


def _isolate(container: Container) -> None:
    """Make every address local to the container, so that each attempt is refused at once and nothing leaves it.

    Before that, the namespace is checked: a mistake would cut off this machine.
    """
    with contextlib.suppress(OSError):
        if container.namespace.samefile("/proc/self/ns/net"):
            raise UsageError("the container has the network of this machine", advice="Use another engine.")
    links = run(container.beside("ip", "-oneline", "link", "show", "up"))
    others = [line for line in links.output.splitlines() if ": lo:" not in line]
    if links.code or others:
        raise UsageError(
            f"the network of the container is not as expected: {(others or [links.errors])[0]}",
            advice=programs.namespaces_denied(links.errors)
            or "The engine of this machine must support `--network none`, and must run on this machine.",
        )
    switch = "/proc/sys/net/ipv6/conf"
    script = f"[ ! -d {switch} ] || for f in all lo; do echo 0 > {switch}/$f/disable_ipv6; done"
    run(container.beside("sh", "-c", script))
    for family in ("-4", "-6"):
        run(container.beside("ip", family, "route", "add", "local", "default", "dev", "lo"))
