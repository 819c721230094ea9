"""Items of a source, one after the other: what a set of any size is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from scoremachines.data.images.buffer import Stack
from scoremachines.data.images.left_out import Remarks
from scoremachines.errors import whole

__all__ = ["Frames", "Items", "Task", "label_tensor", "spread", "stacked"]

Item = TypeVar("Item")


@dataclass(frozen=True)
class Frames:
    """The training images that one item becomes.

    Args:
        name: of the item.
        images: name and values `[C, H, W]` of each.
        label: number of their class; None without one.
        remarks: on the item: phrases that follow "n images".
    """

    name: str
    images: Sequence[tuple[str, np.ndarray]]
    label: int | None = None
    remarks: tuple[str, ...] = field(default=())


Task = Callable[[], Frames]
"""Reads and frames one item; may be called in any thread."""


class Items(Protocol):
    """A source whose items can be read one at a time, in an order that stays the same.

    Its attributes are the set's name, the names of its classes, whether names of images are kept,
    how many pictures are left out and why, and the number of items where it is known.
    """

    name: str
    classes: tuple[str, ...]
    named: bool
    left_out: Mapping[str, int]
    count: int | None

    @property
    def identity(self) -> str:
        """A text that changes where the items do."""
        ...

    def tasks(self, start: int) -> Iterator[Task]:
        """Return what reads each item, from one on.

        Args:
            start: number of the first.

        Returns:
            The tasks, one after the other.
        """
        ...


def spread(items: Sequence[Item], limit: int | None) -> Sequence[Item]:
    """Return at most `limit` of the items, spread evenly over all of them."""
    if limit is None or (limit := whole("limit", limit, 1)) >= len(items):
        return items
    return [items[index * len(items) // limit] for index in range(limit)]


def stacked(items: Items, stacklevel: int) -> tuple[Stack, list[int | None]]:
    """Read all items into one array.

    Args:
        items: the source.
        stacklevel: of warnings, counted from the caller, as in `warnings.warn`.

    Returns:
        The images with their names, and the label of each.
    """
    stack, labels, remarks = Stack(items.count or 1024), list[int | None](), Remarks()
    read: Iterable[Task] = items.tasks(0)
    for task in tqdm(read, "reading images", items.count, leave=False, delay=2, disable=None):
        item = task()
        remarks.add(item.name, item.remarks)
        for name, image in item.images:
            stack.add(name, image)
            labels.append(item.label)
    remarks.warn(stacklevel=stacklevel + 2)
    return stack, labels


def label_tensor(labels: Sequence[int | None]) -> torch.Tensor | None:
    """Return labels as a tensor, if every image has one."""
    known = [label for label in labels if label is not None]
    return torch.tensor(known) if known and len(known) == len(labels) else None
