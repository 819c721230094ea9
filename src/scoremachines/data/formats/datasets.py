"""Images from any `torch.utils.data.Dataset`, or whatever behaves like one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import IterableDataset

from scoremachines.data.formats.arrays import arranged, as_tensor, scaled
from scoremachines.data.formats.items import Frames, Task, spread, stacked
from scoremachines.data.images.decode import normalise
from scoremachines.data.images.resize import Framing
from scoremachines.data.training_set import TrainingSet
from scoremachines.data.validate import one_number
from scoremachines.errors import InputError, shorten, whole
from scoremachines.io.files import reading

__all__ = ["DatasetItems", "class_names", "from_dataset"]

IMAGE_KEYS = ("image", "img", "images", "pixel_values")
LABEL_KEYS = ("label", "labels")


def from_dataset(
    dataset: Any,
    size: int | Sequence[int] | None = None,
    crop: str = "centre",
    *,
    limits: tuple[float, float] | None = None,
    layout: str | None = None,
    limit: int | None = None,
    images_key: str | None = None,
    labels_key: str | None = None,
) -> TrainingSet:
    """Read a `torch.utils.data.Dataset`, map-style or iterable, from first to last.

    An item is an image, a pair of image and label, or a dictionary with an `image` and perhaps
    a `label`. Images are Pillow's, tensors or arrays. Labels are named by the `classes` of the
    data set, by the `features` of one of Hugging Face, or by those of what a `Subset` or
    `ConcatDataset` is made of.

    Args:
        dataset: the data set.
        size: as in `from_folder`.
        crop: as in `from_folder`.
        limits: as in `from_array`: (0, 1) for the tensors that most data sets yield.
        layout: as in `from_array`, with N for the items.
        limit: read at most so many items, spread evenly if the data set has a length.
        images_key: key of the image in items that are dictionaries, where it is another one.
        labels_key: key of the label, such as fine_label.

    Returns:
        The training set.

    Raises:
        InputError: if the data set is empty, or its items are not as described.
    """
    framing = Framing.of(size, crop)
    items = DatasetItems(
        dataset, framing, limit, layout=layout, images_key=images_key, labels_key=labels_key
    )
    framing.check_room(items.count or 1)
    stack, labels = stacked(items, stacklevel=4)
    if not len(stack):
        raise InputError("dataset", dataset, "a data set with at least one image")
    known = [label for label in labels if label is not None]
    if known and len(known) < len(labels):
        found = f"{len(known)} of {len(labels)} images have one"
        raise InputError("labels", known, "a label for every image, or for none", found)
    if others := items.other_labels:
        words = f"labels are taken from {items.taken}" if known else "no labels are taken"
        warnings.warn(f"{words}; left out: {', '.join(others)}", stacklevel=3)
    return TrainingSet(
        scaled(torch.from_numpy(stack.array), limits),
        torch.tensor(known) if known else None,
        items.classes if known else (),
        name=type(dataset).__name__,
        names=stack.names if framing.crop == "tiles" else None,
    )


class DatasetItems:
    """Items of a data set, map-style or iterable, that are framed one at a time (`Items`).

    Args:
        dataset: the data set.
        framing: how an image becomes training images.
        limit: read at most so many, spread evenly if the data set has a length.
        limits: the values that become -1 and 1; None for images whose values stay as they are.
        layout: as in `from_array`, with N for the items.
        images_key: key of the image in items that are dictionaries.
        labels_key: key of the label.
        name: of the set; by default the class of the data set.

    Raises:
        InputError: it is no data set.
    """

    def __init__(
        self,
        dataset: Any,
        framing: Framing,
        limit: int | None = None,
        *,
        limits: tuple[float, float] | None = None,
        layout: str | None = None,
        images_key: str | None = None,
        labels_key: str | None = None,
        name: str | None = None,
    ) -> None:
        self.dataset, self.framing, self.limit = dataset, framing, limit
        self.left_out: Mapping[str, int] = {}
        self.limits, self.layout, self.images_key = limits, layout, images_key
        self.name, self.named = name or type(dataset).__name__, framing.crop == "tiles"
        self.chosen, self.count = _chosen(dataset, limit)
        named = class_names(dataset)
        key = labels_key or _only_labels(named)
        key = key or next((each for each in (None, *LABEL_KEYS) if each in named), None)
        self.labels_key = labels_key or _only_labels(named)
        self.classes: tuple[str, ...] = named.get(key, named.get(None, ()))
        self.other_labels = sorted(each for each in named if each not in (None, key))
        self.taken = key

    @property
    def identity(self) -> str:
        """Kind, length and classes of the data set."""
        return repr((type(self.dataset).__qualname__, self.count, self.classes))

    def tasks(self, start: int) -> Iterator[Task]:
        """Yield what reads each item, from one on; a stream is read item by item."""
        if self.chosen is not None:
            for index in self.chosen[start:]:
                yield partial(self._framed, index, None)
            return
        for index, item in enumerate(islice(_stream(self.dataset), self.limit)):
            if index >= start:
                yield partial(self._framed, index, item)

    def _framed(self, index: int, item: Any) -> Frames:
        if self.chosen is not None:
            accepted = f"items, such as number {index}"
            with reading("dataset", type(self.dataset).__name__, accepted):
                item = self.dataset[index]
        image, label = _split(item, self.images_key, self.labels_key)
        remark: str | None = None
        if isinstance(image, Image.Image):
            picture, remark = normalise(image, f"item {index}")
            frames = list(self.framing.frame(picture, str(index)))
        else:
            frames = list(_frames(image, self.framing, self.layout, str(index)))
        if self.limits is not None:
            frames = [(name, self._scaled(values)) for name, values in frames]
        return Frames(f"item {index}", frames, label, () if remark is None else (remark,))

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        found: np.ndarray = scaled(torch.from_numpy(values)[None], self.limits)[0].numpy()
        return found


def class_names(dataset: Any) -> dict[str | None, tuple[str, ...]]:
    """Return the names of the classes that a data set knows.

    Args:
        dataset: one with `classes`, as of torchvision; with `features` of which some have `names`,
            as of Hugging Face; or a `Subset`, `ConcatDataset` or another wrapper of those.

    Returns:
        The names by the key of the labels that they are of, None for the labels of pairs. Parts
        that are put together have names only if they agree.
    """
    features = getattr(dataset, "features", None)
    if isinstance(features, Mapping):
        named = {key: getattr(each, "names", None) for key, each in features.items()}
        return {key: tuple(map(str, names)) for key, names in named.items() if names}
    classes = getattr(dataset, "classes", None)
    if isinstance(classes, Iterable):
        return {None: tuple(map(str, classes))}
    parts = getattr(dataset, "datasets", None)
    if isinstance(parts, Iterable):
        first, *others = [class_names(each) for each in parts] or [{}]
        if all(each == first for each in others):
            return first
        warnings.warn("the parts have classes of other names, which are left out", stacklevel=4)
        return {}
    inner = getattr(dataset, "dataset", None)
    return {} if inner is None else class_names(inner)


def _only_labels(named: Mapping[str | None, Any]) -> str | None:
    """Return the key of the labels where the usual one is missing and only one has classes."""
    keys = [key for key in named if key is not None]
    return keys[0] if len(keys) == 1 and keys[0] not in LABEL_KEYS else None


def _chosen(dataset: Any, limit: int | None) -> tuple[Sequence[int] | None, int | None]:
    """Return the numbers of the items to read, None for a stream, and how many if it is known."""
    accepted = "a data set with a length and items, or one to iterate over"
    found = type(dataset).__name__
    if isinstance(dataset, Mapping):
        parts = f"it is a dictionary of {shorten(list(dataset))}"
        raise InputError("dataset", found, f"{accepted}, such as one of its values", parts)
    indexed = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    if indexed and not isinstance(dataset, IterableDataset):
        with reading("dataset", found, accepted):
            chosen = spread(range(len(dataset)), limit)
        return chosen, len(chosen)
    if not hasattr(dataset, "__iter__"):
        raise InputError("dataset", found, accepted)
    return None, None if limit is None else whole("limit", limit, 1)


def _stream(dataset: Any) -> Iterator[Any]:
    """Yield items one after the other."""
    accepted = "items that can be read one after the other"
    with reading("dataset", type(dataset).__name__, accepted):
        items = iter(dataset)
    end = object()
    while True:
        with reading("dataset", type(dataset).__name__, accepted):
            item = next(items, end)
        if item is end:
            return
        yield item


def _split(item: Any, images_key: str | None, labels_key: str | None) -> tuple[Any, int | None]:
    """Take an item apart into its image and its label, if it has one."""
    label = None
    if isinstance(item, Mapping):
        image = _value(item, "images_key", images_key, IMAGE_KEYS)
        if image is None:
            held = f"it holds {', '.join(map(str, item)) or 'nothing'}"
            accepted = f"items with one of {', '.join(IMAGE_KEYS)}, or images_key"
            raise InputError("dataset", type(item).__name__, accepted, held)
        label = _value(item, "labels_key", labels_key, LABEL_KEYS)
    elif isinstance(item, tuple | list) and item:
        image, label = item[0], item[1] if len(item) > 1 else None
    else:
        image = item
    return image, None if label is None else one_number("label", label)


def _value(item: Mapping[str, Any], argument: str, key: str | None, usual: Sequence[str]) -> Any:
    """Return what an item holds under a key that was chosen, or under the first usual one."""
    if key is None:
        return next((item[each] for each in usual if each in item), None)
    if key not in item:
        raise InputError(argument, key, ", ".join(map(str, item)), "there is no such key")
    return item[key]


def _frames(
    image: Any, framing: Framing, layout: str | None, name: str
) -> Iterable[tuple[str, np.ndarray]]:
    """Return the training images `[C, H, W]` of one tensor or array."""
    values = as_tensor("image", image)
    if values.ndim not in (2, 3):
        accepted = "single images [H, W], [C, H, W] or [H, W, C] as items"
        raise InputError("image", list(values.shape), accepted)
    alone = layout or ("NHW" if values.ndim == 2 else None)
    single = arranged(values.unsqueeze(0), alone)[0].cpu().numpy()
    return [(name, single)] if framing.size is None else framing.frame_array(single, name)
