"""Kinds of files that a training set can be read from.

A reader of another package is found by its entry point in the group `scoremachines.readers`, which
names a `Reader`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.plugins import READERS, names, plugin

__all__ = ["FRAMED", "Reader", "readers_of_others"]

FRAMED = frozenset({"size", "crop", "channels"})
"""Options of readers that bring pictures to a size themselves."""


@dataclass(frozen=True)
class Reader:
    """How one kind of file or folder becomes a training set.

    Args:
        claims: whether a path is of this kind; it exists.
        read: reads it, given those options of `open_source` that it takes and that were given.
        takes: names of these options: size, crop, channels, limit, limits, layout, images_key,
            labels_key. Size, crop and limit are seen to by `open_source` where the reader does not
            take them.
    """

    claims: Callable[[Path], bool]
    read: Callable[..., TrainingSet]
    takes: frozenset[str] = frozenset()


def readers_of_others() -> list[Reader]:
    """Return the readers that other packages bring along, by the name of their entry point.

    Returns:
        The readers.

    Raises:
        InputError: an entry point names something else, or cannot be imported.
    """
    found = [plugin(READERS, name) for name in names(READERS)]
    for reader in found:
        if not isinstance(reader, Reader):
            raise InputError(READERS, reader, "a scoremachines.data.registry.Reader")
    return found
