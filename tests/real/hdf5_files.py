"""HDF5 files in neuraltalk2's layout, by h5py, for hdf5_files.lua. Runs on the host, with the stack's Python.

hdf5_files.py write DIR: files that torch-hdf5 reads, one of them larger than 2 GiB.
hdf5_files.py check DIR: those that torch-hdf5 wrote.
"""

import sys
from pathlib import Path

import h5py
import numpy

IMAGES, LABELS, WORDS = 6, 30, 16
SIDES = (3, 256, 256)
MANY = 11000
"""So many images are 2.16e9 bytes."""
LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": (1, 3, 64, 64)},
    "compressed": {"chunks": (1, 3, 256, 256), "compression": "gzip", "shuffle": True, "fletcher32": True},
}


def images():
    """Six images; each byte depends on its place."""
    n, c, y, x = numpy.indices((IMAGES, *SIDES))
    return ((n * 7 + c * 3 + y + 2 * x) % 256).astype("uint8")


def write(folder):
    """The layout of prepro.py in three storage layouts, and a file of 2.16e9 bytes."""
    labels = (numpy.arange(LABELS * WORDS).reshape(LABELS, WORDS) % 23 + 1).astype("uint32")
    for name, options in LAYOUTS.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file.create_dataset("images", data=images(), **options)
            file.create_dataset("labels", dtype="uint32", data=labels)
            file.create_dataset("label_length", dtype="uint32", data=numpy.full(LABELS, WORDS))
            file.create_dataset("label_start_ix", dtype="uint32", data=numpy.arange(IMAGES) * 5 + 1)
            file.create_dataset("label_end_ix", dtype="uint32", data=numpy.arange(IMAGES) * 5 + 5)
    with h5py.File(folder / "large.h5", "w") as file:
        place = file.create_dataset("images", (MANY, *SIDES), dtype="uint8")
        place[MANY - 1] = images()[5]
    print(f"h5py {h5py.__version__} wrote by HDF5 {h5py.version.hdf5_version}")


def check(folder):
    """What torch-hdf5 wrote: chunked and compressed with appended images, and 2.2e9 bytes in one go."""
    with h5py.File(folder / "appended.h5", "r") as file:
        found = file["images"]
        assert found.chunks == (1, 3, 64, 64), found.chunks
        assert found.compression == "gzip", found.compression
        assert (found[:] == numpy.concatenate((images(), images()))).all()
    with h5py.File(folder / "large-by-torch.h5", "r") as file:
        found = file["bytes"]
        assert found.shape == (2200, 1000, 1000), found.shape
        assert found[0, 0, 0] == 1 and found[2199, 999, 999] == 9 and found[2199, 999, 998] == 1
    print("h5py read what torch-hdf5 wrote")


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](Path(sys.argv[2]))
