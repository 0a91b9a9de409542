"""Everybody can read what root wrote. This is tested first, because other tests write as root, too."""

from __future__ import annotations

import shlex

from testinfra.host import Host

from tests.molecule.conftest import Stack


def test_another_user_can_use_the_stack_in_spite_of_roots_umask(host: Host, stack: Stack) -> None:
    assert host.check_output("umask").endswith("77")
    private = f"-path {stack.root}/queue -prune -o -path {stack.root}/runs -prune"
    assert host.check_output(f"find {stack.root} {private} -o ! -type l ! -perm -004 -print") == ""
    program = f"cd {stack.path}/neuraltalk2 && {stack.path}/bin/with-stack th train.lua -help"
    done = host.run(f"su plain -c {shlex.quote(program)}")
    assert done.rc == 0, done.stderr
    assert "-language_eval" in done.stdout
