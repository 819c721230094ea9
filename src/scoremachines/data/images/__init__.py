"""Pictures on their way to a training set: decoding, colour, size."""
