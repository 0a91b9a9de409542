# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Captions as users bring them, read into one form: COCO's files, prepro.py's raw JSON, tables and JSON of their own.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.module_utils import neuraltalk_documents as documents


def read(paths, karpathy_split="", split_column="", file_column="", caption_column=""):
    """The entries of captions files, in the order in which prepro.py would have them before its shuffle.

    Each entry is a dict: file_path (text), captions ([text]), id (where the source has one), split (train, val or
    test; where the source says so). StackError naming file, place and field where one cannot be used.
    """
    (path,) = paths
    entries = documents.parse(path, documents.read(path))
    keys = ("file_path", "captions", "id")
    return [dict((key, entry[key]) for key in keys if key in entry) for entry in entries]
