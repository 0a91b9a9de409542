"""Hosts for tests on one machine: containers as bare hosts, and an air gap that records connection attempts."""
