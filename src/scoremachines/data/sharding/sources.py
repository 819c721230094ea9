"""The items of a source, by path, name or data set, read one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scoremachines.data.formats.arrays import arranged, as_tensor
from scoremachines.data.formats.datasets import DatasetItems
from scoremachines.data.formats.folder import folder_pictures
from scoremachines.data.formats.items import Frames, Items, Task, spread
from scoremachines.data.formats.shards import is_sharded
from scoremachines.data.formats.tars import TAR, tar_pictures, tars_of
from scoremachines.data.formats.zips import ZIP, zip_pictures
from scoremachines.data.images.resize import Framing
from scoremachines.data.open import NAMES, open_source
from scoremachines.data.sharded.place import is_address
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import is_file, is_folder, reading

__all__ = ["SetItems", "items_of"]

ARROW = ("state.json", "dataset_info.json")
"""What lies in a folder that `datasets` wrote by `save_to_disk`."""


class SetItems:
    """Images of a training set that is open already, on a memory map or in shards (`Items`).

    Args:
        data: the training set.
        framing: how an image becomes training images.
        limit: read at most so many, spread evenly.
    """

    def __init__(self, data: TrainingSet, framing: Framing, limit: int | None) -> None:
        if framing.channels not in (None, data.shape[0]):
            found = f"the images of {data.name!r} have {data.shape[0]}"
            raise InputError("channels", framing.channels, f"{data.shape[0]} or None", found)
        self.data, self.framing = data, framing
        self.name, self.classes = data.name, data.classes
        self.left_out: Mapping[str, int] = data.left_out
        self.named = data.names is not None or framing.crop == "tiles"
        self.chosen = spread(range(len(data)), limit)
        self.count: int | None = len(self.chosen)

    @property
    def identity(self) -> str:
        """Shape, kind, labels and some of the images."""
        data = self.data
        digest = hashlib.sha256(repr((len(data), data.shape, data.pixels.dtype)).encode())
        few = torch.linspace(0, len(data) - 1, 16).round().long().unique()
        digest.update(data.block(few, None).cpu().numpy().tobytes())
        if data.labels is not None:
            digest.update(data.labels.numpy().tobytes())
        return digest.hexdigest()

    def tasks(self, start: int) -> Iterator[Task]:
        """Yield what reads each image, from one on."""
        for index in self.chosen[start:]:
            yield partial(self._read, index)

    def _read(self, index: int) -> Frames:
        data, framing = self.data, self.framing
        image: Any = data.block(slice(index, index + 1), None)[0].cpu().numpy()
        name = str(index) if data.names is None else data.names[index]
        label = None if data.labels is None else int(data.labels[index])
        same = framing.size in (None, data.shape[1:]) and framing.crop != "tiles"
        frames = [(name, image)] if same else list(framing.frame_array(image, name))
        return Frames(name, frames, label)


@contextmanager
def items_of(source: Any, framing: Framing, options: Mapping[str, Any]) -> Iterator[Items]:
    """Give the items of a source while it is open.

    Args:
        source: a folder, zip or tar file of images, a folder of tar files, a folder that
            `datasets.Dataset.save_to_disk` wrote, whatever else `open_source` opens, a
            `TrainingSet`, or a data set of torch or Hugging Face, also a stream.
        framing: how an item becomes training images.
        options: limit, limits, layout, images_key and labels_key, those that are given.

    Yields:
        The items.

    Raises:
        InputError: there is no such source, or it cannot be read with these options.
    """
    options = dict(options)
    limit = options.pop("limit", None)
    if isinstance(source, TrainingSet):
        yield SetItems(source, framing, limit)
    elif not isinstance(source, str | Path):
        yield DatasetItems(source, framing, limit, **options)
    elif str(source) in NAMES or is_address(str(source)):
        yield SetItems(open_source(source, **options), framing, limit)
    else:
        with _of_path(Path(source), framing, limit, options) as items:
            yield items


@contextmanager
def _of_path(
    path: Path, framing: Framing, limit: int | None, options: Mapping[str, Any]
) -> Iterator[Items]:
    if is_folder("source", path) and not is_sharded(path):
        if all(is_file("source", path / name) for name in ARROW):
            yield DatasetItems(_saved(path), framing, limit, **options)
            return
        _refuse(options)
        tars = tars_of(path)
        yield tar_pictures(tars, framing, limit) if tars else folder_pictures(path, framing, limit)
    elif is_file("source", path) and ZIP.claims(path):
        _refuse(options)
        with zip_pictures(path, framing, limit) as pictures:
            yield pictures
    elif is_file("source", path) and TAR.claims(path):
        _refuse(options)
        yield tar_pictures([path], framing, limit)
    elif path.suffix.lower() == ".npy" and options.get("limits") is not None:
        with reading("source", path, "a .npy file of numbers"):
            array = np.load(path, mmap_mode="c", allow_pickle=False)
        pixels = arranged(as_tensor("images", array), options.get("layout"))
        limits = options["limits"]
        yield DatasetItems(pixels, framing, limit, limits=limits, layout="NCHW", name=path.stem)
    else:
        yield SetItems(open_source(path, **options), framing, limit)


def _refuse(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        accepted = "a source of arrays or a data set"
        raise InputError(name, value, accepted, "pictures need no such setting")


def _saved(path: Path) -> Any:
    """Return a data set of Hugging Face from its folder; its rows stay on disk."""
    try:
        import datasets
    except ImportError as error:
        accepted = "another source; this one needs: pip install 'scoremachines[datasets]'"
        raise InputError("source", path, accepted, "datasets is not installed") from error
    with reading("source", path, "a folder that datasets.Dataset.save_to_disk wrote"):
        return datasets.load_from_disk(str(path))
