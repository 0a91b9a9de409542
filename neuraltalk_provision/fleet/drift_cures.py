"""What cures a difference: usually a command, else what to do by hand. Pure.

A value that a host returned is put into a command only if it is a plain word, because people copy commands.
"""

from __future__ import annotations

import re
import shlex

from neuraltalk_provision.fleet.findings import HOSTS
from neuraltalk_provision.fleet.observed import Observed, has_former
from neuraltalk_provision.rules import differences, layout

SITE = f"`provision site --limit {HOSTS}`"
PLAN = f"`provision site --plan --limit {HOSTS}`"
VERIFY = f"`provision verify --limit {HOSTS}`"
AGAIN = f"make the host reachable, then: `provision drift --limit {HOSTS}`"
WAIT = (
    f"wait until that command has ended; if its controller is dead: `provision site --take-over --limit {HOSTS}`, "
    "which also continues its work"
)
CONFIRM = (
    f"wait until the command that activates has ended; then: {SITE}, which first returns to "
    "the former generation if nobody has confirmed"
)
CARDS = "by hand: find out why the driver sees no card (nvidia-smi, dmesg); then run `provision drift` again"
COUNT = "by hand: look for the missing cards with nvidia-smi, lspci and dmesg; reboot if one has fallen off the bus"
KERNEL = "by hand: install the kernel of the other hosts and reboot, when no run uses the host"
SYSTEM = "by hand: update the host, or the other hosts, with the package manager"
DRIVER = "by hand: install the driver of the other hosts, and reboot"
CUDA = "by hand: install the CUDA directories of the other hosts, or remove the additional ones"
FORMER = (
    "nothing to do now: the next `provision site` that changes the stack keeps the present generation as the former one"
)
OWNERS = "by hand: give the directory back to root (chown root, chmod go-w), and find out who could write there"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~_-]{0,127}")
_PATH = re.compile(r"/[A-Za-z0-9._+/-]{0,255}")


def of_generation(observed: Observed) -> str:
    """The cure for a generation or component that is not as the lock says.

    If files were changed, `provision site` in the same directory does not help: it refuses to seal what is there.
    """
    state, files = observed.state, observed.files
    generation = state.stack.current_generation if state else None
    exchanged = generation is not None and generation.sealed and not generation.manifest
    changed = files is not None and (
        any(file.kind in differences.LOST for file in files.listed) or files.differing > len(files.listed)
    )
    return rebuild(observed) if exchanged or changed else SITE


def of_files(observed: Observed, kind: str) -> str:
    """The cure for files of the current generation that differ in that way."""
    if kind == differences.ADDED:
        return "by hand: read the file, find out who needs it, and delete it"
    if kind == differences.MODE:
        return "by hand: give the file its former mode again with chmod"
    if kind == differences.OWNER:
        return "by hand: give the file back to root with chown"
    return rebuild(observed)


def rebuild(observed: Observed) -> str:
    """How the current generation is built again from the mirror; the former one is used meanwhile, if there is one."""
    state, recipe = observed.state, observed.recipe
    current = state.stack.current if state else None
    if state is None or recipe is None or not current or not _PLAIN.fullmatch(current):
        return "by hand: delete the generation on the host, then run `provision site`"
    remove = f"`rm -r {shlex.quote(layout.generation(recipe.stack_root, current))}`"
    if current != recipe.id:
        return f"{SITE}, which builds another generation; then on the host: {remove}"
    former = state.stack.previous or ""
    if has_former(state) and _PLAIN.fullmatch(former):
        return f"`provision rollback --to {former} --limit {HOSTS}`; then on the host: {remove}; then: {SITE}"
    # Without the link nothing is current, so that the new generation is tried before it is.
    link = f"`rm {shlex.quote(layout.current(recipe.stack_root))}`"
    return f"on the host, when nobody uses the stack: {link}; {remove}; then: {SITE}"


def swap(observed: Observed, *, foreign: bool) -> str:
    """How the mirror's cuDNN gets into the CUDA directory again."""
    option = " --foreign" if foreign else ""
    gpu = observed.recipe.gpu if observed.recipe else None
    if observed.state and gpu and len(observed.state.gpu.toolkits) > 1 and _PATH.fullmatch(gpu.toolkit):
        option += f" --cuda {gpu.toolkit}"
    return f"`provision cudnn swap --limit {HOSTS}{option}`"


def version(observed: Observed, name: str, wanted: str) -> str:
    """How an OS package gets the version of most hosts."""
    if not (_PLAIN.fullmatch(name) and _PLAIN.fullmatch(wanted)):
        return SYSTEM
    managers = observed.state.platform.managers if observed.state else ()
    archive = observed.recipe.repository if observed.recipe else None
    # Such a host usually has no other repository.
    origin = f"; from the mirror's {archive['file']}: docs/drift.md says how" if archive else ""
    if "apt-get" in managers:
        return f"on the host: `apt-get install {name}={wanted}`{origin}"
    if "dnf" in managers:
        return f"on the host: `dnf install {name}-{wanted}`{origin}"
    return f"on the host: `yum install {name}-{wanted}`; if it has a newer one: `yum downgrade {name}-{wanted}`{origin}"
