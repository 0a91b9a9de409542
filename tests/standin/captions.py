"""Generated captions in the form of prepro.py's raw JSON, the same with every Python for the same arguments.

A few words are frequent and most are rare, as in real captions; there are capital letters, punctuation, runs of
white space, and captions too long for a row of labels.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
ENDS = (".", "", "", ". ", "!", "\n", "...", " ", "?", "\t")
MARKS = ("", "", "", "", ",", "'s", "-", '"', ";", "$")


def draws(seed: int) -> Iterator[int]:
    """Numbers of 31 bits (Knuth's linear congruential generator)."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        yield state >> 33


def word(number: int) -> str:
    """Word `number`: two syllables or more, a digit at the end of a few."""
    text = ""
    rest = number
    while rest or not text:
        text += SYLLABLES[rest % 70]
        rest //= 70
    return text + SYLLABLES[(number * 31) % 70] + (str(number % 10) if number % 97 == 0 else "")


def caption(draw: Iterator[int], numbers: list[int]) -> str:
    """A sentence of these words, with capitals, punctuation and white space as in real captions."""
    words = [word(number) + MARKS[next(draw) % 10] for number in numbers]
    if next(draw) % 3:
        words[0] = words[0].capitalize()
    return ("  " if next(draw) % 7 == 0 else " ").join(words) + ENDS[next(draw) % 10]


def entries(
    pictures: int, each: int = 5, words: int = 2000, every: bool = False, ids: bool = True, seed: int = 1
) -> list[dict[str, Any]]:
    """`pictures` entries with `each` captions, up to `words` different words; with `every` all of them occur."""
    draw = draws(seed)
    unused = iter([number * 7919 % words for number in range(words)] if every else [])
    made = []
    for index in range(pictures):
        captions = []
        for _ in range(each):
            length = 1 + next(draw) % 12 + (next(draw) % 12 if next(draw) % 5 == 0 else 0)
            rare = [next(unused, None) for _ in range(length)] if every else [None] * length
            skewed = [words * next(draw) ** 3 >> 93 for _ in range(length)]
            captions.append(caption(draw, [b if a is None else a for a, b in zip(rare, skewed, strict=True)]))
        entry = {"file_path": f"val2014/\u00e9t\u00e9 'no. {index}\".png", "captions": captions}
        made.append({**entry, "id": 1 + index * 37 % 1000003} if ids else entry)
    return made


def odd(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Change entries: all ASCII characters in captions, ids of every kind, and unusual file names."""
    ids: list[Any] = [0, -3, 2.5, 1e13, 0.1, "seven", "\u4e00\U0001f600", "7", "", 99999999999999]
    for index, entry in enumerate(made):
        around = [chr((index * 5 + offset) % 127 + 1) for offset in range(5)]
        entry["captions"] = [
            around[0] + text + mark + text for text, mark in zip(entry["captions"], around, strict=True)
        ]
        letter = "\U0001f600" if index % 2 else chr(index % 31 + 1)
        entry["file_path"] = f"{'./' if index % 3 else ''}{letter} \\ {index}.png"
        entry["id"] = (ids[index] or index) if index < len(ids) else 1000 + index
        entry["license"] = {"of": [index]}
        if index % 7 == 6:
            del entry["id"]
    return made


def coco(made: list[dict[str, Any]], folder: Path) -> tuple[list[Path], list[dict[str, Any]]]:
    """captions_train2014.json and captions_val2014.json with these captions, two fifths of the pictures in the latter.

    Returns the files, and the raw JSON that neuraltalk2's notebook (coco/coco_preprocess.ipynb) would make from them.
    """
    files: list[Path] = []
    raw: list[dict[str, Any]] = []
    border = len(made) * 2 // 5
    for name, part in (("val2014", made[:border]), ("train2014", made[border:])):
        images, rows = [], []
        for entry in part:
            image = f"COCO_{name}_{entry['id']:012}.jpg"
            images.append({"license": 3, "file_name": image, "height": 24, "width": 32, "id": entry["id"]})
            rows += [(turn, entry["id"], text) for turn, text in enumerate(entry["captions"])]
            raw.append({"file_path": f"{name}/{image}", "id": entry["id"], "captions": entry["captions"]})
        rows.sort(key=lambda row: row[:2])
        annotations = [{"image_id": image, "id": n, "caption": text} for n, (_, image, text) in enumerate(rows, 1)]
        value = {"info": {}, "images": images, "licenses": [], "annotations": annotations, "type": "captions"}
        files.insert(0, folder / f"captions_{name}.json")
        files[0].write_text(json.dumps(value), encoding="utf-8")
    return files, raw


def table(made: list[dict[str, Any]], file: Path) -> None:
    """Write a CSV with a row for each caption; rows of a picture follow each other."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["file", "caption"])
        rows.writerows((entry["file_path"], text) for entry in made for text in entry["captions"])


def lines(made: list[dict[str, Any]], file: Path) -> None:
    """Write JSON Lines with an object for each picture."""
    each = [{"image": entry["file_path"], "captions": entry["captions"]} for entry in made]
    file.write_text("".join(json.dumps(one) + "\n" for one in each), encoding="utf-8")
