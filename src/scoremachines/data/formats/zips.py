"""Images from a zip file, which is not unpacked to disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from scoremachines.data.formats.items import spread
from scoremachines.data.formats.pictures import Pictures
from scoremachines.data.images.left_out import pictures_among
from scoremachines.data.images.resize import Framing
from scoremachines.data.registry import FRAMED, Reader
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import reading

__all__ = ["ZIP", "from_zip", "zip_pictures"]

LARGEST_MEMBER = 2**28
"""Bytes that one member of a zip file may unpack to."""
LEAST_TOTAL, MOST_RATIO = 2**30, 100
"""Bytes that all pictures of a zip file may unpack to: 1 GiB, or so many times the file if that is
more. Pictures are compressed already, so ratios of real files are near 1."""
MOST_MEMBERS = 2**22
"""Files that a zip file may hold."""


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
    with zip_pictures(Path(path), Framing.of(size, crop, channels), limit) as pictures:
        return pictures.training_set()


@contextmanager
def zip_pictures(path: Path, framing: Framing, limit: int | None) -> Iterator[Pictures]:
    """Give the pictures in a zip file, to be read one at a time while the file is open.

    Args:
        path: the file.
        framing: how a picture becomes training images.
        limit: at most so many, spread evenly.

    Yields:
        The pictures.

    Raises:
        InputError: the file is damaged, holds too much, or no picture.
    """
    with reading("path", path, "a zip file with images"):
        archive = zipfile.ZipFile(path)
    with archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        members = {info.filename: info for info in files}
        if len(members) > MOST_MEMBERS:
            accepted = f"a zip file of at most {MOST_MEMBERS} files"
            raise InputError("path", path, accepted, f"it holds {len(members)}")
        names, left = pictures_among(members, lambda name: _begun(archive, members[name]))
        left.update({"of a name that another one has too": len(files) - len(members)})
        _check_total(path, [members[name] for name in spread(names, limit)])
        yield Pictures(
            path, names, lambda name: _unpack(archive, members[name]), framing, limit, +left
        )


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


ZIP = Reader(lambda path: path.suffix.lower() == ".zip", from_zip, FRAMED | {"limit"})
