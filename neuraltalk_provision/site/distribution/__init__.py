"""Copies a file to many hosts in a time that does not grow with their number."""
