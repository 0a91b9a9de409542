"""`ansible-test sanity` on the collection as users get it."""
