# mypy: ignore-errors
"""Stand-in: the real one downloads programs when it is called."""
raise ImportError("SPICE is not to be imported")
