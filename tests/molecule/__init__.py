"""Molecule scenarios: each role alone, and the whole stack on other platforms."""
