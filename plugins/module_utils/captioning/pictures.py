# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The pictures of a captioning: each is checked, then linked under a simple name, or set aside if it is unreadable.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import contextlib
import io
import json
import os

from .decoder import Stopped, decode_all
from ..pictures.files import find, look, printed, shown, walk
from ..pictures.headers import LOADED, Unusable
from ..programs.progress import Progress
from ..host.errors import StackError
from ..host.files import MAX_READ, make_directory, read_text, write_json, write_whole
from ..host.texts import TEXT, as_native, as_text
from ..rules import clock

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "PPM": ".ppm", "PGM": ".ppm"}
"""Suffixes that DataLoaderRaw accepts. image.load itself uses the first bytes of the file."""
KINDS = ", ".join(LOADED[:-1]) + " and " + LOADED[-1]
MOST_LISTED = 100000
"""Files set aside that are listed, at most."""
PAUSE = 0.5
"""Seconds between two calls of `stopped`."""


def lay_out_pictures(run, given, generation, environment, stopped=lambda: False):
    """Return (changed arguments for eval.lua, {link: name as shown}, [{file, reason}] of the files set aside).

    The run's directory `images` gets a link with a simple name for every picture that image.load can read; images.json
    has the original names. With a coco_json, only the pictures that it names are used, and the run gets a copy of it
    with the names of the links. The log of the run shows the progress. StackError if no picture can be read; Stopped if
    `stopped()` returns True.
    """
    folder, target = given["image_folder"], os.path.join(run.path, "images")
    wanted = read_coco(given["coco_json"]) if given.get("coco_json") else None
    with io.open(run.log, "ab", 0) as log:
        check = Check(log, stopped)
        check.say("checking the pictures of %s" % printed(folder))
        places = listed(folder, check) if wanted is None else named_by(folder, wanted["images"], check)
        names = once(places)
        kinds = readable(folder, names, check)
        taken = decoded(folder, [name for name in names if name in kinds], check, generation, environment)
        check.say("%d of %d files are captioned%s" % (len(taken), check.files(len(taken)), check.counted()))
        if not taken:
            raise StackError("%s contains no picture that image.load can read%s" % (printed(folder), check.examples()))
        pictures = [(name, kinds[name]) for name in taken]
        links = link_all(folder, check.each(pictures, "linked", len(pictures)), target)
    images = dict((link, shown(name)) for name, link in links.items())
    count, changes = len(links), {"image_folder": target}
    if wanted is not None:
        changes["coco_json"] = os.path.join(run.path, "coco.json")
        count = write_coco(changes["coco_json"], wanted, places, links)
    changes["num_images"] = given.get("num_images", count)
    # In a separate file: there can be tens of thousands of images, and the other files of the run are read often.
    write_json(run.images, {"images": images, "set_aside": check.list_aside()})
    return changes, images, check.list_aside()


class Check(object):
    """The state of a check of pictures: the files that are set aside, and the progress in a log."""

    def __init__(self, log, stopped):
        self.log, self.stopped = log, stopped
        self.aside, self.counts = [], {}
        self.checked = 0.0

    def say(self, text):
        """Write a line to the log. Errors, for example of a full disk, are ignored."""
        try:
            self.log.write((as_text(text) + "\n").encode("utf-8", "replace"))
        except (IOError, OSError):
            pass

    def put_aside(self, name, unusable):
        """Record a file that is set aside."""
        self.counts[unusable.fault] = self.counts.get(unusable.fault, 0) + 1
        self.aside.append({"file": shown(name), "reason": as_text(unusable.reason)})

    def files(self, taken):
        """Return the number of all files, of which `taken` are captioned."""
        return taken + len(self.aside)

    def each(self, things, verb, total=0):
        """Yield the things, with lines of progress if `total` is known. Stopped is raised if `stopped()` is True."""
        progress = Progress(self.say, verb, total)
        for thing in things:
            now = clock.seconds()
            if now - self.checked >= PAUSE:
                self.checked = now
                if self.stopped():
                    raise Stopped()
            yield thing
            progress.add(1)
            progress.tick()

    def counted(self):
        """Return the numbers of files set aside, by fault, as text without file names; "" if there are none."""
        counts = ["%d %s" % (count, fault) for fault, count in sorted(self.counts.items())]
        return "; set aside: %s. Their names are in images.json" % ", ".join(counts) if counts else ""

    def examples(self):
        """Return the first files that were set aside, and their number, as text."""
        if not self.aside:
            return ": there is no file in it"
        some = ["%(file)s: %(reason)s" % entry for entry in self.list_aside()[:3]]
        return as_native(TEXT(" (%d set aside: %s%s)") % (
            len(self.aside), "; ".join(some), "; and so on" if len(self.aside) > 3 else ""
        ))  # fmt: skip

    def list_aside(self):
        """Return [{file, reason}] sorted by name: the first MOST_LISTED, and the number of the others."""
        entries = sorted(self.aside, key=lambda entry: entry["file"])
        more = len(entries) - MOST_LISTED
        if more <= 0:
            return entries
        return entries[:MOST_LISTED] + [{"file": "...", "reason": "and %d more%s" % (more, self.counted())}]


def listed(folder, check):
    """Return the names of all files below a folder. Names that are not usable files are set aside."""
    found = []
    for name, info in check.each(walk(folder), "listed"):
        if isinstance(info, Unusable):
            check.put_aside(name, info)
        else:
            found.append(name)
    return found


def readable(folder, names, check):
    """Return {name: kind} of the files that image.load can read according to their headers."""
    kinds = {}
    for name in check.each(names, "checked the headers of", len(names)):
        try:
            kind = look(os.path.join(folder, name))[0]
            if kind not in LOADED:
                raise Unusable(
                    "it is a picture of another type (%s): image.load reads %s" % (kind, KINDS), "other kind"
                )
            kinds[name] = kind
        except Unusable as error:
            check.put_aside(name, error)
    return kinds


def decoded(folder, names, check, generation, environment):
    """Return those of the names whose pictures image.load can read, in the same order."""
    taken = []
    paths = [os.path.join(folder, name) for name in names]
    with contextlib.closing(decode_all(generation, paths, environment, check.stopped)) as answers:
        for place, unusable in check.each(answers, "read", len(names)):
            if unusable is None:
                taken.append(place)
            else:
                check.put_aside(names[place], unusable)
    return [names[place] for place in sorted(taken)]


def link_all(folder, pictures, target):
    """Link the pictures [(name, kind)] under numbers in the given order; return {name: link}."""
    make_directory(target)
    links = {}  # type: dict[str, str]
    for name, kind in pictures:
        links[name] = "%06d%s" % (len(links) + 1, SUFFIXES[kind])
        os.symlink(os.path.join(os.path.abspath(folder), name), os.path.join(target, links[name]))
    return links


def read_coco(path):
    """Return the content of a file like MS COCO's: {images: [{file_name, id}]}. StackError for anything else."""
    try:
        size = os.path.getsize(path)
        if size > MAX_READ:
            raise StackError("-coco_json %s: it has %d bytes, more than the %d that are read" % (path, size, MAX_READ))
        content = json.loads(read_text(path) or "")
    except (IOError, OSError) as error:
        raise StackError("-coco_json %s: it cannot be read: %s" % (path, error.strerror))
    except (ValueError, RuntimeError) as error:  # RuntimeError if it is nested too deeply
        raise StackError("-coco_json %s is not JSON: %s" % (path, error))
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not images:
        raise StackError("-coco_json %s: it has no list of images, as MS COCO's annotations do" % path)
    for number, entry in enumerate(images):
        if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), TEXT) or not entry["file_name"]:
            raise StackError("-coco_json %s: images[%d] has no file_name" % (path, number))
        if isinstance(entry.get("id"), bool) or not isinstance(entry.get("id"), (int, TEXT)):
            raise StackError("-coco_json %s: images[%d] has no id that is a number or a text" % (path, number))
    return content


def named_by(folder, entries, check):
    """Return the file name of each entry of a coco_json, or None for a path that leads out of the folder."""
    found = []
    for entry in check.each(entries, "listed", len(entries)):
        name = find(folder, entry["file_name"])
        if os.path.isabs(name) or ".." in name.split("/"):
            check.put_aside(name, Unusable("its name in -coco_json leads out of the folder", "elsewhere"))
            name = None
        found.append(name)
    return found


def once(names):
    """Return the names without None and without repetitions, in the same order."""
    return list(collections.OrderedDict.fromkeys(name for name in names if name is not None))


def write_coco(path, content, names, links):
    """Write the run's own coco_json with the linked pictures by their links; return the number of its entries."""
    named_so = zip(content["images"], names)
    images = [dict(entry, file_name=links[name]) for entry, name in named_so if name in links]
    write_whole(path, json.dumps(dict(content, images=images)))
    return len(images)
