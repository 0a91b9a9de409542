"""What Ansible's events say, in our terms. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neuraltalk_provision import redaction
from neuraltalk_provision.rules.texts import without_colours
from neuraltalk_provision.site import codes

Event = Mapping[str, Any]

_RESULTS = {"runner_on_ok", "runner_on_failed", "runner_on_unreachable"}
_COMPLAINTS = ("warning", "error", "verbose")
# Characters of what an event printed: enough for the words of a complaint.
MOST_PRINTED = 20_000
# Characters of why a host failed: the cause, and the last lines of a log.
MOST_TOLD = 10_000
DROPPED = (
    "its result did not arrive: ansible-runner drops results of more than 700,000 characters. Check the logs of the "
    "host: so large a result is a bug of this program, or the host is manipulated"
)
COLLECTION = "neuraltalk.provision."
"""What the full names of our modules begin with."""


@dataclass(frozen=True)
class Failure:
    """A host that failed, at which task, and why; `code` names the cause where it is a known one (codes.py)."""

    host: str
    task: str
    message: str
    unreachable: bool = False
    log: str = ""
    code: str = ""


@dataclass(frozen=True)
class Change:
    """What happened to one component on one host: `build` or `keep`, and what was seen.

    `predicted` says that nothing was done: the module only looked what there would be to do.
    """

    host: str
    component: str
    change: str
    evidence: Any = None
    predicted: bool = False


@dataclass(frozen=True)
class Told:
    """Everything of interest that a playbook's events told."""

    results: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()
    failures: tuple[Failure, ...] = ()
    changes: tuple[Change, ...] = ()
    diffs: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    complaints: tuple[str, ...] = field(default=())

    def result_of(self, action: str) -> dict[str, Mapping[str, Any]]:
        """{host: result} of the last task with that action."""
        return {host: result for host, name, result in self.results if name == action}


def host_of(event: Event) -> str:
    """The host that an event is about; empty for one about the whole play."""
    return str(event.get("event_data", {}).get("host", ""))


def bounded(event: Event) -> Event:
    """The event with no more of what it printed than is read: a host may answer with any number of bytes."""
    printed = event.get("stdout")
    if not printed:
        return event
    kept = str(printed)[:MOST_PRINTED] if event.get("event") in _COMPLAINTS else ""
    return event if kept == printed else {**event, "stdout": kept}


def failure(event: Event) -> Failure | None:
    """The failure that an event tells of; None for any other event, and for one that was handled."""
    data = event.get("event_data", {})
    name = event.get("event")
    if name not in ("runner_on_failed", "runner_on_unreachable") or data.get("ignore_errors"):
        return None
    result = _culprit(_mapping(data.get("res")))
    unreachable = name == "runner_on_unreachable"
    message = _message(result) if result else DROPPED
    return Failure(
        host=host_of(event),
        task=" : ".join(part for part in (data.get("role", ""), data.get("task", "")) if part),
        message=message,
        unreachable=unreachable,
        log=str(result.get("log", "")),
        code=codes.of_result(result, message, unreachable=unreachable) if result else codes.ANSWER_DROPPED,
    )


def change(event: Event) -> Change | None:
    """The component that an event tells of, if it does."""
    result = _mapping((event.get("event_data") or {}).get("res"))
    told = result.get("component")
    if event.get("event") != "runner_on_ok" or not isinstance(told, Mapping):
        return None
    name, what = told.get("name"), told.get("change")
    predicted = result.get("predicted") is True
    return Change(host_of(event), str(name), str(what), told.get("evidence"), predicted) if name and what else None


def read(events: Iterable[Event]) -> Told:
    """All of a playbook's events, in our terms."""
    results: list[tuple[str, str, Mapping[str, Any]]] = []
    failures: dict[str, Failure] = {}
    changes: dict[tuple[str, str, bool], Change] = {}
    diffs: list[tuple[str, Mapping[str, Any]]] = []
    complaints: list[str] = []
    for event in events:
        data = event.get("event_data") or {}
        if event.get("event") in _RESULTS:
            result = _mapping(data.get("res"))
            results.append((host_of(event), str(data.get("task_action", "")).removeprefix(COLLECTION), result))
            diffs += [(host_of(event), diff) for diff in _diffs(result)]
        failed, changed = failure(event), change(event)
        if failed:
            failures[failed.host] = failures.get(failed.host, failed)
        if changed:
            changes[changed.host, changed.component, changed.predicted] = changed
        if event.get("event") in _COMPLAINTS and event.get("stdout"):
            complaints.append(_plain(str(event["stdout"])[:MOST_PRINTED]))
    return Told(tuple(results), tuple(failures.values()), tuple(changes.values()), tuple(diffs), tuple(complaints))


def _mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping; an empty one for what was dropped, and for what a host made of it."""
    return value if isinstance(value, Mapping) else {}


def _diffs(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    diff = result.get("diff") or []
    listed = diff if isinstance(diff, list) else [diff]
    differing = [one for one in listed if isinstance(one, Mapping) and one.get("before") != one.get("after")]
    return [
        {key: value[:MOST_PRINTED] if isinstance(value, str) else value for key, value in one.items()}
        for one in differing
    ]


def _culprit(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result of a loop's first item that failed; the result itself where there was no loop."""
    listed = result.get("results")
    items = [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    return next((item for item in items if item.get("failed")), result)


def _message(result: Mapping[str, Any]) -> str:
    for key in ("msg", "stderr", "module_stderr", "module_stdout", "stdout", "exception"):
        text = str(result.get(key) or "").strip()
        if text and not codes.says_nothing(text):
            return _short(codes.without_traceback(text))
    return _short(str(result.get("msg") or "no reason was given"))


def _short(text: str) -> str:
    """The text without secrets, its middle left out where it is longer than anybody reads."""
    half = MOST_TOLD // 2
    told = redaction.redact(text)
    return told if len(told) <= MOST_TOLD else f"{told[:half]} ... {told[-half:]}"


def _plain(text: str) -> str:
    return redaction.redact(without_colours(text).strip())
