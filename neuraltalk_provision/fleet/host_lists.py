"""Lists of hosts as files, one name a line, for `--limit @FILE`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from neuraltalk_provision import whole_file
from neuraltalk_provision.errors import UsageError, naming
from neuraltalk_provision.fleet import place
from neuraltalk_provision.output import Output

WOULD_BE_ASIDE, CAN_RETURN = "would-be-set-aside", "can-return"
NAMES = ("done", "failed", "returned", "set-aside", "untouched", WOULD_BE_ASIDE, CAN_RETURN)
"""done: as the mirror describes, or after `rollback`: back. failed: something failed there. returned: activated, and on
its former generation again. set-aside: nothing was done there, because the host was not well or busy. untouched: the
rollout ended before it came to them.
A command that begins nothing writes one list alone, because it may have been limited to one of the others:
would-be-set-aside of `site`, and can-return of `rollback`, if other hosts cannot."""


def beside(journal: Path) -> Path:
    """The directory of the lists of `site` and `rollback`."""
    return journal.parent / "hosts"


def write(
    directory: Path, lists: Mapping[str, Sequence[str]], output: Output, names: Sequence[str] = NAMES
) -> dict[str, str]:
    """Write each list that has hosts; {name of the list: path of its file}. `names` without hosts are removed.

    If they cannot be written this is said, and there are none: what became of the hosts is more important.
    """
    written = {}
    try:
        with naming(directory, "written"):
            if any(lists.values()):
                place.prepare(directory)  # the directory of the journal, beside which they are
                directory.mkdir(mode=0o700, exist_ok=True)
            for name in names:
                file = directory / f"{name}.txt"
                hosts = sorted(lists.get(name, ()))
                if not hosts:
                    file.unlink(missing_ok=True)
                    continue
                whole_file.write(file, "".join(f"{host}\n" for host in hosts).encode())
                written[name] = str(file)
    except UsageError as error:
        output.remark("remark", f"no lists of the hosts were written: {error.message}. Those there may be older")
        return {}
    return written
