"""One pass over a training set: statistics that merge, over any division of it (theory §2.1).

    s(A ∪ B) = merge( s(A), s(B) )    for disjoint parts A, B of the training set

A `Reduction` is such a statistic, and an `Executor` carries out a pass: here, or elsewhere
(`scoremachines.data.executors`). Parts are merged in an order of their own wherever they were
computed, so results have the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import torch
from torch import Tensor

from scoremachines.data.sharded.pixels import ShardedPixels
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole

__all__ = [
    "Block",
    "Divided",
    "Executor",
    "Here",
    "Pass",
    "Reduction",
    "Reductions",
    "check_executor",
    "current_executor",
    "default_executor",
    "merge_parts",
    "part_value",
    "reduce",
]

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


Reductions: TypeAlias = Sequence[Reduction[Any]]


@dataclass(frozen=True)
class Pass:
    """How a training set is read: in blocks, one after the other.

    Args:
        data: the training set.
        block: images at a time.
        dtype: of the values; None for images as they are stored.
        device: where to put them; None for where the pixels are.
        members: places of the images to read, rising, int64 `[n]`; None for all.
        part: which of these images to read, from one to before another; None for all.
    """

    data: TrainingSet
    block: int
    dtype: torch.dtype | None = torch.float32
    device: torch.device | str | None = None
    members: Tensor | None = None
    part: tuple[int, int] | None = None

    @property
    def bounds(self) -> tuple[int, int]:
        """The first image to read among the members, and that after the last."""
        if self.part is not None:
            return self.part
        return 0, len(self.data) if self.members is None else len(self.members)

    def __len__(self) -> int:
        first, last = self.bounds
        return -(-(last - first) // self.block)

    def __getitem__(self, number: int) -> Block:
        """Return a block by its number."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        first, last = self.bounds
        start = first + number * self.block
        span = slice(start, min(start + self.block, last))
        index = torch.arange(span.start, span.stop) if self.members is None else self.members[span]
        images = self.data.block(span if self.members is None else index, self.dtype, self.device)
        return Block(images, index.to(images.device))

    def __iter__(self) -> Iterator[Block]:
        if self.members is None and isinstance(self.data.pixels, ShardedPixels):
            self.data.pixels.expect(*self.bounds)
        return (self[number] for number in range(len(self)))

    def parts(self, count: int) -> list[Pass]:
        """Divide it into passes over successive images, of about as many each.

        Args:
            count: how many; fewer where there are fewer images.

        Returns:
            The passes; none is empty.
        """
        first, last = self.bounds
        count = min(count, last - first)
        ends = [first + (last - first) * part // count for part in range(count + 1)]
        return [replace(self, part=part) for part in pairwise(ends)]


@runtime_checkable
class Executor(Protocol):
    """What carries out a pass. Others, as over machines, implement this method."""

    def part_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        """Yield the values of all reductions for successive parts of the training set."""
        ...


def check_executor(executor: object) -> None:
    """Refuse what is neither an executor nor None."""
    if executor is not None and (isinstance(executor, type) or not isinstance(executor, Executor)):
        raise InputError("executor", executor, "an executor, such as Processes(2), or None")


class Here:
    """One block after the other, in this process."""

    def part_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        for block in blocks:
            yield [reduction.of(block) for reduction in reductions]


_DEFAULT: list[Executor] = [Here()]


@contextmanager
def default_executor(executor: Executor) -> Iterator[None]:
    """Let an executor carry out all passes that name none, in the body of a `with`.

    It holds for all threads, and not for gradients, which are computed in this process.

    Args:
        executor: the executor.

    Yields:
        Nothing.

    Raises:
        InputError: it is no executor.
    """
    check_executor(executor)
    _DEFAULT.append(executor)
    try:
        yield
    finally:
        _DEFAULT.remove(executor)


def current_executor() -> Executor:
    """Return what carries out passes that name no executor."""
    return _DEFAULT[-1]


class Divided:
    """A training set divided into parts, which other executors compute elsewhere, in this process.

    The parts hold as many images, give or take one. Blocks of a part are merged one after the
    other, and parts in pairs, then pairs of pairs (`merge_parts`). Whoever computes the parts, the
    bits are these.

    Args:
        parts: how many; there are no more than images.

    Raises:
        InputError: `parts` is not a whole number of at least 1.
    """

    def __init__(self, parts: int) -> None:
        self.parts = whole("parts", parts, 1)

    def part_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        parts = [part_value(reductions, part) for part in blocks.parts(self.parts)]
        yield merge_parts(reductions, parts)


def part_value(reductions: Reductions, blocks: Pass) -> list[Any]:
    """Return the values of reductions for all blocks of a pass, merged in their order."""
    return _merged(reductions, Here().part_values(reductions, blocks))


def merge_parts(reductions: Reductions, parts: Sequence[list[Any]]) -> list[Any]:
    """Merge the values of successive parts: neighbours, then neighbours of these, and so on.

    Args:
        reductions: the statistics.
        parts: their values for each part, in order; at least one.

    Returns:
        Their values for all parts.
    """
    while len(parts) > 1:
        pairs = [parts[start : start + 2] for start in range(0, len(parts), 2)]
        parts = [_merged(reductions, iter(pair)) for pair in pairs]
    return parts[0]


def reduce(
    reductions: Reduction[Value] | Sequence[Reduction[Any]],
    blocks: Pass,
    executor: Executor | None = None,
) -> Any:
    """Return statistics of a training set, all of them from one pass.

    Args:
        reductions: the statistics, or one of them.
        blocks: how the training set is read.
        executor: what carries the pass out; by default `Here()`, or that of `default_executor`.

    Returns:
        Their values in the same order, or the one value.

    Raises:
        InputError: there is no image to read, or what carries the pass out is no executor.
    """
    listed = list(reductions) if isinstance(reductions, Iterable) else [reductions]
    if not len(blocks):
        raise InputError("data", blocks.data, "at least one image")
    check_executor(executor)
    executor = current_executor() if executor is None else executor
    merged = _merged(listed, executor.part_values(listed, blocks))
    return merged if isinstance(reductions, Iterable) else merged[0]


def _merged(reductions: Reductions, values: Iterator[list[Any]]) -> list[Any]:
    merged = next(values)
    for more in values:
        triples = zip(reductions, merged, more, strict=True)
        merged = [each.merge(one, other) for each, one, other in triples]
    return merged
