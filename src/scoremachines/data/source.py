"""A training set from what is written on the command line: a path, or a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from scoremachines.data.decode import is_picture
from scoremachines.data.folder import spread
from scoremachines.data.framing import Framing
from scoremachines.data.idx import is_idx
from scoremachines.data.settings import DataSettings, limit_values, size_pixels
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.files import exists, is_file, is_folder

__all__ = ["NAMES", "open_data", "open_source"]

NAMES = ("digits", "photographs", "shapes")
FILES = "a folder of images, a .zip, .npy, .npz, IDX or .safetensors file, a picture"


def open_source(
    source: str | Path,
    *,
    size: int | Sequence[int] | None = None,
    crop: str = "centre",
    channels: int | None = None,
    limit: int | None = None,
    limits: tuple[float, float] | None = None,
    layout: str | None = None,
    images_key: str | None = None,
    labels_key: str | None = None,
) -> TrainingSet:
    """Open a training set by path or by name.

    A name wins over a folder that is called the same; write `./shapes` for the folder.

    Args:
        source: a folder of images, a zip file of images, a `.npy` or `.npz` file, an IDX file, a
            `.safetensors` file written by `TrainingSet.save`, a picture, which is a set of one
            image, or digits, photographs or shapes.
        size: side of a square, or height and width, to bring the images to, in pixels.
        crop: "centre", "stretch" or "tiles", as in `TrainingSet.from_folder`.
        channels: 1, 3 or 4, or None for what the images have.
        limit: take at most so many images, spread evenly over the source; of shapes, make as many.
        limits: the values that mean black and white in a `.npy`, `.npz` or IDX file.
        layout: "NHW", "NHWC" or "NCHW": where the channels stand in such a file.
        images_key: which array of a `.npz` holds the images.
        labels_key: which holds their labels.

    Returns:
        The training set.

    Raises:
        InputError: if there is no such file or name, or it cannot be read as asked.
    """
    framing = Framing.of(size, crop, channels)
    arrays = {"limits": limits, "layout": layout}
    arrays |= {"images_key": images_key, "labels_key": labels_key}
    arrays = {name: value for name, value in arrays.items() if value is not None}
    if source in NAMES:
        _refuse(arrays, f"{source} is a set by name")
    if source == "shapes":
        knobs = {"size": framing.size, "n": limit}
        data = TrainingSet.shapes(**{key: knob for key, knob in knobs.items() if knob is not None})
    elif source == "photographs":
        if framing.crop != "centre":
            raise InputError("crop", crop, "centre", "photographs are cut into tiles as they are")
        data = TrainingSet.photographs(framing.size or 32)
    elif source == "digits":
        data = _framed(TrainingSet.digits(), framing, limit)
    else:
        data = _open_path(Path(source), framing, limit, arrays)
    if channels not in (None, data.shape[0]):
        found = f"the images of {data.name!r} have {data.shape[0]}"
        raise InputError("channels", channels, f"{data.shape[0]} or None", found)
    return _limited(data, limit)


def open_data(settings: DataSettings) -> TrainingSet:
    """Open the training set of a run.

    Args:
        settings: which.

    Returns:
        The training set.

    Raises:
        InputError: no source is named, or it cannot be read as asked.
    """
    size, source = size_pixels(settings.size), settings.source
    if source is None:
        raise InputError("source", None, "a folder, a file, or digits, photographs or shapes")
    if source == "shapes":
        changes = {"size": size, "n": settings.limit}
        changes = {name: value for name, value in changes.items() if value is not None}
        return TrainingSet.shapes(**(asdict(settings.shapes) | changes))
    return open_source(
        source,
        size=size,
        crop=settings.crop,
        channels=settings.channels,
        limit=settings.limit,
        limits=limit_values(settings.limits),
        layout=settings.layout,
        images_key=settings.images_key,
        labels_key=settings.labels_key,
    )


def _open_path(
    path: Path, framing: Framing, limit: int | None, arrays: Mapping[str, Any]
) -> TrainingSet:
    """Read a folder or a file of any of the known kinds."""
    from scoremachines.data.folder import read_folder, read_picture, read_zip
    from scoremachines.data.idx import read_idx
    from scoremachines.data.numpy_files import read_numpy

    if is_folder("source", path):
        _refuse(arrays, "pictures in a folder need no such setting")
        return read_folder(path, framing, limit)
    if not is_file("source", path):
        raise _unknown(path)
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return _framed(read_numpy(path, **arrays), framing, limit)
    if suffix not in (".zip", ".safetensors") and is_idx(path):
        keys = {name: value for name, value in arrays.items() if name[-4:] == "_key"}
        _refuse(keys, "an IDX file holds one array")
        return _framed(read_idx(path, **arrays), framing, limit)
    _refuse(arrays, f"{suffix or 'this'} is no file of arrays")
    if suffix == ".zip":
        return read_zip(path, framing, limit)
    if suffix == ".safetensors":
        return _framed(TrainingSet.load(path), framing, limit)
    if is_picture(path):
        return read_picture(path, framing)
    raise InputError("source", path, FILES, "the file is of no such kind")


def _refuse(arrays: Mapping[str, Any], reason: str) -> None:
    """Refuse settings of arrays for a source that is none."""
    for name, value in arrays.items():
        raise InputError(name, value, "a source that is a .npy, .npz or IDX file", reason)


def _framed(data: TrainingSet, framing: Framing, limit: int | None) -> TrainingSet:
    """Resize what is needed of a set, if that was asked for."""
    data = _limited(data, limit)
    if framing.size is None or framing.size == data.shape[1:]:
        return data
    return data.resized(framing.size, framing.crop)


def _limited(data: TrainingSet, limit: int | None) -> TrainingSet:
    """Leave out images until the limit is kept."""
    few = spread(range(len(data)), limit)
    return data if len(few) == len(data) else data.subset(few)


def _unknown(path: Path) -> InputError:
    """Return what is wrong with a path, and what it may have been meant for."""
    if exists("source", path):
        return InputError("source", path, FILES, "it is neither a file nor a folder")
    beside = []
    with suppress(OSError):  # a folder that may not be listed gives no hints
        beside = [str(path.with_name(each.name)) for each in islice(path.parent.iterdir(), 10_000)]
    similar = get_close_matches(str(path), [*NAMES, *beside], n=3)
    hint = f"; did you mean {' or '.join(similar)}?" if similar else ""
    return InputError(
        "source", path, f"{FILES}, or one of {', '.join(NAMES)}", f"nothing is there{hint}"
    )
