"""The codes of differences that `provision drift` finds, with their meanings. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from neuraltalk_provision.rules import differences

NOT_ASKED = "host.not_asked"
NOT_VERIFIED = "host.not_verified"
WORKED_ON = "host.worked_on"
REFUSED = "host.refused"
UNSAFE = "host.unsafe"
NO_GENERATION = "generation.none"
OTHER_GENERATION = "generation.other"
UNSEALED = "generation.unsealed"
UNCONFIRMED = "activation.unconfirmed"
ACTIVATION_UNKNOWN = "activation.unknown"
COMPONENT_CHANGED = "component.changed"
COMPONENT_MISSING = "component.missing"
COMPONENT_SURPLUS = "component.surplus"
MORE_FILES = "file.more"
CHECK_FAILED = "check.failed"
PACKAGE_MISSING = "package.missing"
PACKAGE_VERSION = "package.version"
ACCOUNT_MISSING = "account.missing"
NO_ROLLBACK = "rollback.none"
CARDS_UNKNOWN = "cards.unknown"
CARDS_LOST = "cards.lost"
CARDS_COUNT = "cards.count"
CARDS_MODELS = "cards.models"
CUDNN_NOT_SWAPPED = "cudnn.not_swapped"
CUDNN_UNDONE = "cudnn.undone"
CUDNN_UNFINISHED = "cudnn.unfinished"
CUDNN_VERSION = "cudnn.version"
CUDA_VERSION = "cuda.version"
DRIVER = "driver.version"
KERNEL = "kernel.version"
LIBC = "libc.version"
PYTHON = "python.version"
NO_MAJORITY = "majority.none"


def of_file(kind: str) -> str:
    """The code for a file that differs from the manifest in that way."""
    return f"file.{kind}"


_FILES = {
    differences.ADDED: "a file in the generation that was not there when it was sealed",
    differences.MISSING: "a file of the generation is gone",
    differences.CONTENT: "the content of a file was changed",
    differences.MODE: "the mode of a file was changed",
    differences.TARGET: "a link leads somewhere else",
    differences.TYPE: "a file became a link, a directory, or something else",
    differences.OWNER: "a file was given to another user",
}
MEANING: Mapping[str, str] = {
    NOT_ASKED: "the host could not be asked: it is off, refuses the login, or its answer is not as expected",
    NOT_VERIFIED: "the files of the current generation could not be compared",
    WORKED_ON: "another command holds the lease, or a build is running, so the host may change at this moment",
    REFUSED: "`provision site` would refuse the host, for example because card and driver do not work together",
    UNSAFE: "other users of the host could replace what is in the stack root",
    NO_GENERATION: "nothing is installed",
    OTHER_GENERATION: "another generation is current than the one that the mirror and the settings describe",
    UNSEALED: "the current generation is not sealed, or its manifest is missing or was exchanged",
    UNCONFIRMED: "nobody has confirmed the last activation: the host can return to its former generation at any moment",
    ACTIVATION_UNKNOWN: "the record of the last activation cannot be read",
    COMPONENT_CHANGED: "a component was built from other inputs than those of the mirror's lock",
    COMPONENT_MISSING: "a component is not built",
    COMPONENT_SURPLUS: "a component is built that the lock does not describe",
    **{of_file(kind): meaning for kind, meaning in _FILES.items()},
    MORE_FILES: "more files differ than a host lists",
    CHECK_FAILED: "a check of `provision verify` failed: the modes for other users, or the weights",
    PACKAGE_MISSING: "a required OS package is not installed",
    PACKAGE_VERSION: "an OS package has another version than on most hosts",
    ACCOUNT_MISSING: "the account of runs, or one of its directories, does not exist",
    NO_ROLLBACK: "there is no complete former generation to go back to, although history.json or most hosts have one",
    CARDS_UNKNOWN: "it cannot be told whether the host has cards, usually because of its driver",
    CARDS_LOST: "no card is found, but the current generation was built for cards",
    CARDS_COUNT: "another number of cards than most hosts with such cards",
    CARDS_MODELS: "the host has only some of the models of card that most hosts with such cards have",
    CUDNN_NOT_SWAPPED: "the CUDA directory has another cuDNN than the mirror's, and no swap was recorded",
    CUDNN_UNDONE: "a swap was recorded, but something replaced its files, usually a package update",
    CUDNN_UNFINISHED: "a swap or its restoration was interrupted",
    CUDNN_VERSION: "the cuDNN in the CUDA directories differs from most hosts with such cards",
    CUDA_VERSION: "the CUDA directories differ from most hosts with such cards",
    DRIVER: "the driver differs from most hosts with such cards",
    KERNEL: "the kernel differs from most hosts of the platform",
    LIBC: "the C library differs from most hosts of the platform",
    PYTHON: "the Python of the stack differs from most hosts of the platform",
    NO_MAJORITY: "hosts of one group differ, and no value is that of more than half of at least three hosts",
}
CANNOT_TELL = frozenset({NOT_ASKED, NOT_VERIFIED, WORKED_ON})
"""Not drift, but not its absence either: something could not be compared."""
