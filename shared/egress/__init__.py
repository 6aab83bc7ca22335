"""Connections to the outside: where they may go, and a client that goes nowhere else."""
