"""Readers: one kind of file, folder or data set each."""
