"""The artifact mirror: a directory of files and one lock that lists them."""
