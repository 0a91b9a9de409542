# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Finds problems in data before a training: in a folder of pictures, captions with their pictures, or a data set.

Runs under Python 2.7 and 3. Pillow is used to decode pictures if it is installed; a data set needs numpy and h5py.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import json
import os

from .dataset import DAMAGE, check, check_pixels, in_words
from .dataset_json import MOST
from .findings import Findings
from ..pictures.headers import Unusable
from .pictures import Inspection, suffix_kind
from ..pictures.files import find, named, opened, printed, shown, status, walk
from ..programs.progress import Progress
from .quarantine import LIST, Quarantine, undo
from ..captions.sources import read
from ..host.errors import StackError
from ..host.texts import as_native, as_text
from ..rules.data import WORDS
from ..captions.tokens import tokenizer

HDF5 = b"\x89HDF\r\n\x1a\n"
COLUMNS = ("karpathy_split", "split_column", "file_column", "caption_column")


def inspect(request, say):
    """Inspect data and return the problems; `say(text)` is called with lines of progress and a summary at the end.

    request: path (a folder of pictures, a captions file, an HDF5 file or the JSON beside it), images_root (where the
    pictures of captions or of a data set are), input_json (the JSON of an HDF5 file, if it has another name), result
    (path of the file to which all findings are written, as JSON Lines), quarantine (a folder to which bad pictures are
    moved), undo (the list of a quarantine: its files are moved back and nothing is inspected), jobs (processes; 0 means
    all cores), tokens, and the columns of captions.

    The result: what (folder, captions, data set), pictures, captions, faults and remarks {kind: number}, first (some
    faults), findings (the path); with a quarantine also quarantined, list and not_moved [{file, reason}]; after undo
    only what, moved_back, back_already and left. StackError if the data cannot be inspected.
    """
    if request.get("undo"):
        return move_back(request["undo"], say)
    path, root = find("", request["path"]), find("", request.get("images_root") or "")
    quarantine_folder = named(request.get("quarantine") or "")
    what = what_is(path)
    if quarantine_folder and what == "data set":
        raise StackError("--quarantine moves pictures, but %s contains none as files" % printed(path))
    with Findings(named(request["result"])) as found:
        if what == "data set":
            counts = inspect_set(path, request, root, found, say)
        else:
            decode = has_pillow(say)
            inspect_path = inspect_folder if what == "folder" else inspect_captions
            pictures_root = path if what == "folder" else (root or os.path.dirname(os.path.abspath(path)))
            check_quarantine(pictures_root, quarantine_folder)
            inspection = Inspection(pictures_root, found, what == "captions", decode)
            counts = inspect_path(path, inspection, request, quarantine_folder, say)
    for line in found.lines():
        say(line)
    if quarantine_folder:
        counts.update(move_bad(pictures_root, quarantine_folder, inspection.bad, say))
    return dict(counts, what=what, faults=found.counts["faults"], remarks=found.counts["remarks"], first=found.first,
                findings=shown(found.path))  # fmt: skip


def what_is(path):
    """Return what a path is: folder, data set or captions. StackError if it can be none of them."""
    if os.path.isdir(path):
        return "folder"
    head = first_bytes(path)
    if head.startswith(HDF5) or path.lower().endswith((".h5", ".hdf5")):
        return "data set"
    return "data set" if head.lstrip()[:1] == b"{" and is_dataset_json(path) else "captions"


def first_bytes(path):
    """Return the first bytes of an ordinary file, or nothing without a path. StackError for anything else."""
    if not path:
        return b""
    try:
        with opened(path) as file:
            return file.read(1 << 16)
    except Unusable as error:
        raise StackError("%s: %s" % (printed(path), error.reason))
    except (IOError, OSError) as error:
        raise StackError("%s cannot be read: %s" % (printed(path), error.strerror))


def is_dataset_json(path):
    """Return whether a file is the JSON of a data set."""
    size = os.path.getsize(path)
    if size > MOST:
        return False
    try:
        with io.open(path, "rb") as file:
            content = json.loads(file.read(size).decode("utf-8"))
    except (IOError, OSError, ValueError, RuntimeError):
        return False
    return isinstance(content, dict) and "ix_to_word" in content


def has_pillow(say):
    """Return whether pictures can be decoded by this Python."""
    try:
        import PIL  # noqa: F401
    except ImportError:
        say("Pillow is not installed for this Python: only the headers of the pictures are checked")
        return False
    return True


def check_quarantine(pictures_root, quarantine_folder):
    """StackError if bad pictures cannot be moved to this folder; checked before the long inspection."""
    if quarantine_folder:
        with Quarantine(pictures_root, quarantine_folder):
            pass


def move_bad(pictures_root, quarantine_folder, bad, say):
    """Move the bad pictures to the quarantine; return {quarantined, list, not_moved}."""
    moved, left = 0, []
    with Quarantine(pictures_root, quarantine_folder) as quarantine:
        for name, reason in sorted(bad):
            if not os.path.lexists(os.path.join(pictures_root, name)):
                continue
            problem = quarantine.add(name, reason)
            moved += not problem
            if problem:
                left.append({"file": shown(name), "reason": as_text(problem)})
        message = "moved %d files to %s; to move them back: `provision data inspect %s --undo %s`"
        say(message % (moved, printed(quarantine_folder), printed(pictures_root), printed(quarantine.list)))
        for entry in left[:20]:
            say(as_native("not moved: %(file)s: %(reason)s" % entry))
        return {"quarantined": moved, "list": shown(quarantine.list), "not_moved": left}


def move_back(path, say):
    """Move back the files in the list of a quarantine; return the result."""
    result = undo(find("", path), say)
    say("%(moved_back)d files were moved back; %(back_already)d were there already" % result)
    for entry in result["left"][:20]:
        say(as_native("not moved back: %(file)s: %(reason)s" % entry))
    return dict(result, what="undo")


def files_below(folder, quarantine_folder, result):
    """Return [(name, os.stat or an Unusable)] of a folder, without files of a quarantine and the file of findings."""
    found = list(walk(folder, [quarantine_folder] if quarantine_folder else []))
    quarantines = tuple(os.path.dirname(name) + os.sep for name, _info in found if os.path.basename(name) == LIST)
    result = os.path.realpath(result)
    return [
        (name, info)
        for name, info in found
        if not (name.startswith(quarantines) or name == LIST or os.path.realpath(os.path.join(folder, name)) == result)
    ]


def inspect_folder(path, inspection, request, quarantine_folder, say):
    """Check a folder of pictures; return {pictures}."""
    sizes, listed = {}, files_below(path, quarantine_folder, inspection.found.path)
    if not listed:
        inspection.found.fault(path, "", "no file", "there is no file in it")
    for name, info in listed:
        if isinstance(info, Unusable):
            inspection.refuse(name, info)
        else:
            sizes[name] = info.st_size
    say("%d files below %s" % (len(sizes), printed(path)))
    inspection.run(sizes, say, request.get("jobs") or 0)
    return {"pictures": len(sizes)}


def inspect_captions(path, inspection, request, quarantine_folder, say):
    """Check a captions file and its pictures; return {pictures, captions}."""
    found = inspection.found
    try:
        entries = read([path], **dict((name, as_native(request.get(name) or "")) for name in COLUMNS))
    except StackError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        for line in lines[1:] or lines:
            found.fault(path, "", "captions", line)
        if not request.get("images_root"):
            return {"pictures": 0, "captions": 0}
        say("the captions cannot be read, so all pictures of the folder are checked")
        inspection.named = False
        return dict(inspect_folder(inspection.root, inspection, request, quarantine_folder, say), captions=0)
    split, sizes, names = tokenizer(request.get("tokens") or WORDS), {}, set()
    for number, entry in enumerate(entries):
        name = find(inspection.root, entry["file_path"])
        check_captions(path, number, entry, split, found)
        if name in names:
            found.remark(path, "picture %d" % (number + 1), "duplicate", "%s occurs twice" % printed(name))
        names.add(name)
        try:
            sizes[name] = status(os.path.join(inspection.root, name)).st_size
        except Unusable as error:
            inspection.refuse(name, error)
    say("%d pictures with captions in %s, below %s" % (len(entries), printed(path), printed(inspection.root)))
    inspection.run(sizes, say, request.get("jobs") or 0)
    remark_unnamed(path, inspection, names, quarantine_folder)
    return {"pictures": len(entries), "captions": sum(len(entry["captions"]) for entry in entries)}


def check_captions(path, number, entry, split, found):
    """Find captions without words, and repeated captions. `split` returns the words of a caption."""
    texts = set()
    place = "picture %d (%s)" % (number + 1, printed(entry["file_path"]))
    for caption in entry["captions"]:
        if not split(caption):
            quoted = as_native(as_text(json.dumps(caption[:80])))
            found.fault(path, place, "no words", "the caption %s has no words, only punctuation" % quoted)
        if caption in texts:
            quoted = as_native(as_text(json.dumps(caption[:80])))
            found.remark(path, place, "duplicate caption", "the caption %s occurs twice" % quoted)
        texts.add(caption)


def remark_unnamed(path, inspection, names, quarantine_folder):
    """Add a remark for each picture in the folder that is not in the captions file."""
    known = set(os.path.normpath(name) for name in names)
    for name, _info in files_below(inspection.root, quarantine_folder, inspection.found.path):
        if suffix_kind(name) and os.path.normpath(name) not in known:
            inspection.found.remark(name, "", "no caption", "it has no caption in %s" % printed(path))


def inspect_set(path, request, root, found, say):
    """Check an HDF5 file with its JSON; return {pictures, captions, words, splits}."""
    h5, json_file = path, find("", request.get("input_json") or "")
    if not path.lower().endswith((".h5", ".hdf5")) and is_dataset_json(path):
        h5, json_file = beside(path, ".h5"), path
        if not h5:
            raise StackError(
                "%s: there is no HDF5 file with the same name (.h5) in its folder: give the HDF5 file" % printed(path)
            )
    json_file = json_file or beside(h5, ".json")
    need_h5py()
    if not json_file:
        reason = "there is no JSON file with its name: the labels were not compared with a vocabulary"
        found.remark(h5, "", "no JSON", reason)
    for file in (h5, json_file):
        first_bytes(file)  # StackError if it is not an ordinary file
    say("checking the labels of %s" % printed(h5))
    counts = check(h5, json_file, found)
    listed = counts.pop("listed")
    if root:
        check_names(json_file, listed, root, found)
    if counts.get("pictures"):
        progress = Progress(say, "read", counts["pictures"])

        def step(done, _total):
            progress.add(done - progress.done)
            progress.tick()

        try:
            check_pixels(h5, found, step)
        except DAMAGE as error:
            found.fault(h5, "/images", "unreadable", in_words(h5, error))
    return counts


def need_h5py():
    """StackError if this Python cannot open a data set."""
    try:
        import h5py  # noqa: F401
        import numpy  # noqa: F401
    except ImportError as error:
        raise StackError("this Python has no h5py and numpy, which are needed to open a data set (%s)" % error)


def beside(path, suffix):
    """Return the file of the same name with another suffix, or "" if there is none."""
    other = os.path.splitext(path)[0] + suffix
    return other if os.path.isfile(other) else ""


def check_names(json_file, listed, root, found):
    """Find pictures in the JSON whose files do not exist."""
    for row, entry in enumerate(listed):
        text = entry.get("file_path") if isinstance(entry, dict) else None
        if not text or not hasattr(text, "lower"):
            continue
        try:
            status(os.path.join(root, find(root, text)))
        except Unusable as error:
            found.fault(json_file, "images[%d]" % row, "missing", "%s: %s" % (printed(text), error.reason))
