"""Answers that were too large for Ansible's events: the action plugin stack_run puts them into files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuraltalk_provision.site import codes
from neuraltalk_provision.site.events import Failure, Told

LARGEST = 512 << 20
"""Bytes of one answer."""


def fetch(
    told: Told, folder: Path, on_answer: Callable[[str, Mapping[str, Any]], None] = lambda host, answer: None
) -> Told:
    """What was told, with each answer in the place of the file that holds it; `on_answer` sees it with its host.

    A host whose answer cannot be read, or is larger than any that we ask for, has failed.
    """
    results: list[tuple[str, str, Mapping[str, Any]]] = []
    failures = list(told.failures)
    for host, action, result in told.results:
        name = result.get("answer_file")
        if name is None:
            results.append((host, action, result))
            continue
        answer = read(folder / Path(str(name)).name)
        if isinstance(answer, str):
            failures.append(Failure(host, action, answer, code=codes.ANSWER_WRONG))
        else:
            results.append((host, action, answer))
            on_answer(host, answer)
    return replace(told, results=tuple(results), failures=tuple(failures))


def read(file: Path) -> Mapping[str, Any] | str:
    """The answer in a file; in words why there is none."""
    try:
        size = file.stat().st_size
        if size > LARGEST:
            return f"its answer has {size:,} bytes, and none that we ask for has more than {LARGEST:,}"
        with file.open(encoding="utf-8") as content:
            answer = json.load(content)
    except (OSError, ValueError, RecursionError) as error:
        return f"its answer cannot be read: {error}"
    return answer if isinstance(answer, Mapping) else "its answer is no object"
