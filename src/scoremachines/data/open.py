"""A training set from what is written on the command line: a path, or a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from scoremachines.data.bundled import digits, photographs
from scoremachines.data.formats.folder import FOLDER, PICTURE
from scoremachines.data.formats.idx import IDX
from scoremachines.data.formats.items import spread
from scoremachines.data.formats.numpy_files import NUMPY
from scoremachines.data.formats.safetensors import STORED
from scoremachines.data.formats.shards import SHARDS, from_shards
from scoremachines.data.formats.tars import TAR
from scoremachines.data.formats.zips import ZIP
from scoremachines.data.images.resize import Framing
from scoremachines.data.registry import readers_of_others
from scoremachines.data.settings import DataSettings, limit_values, size_pixels
from scoremachines.data.sharded.place import is_address
from scoremachines.data.synthetic.shapes import shapes
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import exists, is_file, is_folder

__all__ = ["NAMES", "open_data", "open_source"]

NAMES = ("digits", "photographs", "shapes")
ARRAYS = ("limits", "layout", "images_key", "labels_key")
"""Options of sources that are arrays."""
FILES = (
    "a folder of images, a set in shards, a .zip, .tar, .npy, .npz, IDX or .safetensors file, "
    "a picture"
)


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
        source: a folder of images, a set in shards or the address of one (`s3://bucket/set`), a
            zip file of images, a `.npy` or `.npz` file, an IDX file, a `.safetensors` file written
            by `save_training_set`, a picture, which is a set of one image, or digits, photographs
            or shapes.
        size: side of a square, or height and width, to bring the images to, in pixels.
        crop: "centre", "stretch" or "tiles", as in `from_folder`.
        channels: 1, 3 or 4, or None for what the images have.
        limit: take at most so many images, spread evenly over the source; of shapes, make as many.
        limits: the values that mean black and white in a `.npy`, `.npz` or IDX file.
        layout: "NHW", "NHWC" or "NCHW": where the channels stand in such a file.
        images_key: which array of a `.npz` holds the images.
        labels_key: which holds their labels.

    Returns:
        The training set.

    Raises:
        InputError: if there is no such file or name, or it cannot be read with these settings.
    """
    Framing.of(size, crop, channels)  # refuses what no reader could use
    given: dict[str, Any] = {"size": size, "channels": channels, "limit": limit, "limits": limits}
    given |= {"layout": layout, "images_key": images_key, "labels_key": labels_key}
    options = {name: value for name, value in given.items() if value is not None} | {"crop": crop}
    if is_address(str(source)):
        _refuse(options, frozenset(), "a set in shards needs no such setting")
        data = _framed(from_shards(source), options)
    else:
        data = _named(str(source), options) if source in NAMES else _read(Path(source), options)
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
        InputError: no source is named, or it cannot be read with these settings.
    """
    size, source = size_pixels(settings.size), settings.source
    if source is None:
        raise InputError("source", None, "a folder, a file, or digits, photographs or shapes")
    if source == "shapes":
        changes = {"size": size, "n": settings.limit}
        changes = {name: value for name, value in changes.items() if value is not None}
        return shapes(**(asdict(settings.shapes) | changes))
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


def _named(source: str, options: Mapping[str, Any]) -> TrainingSet:
    """Return a set by name."""
    _refuse(options, frozenset(), f"{source} is a set by name")
    size, limit = Framing.of(options.get("size")).size, options.get("limit")
    if source == "shapes":
        knobs = {"size": size, "n": limit}
        return shapes(**{key: knob for key, knob in knobs.items() if knob is not None})
    if source == "photographs":
        if options["crop"] != "centre":
            reason = "photographs are cut into tiles as they are"
            raise InputError("crop", options["crop"], "centre", reason)
        return photographs(size or 32)
    return _framed(digits(), options)


def _read(path: Path, options: Mapping[str, Any]) -> TrainingSet:
    """Read a folder or a file of any of the known kinds."""
    if not is_folder("source", path) and not is_file("source", path):
        raise _unknown(path)
    kinds = (SHARDS, FOLDER, NUMPY, ZIP, TAR, STORED, *readers_of_others(), IDX, PICTURE)
    reader = next((kind for kind in kinds if kind.claims(path)), None)
    if reader is None:
        raise InputError("source", path, FILES, "not a training set")
    kind = "pictures in a folder" if reader is FOLDER else f"{path.suffix.lower() or 'this'} files"
    _refuse(options, reader.takes, f"{kind} need no such setting")
    data = reader.read(path, **{name: options[name] for name in reader.takes & set(options)})
    return data if "size" in reader.takes else _framed(data, options)


def _refuse(options: Mapping[str, Any], takes: frozenset[str], reason: str) -> None:
    """Refuse settings of arrays for a source that is none."""
    for name in ARRAYS:
        if name in options and name not in takes:
            accepted = "a source that is a .npy, .npz or IDX file"
            raise InputError(name, options[name], accepted, reason)


def _framed(data: TrainingSet, options: Mapping[str, Any]) -> TrainingSet:
    """Resize what is needed of a set, if that was requested."""
    framing, data = (
        Framing.of(options.get("size"), options["crop"]),
        _limited(data, options.get("limit")),
    )
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
