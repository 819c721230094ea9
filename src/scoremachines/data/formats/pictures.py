"""Pictures of any source, read one at a time, with sub-folders as classes."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import torch

from scoremachines.data.formats.items import Frames, Task, label_tensor, spread, stacked
from scoremachines.data.images.decode import decode
from scoremachines.data.images.left_out import counts, warn_of
from scoremachines.data.images.resize import Framing
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import reading

__all__ = ["Pictures", "classes_of"]


class Pictures:
    """Pictures that are decoded and framed one at a time (`Items`).

    Args:
        path: the folder or the file that they come from.
        names: of the pictures, in order.
        opened: opens one of them; may be called in any thread.
        framing: how a picture becomes training images.
        limit: read at most so many, spread evenly.
        left: how many pictures are not read, by the reason.
        labels: class of each picture by number; by default sub-folders are classes.

    Raises:
        InputError: there is no picture.
    """

    named = True

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        opened: Callable[[str], BinaryIO],
        framing: Framing,
        limit: int | None,
        left: Mapping[str, int],
        labels: Sequence[int | None] | None = None,
    ) -> None:
        if not names:
            accepted = "images such as .png or .jpg, directly or in sub-folders"
            besides = f"; left out: {counts(left)}" if left else ""
            raise InputError("path", path, accepted, f"there is no image in it{besides}")
        self.path, self.names, self.opened = path, names, opened
        self.framing, self.left_out, self.name = framing, left, path.stem
        self.classes: tuple[str, ...] = ()
        if labels is None:
            self.classes, labels = classes_of(names)
        self.labels = labels
        self.chosen = spread(range(len(names)), limit)
        self.count: int | None = len(self.chosen)

    @property
    def identity(self) -> str:
        """A hash of the names and the classes."""
        digest = hashlib.sha256(repr((self.classes, self.count)).encode())
        for index in self.chosen:
            digest.update(self.names[index].encode("utf-8", "surrogateescape") + b"\0")
        return digest.hexdigest()

    def tasks(self, start: int) -> Iterator[Task]:
        """Yield what reads each picture, from one on."""
        for index in self.chosen[start:]:
            yield partial(self._read, index)

    def training_set(self) -> TrainingSet:
        """Return the set of all pictures; warnings point at who called the reader.

        Returns:
            The set, uint8.

        Raises:
            InputError: a picture is damaged or too large, or their sizes are mixed.
        """
        warn_of(self.left_out, self.path, stacklevel=6)
        self.framing.check_room(len(self.chosen))
        stack, labels = stacked(self, stacklevel=6)
        return TrainingSet(
            torch.from_numpy(stack.array),
            label_tensor(labels),
            self.classes,
            name=self.name,
            location=self.path,
            names=stack.names,
            left_out=self.left_out,
        )

    def _read(self, index: int) -> Frames:
        name = self.names[index]
        with reading("image", name, "an image that can be opened"):
            file = self.opened(name)
        with file:
            picture, remarks = decode(file, name, self.framing.enough)
        label = None if self.labels is None else self.labels[index]
        return Frames(name, list(self.framing.frame(picture, name)), label, remarks)


def classes_of(names: Sequence[str]) -> tuple[tuple[str, ...], list[int] | None]:
    """Take sub-folders as classes.

    Leading folders that all images share are left out where another folder follows, so
    `train/cat/1.png` and `train/dog/1.png` are a cat and a dog.

    Args:
        names: relative paths, with `/` between folders.

    Returns:
        The sorted names of the classes and a label for each path; no classes and None unless
        every image lies in a sub-folder.
    """
    folders = [name.split("/")[:-1] for name in names]
    depth = 0
    while (
        all(len(each) > depth for each in folders)
        and len({each[depth] for each in folders}) == 1
        and any(len(each) > depth + 1 for each in folders)
    ):
        depth += 1
    if not all(len(each) > depth for each in folders):
        if any(folders):
            warnings.warn("images lie beside sub-folders, which are no classes then", stacklevel=9)
        return (), None
    classes = sorted({each[depth] for each in folders})
    number = {name: label for label, name in enumerate(classes)}
    return tuple(classes), [number[each[depth]] for each in folders]
