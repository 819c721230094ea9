"""Images from a folder, with sub-folders as classes, or from one picture."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from scoremachines.data.formats.pictures import Pictures
from scoremachines.data.images.decode import is_image_name, is_picture
from scoremachines.data.images.left_out import pictures_among
from scoremachines.data.images.resize import Framing
from scoremachines.data.registry import FRAMED, Reader
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, system_reason
from scoremachines.io.files import is_file, is_folder, reading

__all__ = ["FOLDER", "PICTURE", "folder_pictures", "from_folder", "from_picture"]


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
    return folder_pictures(Path(path), Framing.of(size, crop, channels), limit).training_set()


def folder_pictures(path: Path, framing: Framing, limit: int | None) -> Pictures:
    """Return the pictures below a folder, to be read one at a time.

    Args:
        path: the folder.
        framing: how a picture becomes training images.
        limit: at most so many, spread evenly.

    Returns:
        The pictures.

    Raises:
        InputError: there is no such folder, or no picture in it.
    """
    with reading("path", path, "a folder with images"):
        next(path.iterdir(), None)
    names, unreached = _names_below(path)

    def opened(name: str) -> BinaryIO:
        return (path / name).open("rb")

    pictures, left = pictures_among(names, opened)
    return Pictures(path, pictures, opened, framing, limit, left + unreached)


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
    opened = path.open
    return Pictures(path, [path.name], lambda _: opened("rb"), framing, None, {}).training_set()


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


FOLDER = Reader(lambda path: is_folder("source", path), from_folder, FRAMED | {"limit"})
PICTURE = Reader(is_picture, from_picture, FRAMED)
