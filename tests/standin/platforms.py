"""The name of a platform, as docs/contracts.md spells it."""

from __future__ import annotations

import platform


def this_platform() -> str:
    """For example debian-12-x86_64."""
    release = platform.freedesktop_os_release()
    return f"{release['ID']}-{release['VERSION_ID'].split('.')[0]}-{platform.machine()}"
