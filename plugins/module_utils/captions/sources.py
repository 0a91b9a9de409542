# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Reads captions files of users, in any of several formats, into one form.

The format is recognised by the content of the file, and JSON Lines also by the suffix of its name:

- COCO's captions_train2014.json and captions_val2014.json: {"images": [...], "annotations": [...]};
- prepro.py's raw JSON: [{"file_path", "captions", "id"?}];
- Karpathy's dataset_*.json: {"images": [{"filename", "split", "sentences": [{"raw"}]}]};
- other JSON: [{"file", "caption" or "captions"}], {file: [captions]}, or JSON Lines of such objects;
- a table with a header (tables.py) and one row per caption.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import json
import os
import posixpath
import re

from .coco import KarpathySplits, entries, is_coco
from .columns import Columns
from .documents import Problems, parse, read as read_text
from .entries import Entries, kind
from ..pictures.files import printed
from ..host.errors import StackError
from ..host.texts import TEXT, as_native, as_text
from .tables import rows

LINES = (".jsonl", ".ndjson", ".jsonlines")
_NUMBER = re.compile(r"(?:0|-?[1-9][0-9]{0,13})\Z")
_JSON, _JSON_LINES, _TABLE = "JSON", "JSON Lines", "table"


def read(paths, karpathy_split="", split_column="", file_column="", caption_column=""):
    """Return the entries of captions files, in the order that they have in prepro.py before its shuffle.

    Each entry is a dict: file_path (text), captions ([text]), id (a number or text; missing if prepro.py's raw JSON
    has none; pictures of other sources without ids get 1, 2, ... in the order of the source), split (train, val or
    test, if the source or the file `karpathy_split` has it), scored (False for COCO's training pictures).

    A file_path may be absolute, as in prepro.py; one with `..` is an error.

    The arguments *_column are names of columns or fields; without them the usual names are used. With `-` as
    split_column, splits in the source are ignored. StackError with file, place and field of all problems, up to a
    maximum number.
    """
    if not paths:
        raise StackError("no captions file is given: name one with --input-json")
    paths, karpathy_split = as_native(list(paths)), as_native(karpathy_split)
    columns = Columns(file_column, caption_column, split_column)
    if karpathy_split and columns.split:
        raise StackError("both --karpathy-split and --split-column are given: splits can come from only one of them")
    recognised = [(path,) + _recognise(path) for path in paths]
    coco = [(path, value) for path, form, value, _ in recognised if form == _JSON and is_coco(value)]
    if len(coco) < len(recognised) and len(recognised) > 1:
        raise StackError(
            "%s: more than one file can be given only for COCO's annotations; put other captions into one file"
            % " and ".join(printed(path) for path in paths)
        )
    if coco and columns.split:
        raise StackError(
            "COCO's captions files have no column with splits: use --karpathy-split, --num-val or --val-share"
        )
    if coco:
        listed = entries(coco)
    else:
        path, form, value, text = recognised[0]
        listed = _other_entries(path, form, value, text, columns)
    if not listed:
        raise StackError("%s: there is no picture with captions" % " and ".join(printed(path) for path in paths))
    if karpathy_split:
        KarpathySplits(karpathy_split, parse(karpathy_split, read_text(karpathy_split))).assign(listed, bool(coco))
    return listed


def _recognise(path):
    """Return (form, JSON value or None, text) of a file."""
    text = read_text(path)
    if re.match(r"\s*[\[{]", text) is None:
        return _TABLE, None, text
    if _is_lines(path, text):
        return _JSON_LINES, None, text
    return _JSON, parse(path, text), text


def _is_lines(path, text):
    """Return whether text that begins like JSON is JSON Lines: the first line is an object, and more lines follow."""
    if os.path.splitext(path)[1].lower() in LINES:
        return True
    first = re.compile(r"\S").search(text)
    end = text.find("\n", first.start()) if first else -1
    if end < 0 or re.compile(r"\S").search(text, end) is None:
        return False
    try:
        return isinstance(json.loads(text[:end]), dict)
    except (ValueError, RuntimeError):
        return False


def _other_entries(path, form, value, text, columns):
    """Return the entries of a file that is not one of COCO's."""
    problems = Problems([path])
    raw = False
    if form == _TABLE:
        records = _from_table(path, text, columns)
    elif form == _JSON_LINES:
        records = _from_lines(text)
    else:
        raw = _is_raw(value, columns)
        listed = [_of_raw(entry, columns) for entry in value] if raw else value
        records = _from_json(path, listed, text, columns)
    gathered = Entries(problems)
    for place, record in records:
        problem = _add(gathered, place, record, columns, raw) if isinstance(record, dict) else record
        if problem:
            problems.add(place, problem)
    without = [entry for entry in gathered.entries if "id" not in entry]
    if without and not raw and len(without) < len(gathered.entries):
        message = "%d of %d pictures have no id, but the others have one; the first without an id is %s"
        first = printed(without[0]["file_path"])
        problems.add("ids", message % (len(without), len(gathered.entries), first))
    problems.end()
    if columns.split and gathered.entries and not any("split" in entry for entry in gathered.entries):
        raise StackError(
            "no entry of %s has the field %s, which should contain the splits" % (printed(path), printed(columns.split))
        )
    for number, entry in enumerate(() if raw or not without else gathered.entries, 1):
        entry["id"] = number
    return gathered.entries


def _add(gathered, place, record, columns, raw):
    """Add a record to `gathered`. Return the problem if a field is missing; `gathered` checks the values itself."""
    chosen = columns.choose(record)
    if chosen.file is None or chosen.caption is None:
        names = ", ".join(printed(name[:40]) for name in sorted(record)[:10])
        return "its fields have to include %s; they are: %s" % (columns.wanted, names or "none")
    captions, more = record[chosen.caption], {}
    if chosen.id is not None:
        more["id"] = record[chosen.id]
    if chosen.split is not None:
        more["split"] = record[chosen.split]
    once = raw or isinstance(captions, list)
    if not raw and once:
        captions = [each["raw"] if isinstance(each, dict) and "raw" in each else each for each in captions]
    elif not raw and isinstance(captions, TEXT):
        captions = [captions]
    gathered.add(place, record[chosen.file], captions, once, **more)
    return ""


def _from_table(path, text, columns):
    """Yield (place, record or problem) for each row of a table. The record contains only the cells that are used."""
    chosen = None
    for place, cells in rows(path, text, columns.fit, columns.wanted):
        if isinstance(cells, dict):
            chosen = chosen or columns.choose(cells)
            record = {chosen.file: cells[chosen.file].strip(), chosen.caption: cells[chosen.caption]}
            # An empty cell means that there is no id or no split.
            more = [(name, cells[name].strip()) for name in (chosen.id, chosen.split) if name is not None]
            record.update((name, cell) for name, cell in more if cell)
            if chosen.id in record and _NUMBER.match(record[chosen.id]):
                record[chosen.id] = int(record[chosen.id])
            cells = record
        yield place, cells


def _from_lines(text):
    """Yield (place, record or problem) for each line of JSON Lines that is not empty."""
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.strip())
        except ValueError as error:
            record = "it is not JSON: %s" % re.sub(r"line 1 (column \d+) \(char \d+\)", r"\1", str(error))
        except RuntimeError:
            record = "it has lists or objects that are nested too deeply for captions"
        else:
            if not isinstance(record, dict):
                record = "it is %s, not an object" % kind(record)
        yield "line %d" % number, record


def _is_raw(value, columns):
    """Return whether this is prepro.py's raw JSON. Then no other names are used, and missing ids are not added."""
    first = value[0] if isinstance(value, list) and value else None
    return (
        isinstance(first, dict)
        and isinstance(first.get("captions"), list)
        and columns.choose(first)[:2] == ("file_path", "captions")
    )


def _of_raw(entry, columns):
    """Return an entry with only the fields that prepro.py reads, and the split."""
    if not isinstance(entry, dict):
        return entry
    names = ("file_path", "captions", "id", columns.choose(entry).split)
    return dict((name, entry[name]) for name in names if name in entry)


def _from_json(path, value, text, columns):
    """Return (place, record or problem) for each entry of a JSON value that is not a file of COCO."""
    if isinstance(value, list):
        listed = value
    elif not isinstance(value, dict):
        raise StackError("%s contains %s, not a list of pictures with captions" % (printed(path), kind(value)))
    elif "ix_to_word" in value:
        raise StackError(
            "%s is the JSON of a finished data set, which has no captions: give the captions file it was made from"
            % printed(path)
        )
    elif isinstance(value.get("images"), list):
        listed = [_of_karpathy(image) for image in value["images"]]
    elif columns.fit(value):
        listed = [value]
    else:
        return _of_mapping(parse(path, text, list), columns)
    places = enumerate(listed, 1)
    return (
        ("entry %d" % n, record if isinstance(record, dict) else "it is %s, not an object" % kind(record))
        for n, record in places
    )


def _of_karpathy(image):
    """Return an image of dataset_*.json with the field names of other sources; `filepath` is its folder."""
    if not isinstance(image, dict) or not isinstance(image.get("filename"), TEXT):
        return image
    record = dict((name, image[name]) for name in ("sentences", "split") if name in image)
    folder = image.get("filepath")
    folder = folder if isinstance(folder, TEXT) else as_text("")
    record["file_path"] = posixpath.join(folder, image["filename"])
    return dict(record, id=image["cocoid"]) if "cocoid" in image else record


def _of_mapping(pairs, columns):
    """Yield the records of {file: captions}, which was parsed as pairs, so that a file that occurs twice is found."""
    for number, (name, captions) in enumerate(pairs, 1):
        yield "entry %d" % number, {columns.names[0][0]: name, columns.names[1][0]: captions}
