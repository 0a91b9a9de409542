"""Reads Ansible's events: results, failures, changes, diffs and warnings. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neuraltalk_provision import redaction
from neuraltalk_provision.rules.texts import without_colours
from neuraltalk_provision.site import codes

Event = Mapping[str, Any]

_RESULTS = {"runner_on_ok", "runner_on_failed", "runner_on_unreachable"}
_WARNINGS = ("warning", "error", "verbose")
# What these return comes from the playbook and not from the host: the arguments of tasks, which can be large.
_OF_NO_HOST = ("ansible.builtin.include_tasks", "ansible.builtin.include_role", "ansible.builtin.debug")
# How many characters of an event's output are kept: enough for a warning.
MOST_PRINTED = 20_000
# How many warnings are kept once Ansible works on hosts: they can print any number.
MOST_WARNINGS = 200
LONGEST_PATH = 4096
# How many characters of a failure are kept: the cause, and the last lines of a log.
LONGEST_MESSAGE = 10_000
DROPPED = (
    "its result was lost, because ansible-runner drops results of more than 700,000 characters. Check the logs on that "
    "host. A result of this size is a bug in neuraltalk-provision, or it does not come from its modules"
)
LOST = (
    "Ansible says that the host answered, but it counted a result that it did not hand over: so nobody knows what the "
    "host answered. A result that is nested very deep does this. It is a bug in neuraltalk-provision, or it does not "
    "come from its modules: check the host and its login scripts"
)
_BETWEEN_TRACEBACKS = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
COLLECTION = "neuraltalk.provision."
"""The prefix of the full names of our modules."""


@dataclass(frozen=True)
class Failure:
    """A host that failed, the task, and the reason; `code` names the cause if it is a known one (codes.py)."""

    host: str
    task: str
    message: str
    unreachable: bool = False
    log: str = ""
    code: str = ""
    not_undone: bool = False
    """Whether an activation failed, and the host has not shown that it was undone."""

    @property
    def silent(self) -> bool:
        """Whether nobody knows in which state the host is, because it did not answer, or did not undo what it did."""
        return self.unreachable or self.not_undone or self.code == codes.HOST_HANGS


@dataclass(frozen=True)
class Change:
    """What happened to one component on one host: `build` or `keep`, and the evidence.

    `predicted` means that nothing was done: the module only found out what it would have to do.
    """

    host: str
    component: str
    change: str
    evidence: Any = None
    predicted: bool = False


@dataclass(frozen=True)
class PlayResults:
    """The results, failures, changes, diffs and warnings in the events of a playbook."""

    results: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()
    """(host, action, result) of the last task with that action."""
    failures: tuple[Failure, ...] = ()
    changes: tuple[Change, ...] = ()
    diffs: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    early: tuple[str, ...] = ()
    """The warnings before Ansible began with a host. Only these cannot come from a host."""
    warnings: tuple[str, ...] = ()
    """All warnings; of those that came later, the last ones."""
    tasks: Mapping[str, int] = field(default_factory=dict)
    """{host: the number of its results}."""
    finished: bool = True
    """Whether Ansible came to the end of the playbook; if not, nobody knows what it did on which host."""

    def by_host(self, action: str) -> dict[str, Mapping[str, Any]]:
        """{host: result} of the last task with that action."""
        return {host: result for host, name, result in self.results if name == action}


def host_of(event: Event) -> str:
    """The host that an event is about; empty if it is about the whole play."""
    return str(event.get("event_data", {}).get("host", ""))


def bounded(event: Event) -> Event:
    """The event with its output cut to what is needed: a host can return any number of bytes."""
    printed = event.get("stdout")
    if not printed:
        return event
    kept = str(printed)[:MOST_PRINTED] if event.get("event") in _WARNINGS else ""
    return event if kept == printed else {**event, "stdout": kept}


def failure(event: Event) -> Failure | None:
    """The failure that an event reports; None for any other event, and for a failure that is ignored."""
    data = event.get("event_data", {})
    name = event.get("event")
    if name not in ("runner_on_failed", "runner_on_unreachable") or data.get("ignore_errors"):
        return None
    result = _failed_item(_mapping(data.get("res")))
    unreachable = name == "runner_on_unreachable"
    message = _message(result) if result else DROPPED
    return Failure(
        host=host_of(event),
        task=" : ".join(part for part in (data.get("role", ""), data.get("task", "")) if part),
        message=message,
        unreachable=unreachable,
        log=str(result.get("log", ""))[:LONGEST_PATH],
        code=codes.of_result(result, message, unreachable=unreachable) if result else codes.RESULT_DROPPED,
    )


def change(event: Event) -> Change | None:
    """The change of a component that an event reports; None for any other event."""
    result = _mapping((event.get("event_data") or {}).get("res"))
    component = result.get("component")
    if event.get("event") != "runner_on_ok" or not isinstance(component, Mapping):
        return None
    name, what = component.get("name"), component.get("change")
    predicted = result.get("predicted") is True
    return Change(host_of(event), str(name), str(what), component.get("evidence"), predicted) if name and what else None


class Gathered:
    """Collects what matters of a playbook's events while they come, so that no event has to be kept.

    Of each host only the last result of each action is kept: memory grows with the hosts and not with the tasks.
    """

    def __init__(self) -> None:
        self._results: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._tasks: Counter[str] = Counter()
        self._failures: dict[str, Failure] = {}
        self._changes: dict[tuple[str, str, bool], Change] = {}
        self._diffs: list[tuple[str, Mapping[str, Any]]] = []
        self._early: list[str] = []
        self._later: deque[str] = deque(maxlen=MOST_WARNINGS)
        self._began = False
        self._finished = False
        self._counted: Mapping[str, Any] = {}

    def add(self, event: Event) -> None:
        """Take what matters of one event."""
        self._began = self._began or str(event.get("event")).startswith("runner_")
        data = event.get("event_data") or {}
        if event.get("event") in _RESULTS:
            host, result = host_of(event), _mapping(data.get("res"))
            action = str(data.get("task_action", "")).removeprefix(COLLECTION)
            if action not in _OF_NO_HOST:
                self._results[host, action] = result
            self._tasks[host] += 1
            self._diffs += [(host, diff) for diff in _diffs(result)]
        if event.get("event") == "playbook_on_stats":
            self._finished, self._counted = True, data
        failed, changed = failure(event), change(event)
        if failed:
            self._failures[failed.host] = self._failures.get(failed.host, failed)
        if changed:
            self._changes[changed.host, changed.component, changed.predicted] = changed
        if event.get("event") in _WARNINGS and event.get("stdout"):
            (self._later if self._began else self._early).append(str(event["stdout"])[:MOST_PRINTED])

    def results(self) -> PlayResults:
        """What was collected so far."""
        return PlayResults(
            tuple((host, action, result) for (host, action), result in self._results.items()),
            (*self._failures.values(), *self._lost()),
            tuple(self._changes.values()),
            tuple(self._diffs),
            tuple(_without_tracebacks(self._early)),
            tuple(_without_tracebacks([*self._early, *self._later])),
            dict(self._tasks),
            self._finished,
        )

    def _lost(self) -> Iterator[Failure]:
        """A failure for each host of which Ansible counted a failure, or anything at all, without an event of it."""
        failed = {*_mapping(self._counted.get("failures")), *_mapping(self._counted.get("dark"))}
        silent = {host for host in _mapping(self._counted.get("ok")) if not self._tasks[host]}
        for host in sorted((failed | silent) - self._failures.keys()):
            yield Failure(host, "", LOST, code=codes.RESULT_DROPPED)


def read(events: Iterable[Event]) -> PlayResults:
    """The results, failures, changes, diffs and warnings in all events of a playbook."""
    gathered = Gathered()
    for event in events:
        gathered.add(event)
    return gathered.results()


def _mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one: a result was dropped, or a host sent something else."""
    return value if isinstance(value, Mapping) else {}


def _diffs(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    diff = result.get("diff") or []
    listed = diff if isinstance(diff, list) else [diff]
    differing = [one for one in listed if isinstance(one, Mapping) and one.get("before") != one.get("after")]
    return [
        {key: value[:MOST_PRINTED] if isinstance(value, str) else value for key, value in one.items()}
        for one in differing
    ]


def _failed_item(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result of the first failed item of a loop; the result itself if there was no loop."""
    listed = result.get("results")
    items = [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    return next((item for item in items if item.get("failed")), result)


def _message(result: Mapping[str, Any]) -> str:
    for key in ("msg", "stderr", "module_stderr", "module_stdout", "stdout", "exception"):
        text = codes.without_connection(str(result.get(key) or "")).strip()
        if text and not codes.says_nothing(text):
            return _short(codes.without_traceback(text))
    told = str(result.get("msg") or "the host reported no reason")
    return codes.silent(result.get("rc")) if codes.is_of_no_module(told) else _short(told)


def _short(text: str) -> str:
    """The text without secrets; if it is very long, its middle is left out."""
    half = LONGEST_MESSAGE // 2
    safe = redaction.redact(text)
    return safe if len(safe) <= LONGEST_MESSAGE else f"{safe[:half]} ... {safe[-half:]}"


def _without_tracebacks(warnings: Iterable[str]) -> Iterator[str]:
    """The warnings, without secrets and colours, and without the tracebacks of Ansible: those are in the log.

    Ansible prints a traceback as lines of one event, or as one event for each of its lines.
    """
    inside = False
    for warning in warnings:
        kept = []
        for line in without_colours(warning).splitlines():
            if line.startswith("Traceback (most recent call last)"):
                inside = True
            elif line in _BETWEEN_TRACEBACKS or (inside and line.startswith(" ")):
                continue
            elif inside:  # the exception itself, whose message was printed before
                inside = False
            else:
                kept.append(line)
        text = redaction.redact("\n".join(kept).strip())
        if text:
            yield text
