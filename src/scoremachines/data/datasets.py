"""Images from any `torch.utils.data.Dataset`, or whatever behaves like one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import IterableDataset
from tqdm import tqdm

from scoremachines.data.arrays import arranged, as_tensor, scaled
from scoremachines.data.checks import one_number
from scoremachines.data.decode import normalise
from scoremachines.data.folder import spread
from scoremachines.data.framing import Framing
from scoremachines.data.left_out import Remarks
from scoremachines.data.stack import Stack
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError

__all__ = ["read_dataset"]

IMAGE_KEYS = ("image", "img", "images", "pixel_values")
LABEL_KEYS = ("label", "labels")


def read_dataset(
    dataset: Any,
    framing: Framing,
    limits: tuple[float, float] | None = None,
    layout: str | None = None,
    limit: int | None = None,
) -> TrainingSet:
    """Read a data set; see `TrainingSet.from_dataset`.

    Args:
        dataset: the data set.
        framing: how its images become training images.
        limits: the values that mean black and white in tensors and arrays.
        layout: "NHW", "NHWC" or "NCHW": where the channels stand, with N for the items.
        limit: read at most so many images.

    Returns:
        The training set.

    Raises:
        InputError: if it holds no image, or something that cannot be used as one.
    """
    items, count = _items(dataset, limit)
    stack, labels, remarks = Stack(count or 1024), [], Remarks()
    for index, item in enumerate(
        tqdm(items, "reading images", count, leave=False, delay=2, disable=None)
    ):
        image, label = _split(item)
        if isinstance(image, Image.Image):
            picture, remark = normalise(image, f"item {index}")
            remarks.add(f"item {index}", [remark] if remark else [])
            frames: Iterable[Any] = framing.frame(picture, str(index))
        else:
            frames = _frames(image, framing, layout, str(index))
        for name, frame in frames:
            stack.add(name, frame)
            labels.append(label)
    remarks.warn(stacklevel=3)
    if not len(stack):
        raise InputError("dataset", dataset, "a data set with at least one image")
    known = [label for label in labels if label is not None]
    if known and len(known) < len(labels):
        found = f"{len(known)} of {len(labels)} images have one"
        raise InputError("labels", known, "a label for every image, or for none", found)
    return TrainingSet(
        scaled(torch.from_numpy(stack.array), limits),
        torch.tensor(known) if known else None,
        tuple(map(str, getattr(dataset, "classes", ()))) if known else (),
        name=type(dataset).__name__,
        names=stack.names if framing.crop == "tiles" else None,
    )


def _items(dataset: Any, limit: int | None) -> tuple[Iterable[Any], int | None]:
    """Return the items to read, and how many they are if that is known."""
    indexed = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    if indexed and not isinstance(dataset, IterableDataset):
        chosen = spread(range(len(dataset)), limit)
        return (dataset[index] for index in chosen), len(chosen)
    if not hasattr(dataset, "__iter__"):
        accepted = "a data set with a length and items, or one to iterate over"
        raise InputError("dataset", dataset, accepted)
    return islice(iter(dataset), limit), limit


def _split(item: Any) -> tuple[Any, int | None]:
    """Take an item apart into its image and its label, if it has one."""
    label = None
    if isinstance(item, Mapping):
        key = next((key for key in IMAGE_KEYS if key in item), None)
        if key is None:
            held = f"it holds {', '.join(map(str, item)) or 'nothing'}"
            raise InputError("dataset", dict(item), f"items with one of {IMAGE_KEYS}", held)
        image = item[key]
        label = next((item[key] for key in LABEL_KEYS if key in item), None)
    elif isinstance(item, tuple | list) and item:
        image, label = item[0], item[1] if len(item) > 1 else None
    else:
        image = item
    if label is None:
        return image, None
    return image, one_number("label", label)


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
