# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Scores captions: BLEU-1 to 4, METEOR, ROUGE_L and CIDEr, computed by pycocoevalcap as coco-caption computes them.

    cd coco-caption && python myeval.py FILE       as neuraltalk2 calls it with -language_eval 1
    cd coco-caption && python myeval.py --check    prints what is missing here, a line each; code 1 if anything is

FILE holds {"val_predictions": [{"image_id": 1, "caption": "a cat"}]}. annotations/captions_val2014.json holds the
sentences to compare with, in the form of MS COCO. FILE_out.json gets {"CIDEr": 0.695, ...}: one line, three decimals.
Where there are no scores, one line that begins with `ScorerError:` says why, and the exit code is 1. It needs numpy,
java and pycocoevalcap (under Python 2.7 coco-caption's), and no display. It replaces neuraltalk2's script of that name.
"""

from __future__ import absolute_import, division, print_function

import collections
import errno
import importlib
import io
import json
import os
import re
import subprocess
import sys
import time
import traceback

ANNOTATIONS = os.path.join("annotations", "captions_val2014.json")
# Its eval.py would import SPICE as well, which downloads programs when it is called.
CLASSES = (
    ("tokenizer.ptbtokenizer", "PTBTokenizer"),
    ("bleu.bleu", "Bleu"),
    ("meteor.meteor", "Meteor"),
    ("rouge.rouge", "Rouge"),
    ("cider.cider", "Cider"),
)
JARS = ("tokenizer/stanford-corenlp-3.4.1.jar", "meteor/meteor-1.5.jar", "meteor/data/paraphrase-en.gz")
LARGEST = 1 << 30
"""Bytes of a file that are read at most."""
LONGEST = 10000
"""Characters of a caption; a longer one is a sign of a damaged file."""
TEXT = type(b"".decode("utf-8"))
WHOLE = (int, type(1 << 70))
# The tokenizer takes each of these for the end of a line, and METEOR takes ||| for the end of a sentence. One more line
# would move all captions behind it to the next image.
BREAKS = re.compile(b"[|]{3}|[\\n\\r\\x0b\\x0c\\x1c\\x1d\\x1e\\x85\\u2028\\u2029]".decode("unicode_escape"))
LAST = "the last line"
"""Goes through the tokenizer behind all captions: it has to come out as the last line."""
JAVA = "the package default-jre-headless on Debian and Ubuntu, java-17- or java-1.8.0-openjdk-headless on EL"
KILLED = "if nobody ended java, probably the out-of-memory killer did (see dmesg)"


class ScorerError(Exception):
    """Why there are no scores, in words."""


class LackError(ScorerError):
    """What this host lacks, in words that go on from `it lacks`."""


def read_json(path, what):
    """The content of a JSON file. ScorerError where it is missing, too large, or not JSON."""
    if not os.path.isfile(path):
        raise ScorerError("the %s are missing: there is no file %s" % (what, os.path.realpath(path)))
    if os.path.getsize(path) > LARGEST:
        raise ScorerError("%s is larger than %d bytes" % (os.path.realpath(path), LARGEST))
    try:
        with io.open(path, encoding="utf-8") as file:
            return json.load(file)
    except (ValueError, RuntimeError) as error:  # too deep for the parser is a RuntimeError
        raise ScorerError("%s is not JSON: %s" % (os.path.realpath(path), str(error)[:200]))


def objects(whole, name, path, keys):
    """[(number, object)] of the list `name`. ScorerError naming file and field where one has not these keys."""
    path, found = os.path.realpath(path), whole.get(name) if isinstance(whole, dict) else None
    if not isinstance(found, list):
        raise ScorerError("%s: it has no list `%s`" % (path, name))
    for number, entry in enumerate(found):
        for key in keys:
            if not isinstance(entry, dict) or key not in entry:
                raise ScorerError("%s: %s[%d] has no `%s`" % (path, name, number, key))
            value, place = entry[key], "%s: %s[%d].%s" % (path, name, number, key)
            if key == "caption" and not isinstance(value, TEXT):
                raise ScorerError("%s is not text" % place)
            if key == "caption" and len(value) > LONGEST:
                raise ScorerError("%s has %d characters, more than %d" % (place, len(value), LONGEST))
            if key != "caption" and not is_identity(value):
                raise ScorerError("%s is neither a whole number nor text" % place)
    return found


def is_identity(value):
    """Whether a value can be the id of an image. Lua may write whole numbers as 1e+05."""
    if isinstance(value, float):
        return abs(value) < 1e16 and value == int(value)
    return isinstance(value, WHOLE + (TEXT,)) and not isinstance(value, bool)


def references(path):
    """{id: [caption, ...]} of the images that have any. ScorerError where the file is not like MS COCO's."""
    whole = read_json(path, "annotations")
    found = dict((image["id"], []) for image in objects(whole, "images", path, ("id",)))
    for entry in objects(whole, "annotations", path, ("image_id", "caption")):
        if entry["image_id"] in found:
            found[entry["image_id"]].append(entry["caption"])
    found = dict((image, captions) for image, captions in found.items() if captions)
    if not found:
        raise ScorerError("%s: no image in it has a caption to compare with" % os.path.realpath(path))
    return found


def chosen(path, known):
    """{id: caption} of the predictions whose images have references, in their order. ScorerError where none has."""
    entries = objects(read_json(path, "predictions"), "val_predictions", path, ("image_id", "caption"))
    if not entries:
        raise ScorerError("there is not one prediction in %s: no image was captioned" % path)
    found, unknown, again = collections.OrderedDict(), [], 0
    for entry in entries:
        if entry["image_id"] not in known:
            unknown.append(entry["image_id"])
        elif entry["image_id"] in found:
            again += 1
        else:
            found[entry["image_id"]] = entry["caption"]
    if not found:
        words = "none of the %d predictions is of an image of the annotations %s. Predictions have the ids %s; the %d "
        words += "annotated images have %s. Use annotations of the same images: `provision data prepare` writes them"
        there = os.path.realpath(ANNOTATIONS)
        raise ScorerError(words % (len(entries), there, first(unknown), len(known), first(known)))
    print("using %d/%d predictions" % (len(found), len(entries)))
    if unknown:
        print("%d predictions are left out, for the annotations lack their images: %s" % (len(unknown), first(unknown)))
    if again:
        # A validation that comes to the end of its images fills its last batch with the first ones.
        print("%d predictions are left out, for they are of images that were captioned before" % again)
    return found


def first(ids):
    """The first five ids, as JSON has them: text in quotation marks, numbers without."""
    ids = list(ids)
    return ", ".join(json.dumps(value)[:80] for value in ids[:5]) + (" and more" if len(ids) > 5 else "")


def load():
    """{name: class} of pycocoevalcap, from this folder. LackError where one does not load."""
    sys.path.insert(0, os.getcwd())
    found = {}
    for module, name in CLASSES:
        try:
            found[name] = getattr(importlib.import_module("pycocoevalcap." + module), name)
        except Exception as error:
            words = "a pycocoevalcap.%s that %s can load: %s: %s"
            raise LackError(words % (module, sys.executable, type(error).__name__, error))
    return found


def java_lack():
    """What is lacking of java, in words; empty where it runs."""
    try:
        process = subprocess.Popen(["java", "-version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return "java, which the tokenizer and METEOR are written in (%s)" % JAVA
        return "a java that can be started: %s (%s)" % (error.strerror, JAVA)
    said = process.communicate()[0].decode("utf-8", "replace").strip().splitlines()
    if process.returncode == 0:
        return ""
    return "a java that runs: code %d, %s (%s)" % (process.returncode, (said or ["no word"])[-1][:200], JAVA)


def lacks():
    """What scoring would miss in this folder, in words, but for the annotations."""
    found = []
    try:
        load()
    except LackError as error:
        found = [str(error)]
    paths = [os.path.abspath(os.path.join("pycocoevalcap", jar)) for jar in JARS]
    found += ["the file %s" % path for path in paths if not os.path.isfile(path)]
    return found + [lack for lack in [java_lack()] if lack]


def tokenized(tokenizer, captions):
    """{id: [tokens joined by spaces, ...]} of {id: [caption, ...]}, in one call of java."""
    lines = collections.OrderedDict((image, [one_line(text) for text in texts]) for image, texts in captions.items())
    lines[LAST, LAST] = [{"caption": LAST}]
    found = tokenizer.tokenize(lines)
    if found.pop((LAST, LAST), None) != [LAST]:
        lack = java_lack()
        if lack:
            raise LackError(lack)
        raise ScorerError("the tokenizer, a Java program, gave back fewer lines than it got: %s" % KILLED)
    return found


def one_line(text):
    """A caption as pycocoevalcap's classes take it: one line, and bytes under Python 2."""
    text = BREAKS.sub(" ", text).encode("utf-8", "replace")
    return {"caption": text if str is bytes else text.decode("utf-8")}


def scores(classes, given, truths):
    """[(name, score)] of {id: caption} against {id: [caption, ...]}, in coco-caption's order."""
    print("tokenization...")
    tokenizer = classes["PTBTokenizer"]()
    gts = tokenized(tokenizer, collections.OrderedDict((image, truths[image]) for image in given))
    res = tokenized(tokenizer, collections.OrderedDict((image, [caption]) for image, caption in given.items()))
    print("setting up scorers...")
    found = []
    for make, names in (
        (lambda: classes["Bleu"](4), ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"]),
        (classes["Meteor"], ["METEOR"]),
        (classes["Rouge"], ["ROUGE_L"]),
        (classes["Cider"], ["CIDEr"]),
    ):
        scorer = make()
        print("computing %s score..." % scorer.method())
        score = meteor(scorer, gts, res) if names == ["METEOR"] else scorer.compute_score(gts, res)[0]
        for name, value in zip(names, score if len(names) > 1 else [score]):
            print("%s: %0.3f" % (name, value))
            found.append((name, float(value)))
    return found


def meteor(scorer, gts, res):
    """METEOR's score. ScorerError with java's code and words where java ends early."""
    try:
        return scorer.compute_score(gts, res)[0]
    except (ValueError, IOError, OSError) as error:
        # It would wait for its own lock when it is taken down.
        if scorer.lock.locked():
            scorer.lock.release()
        process, deadline = scorer.meteor_p, time.time() + 5
        while process.poll() is None and time.time() < deadline:
            time.sleep(0.05)
        code = process.poll()
        said = "" if code is None else " ".join(process.stderr.read().decode("utf-8", "replace").split())[-300:]
        why = KILLED if code is not None and code < 0 else said or str(error)
        how = (
            "gave no number" if code is None else "ended with " + ("code %d" if code >= 0 else "signal %d") % abs(code)
        )
        raise ScorerError("METEOR, a Java program that asks for 2 GiB of memory (-Xmx2G), %s: %s" % (how, why))


def write(path, found):
    """Write the scores as the original does, to the digit, beside and then renamed: a kill leaves no half of it."""
    text = "{%s}" % ", ".join('"%s": %s' % (name, format(value, ".3f")) for name, value in found)
    with io.open(path + ".new", "wb") as file:
        file.write(text.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def score(path):
    """Score the predictions of a file into FILE_out.json."""
    truths = references(ANNOTATIONS)
    given = chosen(path, truths)
    if java_lack():
        raise LackError(java_lack())
    found = scores(load(), given, truths)
    bad = [name for name, value in found if value - value != 0]
    if bad:
        raise ScorerError("%s came out as no number" % ", ".join(bad))
    write(path + "_out.json", found)


def main(words):
    """The exit code: 0 with scores, or where nothing is missing; 1 with words why not; 2 for another call."""
    if len(words) != 1:
        print(__doc__)
        return 2
    if words == ["--check"]:
        found = lacks()
        for lack in found:
            print("lacks: %s" % lack)
        return 1 if found else 0
    try:
        score(words[0])
    except LackError as error:
        print("ScorerError: this host lacks %s" % error)
    except ScorerError as error:
        print("ScorerError: %s" % error)
    except EnvironmentError as error:
        place = error.filename or os.getcwd()
        print("ScorerError: %s: %s" % (place, "no room on the disk" if error.errno == errno.ENOSPC else error.strerror))
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        print("ScorerError: %s: %s" % (type(error).__name__, str(error) or "no word"))
    else:
        return 0
    return 1


if __name__ == "__main__":
    if hasattr(sys.stdout, "buffer"):  # Python 3.6 prints nothing but ASCII where LC_ALL is C
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer, "utf-8", "backslashreplace", line_buffering=True)
    sys.exit(main(sys.argv[1:]))
