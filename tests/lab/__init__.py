"""A machine room on one machine: containers for bare hosts, and an air gap that keeps a record."""
