"""Trees of training patches, whose boxes bound what a patch may weigh (theory §2.6).

They are grown by `native/forest.hpp` and asked by `native/search.hpp`. Patches are told apart by
their coordinates along their first principal directions. A forest keeps one number for each patch
and two corners for each node; growing a tree takes more memory for a while, so a large training
set grows several, one after the other.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Forest", "Forests", "Tree", "patch_counts"]

RECORD, KEPT = 22, 9
"""Bytes for each patch: while a tree grows, and in a grown one at most."""
SAMPLED = 2**14
"""Patches from which the principal directions are found."""


@dataclass(frozen=True)
class Tree:
    """Patches of the training images `first .. last`, leaf by leaf, and the box of every node."""

    first: int
    last: int
    order: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class Forest:
    """The trees of a training set at one window, and the directions of their codes `[C k², m]`."""

    basis: np.ndarray
    trees: tuple[Tree, ...]

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return sum(tree.order.nbytes + tree.boxes.nbytes for tree in self.trees)


class Forests:
    """The forests grown so far, as many as fit: those asked for last are kept.

    Args:
        native: the native part of the package.
        memory: bytes for the forests and for growing them.
    """

    def __init__(self, native: Any, memory: int) -> None:
        self.native, self.memory = native, memory
        self.grown: OrderedDict[tuple[object, ...], Forest] = OrderedDict()

    def fits(self, images: Tensor, window: int, sources: str) -> bool:
        """Tell whether the forest of these images stays within the memory."""
        patches = patch_counts(images, window, sources)
        each = patches // len(images)
        return patches * KEPT + each * RECORD <= self.memory and patches < 2**32

    def of(self, images: Tensor, window: int, sources: str, doubles: bool, threads: int) -> Forest:
        """Return the forest of these images, grown now unless it is at hand.

        Args:
            images: bytes, or values in the dtype of the queries, `[n, C, H, W]`.
            window: k, odd, pixels.
            sources: `"inside"` or `"wrapped"`.
            doubles: whether queries are in float64.
            threads: how many work at once.

        Returns:
            The forest; `fits` must be true.
        """
        key = (_fingerprint(images), window, sources, doubles)
        if key in self.grown:
            self.grown.move_to_end(key)
            return self.grown[key]
        room = self.memory - patch_counts(images, window, sources) * KEPT
        while self.grown and sum(forest.bytes for forest in self.grown.values()) > room // 2:
            self.grown.popitem(last=False)
        room -= sum(forest.bytes for forest in self.grown.values())
        each = RECORD * patch_counts(images, window, sources) // len(images)
        block = max(1, min(len(images), room // each))
        basis = _directions(images, window, self.native.directions)
        forest = Forest(
            basis,
            tuple(
                Tree(
                    first,
                    min(first + block, len(images)),
                    *self.native.tree(
                        images=images[first : first + block].numpy(),
                        basis=basis,
                        window=window,
                        wrapped=sources == "wrapped",
                        doubles=doubles,
                        threads=threads,
                    ),
                )
                for first in range(0, len(images), block)
            ),
        )
        self.grown[key] = forest
        return forest


def patch_counts(images: Tensor, window: int, sources: str) -> int:
    """Return how many patches the images have, where every pixel may draw from all of them."""
    count, _, height, width = images.shape
    if sources == "wrapped":
        return count * height * width
    return count * (height - window + 1) * (width - window + 1)


def _fingerprint(images: Tensor) -> tuple[object, ...]:
    digest = hashlib.sha256(images.contiguous().numpy().data).hexdigest()
    return digest, tuple(images.shape), images.dtype


def _directions(images: Tensor, window: int, count: int) -> np.ndarray:
    """Return the directions in which patches differ most, `[C k², count]`, zeros beyond C k²."""
    height, width = images.shape[-2:]
    each = (height - window + 1) * (width - window + 1)
    some = images[:: max(1, len(images) * each // SAMPLED)].double()
    if images.dtype == torch.uint8:
        some = some / 127.5 - 1
    patches = torch.nn.functional.unfold(some, window).transpose(1, 2).flatten(0, 1)
    apart = patches - patches.mean(0)
    # Different small numbers keep the eigenvalues of flat images apart.
    apart_by = torch.linspace(1, 2, apart.shape[1], dtype=torch.float64) * 1e-9
    _, vectors = torch.linalg.eigh(apart.T @ apart / len(apart) + apart_by.diag())
    basis = np.zeros((vectors.shape[0], count))
    kept = vectors.flip(1)[:, :count].numpy()
    basis[:, : kept.shape[1]] = kept
    return basis
