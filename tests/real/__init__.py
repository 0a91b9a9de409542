"""The real upstream sources, from a mirror that the user brings: `make test-real MIRROR=DIR`."""
