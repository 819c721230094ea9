"""Pictures that a folder or a zip file holds and that are not read: how many, and why."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import BinaryIO

from scoremachines.data.images.decode import is_hidden, is_image_name, unread_suffixes

__all__ = ["Remarks", "counts", "pictures_among", "warn_of"]

UNREAD = {
    *(".avif", ".heic", ".heif", ".hif", ".jxl", ".jxr", ".wdp", ".exr"),
    *(".arw", ".cr2", ".cr3", ".dng", ".erf", ".kdc", ".nef", ".nrw", ".orf", ".pef", ".raf"),
    *(".raw", ".rw2", ".srw", ".x3f", ".ai", ".emf", ".eps", ".psb", ".svg", ".wmf", ".xcf"),
}
"""Suffixes of pictures that Pillow does not read, or not in every build."""
ARCHIVES = {".7z", ".rar", ".tar", ".tgz", ".zip"}
STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"8BPS", b"\xff\x0a")
BRANDS = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif", b"ftypcrx ", b"WEBP", b"JXL ")
FIRST = 16
"""Bytes at the beginning of a file that show a picture."""


def pictures_among(
    names: Iterable[str], opened: Callable[[str], BinaryIO]
) -> tuple[list[str], Counter[str]]:
    """Return the names of the pictures to read, and count the others by the reason.

    What is no picture, or is hidden, is not counted.

    Args:
        names: relative paths, with `/` between folders.
        opened: opens one of them.

    Returns:
        The names, sorted, and how many pictures were left out for each reason.
    """
    pictures, left = [], Counter[str]()
    for name in names:
        if is_image_name(name):
            pictures.append(name)
        elif not is_hidden(name) and (reason := _reason(name, opened)):
            left[reason] += 1
    return sorted(pictures), left


def warn_of(left: Mapping[str, int], place: object, stacklevel: int) -> None:
    """Warn of what was left out of a folder or a file, if anything was.

    Args:
        left: numbers by reason.
        place: the folder or the file.
        stacklevel: as in `warnings.warn`, counted from the caller.
    """
    if left:
        warnings.warn(f"left out of {place}: {counts(left)}", stacklevel=stacklevel + 1)


def counts(left: Mapping[str, int]) -> str:
    """Return numbers and reasons as a phrase."""
    return "; ".join(f"{count} {reason}" for reason, count in sorted(left.items()))


class Remarks:
    """Remarks on images, gathered to be shown once, with their number and the first image."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, name: str, remarks: Iterable[str]) -> None:
        """Gather the remarks on one image.

        Args:
            name: the image.
            remarks: phrases that follow "n images".
        """
        for remark in remarks:
            self._names.setdefault(remark, []).append(name)

    def warn(self, stacklevel: int) -> None:
        """Warn once for every remark.

        Args:
            stacklevel: as in `warnings.warn`, counted from the caller.
        """
        for remark, names in self._names.items():
            text = f"{len(names)} images {remark} (the first is {names[0]})"
            warnings.warn(text, stacklevel=stacklevel + 1)


def _reason(name: str, opened: Callable[[str], BinaryIO]) -> str | None:
    """Return why a picture is not read; None if the file is none."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in UNREAD or suffix in unread_suffixes():
        return f"in a format that is not read ({suffix})"
    if suffix in ARCHIVES:
        return f"in an archive that is not opened ({suffix})"
    try:
        with opened(name) as file:
            start = file.read(FIRST)
    except (OSError, ValueError, RuntimeError, NotImplementedError):
        return None
    if start.startswith(STARTS) or start[4:12] in BRANDS or start[8:12] in BRANDS:
        return f"not named as a picture is ({suffix or 'no suffix'})"
    return None
