"""The roles on their own, and the whole stack on other platforms, by Molecule."""
