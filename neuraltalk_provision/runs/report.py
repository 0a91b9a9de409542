"""What train.lua writes beside its model (model_idX.json), read. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Report:
    """The report of a run's last checkpoint: losses, scores and captions, by iteration in the run's own count."""

    iteration: int
    validations: Mapping[int, float]
    scores: Mapping[int, Mapping[str, float]]
    captions: Mapping[str, str]
    """{image: caption} of the last validation."""


def read(data: bytes | None) -> Report | str:
    """The report, or in words why there is none: it is missing, cut short, or another file."""
    if data is None:
        return "there is none"
    try:
        told = json.loads(data)
    except ValueError as error:
        return f"it cannot be read: {error}"
    try:
        return Report(
            iteration=int(told["iter"]),
            validations={key: float(value) for key, value in _entries(told["val_loss_history"])},
            scores={
                key: {name: float(score) for name, score in value.items()}
                for key, value in _entries(told.get("val_lang_stats_history") or {})
            },
            captions={str(entry["image_id"]): str(entry["caption"]) for entry in told["val_predictions"]},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"it is not train.lua's: {type(error).__name__} {error}"


def _entries(table: Any) -> list[tuple[int, Any]]:
    """A Lua table by its numbers: an object in JSON, or a list where they were 1, 2 and so on."""
    if isinstance(table, list):
        return list(enumerate(table, 1))
    return [(int(key), value) for key, value in table.items()]
