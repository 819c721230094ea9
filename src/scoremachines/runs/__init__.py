"""Runs: what is recorded of them, and how long they take."""
