# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Reads COCO's captions files as they are published, and the splits in Karpathy's dataset_*.json.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import posixpath
import re

from .documents import Problems
from .entries import SPLITS, Entries, kind, wrong_id
from ..pictures.files import as_bytes, printed
from ..host.errors import StackError
from ..host.texts import TEXT, as_text
from ..rules.texts import some

_FOLDER = re.compile(r"(train|val)20[0-9][0-9]")


def is_coco(value):
    """Return whether a JSON value has the form of COCO's annotation files."""
    return isinstance(value, dict) and isinstance(value.get("images"), list) and "annotations" in value


def entries(files):
    """Return the entries of COCO's files, [(path, JSON value)], like neuraltalk2's notebook.

    Files of validation pictures come first, then those of training pictures. The captions of a picture are in the
    order of all annotations. If there are validation pictures, the other pictures have `scored` False, because
    neuraltalk2 computes scores with captions_val2014.json only.
    """
    files = sorted(files, key=lambda file: _is_train(*file))
    problems = Problems([path for path, _ in files])
    gathered = Entries(problems)
    captions = {}  # type: dict[object, list[str]]
    for path, value in files:
        for image in _objects(path, value, "images", problems):
            number = image[1].get("id")
            if wrong_id(number):
                problems.add(image[0], wrong_id(number))
            else:
                captions.setdefault(number, [])
    for path, value in files:
        for place, annotation in _objects(path, value, "annotations", problems):
            problem = _wrong_annotation(annotation, captions)
            if problem:
                problems.add(place, problem)
            else:
                captions[annotation["image_id"]].append(annotation["caption"])
    some_val = not all(_is_train(*file) for file in files)
    for path, value in files:
        more = {"scored": False} if some_val and _is_train(path, value) else {}
        for place, image in _objects(path, value, "images", None):
            if not wrong_id(image.get("id")):
                name = image.get("file_name")
                file_path = _file_path(path, name) if isinstance(name, TEXT) else name
                gathered.add(place, file_path, captions[image["id"]], True, id=image["id"], **more)
    problems.end()
    return gathered.entries


def _objects(path, value, field, problems):
    """Yield (place, object) for each entry of a list in one file. An entry that is not an object is a problem."""
    listed = value[field]
    name = printed(os.path.basename(path))
    if not isinstance(listed, list):
        listed = []
        if problems:
            problems.add(name, "%s is %s, not a list" % (field, kind(value[field])))
    for index, entry in enumerate(listed, 1):
        place = "%s, %s entry %d" % (name, field, index)
        if isinstance(entry, dict):
            yield place, entry
        elif problems:
            problems.add(place, "it is %s, not an object" % kind(entry))


def _wrong_annotation(annotation, captions):
    """Return the problem with an annotation, or "" if there is none."""
    number = annotation.get("image_id")
    if wrong_id(number) or number not in captions:
        return "image_id is %s, and no picture has this id" % kind(number)
    if "caption" not in annotation:
        return "there is no caption; COCO's files with captions are captions_train2014.json and captions_val2014.json"
    return ""


def _is_train(path, value):
    """Return whether most pictures have names of a training set. If no name contains a set, the file's name is used."""
    names = [image.get("file_name") for image in value["images"] if isinstance(image, dict)]
    matches = [_FOLDER.search(name) for name in names if isinstance(name, TEXT)]
    sets = [match.group(1) for match in matches if match]
    if sets:
        return sets.count("train") * 2 > len(sets)
    return b"train" in os.path.basename(as_bytes(path))


def _file_path(path, name):
    """Return the path of a picture below the folder of all pictures: train2014/NAME or val2014/NAME.

    The set is taken from the picture's name (COCO_train2014_*), else from the name of the captions file
    (captions_val2017). If neither contains a set, the pictures are the user's own, and the name is not changed.
    """
    in_name = _FOLDER.search(name)
    if in_name:
        return posixpath.join(as_text(in_name.group(0)), name)
    in_path = re.search(_FOLDER.pattern.encode("ascii"), os.path.basename(as_bytes(path)))
    return posixpath.join(in_path.group(0).decode("ascii"), name) if in_path else name


class KarpathySplits(object):
    """The splits of the pictures in a dataset_*.json."""

    def __init__(self, path, value):
        """Read the JSON value of a file. StackError if it has another form."""
        self.path = path
        self.by_name, self.by_id = {}, {}
        images = value.get("images") if isinstance(value, dict) else None
        if not isinstance(images, list):
            raise StackError(
                '%s is not a list of splits: it has to be an object with "images": [{"filename", "split"}, ...], as '
                "dataset_coco.json is" % printed(path)
            )
        problems = Problems([path])
        for index, image in enumerate(images, 1):
            problem = self._add(image)
            if problem:
                problems.add("images entry %d" % index, problem)
        problems.end()

    def _add(self, image):
        """Add one picture. Return the problem with it, or "" if there is none."""
        if not isinstance(image, dict):
            return "it is %s, not an object" % kind(image)
        name, split = image.get("filename"), image.get("split")
        if not isinstance(name, TEXT) or not isinstance(split, TEXT):
            return "filename is %s and split is %s; both have to be text" % (kind(name), kind(split))
        split = SPLITS.get(split.strip().lower())
        if split is None:
            return "the split is %s; it has to be one of %s" % (kind(image["split"]), ", ".join(sorted(SPLITS)))
        if self.by_name.setdefault(name, split) != split:
            return "%s is in two splits, %s and %s" % (printed(name[:200]), self.by_name[name], split)
        number = image.get("cocoid")
        if number is not None and not wrong_id(number):
            self.by_id[number] = split
        return ""

    def assign(self, entries, by_id):
        """Set the split of each entry by its file name, else (with `by_id`) by its id. StackError if there is none."""
        missing = []
        for entry in entries:
            split = self.by_name.get(posixpath.basename(entry["file_path"]))
            if split is None and by_id:
                split = self.by_id.get(entry["id"])
            if split is None:
                missing.append(printed(entry["file_path"]))
            entry["split"] = split
        if missing:
            raise StackError(
                "%s has no split for %d of %d pictures: %s. Use the file that belongs to this set, or remove these "
                "pictures from the captions" % (printed(self.path), len(missing), len(entries), some(missing, 5))
            )
