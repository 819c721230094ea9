"""One pass over a training set: statistics that merge, over any division of it (theory §2.1).

    s(A ∪ B) = merge( s(A), s(B) )    for disjoint parts A, B of the training set

A `Reduction` is such a statistic, and an `Executor` carries out a pass: here, or in other
processes. Blocks are merged in their order wherever they were computed, so results have the same
bits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole
from scoremachines.io.orphans import end_with_parent

__all__ = ["Block", "Executor", "Here", "Pass", "Processes", "Reduction", "reduce"]

Value = TypeVar("Value")


@dataclass(frozen=True)
class Block:
    """Some images of a training set.

    Args:
        images: in [-1, 1], `[n, C, H, W]`, in the pass's dtype, or as they are stored.
        index: their places in the training set, rising, int64 `[n]`.
    """

    images: Tensor
    index: Tensor


@runtime_checkable
class Reduction(Protocol[Value]):
    """A statistic of a training set that merges.

    It is sent to other processes, so it holds what can be pickled.
    """

    def of(self, block: Block) -> Value:
        """Return s of a block."""
        ...

    def merge(self, one: Value, other: Value) -> Value:
        """Return s of a union of disjoint parts, the first of which comes before the second."""
        ...


@dataclass(frozen=True)
class Pass:
    """How a training set is read: in blocks, one after the other.

    Args:
        data: the training set.
        block: images at a time.
        dtype: of the values; None for images as they are stored.
        device: where to put them; None for where the pixels are.
        members: places of the images to read, rising, int64 `[n]`; None for all.
    """

    data: TrainingSet
    block: int
    dtype: torch.dtype | None = torch.float32
    device: torch.device | str | None = None
    members: Tensor | None = None

    def __len__(self) -> int:
        count = len(self.data) if self.members is None else len(self.members)
        return -(-count // self.block)

    def __getitem__(self, number: int) -> Block:
        """Return a block by its number."""
        count = len(self.data) if self.members is None else len(self.members)
        if not 0 <= number < len(self):
            raise IndexError(number)
        start = number * self.block
        span = slice(start, min(start + self.block, count))
        index = torch.arange(span.start, span.stop) if self.members is None else self.members[span]
        images = self.data.block(span if self.members is None else index, self.dtype, self.device)
        return Block(images, index.to(images.device))

    def __iter__(self) -> Iterator[Block]:
        return (self[number] for number in range(len(self)))


@runtime_checkable
class Executor(Protocol):
    """What carries out a pass. Others, as over machines, implement this method."""

    def values(self, reductions: Sequence[Reduction[Any]], blocks: Pass) -> Iterator[list[Any]]:
        """Yield the values of all reductions for each block, in the order of the blocks."""
        ...


class Here:
    """One block after the other, in this process."""

    def values(self, reductions: Sequence[Reduction[Any]], blocks: Pass) -> Iterator[list[Any]]:
        for block in blocks:
            yield [reduction.of(block) for reduction in reductions]


class Processes:
    """Blocks in other processes, each with one thread; images are on a memory map.

    Args:
        workers: how many.

    Raises:
        InputError: `workers` is not a whole number of at least 1.
    """

    def __init__(self, workers: int) -> None:
        self.workers = whole("workers", workers, 1)

    def values(self, reductions: Sequence[Reduction[Any]], blocks: Pass) -> Iterator[list[Any]]:
        if blocks.data.pixels.device.type != "cpu":
            accepted = "a training set on the CPU, for processes"
            raise InputError("data", blocks.data.pixels.device, accepted)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pixels.npy"
            np.save(path, blocks.data.pixels.numpy())
            bare = replace(blocks, data=None)  # type: ignore[arg-type]
            shared = (str(path), list(reductions), bare)
            with ProcessPoolExecutor(self.workers, get_context("spawn"), _begin, shared) as pool:
                yield from pool.map(_of_block, range(len(blocks)))


def reduce(
    reductions: Reduction[Value] | Sequence[Reduction[Any]],
    blocks: Pass,
    executor: Executor | None = None,
) -> Any:
    """Return statistics of a training set, all of them from one pass.

    Args:
        reductions: the statistics, or one of them.
        blocks: how the training set is read.
        executor: what carries the pass out; by default `Here()`.

    Returns:
        Their values in the same order, or the one value.

    Raises:
        InputError: there is no image to read.
    """
    listed = list(reductions) if isinstance(reductions, Iterable) else [reductions]
    merged: list[Any] | None = None
    for values in (executor or Here()).values(listed, blocks):
        if merged is None:
            merged = values
        else:
            pairs = zip(listed, merged, values, strict=True)
            merged = [each.merge(one, other) for each, one, other in pairs]
    if merged is None:
        raise InputError("data", blocks.data, "at least one image")
    return merged if isinstance(reductions, Iterable) else merged[0]


_STATE: dict[str, Any] = {}
"""What a worker process was started with."""


def _begin(path: str, reductions: list[Reduction[Any]], bare: Pass) -> None:
    end_with_parent()
    torch.set_num_threads(1)
    pixels = torch.from_numpy(np.load(path, mmap_mode="c"))
    _STATE["blocks"] = replace(bare, data=TrainingSet(pixels))
    _STATE["reductions"] = reductions


def _of_block(number: int) -> list[Any]:
    block = _STATE["blocks"][number]
    return [reduction.of(block) for reduction in _STATE["reductions"]]
