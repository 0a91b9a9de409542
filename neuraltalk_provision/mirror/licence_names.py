"""Names of licences, as packages write them, in the spelling of SPDX (https://spdx.org/licenses). Pure."""

from __future__ import annotations

import re

_SAME = {
    "expat": "MIT",
    "mit license": "MIT",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "isc": "ISC",
    "isc license (iscl)": "ISC",
    "zlib": "Zlib",
    "apache-2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "mpl-2.0": "MPL-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
_VERSIONS = {("", "1.0"), ("", "2.0"), ("", "3.0"), ("L", "2.0"), ("L", "2.1"), ("L", "3.0"), ("A", "3.0")}
_GNU = re.compile(r"(A|L)?GPL-?v?([123])(?:\.([01]))?(\+?)")


def spdx(name: str) -> str:
    """The identifier of SPDX for a name; the name itself if it is not certain which licence it is."""
    gnu = _GNU.fullmatch(name)
    if gnu and (gnu[1] or "", f"{gnu[2]}.{gnu[3] or 0}") in _VERSIONS:
        return f"{gnu[1] or ''}GPL-{gnu[2]}.{gnu[3] or 0}-{'or-later' if gnu[4] else 'only'}"
    return _SAME.get(name.lower(), name)
