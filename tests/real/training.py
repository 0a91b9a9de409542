"""The data set and the training of the real test: made pictures, whose captions can be learnt in two stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.real import made
from tests.standin import images

DATA = "/data"
"""The directory of the pictures and captions on the host."""
OUT = f"{DATA}/out"
SET = ("-input_h5", f"{OUT}/made.h5", "-input_json", f"{OUT}/made.json")
PREPARE = (
    "--input_json", f"{DATA}/captions.csv", "--images_root", f"{DATA}/pictures", "--val_share", "0.2",
    "--word_count_threshold", "0", "--output_h5", f"{OUT}/made.h5", "--output_json", f"{OUT}/made.json",
)  # fmt: skip
BASE, FINE = 300, 12
"""Iterations of the two stages."""
SHORT = 12
"""Iterations of a short training, which shows that it trains and not that it learns."""
QUALITY = frozenset({"loss fell", "within the envelope", "captions differ"})
"""The gates that a short training need not pass."""
STAGED: dict[str, Any] = {
    "id": "made",
    "options": {
        "input_h5": f"{OUT}/made.h5",
        "input_json": f"{OUT}/made.json",
        "language_eval": 1,
        "batch_size": 2,
        "seq_per_img": 5,
        "val_images_use": 24,
        "save_checkpoint_every": 150,
        "losses_log_every": 1,
        "drop_prob_lm": 0,
        "learning_rate": 0.003,
        "learning_rate_decay_start": 200,
        "learning_rate_decay_every": 60,
    },
    "stages": {
        "base": {"until": {"iterations": BASE}},
        "finetune": {
            "options": {
                "max_iters": FINE,
                "save_checkpoint_every": FINE - 1,
                "learning_rate": 0.0005,
                "learning_rate_decay_start": -1,
                "cnn_learning_rate": 1.0e-6,
            }
        },
    },
}
ENVELOPE: dict[str, Any] = {
    "name": "made pictures",
    "ranges": {
        "loss": [
            {"iteration": 0, "least": 2.5, "most": 3.5},
            {"iteration": 150, "least": 0.2, "most": 0.6},
            {"iteration": BASE, "least": 0.15, "most": 0.45},
        ],
        "CIDEr": [{"iteration": 0, "least": 0, "most": 10}, {"iteration": BASE, "least": 2, "most": 10}],
    },
}
NEW = made.scenes(12, seed=10)
"""Pictures that are not in the training data, to be captioned."""
BAD = ("._x.jpg", "empty.jpg", "cut.png", "text.jpg")


def write_data(folder: Path) -> None:
    """Write the training pictures with captions, one of them truncated; and new pictures, some of them invalid."""
    made.write(folder)
    picture = made.encoded(NEW[0], "PNG")
    (folder / "pictures" / "cut.png").write_bytes(picture[: len(picture) // 2])
    with (folder / "captions.csv").open("a", encoding="utf-8") as file:
        file.write("cut.png,half a picture\n")
    new = folder / "new"
    new.mkdir()
    for scene in NEW:
        (new / Path(scene.file).name).write_bytes(made.encoded(scene))
    for name, content in zip(
        BAD, (images.APPLE_DOUBLE, b"", picture[: len(picture) // 2], b"no picture\n"), strict=True
    ):
        (new / name).write_bytes(content)


def right(captions: dict[str, str], scenes: dict[str, made.Scene]) -> int:
    """How many captions name both the colour and the shape of their picture."""
    return sum(scenes[key].colour in text and scenes[key].shape in text for key, text in captions.items())
