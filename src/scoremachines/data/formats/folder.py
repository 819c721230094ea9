"""Images from a folder or a zip file, with sub-folders as classes."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import torch
from tqdm import tqdm

from scoremachines.data.images.buffer import Stack
from scoremachines.data.images.decode import decode, is_image_name, is_picture
from scoremachines.data.images.left_out import Remarks, counts, pictures_among, warn_of
from scoremachines.data.images.resize import Framing
from scoremachines.data.registry import FRAMED, Reader
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, system_reason, whole
from scoremachines.io.files import is_file, is_folder, reading

__all__ = [
    "FOLDER",
    "PICTURE",
    "ZIP",
    "classes_of",
    "from_folder",
    "from_picture",
    "from_zip",
    "spread",
]

LARGEST_MEMBER = 2**28
"""Bytes that one member of a zip file may unpack to."""
LEAST_TOTAL, MOST_RATIO = 2**30, 100
"""Bytes that all pictures of a zip file may unpack to: 1 GiB, or so many times the file if that is
more. Pictures are compressed already, so ratios of real files are near 1."""
MOST_MEMBERS = 2**22
"""Files that a zip file may hold."""

Item = TypeVar("Item")


def from_folder(
    path: str | Path,
    size: int | Sequence[int] | None = None,
    crop: str = "centre",
    channels: int | None = None,
    *,
    limit: int | None = None,
) -> TrainingSet:
    """Read all images below a folder, ordered by path; other files are left out.

    Sub-folders are classes if every image lies in one; leading folders that all images share
    do not count. EXIF orientation is applied, colour profiles are converted to sRGB, 16-bit
    grey is scaled to bytes, and of files with several frames the first is read, with a
    warning. Pictures that cannot be read (no permission, a format such as HEIC) are counted by
    the reason in a warning and in `left_out`. All images get as many channels as the richest:
    grey, colour, or colour with alpha where any pixel is not opaque.

    Args:
        path: the folder.
        size: side of a square, or height and width, to bring every image to, in pixels; None
            if they are of one size already.
        crop: "centre" scales each picture until it covers `size` and keeps the middle;
            "stretch" scales each side by itself; "tiles" cuts it into tiles without scaling.
        channels: 1, 3 or 4, or None for what the images have. Where alpha is given up, the
            images are laid on white.
        limit: read at most so many pictures, spread evenly over the folder.

    Returns:
        The training set, uint8.

    Raises:
        InputError: if there is no such folder, no image in it, one that is damaged or too
            large, or images of mixed sizes and no `size`.
    """
    path, framing = Path(path), Framing.of(size, crop, channels)
    with reading("path", path, "a folder with images"):
        next(path.iterdir(), None)
    names, unreached = _names_below(path)

    def opened(name: str) -> BinaryIO:
        return (path / name).open("rb")

    pictures, left = pictures_among(names, opened)
    return _read(path, pictures, opened, framing, limit, left + unreached)


def from_zip(
    path: str | Path,
    size: int | Sequence[int] | None = None,
    crop: str = "centre",
    channels: int | None = None,
    *,
    limit: int | None = None,
) -> TrainingSet:
    """Read all images in a zip file as `from_folder` does; nothing is unpacked to disk.

    Its pictures may unpack to 1 GiB in all, or to 100 times the file where that is more, each
    to 256 MiB; archives inside it are not opened.

    Args:
        path: the zip file.
        size: as in `from_folder`.
        crop: as in `from_folder`.
        channels: as in `from_folder`.
        limit: as in `from_folder`.

    Returns:
        The training set, uint8.

    Raises:
        InputError: if the file is damaged or encrypted, or as in `from_folder`.
    """
    path, framing = Path(path), Framing.of(size, crop, channels)
    with reading("path", path, "a zip file with images"):
        archive = zipfile.ZipFile(path)
    with archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        members = {info.filename: info for info in files}
        if len(members) > MOST_MEMBERS:
            accepted = f"a zip file of at most {MOST_MEMBERS} files"
            raise InputError("path", path, accepted, f"it holds {len(members)}")
        pictures, left = pictures_among(members, lambda name: _begun(archive, members[name]))
        left.update({"of a name that another one has too": len(files) - len(members)})
        _check_total(path, [members[name] for name in spread(pictures, limit)])
        return _read(
            path, pictures, lambda name: _unpack(archive, members[name]), framing, limit, +left
        )


def from_picture(
    path: str | Path,
    size: int | Sequence[int] | None = None,
    crop: str = "centre",
    channels: int | None = None,
) -> TrainingSet:
    """Read one picture as a training set: of one image, or of its tiles.

    Args:
        path: the file.
        size: as in `from_folder`.
        crop: as in `from_folder`.
        channels: as in `from_folder`.

    Returns:
        The training set.

    Raises:
        InputError: if the picture cannot be read.
    """
    path, framing = Path(path), Framing.of(size, crop, channels)
    with reading("image", path, "a picture"):
        path.open("rb").close()
    return _read(path, [path.name], lambda _: path.open("rb"), framing, None, Counter())


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
    if limit is None or (limit := whole("limit", limit, 1)) >= len(items):
        return items
    return [items[index * len(items) // limit] for index in range(limit)]


def _names_below(path: Path) -> tuple[list[str], Counter[str]]:
    """List the files below a folder, and count by the reason what cannot be reached.

    Links to folders are followed once.
    """
    names, unreached, seen = [], Counter[str](), set()

    def refused(error: OSError) -> None:
        unreached[f"folder unopened ({system_reason(error)})"] += 1

    for folder, inside, files in os.walk(path, onerror=refused, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            inside.clear()
            continue
        seen.add(real)
        for each in (Path(folder, name) for name in files):
            name = each.relative_to(path).as_posix()
            try:
                regular = is_file("path", each)
            except InputError as error:
                unreached[f"unreachable ({error.reason})"] += is_image_name(name)
                continue
            if regular:
                names.append(name)
            else:
                unreached["leading nowhere, or no regular file"] += is_image_name(name)
    return names, +unreached


def _check_total(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a zip file whose pictures unpack to far more than the file holds."""
    total = sum(member.file_size for member in members)
    most = max(LEAST_TOTAL, MOST_RATIO * path.stat().st_size)
    if total > most:
        accepted = (
            f"pictures of at most {most} bytes in all: {MOST_RATIO} times the file, or 1 GiB"
        )
        raise InputError("path", path, accepted, f"they unpack to {total} bytes")


def _begun(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    """Open a member to look at its beginning."""
    return cast(BinaryIO, archive.open(member))


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BinaryIO:
    """Unpack one member into memory, if its stated size is small enough."""
    name, accepted = member.filename, f"a member of at most {LARGEST_MEMBER} bytes, not encrypted"
    if member.file_size > LARGEST_MEMBER:
        raise InputError("image", name, accepted, f"it unpacks to {member.file_size} bytes")
    with reading("image", name, accepted):
        return BytesIO(archive.read(member))


def _read(
    path: Path,
    pictures: Sequence[str],
    opened: Callable[[str], BinaryIO],
    framing: Framing,
    limit: int | None,
    left: Counter[str],
) -> TrainingSet:
    """Decode pictures, each frame of which inherits its picture's class."""
    if not pictures:
        accepted = "images such as .png or .jpg, directly or in sub-folders"
        besides = f"; left out: {counts(left)}" if left else ""
        raise InputError("path", path, accepted, f"there is no image in it{besides}")
    warn_of(left, path, stacklevel=4)
    classes, labels = classes_of(pictures)
    chosen = spread(range(len(pictures)), limit)
    framing.check_room(len(chosen))
    stack, label_of_each, remarks = Stack(len(chosen)), [], Remarks()
    for index in tqdm(chosen, "reading images", leave=False, delay=2, disable=None):
        name = pictures[index]
        with reading("image", name, "an image that can be opened"):
            file = opened(name)
        with file:
            picture, remark = decode(file, name, framing.enough)
        remarks.add(name, remark)
        for frame_name, frame in framing.frame(picture, name):
            stack.add(frame_name, frame)
            label_of_each.append(labels[index] if labels else 0)
    remarks.warn(stacklevel=4)
    return TrainingSet(
        torch.from_numpy(stack.array),
        torch.tensor(label_of_each) if labels else None,
        classes,
        name=path.stem,
        location=path,
        names=stack.names,
        left_out=left,
    )


FOLDER = Reader(lambda path: is_folder("source", path), from_folder, FRAMED | {"limit"})
ZIP = Reader(lambda path: path.suffix.lower() == ".zip", from_zip, FRAMED | {"limit"})
PICTURE = Reader(is_picture, from_picture, FRAMED)
