"""Requests of `data prepare` and `data inspect`, checked before anything is read. Pure."""

from __future__ import annotations

import math
import posixpath
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from neuraltalk_provision import field_words
from neuraltalk_provision.errors import UsageError
from neuraltalk_provision.rules import data

_WHOLE_MOST = 1 << 31


class Tokens(StrEnum):
    """The units into which a caption is split."""

    WORDS = data.WORDS
    CHARS = data.CHARS


@dataclass(frozen=True)
class Prepare:
    """The request to make a data set. The names are those of prepro.py's options; paths are absolute.

    Pictures for validation and test are chosen by number (`num_val`, `num_test`), by share, by a column of the captions
    file (`split_column`; `-` ignores the splits in that file), or by Karpathy's split.
    """

    input_json: tuple[str, ...]
    output_json: str
    output_h5: str
    images_root: str = ""
    num_val: int | None = None
    num_test: int = 0
    val_share: float | None = None
    test_share: float | None = None
    split_column: str = ""
    file_column: str = ""
    caption_column: str = ""
    max_length: int = data.MAX_LENGTH
    word_count_threshold: int = data.WORD_COUNT_THRESHOLD
    karpathy_split: str = ""
    tokens: str = Tokens.WORDS
    set_aside: bool = False
    jobs: int = 0

    def as_request(self) -> dict[str, Any]:
        """The request as the program reads it."""
        return {**asdict(self), "input_json": list(self.input_json), "tokens": str(self.tokens)}


@dataclass(frozen=True)
class Inspect:
    """The request to inspect a directory of pictures, a captions file or a data set; paths are absolute."""

    path: str
    images_root: str = ""
    input_json: str = ""
    quarantine: str = ""
    undo: str = ""
    jobs: int = 0

    def as_request(self) -> dict[str, Any]:
        """The request as the program reads it."""
        return asdict(self)


def beside(files: tuple[str, ...]) -> str:
    """The default root of the pictures: the directory of the first captions file."""
    return posixpath.dirname(files[0]) if files else ""


def of_coco(folder: str) -> tuple[tuple[str, ...], str]:
    """(the captions files, the root of the pictures) of COCO, whose archives were unpacked in a directory."""
    return tuple(posixpath.join(folder, name) for name in (data.COCO_VAL, data.COCO_TRAIN)), folder


def check(request: Prepare | Inspect) -> None:
    """Raises UsageError for a request that cannot succeed, whatever the files contain."""
    for name, value in asdict(request).items():
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, str) and name in _PATHS and (problem := field_words.not_a_path(path)):
                raise UsageError(f"--{name} {path[:200]}: {problem}")
    if isinstance(request, Prepare):
        _check_prepare(request)
    elif request.quarantine and request.undo:
        raise UsageError("--quarantine moves files away and --undo moves them back: give only one of them")


_PATHS = frozenset(
    ("input_json", "output_json", "output_h5", "images_root", "karpathy_split", "path", "quarantine", "undo")
)


def _check_prepare(request: Prepare) -> None:
    if not request.input_json:
        raise UsageError(
            "no captions are given",
            advice="Give --input_json FILE, or --coco DIRECTORY where COCO's archives were unpacked.",
        )
    if request.output_json == request.output_h5:
        raise UsageError(f"--output_json and --output_h5 are both {request.output_h5}: they must be different files")
    if not request.output_json.endswith(".json"):
        raise UsageError(
            f"--output_json {request.output_json}: its name must end in .json",
            advice="The annotations for the scorer are written to the same name with .annotations.json at the end.",
        )
    for name in ("num_val", "num_test", "max_length", "word_count_threshold", "jobs"):
        number, least = getattr(request, name), 1 if name == "max_length" else 0
        if number is not None and not least <= number < _WHOLE_MOST:
            raise UsageError(f"--{name} {number}: must be a whole number from {least} to {_WHOLE_MOST - 1}")
    for name in data.SHARES:
        share = getattr(request, name)
        if share is not None and not (math.isfinite(share) and 0 <= share < 1):
            raise UsageError(f"--{name} {share}: must be at least 0 and less than 1; 0.1 means a tenth")
    _check_splits(request)


def _check_splits(request: Prepare) -> None:
    """Raises UsageError unless exactly one option chooses the pictures for validation."""
    by_number, by_share = request.num_val is not None, request.val_share is not None
    ways = {
        "--num_val": by_number,
        "--val_share": by_share,
        "--split_column": request.split_column not in ("", data.NO_SPLITS),
        "--karpathy_split": bool(request.karpathy_split),
    }
    given = [name for name, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} choose the validation pictures in two ways: give only one of them")
    if not given:
        raise UsageError(
            "no option chooses the pictures for validation",
            advice="Give --num_val 5000, --val_share 0.05 or --karpathy_split FILE; or `--split_column split` if the "
            "captions have splits.",
        )
    if request.num_test and not by_number:
        raise UsageError("--num_test needs --num_val", advice="With --val_share use --test_share.")
    if request.test_share is not None and not by_share:
        raise UsageError("--test_share needs --val_share", advice="With --num_val use --num_test.")
    if by_share and (request.val_share or 0) + (request.test_share or 0) >= 1:
        raise UsageError("--val_share and --test_share together leave no pictures for training")
