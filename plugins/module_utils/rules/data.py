# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The programs that prepare and inspect data: the names of their files, and the defaults of their options.

Read by modules on hosts and by the controller. Pure; runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

REQUEST, RESULT = "request.json", "result.json"
"""The files from which a program reads its options and to which it writes its result."""
COCO_VAL, COCO_TRAIN = "annotations/captions_val2014.json", "annotations/captions_train2014.json"
"""The captions of MS COCO, below the directory into which its archives were unpacked."""
MAX_LENGTH = 16
"""How many words of a caption are kept, by default."""
WORD_COUNT_THRESHOLD = 5
"""Words that occur more often than this are in the vocabulary, by default."""
WORDS, CHARS = "words", "chars"
"""What a caption is split into; by default words."""
TOKENS = (WORDS, CHARS)
NO_SPLITS = "-"
"""The name of a column with which `split_column` ignores the splits in the captions file."""
SHARES = ("val_share", "test_share")
"""The options for the share of the pictures in the splits val and test."""
