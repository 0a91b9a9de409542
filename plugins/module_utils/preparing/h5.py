# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""The HDF5 file that train.lua reads, laid out before its pictures are there.

Datasets as upstream's prepro.py makes them: labels uint32 (M, max_length), label_start_ix and label_end_ix uint32 (N),
label_length uint32 (M), images uint8 (N, 3, 256, 256). `images` is one piece of the file, so that many processes can
write its rows at their places without HDF5.

Runs under Python 2.7 and 3. Needs numpy and h5py.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import ctypes
import errno
import os

from ..pictures.pixels import BYTES, SIDE
from ..host.errors import StackError
from ..host.texts import as_text

HEAD = 1 << 16
"""Bytes of the file, at most, that are neither pictures nor labels."""


def size_of(captions, rows):
    """Return the size of the file with this number of pictures, at most, in bytes."""
    return HEAD + rows * BYTES + sum(4 * len(each) for each in captions.arrays)


def create(path, captions, rows):
    """Write a file with all but the pictures, and sync it; return the offset of the first picture in bytes.

    The file must not exist. Its whole size is allocated on the disk if the file system supports that. StackError if it
    cannot be written.
    """
    # Others are kept out by the journal's lock; HDF5's own fails on some network file systems.
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import h5py
    import numpy

    def numbers(values):
        return numpy.frombuffer(values, dtype=numpy.uint32)

    try:
        with h5py.File(path, "w-") as file:
            file.create_dataset("labels", data=numbers(captions.labels).reshape(-1, captions.max_length))
            file.create_dataset("label_start_ix", data=numbers(captions.label_start_ix))
            file.create_dataset("label_end_ix", data=numbers(captions.label_end_ix))
            file.create_dataset("label_length", data=numbers(captions.label_length))
            offset = images(h5py, numpy, file, rows).get_offset()
        reserve(path, offset, rows * BYTES)
    except StackError:
        raise
    except Exception as error:  # h5py raises what HDF5's many errors are mapped to
        raise StackError("%s cannot be written: %s" % (as_text(path), as_text(str(error))))
    if not offset:
        raise StackError(
            "HDF5 allocated no space for the pictures in %s: this version of h5py cannot be used" % as_text(path)
        )
    return offset


def images(h5py, numpy, file, rows):
    """Create the dataset of the pictures: contiguous, allocated in the file, and without content."""
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_layout(h5py.h5d.CONTIGUOUS)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple((rows, 3, SIDE, SIDE))
    kind = h5py.h5t.py_create(numpy.dtype("uint8"))
    return h5py.h5d.create(file.id, b"images", kind, space, how)


def reserve(path, offset, length):
    """Allocate the bytes on the disk, and sync the file. StackError if the disk has no room."""
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        # Not posix_fallocate: where the file system cannot do it, that writes into every block instead.
        libc = ctypes.CDLL(None, use_errno=True)
        call = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
        if call is not None:
            failed = call(ctypes.c_int(handle), ctypes.c_int(0), ctypes.c_int64(offset), ctypes.c_int64(length))
            if failed and ctypes.get_errno() in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                words = "%s cannot get the %d bytes that its pictures need: %s. Make room, or choose another output_h5"
                raise StackError(words % (as_text(path), length, os.strerror(ctypes.get_errno())))
        os.fsync(handle)
    finally:
        os.close(handle)
