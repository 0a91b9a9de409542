# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Statistics of captions: the numbers that prepro.py prints, and remarks about probable mistakes of the user.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections

from ..pictures.files import printed
from ..rules.data import WORDS

TOP = 20
"""Number of the most frequent words in the statistics."""
MANY = 0.05
"""Share of captions above which there is a remark about them."""
OFTEN_UNKNOWN = 0.1
"""Share of words that became UNK above which there is a remark; for COCO it is 0.6 %."""


def gather(pictures, tokens, vocabulary, threshold, max_length):
    """Return the statistics of `encoding.lay_out`, without the remarks; `vocabulary` is its size without UNK."""
    longest = max(tokens.lengths)
    lengths = [0] * (longest + 1)
    for length in tokens.lengths:
        lengths[length] += 1
    top = sorted(zip(tokens.counts, tokens.words), reverse=True)[:TOP]
    splits = collections.Counter(picture["split"] for picture in pictures)
    unks = sum(count for count in tokens.counts if count <= threshold)
    return {
        "pictures": len(pictures),
        "captions": len(tokens.lengths),
        "splits": dict((split, splits[split]) for split in ("train", "val", "test")),
        "examples": tokens.examples,
        "top_words": [[count, word.decode("utf-8")] for count, word in top],
        "total_words": len(tokens.numbers),
        "different_words": len(tokens.words),
        "bad_words": len(tokens.words) - vocabulary,
        "vocabulary": vocabulary,
        "unks": unks,
        "has_unk": unks > 0,
        "max_sentence_length": longest,
        "sentence_lengths": lengths,
        "clipped": sum(lengths[max_length + 1 :]),
        "beyond_ascii": tokens.beyond_ascii,
        "unspaced": tokens.unspaced,
    }


def remarks(facts, pictures, threshold, max_length, mode):
    """Return sentences about what is allowed but probably a mistake of the user."""
    captions, words = facts["captions"], facts["total_words"]
    without = sum(1 for picture in pictures if "id" not in picture)
    found = []
    if mode == WORDS and facts["unspaced"] > MANY * captions:
        found.append(
            "%d of %d captions are in a script without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, "
            "Burmese), so that a whole phrase counts as one word and hardly any word occurs twice. Use `--tokens "
            "chars`, which makes every letter of such scripts a word, or put spaces between the words"
            % (facts["unspaced"], captions)
        )
    if not facts["vocabulary"]:
        found.append(
            "no word occurs more than %d times, so every word became UNK and a model can learn nothing else: choose a "
            "smaller --word-count-threshold" % threshold
        )
    elif facts["unks"] > OFTEN_UNKNOWN * words:
        found.append(
            "%.1f%% of all words occur %d times or less and became UNK: a smaller --word-count-threshold keeps them"
            % (facts["unks"] * 100.0 / words, threshold)
        )
    if facts["clipped"] > MANY * captions:
        found.append(
            "%d of %d captions have more than %d words and were cut: a larger --max-length keeps them"
            % (facts["clipped"], captions, max_length)
        )
    if not facts["splits"]["val"]:
        found.append("no picture is for validation: train.lua ends with an error at its first evaluation")
    elif not any(picture.get("scored", True) for picture in pictures if picture["split"] == "val"):
        found.append(
            "no picture for validation is in the file of COCO's validation set, and only pictures of that file are "
            "scored: train.lua cannot score its captions (-language_eval 1)"
        )
    if without:
        found.append(
            "%d of %d pictures have no id, for example %s. None is added, as in prepro.py, and train.lua cannot score "
            "captions without ids (-language_eval 1): give each entry an id"
            % (without, len(pictures), printed([one for one in pictures if "id" not in one][0]["file_path"]))
        )
    return found


def lines(facts):
    """Return the statistics without the remarks as a list of native strings, worded and ordered as in prepro.py."""
    texts = ["example processed tokens:"] + [" ".join(map(printed, words)) for words in facts["examples"]]
    texts += ["top words and their counts:"] + ["%8d %s" % (count, printed(word)) for count, word in facts["top_words"]]
    bad, different, unks, words = (facts[name] for name in ("bad_words", "different_words", "unks", "total_words"))
    texts += [
        "total words: %d" % words,
        "number of bad words: %d/%d = %.2f%%" % (bad, different, bad * 100.0 / different),
        "number of words in vocab would be %d" % facts["vocabulary"],
        "number of UNKs: %d/%d = %.2f%%" % (unks, words, unks * 100.0 / words),
        "max length sentence in raw data: %d" % facts["max_sentence_length"],
        "sentence length distribution (number of words, count):",
    ]
    captions = facts["captions"]
    counts = [(length, count) for length, count in enumerate(facts["sentence_lengths"]) if count]
    texts += ["%2d: %10d   %f%%" % (length, count, count * 100.0 / captions) for length, count in counts]
    texts += ["inserting the special UNK token"] if facts["has_unk"] else []
    splits = facts["splits"]
    return texts + ["assigned %d to train, %d to val, %d to test." % (splits["train"], splits["val"], splits["test"])]
