# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Encodes captions as train.lua reads them: the vocabulary, the splits, the labels, and the JSON for the HDF5 file.

For captions in ASCII the results equal those of neuraltalk2's prepro.py under Python 2.7, byte for byte: the order
of the pictures, the numbers of the words, the arrays, the JSON.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import array
import collections
import json

from .entries import kind
from ..pictures.files import printed
from .python2 import order_of_keys, shuffle
from .splits import assign
from ..host.errors import StackError
from ..host.texts import as_text
from ..rules.data import CHARS, MAX_LENGTH, WORD_COUNT_THRESHOLD, WORDS
from .statistics import gather, remarks
from .tokens import is_unspaced, tokenizer

SEED = 123
UNKNOWN = "UNK"
"""The word for all words outside the vocabulary. It cannot be in a caption, because captions are in lower case."""
MOST_NAMED = 20
"""Maximum number of captions without words that are named; of the others only the number is given."""
LONGEST = 1000
"""Upper limit of max_length, because every caption takes max_length numbers, however short it is."""
_Tokens = collections.namedtuple("_Tokens", "numbers lengths words counts examples beyond_ascii unspaced")


class Captions(
    collections.namedtuple(
        "Captions",
        "pictures words labels label_length label_start_ix label_end_ix max_length statistics tokens",
    )
):
    """The encoded captions of a data set, with N pictures and M captions.

    pictures: the N entries in the order of the HDF5 file, each with `split` (train, val or test)
    words: the vocabulary as text; words[i] has the number i + 1
    labels: M * max_length numbers of words (uint32), row by row, zero after a caption's last word
    label_length: M numbers of words, at most max_length each
    label_start_ix, label_end_ix: for each picture its first and last row of labels, counted from 1, both inclusive
    statistics: the numbers that prepro.py prints, see `lay_out`
    tokens: what captions were split into, words or chars
    """

    __slots__ = ()

    @property
    def arrays(self):
        """The arrays of numbers that the HDF5 file has."""
        return self.labels, self.label_length, self.label_start_ix, self.label_end_ix

    def json_text(self):
        """Return the JSON for train.lua: one line, as Python 2.7's json.dump writes it."""
        words = ", ".join('"%d": %s' % (number, json.dumps(word)) for number, word in enumerate(self.words, 1))
        texts = {"ix_to_word": "{%s}" % words, "images": "[%s]" % ", ".join(_image_texts(self.pictures))}
        return _object_text(["ix_to_word", "images"], texts)

    def annotations(self):
        """Return all captions in the form of captions_val2014.json, for the scorer: a dict for json.dumps.

        Of COCO's own files, only the pictures of captions_val2014.json are included, like in the original's scorer.
        If no picture has an id, the ids are the places in the HDF5 file, counted from 1. If only some have an id, the
        others are left out. Captions are not changed, because the scorer splits them itself. With `chars` there is a
        space between all tokens, as in the captions that a model writes.
        """
        split = tokenizer(self.tokens)
        with_ids = any("id" in picture for picture in self.pictures)
        images = []  # type: list[dict[str, object]]
        annotations = []  # type: list[dict[str, object]]
        for place, picture in enumerate(self.pictures, 1):
            if not picture.get("scored", True) or (with_ids and "id" not in picture):
                continue
            number = picture.get("id", place)
            images.append({"id": number, "file_name": picture["file_path"]})
            for caption in picture["captions"]:
                if self.tokens == CHARS:
                    caption = b" ".join(split(caption)).decode("utf-8")
                annotations.append({"image_id": number, "id": len(annotations) + 1, "caption": caption})
        return {
            "info": {"description": "made by provision data prepare from the captions of a data set"},
            "images": images,
            "annotations": annotations,
            "type": "captions",
            "licenses": [],
        }


def lay_out(entries, options):
    """Return the Captions for `entries` (from sources.read), which are not changed.

    options: num_val, num_test, val_share, test_share (see splits.assign), max_length (words per row, default 16),
    word_count_threshold (words that occur more often are in the vocabulary, default 5), tokens (words or chars).

    statistics: pictures, captions, splits {train, val, test}, examples (words of the first caption of ten pictures),
    top_words [[count, word]], total_words, different_words, bad_words (different words outside the vocabulary),
    vocabulary (words without UNK), unks (words of captions that became UNK), has_unk, max_sentence_length,
    sentence_lengths (index: words, value: captions), clipped (captions longer than max_length), beyond_ascii
    (captions), unspaced (captions), remarks (sentences about probable mistakes of the user).

    StackError if a number is out of its range, no picture is left for training, or a caption has no words.
    """
    max_length = _number(options, "max_length", MAX_LENGTH, 1, LONGEST)
    threshold = _number(options, "word_count_threshold", WORD_COUNT_THRESHOLD, 0, 1 << 31)
    mode = options.get("tokens") or WORDS
    split_into_words = tokenizer(mode)
    if not entries:
        raise StackError("there is no picture with captions, so there is nothing to prepare")
    pictures = list(entries)
    shuffle(pictures, SEED)
    splits = assign(pictures, options)
    pictures = [dict(picture, split=split) for picture, split in zip(pictures, splits)]
    tokens = _tokenise(pictures, split_into_words, entries)
    order = order_of_keys(tokens.words)
    numbers = dict((word, number) for number, word in enumerate(tokens.words))
    vocabulary = [word for word in order if tokens.counts[numbers[word]] > threshold]
    facts = gather(pictures, tokens, len(vocabulary), threshold, max_length)
    facts["remarks"] = remarks(facts, pictures, threshold, max_length, mode)
    words = [word.decode("utf-8") for word in vocabulary] + ([as_text(UNKNOWN)] if facts["has_unk"] else [])
    final = array.array("I", [len(words)]) * len(tokens.words)
    for number, word in enumerate(vocabulary, 1):
        final[numbers[word]] = number
    starts, ends = _pointers(pictures)
    return Captions(
        pictures,
        words,
        _labels(tokens, final, max_length),
        array.array("I", (min(length, max_length) for length in tokens.lengths)),
        starts,
        ends,
        max_length,
        facts,
        mode,
    )


def _number(options, name, default, least, most):
    """Return an option that is a whole number. StackError if it is out of its range."""
    value = options.get(name)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise StackError("%s is %s; it has to be a whole number from %d to %d" % (name, kind(value), least, most))
    return value


def _tokenise(pictures, split_into_words, entries):
    """Return the _Tokens of all captions: their words in sequence, as numbers in the order of their first occurrence.

    StackError that names the captions without words, in the order of `entries`, which is the order of the source.
    """
    numbers, lengths = array.array("I"), array.array("I")
    known = {}  # type: dict[bytes, int]
    examples, beyond, unspaced, empty = [], 0, 0, []
    for place, picture in enumerate(pictures):
        for index, caption in enumerate(picture["captions"]):
            words = split_into_words(caption)
            if not words:
                empty.append((picture["file_path"], index + 1, caption))
            if index == 0 and place < 10:
                examples.append([word.decode("utf-8") for word in words])
            lengths.append(len(words))
            numbers.extend([known.setdefault(word, len(known)) for word in words])
            if len(caption) != len(caption.encode("utf-8")):
                beyond += 1
                unspaced += is_unspaced(caption)
    if empty:
        _refuse(empty, entries)
    counts = [0] * len(known)
    for number in numbers:
        counts[number] += 1
    return _Tokens(numbers, lengths, sorted(known, key=known.__getitem__), counts, examples, beyond, unspaced)


def _refuse(empty, entries):
    """Raise a StackError that names captions without words."""
    places = dict((entry["file_path"], place) for place, entry in enumerate(entries))
    empty.sort(key=lambda caption: (places[caption[0]], caption[1]))
    first = empty[:MOST_NAMED]
    named = ["%s, caption %d: %s" % (printed(path), index, json.dumps(text[:80])) for path, index, text in first]
    more = ["and %d more" % (len(empty) - MOST_NAMED)] if len(empty) > MOST_NAMED else []
    raise StackError(
        "%d caption(s) have no words, only punctuation; remove them from the captions file or rewrite "
        "them:\n  %s" % (len(empty), "\n  ".join(named + more))
    )


def _labels(tokens, final, max_length):
    """Return a row of max_length numbers for each caption, cut off or filled with zeros."""
    labels, start = array.array("I"), 0
    encoded = array.array("I", map(final.__getitem__, tokens.numbers))
    zeros = [array.array("I", [0]) * missing for missing in range(max_length + 1)]
    for length in tokens.lengths:
        labels.extend(encoded[start : start + min(length, max_length)])
        labels.extend(zeros[max(0, max_length - length)])
        start += length
    return labels


def _pointers(pictures):
    """Return the numbers of the first and the last caption of each picture, counted from 1."""
    starts, ends, count = array.array("I"), array.array("I"), 0
    for picture in pictures:
        starts.append(count + 1)
        count += len(picture["captions"])
        ends.append(count)
    return starts, ends


def _image_texts(pictures):
    """Yield the JSON text of each picture."""
    names = ["split", "file_path", "id"]
    orders = [_order(names[:2]), _order(names)]
    for picture in pictures:
        order = orders["id" in picture]
        yield "{%s}" % ", ".join('"%s": %s' % (name, json.dumps(picture[name])) for name in order)


def _order(names):
    """Return names in the order of a Python 2.7 dict."""
    return [name.decode("ascii") for name in order_of_keys([name.encode("ascii") for name in names])]


def _object_text(names, texts):
    return "{%s}" % ", ".join('"%s": %s' % (name, texts[name]) for name in _order(names))
