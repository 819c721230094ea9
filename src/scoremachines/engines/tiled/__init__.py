"""The torch engine: tiles of a few displacements, on any device."""
