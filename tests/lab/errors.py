"""The lab's error."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot go on; the message says what happened and what to do."""
