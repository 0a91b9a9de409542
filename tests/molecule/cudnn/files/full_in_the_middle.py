"""On a host: the disk fills while a swap unpacks; what was there stays, and the next swap is none the worse."""

import sys

from kill_everywhere import cudnn, inspection, seen
from module_utils.cudnn import archive as archiving


def main(root, archive):
    tree = inspection.Tree(root)
    before = seen(tree)
    archiving.SPARE = -(1 << 40)  # the check before the start would see it coming
    try:
        cudnn.swap(tree, archive, "5.0.5", "x86_64")
    except cudnn.StackError as error:
        print(error)
    assert seen(tree) == before


main(*sys.argv[1:])
