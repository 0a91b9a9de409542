"""`ansible-test sanity` on the built collection."""
