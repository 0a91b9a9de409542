"""Runs on a host: the disk becomes full while a swap unpacks the archive. The old files must stay unchanged."""

import sys

from kill_everywhere import cudnn, inspection, snapshot
from module_utils.cudnn import archive as archiving


def main(root, archive):
    tree = inspection.Tree(root)
    before = snapshot(tree)
    archiving.SPARE = -(1 << 40)  # otherwise the check of the free space would refuse the swap
    try:
        cudnn.swap(tree, archive, "5.0.5", "x86_64")
    except cudnn.StackError as error:
        print(error)
    assert snapshot(tree) == before


main(*sys.argv[1:])
