"""`provision mirror prove`: an installation from the mirror alone, and a recorder of every attempt to reach more."""
