"""A training set from what is written on the command line: a path, or a name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from scoremachines.data.folder import spread
from scoremachines.data.framing import Framing
from scoremachines.data.idx import is_idx
from scoremachines.data.settings import DataSettings, size_pixels
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.files import exists, is_file, is_folder

__all__ = ["NAMES", "open_data", "open_source"]

NAMES = ("digits", "photographs", "shapes")
FILES = "a folder of images, a .zip, .npy, .npz, IDX or .safetensors file"


def open_source(
    source: str | Path,
    *,
    size: int | Sequence[int] | None = None,
    crop: str = "centre",
    channels: int | None = None,
    limit: int | None = None,
) -> TrainingSet:
    """Open a training set by path or by name.

    A name wins over a folder that is called the same; write `./shapes` for the folder.

    Args:
        source: a folder of images, a zip file of images, a `.npy` or `.npz` file, an IDX file, a
            `.safetensors` file written by `TrainingSet.save`, or digits, photographs or shapes.
        size: side of a square, or height and width, to bring the images to, in pixels.
        crop: "centre", "stretch" or "tiles", as in `TrainingSet.from_folder`.
        channels: 1, 3 or 4, or None for what the images have.
        limit: take at most so many images, spread evenly over the source; of shapes, make as many.

    Returns:
        The training set.

    Raises:
        InputError: if there is no such file or name, or it cannot be read as asked.
    """
    framing = Framing.of(size, crop, channels)
    if source == "shapes":
        knobs = {"size": framing.size, "n": limit}
        data = TrainingSet.shapes(**{key: knob for key, knob in knobs.items() if knob is not None})
    elif source == "photographs":
        data = TrainingSet.photographs(framing.size or 32)
    elif source == "digits":
        data = _framed(TrainingSet.digits(), framing, limit)
    else:
        data = _open_path(Path(source), framing, limit)
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
    )


def _open_path(path: Path, framing: Framing, limit: int | None) -> TrainingSet:
    """Read a folder or a file of any of the known kinds."""
    from scoremachines.data.folder import read_folder, read_zip

    if is_folder("source", path):
        return read_folder(path, framing, limit)
    if not is_file("source", path):
        raise _unknown(path)
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return read_zip(path, framing, limit)
    if suffix in (".npy", ".npz"):
        return _framed(TrainingSet.from_file(path), framing, limit)
    if suffix == ".safetensors":
        return _framed(TrainingSet.load(path), framing, limit)
    if is_idx(path):
        return _framed(TrainingSet.from_idx(path), framing, limit)
    raise InputError("source", path, FILES, "the file is of no such kind")


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
