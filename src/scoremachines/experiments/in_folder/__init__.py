"""Whole runs, as the commands carry them out: from settings to a folder with everything in it."""
