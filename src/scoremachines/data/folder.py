"""Images from a folder or a zip file, with sub-folders as classes."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeVar

import torch
from tqdm import tqdm

from scoremachines.data.decode import decode, is_image_name
from scoremachines.data.framing import Framing
from scoremachines.data.stack import Stack
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.files import is_file, reading

__all__ = ["classes_of", "read_folder", "read_zip", "spread"]

LARGEST_MEMBER = 2**28
"""Bytes that one member of a zip file may unpack to."""

Item = TypeVar("Item")


def read_folder(
    path: str | Path, framing: Framing | None = None, limit: int | None = None
) -> TrainingSet:
    """Read all images below a folder, ordered by path; see `TrainingSet.from_folder`.

    Args:
        path: the folder.
        framing: how pictures become training images.
        limit: read at most so many pictures, spread evenly over the folder.

    Returns:
        The training set.

    Raises:
        InputError: if there is no such folder, no image in it, or one that cannot be read.
    """
    path = Path(path)
    with reading("path", path, "a folder with images"):
        next(path.iterdir(), None)
    names = _names_below(path)
    return _read(path, names, lambda name: (path / name).open("rb"), framing, limit)


def read_zip(
    path: str | Path, framing: Framing | None = None, limit: int | None = None
) -> TrainingSet:
    """Read all images in a zip file as if it were a folder, without unpacking it to disk.

    Args:
        path: the zip file.
        framing: how pictures become training images.
        limit: read at most so many pictures, spread evenly over the file.

    Returns:
        The training set.

    Raises:
        InputError: if the file is damaged or encrypted, holds no image, or one that cannot be
            read.
    """
    path = Path(path)
    with reading("path", path, "a zip file with images"):
        archive = zipfile.ZipFile(path)
    with archive:
        members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        return _read(path, members, lambda name: _unpack(archive, members[name]), framing, limit)


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
            warnings.warn("images lie beside sub-folders, which are no classes then", stacklevel=5)
        return (), None
    classes = sorted({each[depth] for each in folders})
    number = {name: label for label, name in enumerate(classes)}
    return tuple(classes), [number[each[depth]] for each in folders]


def spread(items: Sequence[Item], limit: int | None) -> Sequence[Item]:
    """Return at most `limit` of the items, spread evenly over all of them."""
    if limit is not None and (isinstance(limit, bool) or limit < 1):
        raise InputError("limit", limit, "a whole number of at least 1")
    if limit is None or limit >= len(items):
        return items
    return [items[index * len(items) // limit] for index in range(limit)]


def _names_below(path: Path) -> list[str]:
    """List the regular files below a folder, following links to folders once."""
    names, seen = [], set()
    for folder, inside, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            inside.clear()
            continue
        seen.add(real)
        inside_here = [Path(folder, name) for name in files]
        found = [each for each in inside_here if is_file("path", each)]
        names += [each.relative_to(path).as_posix() for each in found]
    return names


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    """Unpack one member into memory, if it says that it is small enough."""
    name, accepted = member.filename, f"a member of at most {LARGEST_MEMBER} bytes, not encrypted"
    if member.file_size > LARGEST_MEMBER:
        raise InputError("image", name, accepted, f"it unpacks to {member.file_size} bytes")
    with reading("image", name, accepted):
        return BytesIO(archive.read(member))


def _read(
    path: Path,
    names: Sequence[str] | dict[str, zipfile.ZipInfo],
    opened: Callable[[str], BinaryIO],
    framing: Framing | None,
    limit: int | None,
) -> TrainingSet:
    """Decode the images among `names`, each frame of which inherits its picture's class."""
    framing = framing or Framing()
    pictures = sorted(filter(is_image_name, names))
    if not pictures:
        accepted = "images such as .png or .jpg, directly or in sub-folders"
        raise InputError("path", path, accepted, "there is no image in it")
    classes, labels = classes_of(pictures)
    chosen = spread(range(len(pictures)), limit)
    stack, label_of_each, several = Stack(len(chosen)), [], 0
    for index in tqdm(chosen, "reading images", leave=False, delay=2, disable=None):
        name = pictures[index]
        with reading("image", name, "an image that can be opened"):
            file = opened(name)
        with file:
            picture, more = decode(file, name, framing.enough)
        several += more
        for frame_name, frame in framing.frame(picture, name):
            stack.add(frame_name, frame)
            label_of_each.append(labels[index] if labels else 0)
    if several:
        warnings.warn(
            f"{several} images hold several frames: only the first is used", stacklevel=4
        )
    return TrainingSet(
        torch.from_numpy(stack.array),
        torch.tensor(label_of_each) if labels else None,
        classes,
        name=path.stem,
        location=path,
        names=stack.names,
    )
