"""Images and labels in `.npy` and `.npz` files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoremachines.data.formats.arrays import from_array
from scoremachines.data.images.room import check_room
from scoremachines.data.registry import Reader
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.advice import Advice
from scoremachines.io.files import reading

__all__ = ["NUMPY", "from_numpy"]

IMAGES = ("images", "x", "arr_0", "x_train", "train_images")
LABELS = ("labels", "y", "y_train", "train_labels")
PAIRS = (("images", "labels"), ("image", "label"), ("x", "y"), ("arr_0", "arr_1"))
"""What to replace in the name of the images to find the name of their labels."""


def from_numpy(
    path: str | Path,
    *,
    limits: tuple[float, float] | None = None,
    layout: str | None = None,
    images_key: str | None = None,
    labels_key: str | None = None,
) -> TrainingSet:
    """Read a `.npy` or `.npz` file; bytes in a `.npy` stay on disk until they are needed.

    In a `.npz`, images are called images, x, arr_0, x_train or train_images, and labels, if
    there are any, labels, y, arr_1, y_train or train_labels; a warning names the arrays that
    are left out. Files with Python objects are refused, not unpickled, and so is what would
    unpack to more than half of this machine's memory.

    Args:
        path: the file.
        limits: as in `from_array`.
        layout: as in `from_array`.
        images_key: name of the images in a `.npz`, where it is another one.
        labels_key: name of their labels.

    Returns:
        The training set.

    Raises:
        InputError: if the file is missing or damaged, or as in `from_array`.
    """
    path, labels = Path(path), None
    accepted = "a .npy or .npz file of numbers"
    with reading("path", path, accepted), path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        if start == b"\x93NUMPY":
            for name, key in (("images_key", images_key), ("labels_key", labels_key)):
                if key is not None:
                    raise InputError(name, key, "a name in an .npz file", "a .npy holds one array")
            images = np.load(path, mmap_mode="c", allow_pickle=False)
        elif start.startswith(b"PK"):
            with np.load(file, allow_pickle=False) as archive:
                images, labels = _members(path, archive, images_key, labels_key)
        else:
            raise InputError("path", path, accepted, "this is no such file")
    return from_array(images, labels, limits=limits, layout=layout, name=path.stem, location=path)


def _members(
    path: Path, archive: Any, images_key: str | None, labels_key: str | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the images of a `.npz` file, and their labels or None; name what is left out."""
    names = list(archive)
    image = next((name for name in IMAGES if name in names), None)
    image = image if images_key is None else _named("images_key", images_key, names)
    if image is None:
        held = f"it holds {', '.join(names) or 'nothing'}"
        choice = ("images_key", next(iter(names), "images"))
        raise InputError(
            "path", path, Advice(f"images as {', '.join(IMAGES)}, or {{}}", choice), held
        )
    images, labels, label = _unpacked(path, archive, image), None, labels_key
    if labels_key is None:
        candidates = [image.replace(one, other) for one, other in PAIRS if one in image]
        candidates += LABELS if images_key is None else ()
        label = next((name for name in candidates if name in names and name != image), None)
    if label is not None:
        labels = _unpacked(path, archive, _named("labels_key", label, names))
        of_all = labels.shape[:1] == (len(images),)
        # Another number of labels than of images is refused further on, unless they are unnamed.
        if (
            labels_key is None
            and (of_all or label == "arr_1")
            and not _are_labels(labels, len(images))
        ):
            label = labels = None
    rest = [name for name in names if name not in (image, label)]
    if rest:
        taken = f"{image} as images" + (f" and {label} as labels" if label else "")
        warnings.warn(f"{path.name}: {taken}; left out: {', '.join(rest)}", stacklevel=4)
    return images, labels


def _named(argument: str, key: str, names: Sequence[str]) -> str:
    """Return the name of a member that was chosen, or refuse one that is not there."""
    if key not in names:
        raise InputError(
            argument, key, ", ".join(names) or "a file that is not empty", "there is no such array"
        )
    return key


def _unpacked(path: Path, archive: Any, name: str) -> np.ndarray:
    """Unpack an array, if there is room for its stated size."""
    member = f"{name}.npy" if f"{name}.npy" in archive.zip.namelist() else name
    check_room("path", f"{path}: {name}", archive.zip.getinfo(member).file_size)
    array = archive[name]
    if not isinstance(array, np.ndarray):
        raise InputError("path", path, "arrays", f"{name} is none")
    return array


def _are_labels(array: np.ndarray, count: int) -> bool:
    """Return whether an array holds one whole number for each image, not several or real ones."""
    return array.dtype.kind in "iu" and array.shape[:1] == (count,) and array.size == count


NUMPY = Reader(
    lambda path: path.suffix.lower() in (".npy", ".npz"),
    from_numpy,
    frozenset({"limits", "layout", "images_key", "labels_key"}),
)
