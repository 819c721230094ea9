"""Engines side by side: time, memory and error of the same posteriors, and the dense baseline."""
