# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Which pictures are for training, which for validation and which for the test.

By number as prepro.py does (the first of the shuffled ones), by share, or as the captions' source says itself.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .entries import kind
from ..pictures.files import printed
from ..host.errors import StackError

_GIVEN = ("num_val", "val_share", "num_test", "test_share")
_NEARLY = 1e-9
"""What a share times a number lacks to be whole when it is meant to be: 0.29 * 100 is 28.999999999999996."""


def assign(pictures, options):
    """The split (train, val, test) of each of `pictures`, which are shuffled already.

    options: num_val or val_share (rounded down), num_test or test_share; all None or missing (num_test: or 0) where
    the pictures have a `split` of their own. StackError where both or neither is there, or nothing is left to train on.
    """
    count = len(pictures)
    given = [name for name in _GIVEN if options.get(name) is not None and (name != "num_test" or options[name])]
    own = sum(1 for picture in pictures if "split" in picture)
    if own:
        splits = _own(pictures, own, given)
    else:
        if "num_val" not in given and "val_share" not in given:
            raise StackError(
                "it is not specified which pictures are for validation: give their number (--num-val), their share "
                "(--val-share 0.05), or a column with train, val and test (--split-column)"
            )
        val, test = _size(count, options, "val"), _size(count, options, "test")
        splits = ["val"] * min(val, count) + ["test"] * max(0, min(test, count - val))
        splits += ["train"] * (count - len(splits))
        if val + test >= count:
            raise StackError(
                "%d pictures for validation and %d for the test leave none of %d for training: choose smaller numbers"
                % (val, test, count)
            )
    if "train" not in splits:
        raise StackError("no picture is left for training: all %d are for validation or for the test" % count)
    return splits


def _own(pictures, own, given):
    if given:
        raise StackError(
            "the pictures have splits of their own in their source, and %s would give them others: leave it out, or "
            "use `--split-column -` to ignore those of the source" % " and ".join(given)
        )
    if own < len(pictures):
        (first,) = [picture for picture in pictures if "split" not in picture][:1]
        raise StackError(
            "%d of %d pictures have no split, and the others have one; the first of them is %s"
            % (len(pictures) - own, len(pictures), printed(first["file_path"]))
        )
    return [picture["split"] for picture in pictures]


def _size(count, options, split):
    """How many pictures a split gets."""
    number, share = options.get("num_" + split), options.get(split + "_share")
    if share is None:
        number = number or 0
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise StackError("num_%s is %s; it has to be a whole number, 0 or more" % (split, kind(number)))
        return number
    if number:
        raise StackError("both num_%s and %s_share are given: give one of them" % (split, split))
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
        raise StackError("%s_share is %s; it has to be a number from 0 to below 1, like 0.05" % (split, kind(share)))
    return int(share * count + _NEARLY)
