"""Runs pip with the requirements of another Python: pip's own --python-version selects only files, not requirements."""

from __future__ import annotations

AS_THE_HOST = """
import runpy, sys
from pip._vendor.packaging import markers
version, here = sys.argv.pop(1), markers.default_environment
markers.default_environment = lambda: {**here(), "python_version": version, "python_full_version": version + ".0"}
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
"""A program for `python -c`: its first argument is the version of that Python, the others are pip's."""
