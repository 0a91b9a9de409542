# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""Assigns pictures to training, validation and test.

The splits follow from a number, as in prepro.py (the first of the shuffled pictures), from a share, or from the source
of the captions.

Runs under Python 2.7 and 3 and needs nothing beyond the standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .entries import kind
from ..pictures.files import printed
from ..host.errors import StackError

_GIVEN = ("num_val", "val_share", "num_test", "test_share")
_NEARLY = 1e-9
"""Added before rounding down, because 0.29 * 100 is 28.999999999999996 where 29 is meant."""


def assign(pictures, options):
    """Return the split (train, val, test) of each of `pictures`, which are shuffled already.

    options: num_val or val_share (rounded down), num_test or test_share. All must be None or missing (num_test may be
    0) if the pictures have a `split` from their source. StackError if there are both or neither, or if no picture is
    left for training.
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
                "(--val-share 0.05), or a column with train, val and test (--split-column split)"
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
    """Return the splits from the source. StackError if options were given too, or some pictures have no split."""
    if given:
        raise StackError(
            "the source of the captions contains splits, and %s would assign others: give `--split-column split` "
            "in its place, or add `--split-column -` to ignore the splits of the source" % " and ".join(given)
        )
    if own < len(pictures):
        (first,) = [picture for picture in pictures if "split" not in picture][:1]
        raise StackError(
            "%d of %d pictures have no split, but the others have one; the first without a split is %s"
            % (len(pictures) - own, len(pictures), printed(first["file_path"]))
        )
    return [picture["split"] for picture in pictures]


def _size(count, options, split):
    """Return the number of pictures in a split."""
    number, share = options.get("num_" + split), options.get(split + "_share")
    if share is None:
        number = number or 0
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise StackError("num_%s is %s; it has to be a whole number, 0 or more" % (split, kind(number)))
        return number
    if number:
        raise StackError("both num_%s and %s_share are given: give one of them" % (split, split))
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
        raise StackError(
            "%s_share is %s; it has to be a number from 0 to less than 1, for example 0.05" % (split, kind(share))
        )
    return int(share * count + _NEARLY)
