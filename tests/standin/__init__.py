"""Stand-in sources: archives that install in seconds and fail where upstream's do; README.md tells how."""
