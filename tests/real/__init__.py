"""Tests with the real upstream sources, from the user's mirror: `make test-real MIRROR=DIR`."""
