"""A generated corpus of bad input: wrong values, damaged files, and calls and commands to try."""
