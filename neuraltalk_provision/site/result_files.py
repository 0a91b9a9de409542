"""Results that are too large for Ansible's events: the action plugin of stack_run writes them to files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuraltalk_provision.site import codes
from neuraltalk_provision.site.events import Failure, PlayResults

LARGEST = 512 << 20
"""The largest size of one result, in bytes."""


def fetch(
    results: PlayResults, folder: Path, on_result: Callable[[str, Mapping[str, Any]], None] = lambda host, result: None
) -> PlayResults:
    """The same results, with each result file replaced by its content; `on_result` gets the host and the result.

    A host whose result cannot be read, or is too large, counts as failed.
    """
    found: list[tuple[str, str, Mapping[str, Any]]] = []
    failures = list(results.failures)
    for host, action, result in results.results:
        name = result.get("answer_file")
        if name is None:
            found.append((host, action, result))
            continue
        content = read(folder / Path(str(name)).name)
        if isinstance(content, str):
            failures.append(Failure(host, action, content, code=codes.RESULT_WRONG))
        else:
            found.append((host, action, content))
            on_result(host, content)
    return replace(results, results=tuple(found), failures=tuple(failures))


def read(file: Path) -> Mapping[str, Any] | str:
    """The result in a file, or the reason why it cannot be read."""
    try:
        size = file.stat().st_size
        if size > LARGEST:
            return f"its result is too large: {size:,} bytes; at most {LARGEST:,} are accepted"
        with file.open(encoding="utf-8") as opened:
            content = json.load(opened)
    except (OSError, ValueError, RecursionError) as error:
        return f"its result cannot be read: {error}"
    return content if isinstance(content, Mapping) else "its result is not a JSON object"
