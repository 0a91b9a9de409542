"""The text of Ansible's events in a command's log, which -v and -vv also show. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from neuraltalk_provision.site.events import Event

TASKS, RESULTS = 1, 2
"""The level of detail: only the tasks, or the modules' results too."""
MOST_OF_ONE = 20_000
"""Characters of one value of a result, as the callback bounds what it prints (plugins/callback/bounded_events.py)."""

_BEGINNINGS = ("playbook_on_play_start", "playbook_on_task_start", "playbook_on_handler_task_start")
_BROKEN = ("runner_on_failed", "runner_on_unreachable", "runner_item_on_failed")
_ENDS = (*_BROKEN, "runner_on_ok", "runner_item_on_ok")
# Ansible writes this instead of a traceback if there is none.
_NO_TRACEBACK = "(traceback unavailable)"
# Ansible prints these itself, or uses them internally.
_NOT_SHOWN = (
    "exception",
    "invocation",
    "diff",
    "_ansible_no_log",
    "_ansible_verbose_always",
    "warnings",
    "deprecations",
)
_OUTPUT = ("module_stderr", "module_stdout")


def of_event(event: Event, level: int = TASKS) -> str:
    """The lines of an event; for a failure also the traceback of the module and its other output."""
    return "".join(f"{part.rstrip()}\n" for part in _parts(event, level) if part.strip())


def of_result(host: str, result: Mapping[str, Any]) -> str:
    """A module's result as a line."""
    shown = {key: _cut(value) for key, value in result.items() if key not in _NOT_SHOWN}
    return f"result of {host}: {json.dumps(shown, default=str, sort_keys=True)}\n"


def _parts(event: Event, level: int) -> Iterator[str]:
    name = str(event.get("event", ""))
    printed = str(event.get("stdout") or "")
    if name in _BEGINNINGS:
        title = printed.strip(" *\r\n")
        yield f"{title}  {str(event.get('created', ''))[11:19]} UTC" if title else ""
        return
    yield printed.strip("\r\n")
    data = event.get("event_data")
    result = data.get("res") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(result, Mapping) or name not in _ENDS:
        return
    host = str(data.get("host", ""))
    if level >= RESULTS:
        yield of_result(host, result)
    if name in _BROKEN:
        for key in ("exception", *_OUTPUT):
            text = _cut(str(result.get(key) or "").strip())
            if text and text != _NO_TRACEBACK and text not in printed.replace("\r\n", "\n"):
                what = "traceback" if key == "exception" else key
                yield f"{what} of {host}:\n" + "\n".join(f"    {line}" for line in str(text).splitlines())


def _cut(value: Any) -> Any:
    """A value of a result for a log: unchanged if it is short, else its beginning as text."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return value if len(text) <= MOST_OF_ONE else text[:MOST_OF_ONE] + "..."
