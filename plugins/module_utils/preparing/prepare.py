# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""`provision data prepare`: captions and pictures become the HDF5 and the JSON that train.lua reads.

Does the same as upstream's prepro.py with the same options, with the same result. If the command was killed at any
moment, the same command continues where it stopped: a journal beside the HDF5 records what was done.

Runs under Python 2.7 and 3. Needs numpy, h5py and Pillow.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import resource
import signal
import sys
import tempfile
import warnings

from .blocks import as_seen, peak, sync
from .journal import Journal
from .outputs import Outputs, message_about, write_unreadable
from ..pictures.files import as_name, shown
from ..programs.processes import DeathError, crash_of, in_child
from ..programs.progress import duration, ignoring_errors, number, size
from .reading import Crew, Reading, as_latin, unchanged
from .request import checked, lasting
from .staging import stage
from ..host.errors import StackError
from ..host.files import remove
from ..host.texts import as_text
from ..rules import clock

MODULES = (("numpy", "numpy"), ("h5py", "h5py"), ("PIL", "Pillow"))

ENDS = (signal.SIGTERM, signal.SIGINT)


class Ended(BaseException):
    """This command received a signal to end."""


def prepare(request, say):
    """Prepare a data set and return the result; `say(text)` is called with lines of progress.

    request: input_json [paths], output_json, output_h5, and as they are wanted images_root, num_val, num_test,
    val_share, test_share, split_column, file_column, caption_column, max_length, word_count_threshold,
    karpathy_split, tokens, set_aside, jobs (processes, 0: all cores), block (pictures that a process gets at once,
    0: chosen here).

    Result: pictures, captions, splits, words, statistics (see captions/encoding.py), converted, other_type, set_aside
    (counts of pictures), unreadable (the list of those, or empty), resumed (pictures that were read before),
    seconds, per_second (pictures read), memory {parent, captions, worker} (bytes: the most that this process had, the
    one that read the captions, and any that read pictures), files {path: {bytes, sha256 (not of the HDF5)}},
    output_json, output_h5, annotations, and `plan`, digests of what went in.

    StackError if it fails. What was done is kept, and the same command continues.
    """
    began = clock.seconds()
    options = checked(request)
    outputs = Outputs(options["output_h5"], options["output_json"])
    outputs.refuse()
    if not os.path.lexists(outputs.journal):
        outputs.refuse_existing()
    handlers, crew, journal = listen(), None, None
    try:
        crew = Crew(options["jobs"])  # first of all: children are as small as this process is now
        need_modules()
        journal = open_journal(outputs)
        finishing = journal.state.finishing
        if finishing:
            refuse_other(finishing["asked"], lasting(options))
        if not finishing:
            outputs.refuse_existing()
            result = Preparation(options, outputs, crew, journal, ignoring_errors(say)).run(began)
            journal.add({"finishing": {"asked": lasting(options), "result": result}}, durable=True)
        outputs.finish()
        result = journal.state.finishing["result"]
        journal.remove()
        return result
    except Ended as ended:
        raise StackError(words_of_end(ended, journal), signal=ended.args[0])
    except DeathError as death:
        raise StackError("a worker process was ended by signal %d: run the same command again" % crash_of(death))
    except (IOError, OSError) as error:
        where = shown(error.filename) if error.filename else "a file"
        raise StackError("%s: %s. The same command continues where it stopped" % (where, as_text(error.strerror)))
    finally:
        if crew is not None:
            crew.end()
        leave(outputs, journal)
        for each, handler in handlers:
            signal.signal(each, handler)


def refuse_other(options, now):
    """StackError if an interrupted command, which only has to rename its files, had another request."""
    differ = sorted(key for key in now if options.get(key) != now[key])
    if differ:
        words = (
            "an earlier command has prepared these files, and was interrupted before it gave them their names. Run "
            "that command again, which takes a moment; it had another %s (%s)"
        )
        values = ", ".join(json.dumps(options.get(key)) for key in differ)
        raise StackError(words % (", ".join(differ), values))


def need_modules():
    """Import the modules that are needed. StackError with the remedy if one is missing."""
    missing = []
    # Neither threads of numpy's nor locks of HDF5's are of use here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module, package in MODULES:
            try:
                __import__(module)
            except Exception as error:  # also one that is there and cannot be loaded
                missing.append("%s (%s)" % (package, as_text(str(error))))
    if missing:
        words = "preparing data needs modules that %s (Python %s) lacks: %s. Bring their wheels with `provision mirror "
        words += "add`, then run `provision site`; or install them with the packages of the system"
        raise StackError(words % (sys.executable, sys.version.split()[0], ", ".join(missing)))


def open_journal(outputs):
    """The journal of the data set, locked, with this command in it."""
    journal = Journal(outputs.journal, shown(outputs.journal))
    try:
        if journal.empty():
            outputs.refuse_foreign()
        journal.begin()
        return journal
    except Exception:
        if journal.empty():
            journal.remove()
        journal.close()
        raise


def leave(outputs, journal):
    """Close the journal. If nothing was done yet, remove it and the unfinished files."""
    if journal is None or journal.handle is None:
        return
    if not journal.state.lines and not journal.state.finishing:
        outputs.remove_parts()
        journal.remove()
    journal.close()


def listen():
    """Raise Ended if this command receives SIGTERM or SIGINT; return the previous handlers."""

    def hear(given, _frame):
        for each in ENDS:
            signal.signal(each, signal.SIG_IGN)  # what was done is being saved now
        raise Ended(given)

    try:
        return [(each, signal.signal(each, hear)) for each in ENDS]
    except ValueError:  # not the main thread
        return []


def words_of_end(ended, journal):
    """Return the message for a command that was ended by a signal."""
    words = "ended by signal %d" % ended.args[0]
    if journal is None or not journal.state.lines:
        return words + ", before any picture was read"
    rows = len(journal.state.blocks) * journal.state.plan["block"]
    rows = min(rows, journal.state.plan["rows"])
    return words + ": about %s of %s pictures are done, and the same command continues there" % (
        number(rows), number(journal.state.plan["rows"])
    )  # fmt: skip


class Preparation(object):
    """The work of one command, until only the renaming of the files remains."""

    def __init__(self, options, outputs, crew, journal, say):
        self.options, self.outputs, self.crew, self.journal, self.say = options, outputs, crew, journal, say
        self.excluded, self.restarted = {}, False
        if options["set_aside"] and journal.state.plan:
            self.excluded = unchanged(journal.state.plan.get("excluded") or {})

    def run(self, began):
        """Do all the work, and return the result."""
        folder = os.path.dirname(self.outputs.h5)
        with tempfile.TemporaryFile(dir=folder) as spool:
            while True:
                staged, reading, resumed = self.begin(spool.fileno())
                bad = reading.look() or self.read(reading)
                if not bad:
                    break
                self.set_aside(bad, reading.plan["rows"])
        self.say("all pictures are read; what the disk does not have yet is being written to it")
        sync({"part": as_latin(self.outputs.part)}, None)
        return self.result(staged, reading, resumed, began)

    def begin(self, spool):
        """Write all but the pictures; return (result of `stage`, a Reading, number of pictures read before)."""
        known, options, outputs = self.journal.state.plan, self.options, self.outputs
        staged = in_child(lambda: stage(options, outputs, self.excluded, known, spool))
        facts = staged["statistics"]
        words = "%s captions of %s pictures (train %s, val %s, test %s); %s words are in the vocabulary"
        counts = [facts["captions"], facts["pictures"]] + [facts["splits"][split] for split in ("train", "val", "test")]
        self.say(words % tuple(map(number, counts + [facts["vocabulary"]])))
        for remark in facts["remarks"]:
            self.say(remark)
        anew = bool(staged["why"])
        if anew:
            if known and self.journal.state.lines and not self.restarted:
                self.say(
                    "the work that was started here before cannot be continued, so all pictures are read: "
                    "%s" % staged["why"]
                )
            self.journal.add({"plan": dict(staged["plan"], excluded=self.excluded)}, durable=True)
        reading = Reading(self.crew, self.journal, spool, outputs.part, self.say)
        resumed = 0 if anew else reading.verify()
        if resumed:
            self.say("continuing: %s of %s pictures were read before" % (number(resumed), number(facts["pictures"])))
        return staged, reading, resumed

    def read(self, reading):
        """Read the pictures. If a signal ends it, save what was read."""
        try:
            return reading.read()
        except Ended:
            reading.break_off()
            raise

    def set_aside(self, bad, rows):
        """Exclude the unusable pictures. Without the option set_aside: write a list of them, and StackError."""
        if len(bad) == rows and all(fault == "missing" for _name, _reason, fault in bad):
            words = "none of the %s pictures was found below %s: is images_root the right folder? For example, %s: %s"
            where = shown(self.options["images_root"] or os.getcwd())
            raise StackError(words % (number(rows), where, shown(bad[0][0]), bad[0][1]))
        if not self.options["set_aside"]:
            write_unreadable(self.outputs.unreadable, bad)
            words = (
                "%s\nAll of them are listed in %s. Repair them or remove them from the captions; or prepare only the "
            )
            words += "others with --set-aside"
            raise StackError(words % (message_about(bad, rows), shown(self.outputs.unreadable)))
        self.say(message_about(bad, rows))
        self.say("set aside: the data set is laid out again without them")
        self.restarted = True
        for name, reason, fault in bad:
            self.excluded[as_latin(name)] = [reason, fault] + list(as_seen(name))

    def result(self, staged, reading, resumed, began):
        """Return the result of the command."""
        facts, seconds = staged["statistics"], clock.seconds() - began
        aside = sorted((as_name(path.encode("latin-1")), kept[0], kept[1]) for path, kept in self.excluded.items())
        if aside:
            write_unreadable(self.outputs.unreadable, aside)
        else:
            remove(self.outputs.unreadable)
        h5 = {"bytes": os.path.getsize(self.outputs.part)}
        memory = {"parent": peak(), "captions": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}
        memory["worker"] = reading.memory
        words = "%s pictures are prepared in %s (%.0f a second), %s"
        self.say(words % (number(facts["pictures"]), duration(seconds), reading.rate, size(h5["bytes"])))
        return {
            "pictures": facts["pictures"], "captions": facts["captions"], "splits": facts["splits"],
            "words": facts["vocabulary"], "statistics": facts, "converted": reading.count("converted"),
            "other_type": reading.count("other"), "set_aside": len(aside),
            "unreadable": shown(self.outputs.unreadable) if aside else "", "resumed": resumed,
            "seconds": round(seconds, 1), "per_second": round(reading.rate, 1), "memory": memory,
            "files": dict(staged["files"], **{shown(self.outputs.h5): h5}), "output_json": shown(self.outputs.json),
            "output_h5": shown(self.outputs.h5), "annotations": shown(self.outputs.annotations),
            "plan": dict((key, staged["plan"][key]) for key in ("captions", "pictures", "pillow", "engine")),
        }  # fmt: skip
