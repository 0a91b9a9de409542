# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The pictures of a captioning: each looked at, linked under a plain name where eval.lua can read it, else set aside.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import contextlib
import io
import json
import os
import time

from .decoder import Stopped, tried
from ..pictures.files import find, look, printed, shown, walk
from ..pictures.headers import LOADED, Unusable
from ..programs.progress import Progress
from ..host.errors import StackError
from ..host.files import MAX_READ, make_directory, read_text, write_json, write_whole
from ..host.texts import TEXT, as_native, as_text

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "PPM": ".ppm", "PGM": ".ppm"}
"""Names that DataLoaderRaw takes for a picture's; image.load itself goes by the first bytes."""
KINDS = ", ".join(LOADED[:-1]) + " and " + LOADED[-1]
MOST_TOLD = 100000
"""Files set aside that are told one by one."""
PAUSE = 0.5
"""Seconds between two questions whether to stop."""


def lay_out_pictures(run, given, generation, environment, stopped=lambda: False):
    """(what eval.lua gets of `given` instead, {link: name as shown}, [{file, reason}] of what was set aside).

    The run's `images` has a link of a plain name for every picture that image.load reads; which is which stands in its
    images.json. With a coco_json the pictures are those that it names, and the run has a copy of it with the names of
    the links. Its log says how far this is. StackError where no picture can be read; Stopped where `stopped` says so.
    """
    folder, target = given["image_folder"], os.path.join(run.path, "images")
    wanted = read_coco(given["coco_json"]) if given.get("coco_json") else None
    with io.open(run.log, "ab", 0) as log:
        sight = Sight(log, stopped)
        sight.say("checking the pictures of %s" % printed(folder))
        places = listed(folder, sight) if wanted is None else asked_for(folder, wanted["images"], sight)
        names = once(places)
        kinds = readable(folder, names, sight)
        taken = decoded(folder, [name for name in names if name in kinds], sight, generation, environment)
        sight.say("%d of %d files are captioned%s" % (len(taken), sight.files(len(taken)), sight.counted()))
        if not taken:
            raise StackError("%s contains no picture that image.load can read%s" % (printed(folder), sight.examples()))
        pictures = [(name, kinds[name]) for name in taken]
        links = link_all(folder, sight.each(pictures, "linked", len(pictures)), target)
    images = dict((link, shown(name)) for name, link in links.items())
    count, instead = len(links), {"image_folder": target}
    if wanted is not None:
        instead["coco_json"] = os.path.join(run.path, "coco.json")
        count = write_coco(instead["coco_json"], wanted, places, links)
    instead["num_images"] = given.get("num_images", count)
    # Of its own file, for a set has tens of thousands of them and whoever looks after the run reads the rest often.
    write_json(run.images, {"images": images, "set_aside": sight.told()})
    return instead, images, sight.told()


class Sight(object):
    """What was seen so far: the files that are set aside, and how far the look is, line by line in a log."""

    def __init__(self, log, stopped):
        self.log, self.stopped = log, stopped
        self.aside, self.counts = [], {}
        self.asked = 0.0

    def say(self, words):
        """A line in the log; a full disk keeps nobody from looking."""
        try:
            self.log.write((as_text(words) + "\n").encode("utf-8", "replace"))
        except (IOError, OSError):
            pass

    def put_aside(self, name, unusable):
        """A file that is not captioned."""
        self.counts[unusable.fault] = self.counts.get(unusable.fault, 0) + 1
        self.aside.append({"file": shown(name), "reason": as_text(unusable.reason)})

    def files(self, taken):
        """How many files there are with so many that are captioned."""
        return taken + len(self.aside)

    def each(self, things, verb, total=0):
        """The things, with lines of how far it is where there is a total. Stopped where somebody wants it to end."""
        progress = Progress(self.say, verb, total)
        for thing in things:
            now = time.time()
            if not 0 <= now - self.asked < PAUSE:
                self.asked = now
                if self.stopped():
                    raise Stopped()
            yield thing
            progress.add(1)
            progress.tick()

    def counted(self):
        """How many files are set aside for what; empty without any. No name of a file is in it."""
        counts = ["%d %s" % (count, fault) for fault, count in sorted(self.counts.items())]
        return "; set aside: %s. Their names are in images.json" % ", ".join(counts) if counts else ""

    def examples(self):
        """The first files that were set aside, and how many there are."""
        if not self.aside:
            return ": there is no file in it"
        some = ["%(file)s: %(reason)s" % entry for entry in self.told()[:3]]
        return as_native(TEXT(" (%d set aside: %s%s)") % (
            len(self.aside), "; ".join(some), "; and so on" if len(self.aside) > 3 else ""
        ))  # fmt: skip

    def told(self):
        """[{file, reason}] in order of names; of very many the first, and how many more there are."""
        told = sorted(self.aside, key=lambda entry: entry["file"])
        more = len(told) - MOST_TOLD
        if more <= 0:
            return told
        return told[:MOST_TOLD] + [{"file": "...", "reason": "and %d more%s" % (more, self.counted())}]


def listed(folder, sight):
    """The names of all files below a folder; what is none is set aside."""
    found = []
    for name, info in sight.each(walk(folder), "listed"):
        if isinstance(info, Unusable):
            sight.put_aside(name, info)
        else:
            found.append(name)
    return found


def readable(folder, names, sight):
    """{name: kind} of the files that are pictures of a kind that image.load reads, by their headers."""
    kinds = {}
    for name in sight.each(names, "checked the headers of", len(names)):
        try:
            kind = look(os.path.join(folder, name))[0]
            if kind not in LOADED:
                raise Unusable(
                    "it is a picture of another type (%s): image.load reads %s" % (kind, KINDS), "other kind"
                )
            kinds[name] = kind
        except Unusable as error:
            sight.put_aside(name, error)
    return kinds


def decoded(folder, names, sight, generation, environment):
    """Those of the names whose pictures image.load reads, in their order."""
    taken = []
    paths = [os.path.join(folder, name) for name in names]
    with contextlib.closing(tried(generation, paths, environment, sight.stopped)) as answers:
        for place, unusable in sight.each(answers, "read", len(names)):
            if unusable is None:
                taken.append(place)
            else:
                sight.put_aside(names[place], unusable)
    return [names[place] for place in sorted(taken)]


def link_all(folder, pictures, target):
    """{name: link} of the pictures [(name, kind)], linked under plain names in the order in which they are given."""
    make_directory(target)
    links = {}  # type: dict[str, str]
    for name, kind in pictures:
        links[name] = "%06d%s" % (len(links) + 1, SUFFIXES[kind])
        os.symlink(os.path.join(os.path.abspath(folder), name), os.path.join(target, links[name]))
    return links


def read_coco(path):
    """What stands in a file like MS COCO's: {images: [{file_name, id}]}. StackError for anything else."""
    try:
        size = os.path.getsize(path)
        if size > MAX_READ:
            raise StackError("-coco_json %s: it has %d bytes, more than the %d that are read" % (path, size, MAX_READ))
        told = json.loads(read_text(path) or "")
    except (IOError, OSError) as error:
        raise StackError("-coco_json %s: it cannot be read: %s" % (path, error.strerror))
    except (ValueError, RuntimeError) as error:  # the latter where it is too deep
        raise StackError("-coco_json %s is not JSON: %s" % (path, error))
    images = told.get("images") if isinstance(told, dict) else None
    if not isinstance(images, list) or not images:
        raise StackError("-coco_json %s: it has no list of images, as MS COCO's annotations do" % path)
    for number, entry in enumerate(images):
        if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), TEXT) or not entry["file_name"]:
            raise StackError("-coco_json %s: images[%d] has no file_name" % (path, number))
        if isinstance(entry.get("id"), bool) or not isinstance(entry.get("id"), (int, TEXT)):
            raise StackError("-coco_json %s: images[%d] has no id that is a number or a text" % (path, number))
    return told


def asked_for(folder, entries, sight):
    """The name of the file of each entry of a coco_json; None for what would lead out of the folder."""
    found = []
    for entry in sight.each(entries, "listed", len(entries)):
        name = find(folder, entry["file_name"])
        if os.path.isabs(name) or ".." in name.split("/"):
            sight.put_aside(name, Unusable("its name in -coco_json leads out of the folder", "elsewhere"))
            name = None
        found.append(name)
    return found


def once(names):
    """The names that are there, each once, in their order."""
    return list(collections.OrderedDict.fromkeys(name for name in names if name is not None))


def write_coco(path, told, names, links):
    """Write the run's own coco_json, of the linked pictures by the names of their links; how many entries it has."""
    named_so = zip(told["images"], names)
    images = [dict(entry, file_name=links[name]) for entry, name in named_so if name in links]
    write_whole(path, json.dumps(dict(told, images=images)))
    return len(images)
