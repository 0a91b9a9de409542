# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Scores captions: BLEU-1 to 4, METEOR, ROUGE_L and CIDEr, computed by pycocoevalcap as coco-caption computes them.

    cd coco-caption && python myeval.py FILE       as neuraltalk2 calls it with -language_eval 1
    cd coco-caption && python myeval.py --check    prints what is missing, one per line; exit code 1 if anything is

FILE contains {"val_predictions": [{"image_id": 1, "caption": "a cat"}]}. annotations/captions_val2014.json contains the
reference captions in the format of MS COCO. FILE_out.json gets {"CIDEr": 0.695, ...}: one line, three decimals.
If there are no scores, a line that starts with `ScorerError:` gives the reason, and the exit code is 1. It needs numpy,
java and pycocoevalcap (coco-caption's with Python 2.7), and no display. It replaces neuraltalk2's script of that name.
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
# pycocoevalcap/eval.py is not used, because it also imports SPICE, which downloads programs when it is called.
CLASSES = (
    ("tokenizer.ptbtokenizer", "PTBTokenizer"),
    ("bleu.bleu", "Bleu"),
    ("meteor.meteor", "Meteor"),
    ("rouge.rouge", "Rouge"),
    ("cider.cider", "Cider"),
)
JARS = ("tokenizer/stanford-corenlp-3.4.1.jar", "meteor/meteor-1.5.jar", "meteor/data/paraphrase-en.gz")
LARGEST = 1 << 30
"""The largest size of a file that is read, in bytes."""
LONGEST = 10000
"""The largest number of characters of a caption; a longer one means that the file is damaged."""
TEXT = type(b"".decode("utf-8"))
WHOLE = (int, type(1 << 70))
# The tokenizer ends a line at each of these, and METEOR ends a sentence at |||. An additional line would assign all
# following captions to the wrong images.
BREAKS = re.compile(b"[|]{3}|[\\n\\r\\x0b\\x0c\\x1c\\x1d\\x1e\\x85\\u2028\\u2029]".decode("unicode_escape"))
LAST = "the last line"
"""Tokenized after all captions. If it is not the last line of the output, lines were lost."""
JAVA = "the package default-jre-headless on Debian and Ubuntu, java-17- or java-1.8.0-openjdk-headless on EL"
KILLED = "if nobody ended java, probably the out-of-memory killer did (see dmesg)"


class ScorerError(Exception):
    """There are no scores; the message gives the reason."""


class LackError(ScorerError):
    """The host lacks something; the message names it and continues `this host lacks`."""


def read_json(path, what):
    """The content of a JSON file. ScorerError if it is missing, too large, or not JSON."""
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
    """The objects in the list `name`. ScorerError with file and field if an object does not have these keys."""
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
    """{id: [caption, ...]} of the images with captions. ScorerError if the file does not have the format of MS COCO."""
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
    """{id: caption} of the predictions whose images have references, in their order. ScorerError if there is none."""
    entries = objects(read_json(path, "predictions"), "val_predictions", path, ("image_id", "caption"))
    if not entries:
        raise ScorerError("there is not one prediction in %s: no image was captioned" % path)
    found, unknown, repeated = collections.OrderedDict(), [], 0
    for entry in entries:
        if entry["image_id"] not in known:
            unknown.append(entry["image_id"])
        elif entry["image_id"] in found:
            repeated += 1
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
    if repeated:
        # At the end of the images, validation fills its last batch with the first images.
        print("%d predictions are left out, for they are of images that were captioned before" % repeated)
    return found


def first(ids):
    """The first five ids as JSON: text in quotation marks, numbers without."""
    ids = list(ids)
    return ", ".join(json.dumps(value)[:80] for value in ids[:5]) + (" and more" if len(ids) > 5 else "")


def load():
    """{name: class} of pycocoevalcap, from the working directory. LackError if one cannot be loaded."""
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
    """The reason why java does not run, as text; empty if it runs."""
    try:
        process = subprocess.Popen(["java", "-version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return "java, which the tokenizer and METEOR are written in (%s)" % JAVA
        return "a java that can be started: %s (%s)" % (error.strerror, JAVA)
    output = process.communicate()[0].decode("utf-8", "replace").strip().splitlines()
    if process.returncode == 0:
        return ""
    return "a java that runs: code %d, %s (%s)" % (process.returncode, (output or ["no output"])[-1][:200], JAVA)


def lacks():
    """What is missing for scoring in the working directory, as texts; the annotations are not checked."""
    found = []
    try:
        load()
    except LackError as error:
        found = [str(error)]
    paths = [os.path.abspath(os.path.join("pycocoevalcap", jar)) for jar in JARS]
    found += ["the file %s" % path for path in paths if not os.path.isfile(path)]
    return found + [lack for lack in [java_lack()] if lack]


def tokenized(tokenizer, captions):
    """{id: [tokens joined by spaces, ...]} from {id: [caption, ...]}, with one call of java."""
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
    """A caption in the form for pycocoevalcap's classes: one line, and bytes with Python 2."""
    text = BREAKS.sub(" ", text).encode("utf-8", "replace")
    return {"caption": text if str is bytes else text.decode("utf-8")}


def scores(classes, given, truths):
    """[(name, score)] of {id: caption} compared with {id: [caption, ...]}, in the order of coco-caption."""
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
    """METEOR's score. ScorerError with java's exit code and error output if java ends early."""
    try:
        return scorer.compute_score(gts, res)[0]
    except (ValueError, IOError, OSError) as error:
        # Otherwise its destructor would wait for this lock for ever.
        if scorer.lock.locked():
            scorer.lock.release()
        process, deadline = scorer.meteor_p, time.time() + 5
        while process.poll() is None and time.time() < deadline:
            time.sleep(0.05)
        code = process.poll()
        output = "" if code is None else " ".join(process.stderr.read().decode("utf-8", "replace").split())[-300:]
        why = KILLED if code is not None and code < 0 else output or str(error)
        how = (
            "gave no number" if code is None else "ended with " + ("code %d" if code >= 0 else "signal %d") % abs(code)
        )
        raise ScorerError("METEOR, a Java program that asks for 2 GiB of memory (-Xmx2G), %s: %s" % (how, why))


def write(path, found):
    """Write the scores exactly as the original does. Renames a complete file, so a kill leaves no incomplete one."""
    text = "{%s}" % ", ".join('"%s": %s' % (name, format(value, ".3f")) for name, value in found)
    with io.open(path + ".new", "wb") as file:
        file.write(text.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def score(path):
    """Score the predictions in a file, and write FILE_out.json."""
    truths = references(ANNOTATIONS)
    given = chosen(path, truths)
    if java_lack():
        raise LackError(java_lack())
    found = scores(load(), given, truths)
    bad = [name for name, value in found if value - value != 0]
    if bad:
        raise ScorerError("%s came out as no number" % ", ".join(bad))
    write(path + "_out.json", found)


def main(arguments):
    """The exit code: 0 with scores or if nothing is missing, 1 with a message otherwise, 2 for wrong arguments."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    if arguments == ["--check"]:
        found = lacks()
        for lack in found:
            print("lacks: %s" % lack)
        return 1 if found else 0
    try:
        score(arguments[0])
    except LackError as error:
        print("ScorerError: this host lacks %s" % error)
    except ScorerError as error:
        print("ScorerError: %s" % error)
    except EnvironmentError as error:
        place = error.filename or os.getcwd()
        print("ScorerError: %s: %s" % (place, "no room on the disk" if error.errno == errno.ENOSPC else error.strerror))
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        print("ScorerError: %s: %s" % (type(error).__name__, str(error) or "no message"))
    else:
        return 0
    return 1


if __name__ == "__main__":
    if hasattr(sys.stdout, "buffer"):  # Python 3.6 only prints ASCII if LC_ALL is C
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer, "utf-8", "backslashreplace", line_buffering=True)
    sys.exit(main(sys.argv[1:]))
