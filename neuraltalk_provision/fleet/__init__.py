"""Works on many hosts: which are ready, in which order, and what was done."""
