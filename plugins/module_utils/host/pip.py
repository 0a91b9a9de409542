# Copyright the neuraltalk-provision authors. SPDX-License-Identifier: Apache-2.0
"""What pip of a host is told, so that its configuration files decide nothing but where packages come from.

/etc/pip.conf can say `user`, `prefix`, `target`, `no-binary` or `require-virtualenv`: then nothing could be installed
into a generation, or something else than the mirror's wheels. Runs under Python 2.7 and 3, standard library only.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import ast
import os
import re

from .commands import output_of

SOURCES = ("mirror", "index", "host")
CONNECTION = re.compile(
    r"(?:global|install|site|user)\.(index-url|extra-index-url|find-links|no-index|trusted-host|cert|client-cert|proxy"
    r"|timeout|retries|keyring-provider)=(.*)\Z"
)
"""A line of `pip config list` that says how the host reaches its package index."""
TIMEOUT = 60


def environment(python, source):
    """The environment variables for pip of that Python: with the source `host`, the index in the host's own files.

    No other setting of these files counts. A pip before 10 cannot list them; then they are read, without those settings
    that would prevent the installation.
    """
    if source != "host":
        return {"PIP_CONFIG_FILE": os.devnull}
    text, code = output_of([python, "-m", "pip", "config", "list"], TIMEOUT, errors=False)
    if code != 0:
        return {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    return dict(settings(text), PIP_CONFIG_FILE=os.devnull)


def settings(text):
    """{variable: value} of the settings in the output of `pip config list` that say where packages come from."""
    found = {}
    # Sections in this order: a setting for `pip install` counts more than one for all commands.
    for line in sorted(text.splitlines()):
        match = CONNECTION.match(line)
        if match:
            found["PIP_" + match.group(1).upper().replace("-", "_")] = _value(match.group(2))
    return found


def _value(text):
    try:
        return " ".join(str(ast.literal_eval(text)).split())
    except (SyntaxError, ValueError):
        return text
