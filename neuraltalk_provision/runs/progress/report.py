"""The report that train.lua writes beside its model (model_idX.json). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neuraltalk_provision.results.numbers import whole


@dataclass(frozen=True)
class Report:
    """The report of a run's last checkpoint: losses, scores and captions, by iteration in the run's own count."""

    iteration: int
    validations: Mapping[int, float]
    scores: Mapping[int, Mapping[str, float]]
    captions: Mapping[str, str]
    """{image: caption} of the last validation."""


def read(data: bytes | None) -> Report | str:
    """The report, or the reason why there is none: the file is missing, incomplete, or another file."""
    if data is None:
        return "it does not exist"
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        return f"it cannot be read: {_short(error)}"
    try:
        return Report(
            iteration=_whole(document["iter"]),
            validations={key: float(value) for key, value in _entries(document["val_loss_history"])},
            scores={
                key: {str(name): float(score) for name, score in value.items()}
                for key, value in _entries(document.get("val_lang_stats_history") or {})
            },
            captions={_name(entry["image_id"]): _text(entry["caption"]) for entry in document["val_predictions"]},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return f"it was not written by train.lua: {type(error).__name__} {_short(error)}"


def _entries(table: Any) -> list[tuple[int, Any]]:
    """A Lua table by its numbers: an object in JSON, or a list if the numbers are 1, 2 and so on."""
    if isinstance(table, list):
        return list(enumerate(table, 1))
    return [(_whole(key), value) for key, value in table.items()]


def _whole(value: Any) -> int:
    found = whole(value)
    if found is None:
        raise ValueError(f"{str(value)[:40]!r} is not an iteration")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a caption is of type {type(value).__name__}")
    return value


def _name(value: Any) -> str:
    """The id of an image: a name, or a number."""
    found = value if isinstance(value, str) else whole(value)
    if found is None:
        raise TypeError(f"the id of an image is of type {type(value).__name__}")
    return str(found)


def _short(error: Exception) -> str:
    """The message of an error, shortened: it can contain the whole text that was wrong."""
    return str(error)[:200]
