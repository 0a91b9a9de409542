"""Stand-in sources: archives that install in seconds and fail where upstream's fail; see README.md."""
