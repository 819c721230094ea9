"""Images in tar files as WebDataset has them: files of one sample share their name up to a dot.

`0001.jpg` and `0001.cls`, which holds the number of a class, are one sample; a `label` in a
`0001.json` is taken where there is no `.cls`.
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from scoremachines.data.formats.pictures import Pictures
from scoremachines.data.formats.zips import LARGEST_MEMBER
from scoremachines.data.images.decode import is_hidden, is_image_name
from scoremachines.data.images.resize import Framing
from scoremachines.data.registry import FRAMED, Reader
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import reading

__all__ = ["TAR", "from_tar", "tar_pictures", "tars_of"]

SUFFIX = ".tar"
ACCEPTED = "an uncompressed tar file with images"


def from_tar(
    path: str | Path,
    size: int | Sequence[int] | None = None,
    crop: str = "centre",
    channels: int | None = None,
    *,
    limit: int | None = None,
) -> TrainingSet:
    """Read the images in a tar file, in its order; nothing is unpacked to disk.

    Labels are the numbers in files `.cls`, or `label` in files `.json`, beside the images; where
    some samples have none, folders are classes, as in `from_folder`.

    Args:
        path: the tar file, not compressed.
        size: as in `from_folder`.
        crop: as in `from_folder`.
        channels: as in `from_folder`.
        limit: as in `from_folder`.

    Returns:
        The training set, uint8.

    Raises:
        InputError: the file is damaged or compressed, or as in `from_folder`.
    """
    framing = Framing.of(size, crop, channels)
    return tar_pictures([Path(path)], framing, limit).training_set()


def tars_of(folder: Path) -> list[Path]:
    """Return the tar files of a folder of nothing else, by name; none of any other folder."""
    with reading("path", folder, "a folder"):
        visible = sorted(each for each in folder.iterdir() if not is_hidden(each.name))
    return visible if all(each.suffix.lower() == SUFFIX for each in visible) else []


def tar_pictures(paths: Sequence[Path], framing: Framing, limit: int | None) -> Pictures:
    """Return the pictures in tar files, to be read one at a time.

    Args:
        paths: the files, one after the other; at least one.
        framing: how a picture becomes training images.
        limit: at most so many, spread evenly.

    Returns:
        The pictures.

    Raises:
        InputError: a file is damaged or compressed, or there is no picture.
    """
    members: dict[str, tuple[Path, int, int]] = {}
    labels: dict[str, int] = {}
    left: Counter[str] = Counter()
    for path in paths:
        prefix = "" if len(paths) == 1 else f"{path.name}/"
        with reading("path", path, ACCEPTED), tarfile.open(path, "r:") as archive:
            for member in archive:
                name = prefix + member.name.removeprefix("./")
                if not member.isfile() or is_hidden(name):
                    continue
                if is_image_name(name):
                    left["of a name that another one has too"] += name in members
                    members[name] = path, member.offset_data, member.size
                elif (label := _label(archive, member)) is not None:
                    is_class = PurePosixPath(name).suffix == ".cls"
                    labels[_key(name)] = label if is_class else labels.get(_key(name), label)
    names = list(members)
    of_each = [labels.get(_key(name)) for name in names]
    known = None if None in of_each else of_each
    return Pictures(
        paths[0] if len(paths) == 1 else paths[0].parent,
        names,
        lambda name: _member(name, *members[name]),
        framing,
        limit,
        +left,
        known,
    )


def _key(name: str) -> str:
    """Return the name of a sample: that of its files up to the first dot behind the folders."""
    path = PurePosixPath(name)
    return str(path.with_name(path.name.split(".")[0]))


def _label(archive: tarfile.TarFile, member: tarfile.TarInfo) -> int | None:
    """Return the class that a member states; None if it states none."""
    suffix = PurePosixPath(member.name).suffix
    file = archive.extractfile(member) if suffix in (".cls", ".json") else None
    if file is None or member.size > LARGEST_MEMBER:
        return None
    with reading("label", member.name, "the number of a class"):
        if suffix == ".cls":
            return int(file.read())
        held = json.loads(file.read())
        label = held.get("label") if isinstance(held, dict) else None
        return label if type(label) is int else None


def _member(name: str, path: Path, offset: int, size: int) -> BinaryIO:
    """Return one member, read from its place in the file."""
    if size > LARGEST_MEMBER:
        accepted = f"a member of at most {LARGEST_MEMBER} bytes"
        raise InputError("image", name, accepted, f"it has {size} bytes")
    with path.open("rb") as file:
        file.seek(offset)
        return BytesIO(file.read(size))


TAR = Reader(lambda path: path.suffix.lower() == SUFFIX, from_tar, FRAMED | {"limit"})
