"""Runs playbooks; the only module that imports ansible_runner."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neuraltalk_provision import inventories, paths
from neuraltalk_provision.errors import EXHAUSTED, TEMPORARY, UsageError, naming
from neuraltalk_provision.inventories import Inventory
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import (
    ansible_environment,
    dropped,
    events,
    extra_vars,
    inventory_names,
    keeper,
    limits,
    masters,
    play_errors,
    result_files,
    terminals,
    variable_files,
)
from neuraltalk_provision.site.recorder import Recorder

_sleep = time.sleep
TASK_LIMITS = {
    **dict.fromkeys(
        ("state.yml", "pythons.yml", "use.yml", "runtime.yml", "slurm_node.yml", "packages.yml", "owners.yml"),
        300,
    ),
    **dict.fromkeys(("runs.yml", "run_info.yml", "release.yml"), 600),
    **dict.fromkeys(("activate.yml", "rollback.yml", "give_back.yml", "verify.yml", "cudnn.yml", "discard.yml"), 3600),
    "push_check.yml": 3600,  # it hashes a file that is there already
}
"""Seconds that one task on one host may take, by playbook: a host that hangs must not stop all others.

The other playbooks build, copy or train; nobody knows how long that takes.
"""


@dataclass(frozen=True)
class Request:
    """One run of a playbook."""

    playbook: str
    inventory: Inventory
    variables: Mapping[str, Any] = field(default_factory=dict)
    limit: Sequence[str] = ()
    check: bool = False
    diff: bool = False
    forks: int = 50
    ssh_args: str = ""
    """Options of ssh before those of ansible.cfg. A host for which the inventory has options uses only its own."""
    task_limit: int = 0
    """Seconds that one task on one host may take; 0 for those of TASK_LIMITS."""

    @classmethod
    def of_site(
        cls,
        settings: Settings,
        playbook: str,
        limit: Sequence[str],
        variables: Mapping[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        ssh_args: str = "",
    ) -> Request:
        """A request with the inventory and the forks of the settings."""
        return cls(playbook, settings.inventory, variables, limit, check, diff, settings.forks, ssh_args)


ENDED = 2 | 4 | 8
"""The bits of Ansible's exit code with which a playbook came to its end: hosts failed, or could not be reached."""


@dataclass(frozen=True)
class Outcome:
    """The results of a playbook; `rc` is Ansible's exit code, which alone does not prove success."""

    rc: int
    results: events.PlayResults


def arguments(request: Request, variables: Path, hosts: Path) -> list[str]:
    """ansible-playbook's options for a request. `hosts` is the file for the hosts, if they are many."""
    options = ["--extra-vars", f"@{variables}", "--forks", str(request.forks)]
    if request.limit:
        value = f"@{hosts}" if limits.is_long(request.limit) else ",".join(request.limit)
        options.append(f"--limit={value}")
    return options + ["--check"] * request.check + ["--diff"] * request.diff


def run(request: Request, on_event: Callable[[events.Event], None] = lambda event: None) -> Outcome:
    """Run a playbook to its end and return its results.

    Hosts whose SSH server closed the connection before the login are tried again, fewer at once (dropped.py).
    Raises UsageError if Ansible could not start (the inventory cannot be parsed, or a pattern matches no host), and
    HostError if it ended before the playbook did.
    """
    _working_directory()
    _refuse_missing(request.inventory)
    variable_files.refuse_open(request.inventory)
    named = {f"the inventory {one}": str(one) for one in inventories.listed(request.inventory)}
    limits.refuse_empty(request.limit)
    ansible_environment.refuse_prompts()
    _refuse_not_utf8({**named, "--limit": ",".join(request.limit)})
    inventory_names.refuse_ambiguous(request.inventory, request.limit)
    record = Recorder(request.variables)
    at_once = limits.AtOnce(request.forks, record.once)
    request = replace(request, forks=at_once.forks)

    def noted(event: events.Event) -> None:
        at_once.begins(events.host_of(event))
        on_event(event)

    outcome = _run_once(request, record, noted)
    _refuse_unfinished(outcome, request)
    for pause, forks in dropped.ROUNDS:
        hosts = dropped.hosts(outcome.results)
        if not hosts:
            break
        record.trying_again(hosts, pause, forks)
        _sleep(pause)
        again = _run_once(replace(request, limit=hosts, forks=min(forks, request.forks)), record, noted)
        _refuse_unfinished(again, request)
        results = dropped.merged(outcome.results, again.results, hosts)
        outcome = Outcome(again.rc or (outcome.rc if results.failures else 0), results)
    return outcome


def _run_once(request: Request, record: Recorder, on_event: Callable[[events.Event], None]) -> Outcome:
    """Run a playbook in a private directory (0700), which is removed at the end."""
    import ansible_runner  # takes half a second, which `--help` should not need

    record.begin(request.playbook, request.limit, check=request.check)
    gathered = events.Gathered()
    with contextlib.ExitStack() as stack:
        with naming(TEMPORARY, "written"):
            private = stack.enter_context(keeper.kept(keeper.PRIVATE))
            folder, variables, hosts = _write_inputs(private, request)
            environ = ansible_environment.variables(inventories.variables_of(request.inventory))
            environ["ANSIBLE_TASK_TIMEOUT"] = str(request.task_limit or TASK_LIMITS.get(request.playbook, 0))
            environ |= {"ANSIBLE_SSH_ARGS": masters.arguments(request.ssh_args)} if request.ssh_args else {}
            _refuse_not_utf8({TEMPORARY: str(private), **environ})
        hidden = contextlib.redirect_stderr(io.StringIO())  # ansible-runner's own messages
        with naming(private, "used", only=EXHAUSTED), hidden, _restored_signals(), terminals.closed_at_once():
            runner = ansible_runner.interface.init_runner(
                private_data_dir=str(private),
                playbook=str(paths.playbooks() / request.playbook),
                inventory=[str(one) for one in inventories.listed(request.inventory)],
                cmdline=shlex.join(arguments(request, variables, hosts)),
                event_handler=_handler(gathered, record, on_event),
                quiet=True,
                # Ansible's output is in its events; a second copy on the disk could grow without limit.
                suppress_output_file=True,
                suppress_env_files=True,
                settings={"pexpect_timeout": 1},
            )
            # Our own directory, from which plain Ansible too counts relative paths; its name need not be UTF-8.
            runner.config.cwd = "."
            runner.config.command = _ending_with_parent(runner.config.command)
            places = {**_collections(str(private)), **ansible_environment.home(str(private))}
            runner.config.env = {**_callback(runner.config.env), **environ, **_bounded(), **places}
            runner.run()
        results = result_files.fetch(gathered.results(), folder, record.result)
    rc, results = play_errors.with_removed(runner.rc, results, request.playbook, request.limit)
    record.end(request.playbook, runner.status, runner.rc, failed=bool(results.failures))
    if runner.status == "canceled":
        raise KeyboardInterrupt
    return Outcome(rc, results)


def _refuse_missing(inventory: Inventory) -> None:
    for one in inventories.listed(inventory):
        with naming(one, "read"):
            missing = not one.exists() and not inventories.is_host_list(one)
        if missing:
            raise UsageError(
                f"{one}: there is no such inventory", advice="`provision init DIR` writes an example inventory."
            )


def _refuse_not_utf8(texts: Mapping[str, str]) -> None:
    """UsageError if one of these texts contains bytes that are not UTF-8. The keys say what each of them is."""
    for what, text in texts.items():
        if any("\udc80" <= character <= "\udcff" for character in text):
            raise UsageError(
                f"{what} contains bytes that are not UTF-8, which Ansible does not accept: {text}",
                advice="Rename the file or directory, or use another one.",
            )


def _working_directory() -> Path:
    """The directory in which Ansible and ssh run. UsageError if it was removed."""
    with naming("the current directory", "used"):
        return Path.cwd()


def _write_inputs(private: Path, request: Request) -> tuple[Path, Path, Path]:
    """(the directory for large results, the file with the variables, the file for the hosts).

    They are created, and readable only by their owner.
    """
    folder, variables, hosts = private / "answers", private / "variables.yml", private / "hosts"
    folder.mkdir(mode=0o700)
    variables.touch(mode=0o600)
    if limits.is_long(request.limit):
        hosts.write_text("\n".join(request.limit) + "\n", encoding="utf-8")
    given = {**request.variables, "provision_answers": str(folder)}
    variables.write_text(extra_vars.as_yaml(given), encoding="utf-8")
    return folder, variables, hosts


def _handler(
    gathered: events.Gathered, record: Recorder, on_event: Callable[[events.Event], None]
) -> Callable[[events.Event], bool]:
    """The function that ansible-runner calls for each event."""

    def handle(event: events.Event) -> bool:
        record.event(event)
        kept = events.bounded(event)
        gathered.add(kept)
        on_event(kept)
        return False  # ansible-runner then writes no file for the event

    return handle


def _callback(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that ansible-runner sets itself; without them it sends no events."""
    names = ("ANSIBLE_CALLBACK_PLUGINS", "ANSIBLE_STDOUT_CALLBACK", "AWX_ISOLATED_DATA_DIR")
    runner_own = {name: value for name, value in env.items() if name in names or name.startswith("RUNNER_")}
    return {**runner_own, **{name: env[name] for name in ("PYTHONPATH",) if env.get(name)}}


def _collections(private: str) -> dict[str, str]:
    """Where Ansible searches for collections: ours first, then those of the user, which the inventory may need."""
    ours = paths.link_collection(Path(private) / "collections")
    return {"ANSIBLE_COLLECTIONS_PATH": f"{ours}:~/.ansible/collections:/usr/share/ansible/collections"}


def _bounded() -> dict[str, str]:
    """Our own callback for ansible-runner's events, which limits how much of a result is printed."""
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(paths.share() / "plugins" / "callback"),
        "ANSIBLE_STDOUT_CALLBACK": "bounded_events",
    }


def _ending_with_parent(command: list[str]) -> list[str]:
    """The command, changed so that it ends when this process is killed: a playbook ends with its controller."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else command


@contextlib.contextmanager
def _restored_signals() -> Iterator[None]:
    """Restore our handlers of SIGINT and SIGTERM: ansible-runner leaves its own ones behind, which do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _refuse_unfinished(outcome: Outcome, request: Request) -> None:
    """An error if Ansible warned that it ignored a part of the request, did nothing, or ended before the playbook.

    Then a host without a failure is not one on which everything was done.
    """
    text = "\n".join(outcome.results.warnings)
    early = "\n".join(outcome.results.early) if outcome.results.finished else text
    named, place = inventories.named(request.inventory), str(_working_directory())
    refusal = play_errors.error(early, named, request.limit, place)
    if refusal:
        raise refusal
    finished = outcome.results.finished and not outcome.rc & ~ENDED
    if not finished or (outcome.rc and not outcome.results.failures):
        files = [] if outcome.results.tasks and finished else variable_files.unreadable(request.inventory)
        raise play_errors.unfinished(
            request.playbook, outcome.rc, text, files, outcome.results, ansible_environment.given()
        )
