"""Torch7, its rocks and neuraltalk2 on air-gapped hosts, from a local artifact mirror."""
