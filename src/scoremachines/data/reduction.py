"""One pass over a training set: statistics that merge, over any division of it (theory §2.1).

    s(A ∪ B) = merge( s(A), s(B) )    for disjoint parts A, B of the training set

A `Reduction` is such a statistic, and an `Executor` carries out a pass: here, or in other
processes. Blocks are merged in their order wherever they were computed, so results have the same
bits.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole
from scoremachines.io.orphans import end_with_parent

__all__ = ["Block", "Executor", "Here", "Pass", "Processes", "Reduction", "Shards", "reduce"]

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
    """

    data: TrainingSet
    block: int
    dtype: torch.dtype | None = torch.float32
    device: torch.device | str | None = None
    members: Tensor | None = None

    def __len__(self) -> int:
        size = len(self.data) if self.members is None else len(self.members)
        return -(-size // self.block)

    def __getitem__(self, number: int) -> Block:
        """Return a block by its number."""
        size = len(self.data) if self.members is None else len(self.members)
        if not 0 <= number < len(self):
            raise IndexError(number)
        start = number * self.block
        span = slice(start, min(start + self.block, size))
        index = torch.arange(span.start, span.stop) if self.members is None else self.members[span]
        images = self.data.block(span if self.members is None else index, self.dtype, self.device)
        return Block(images, index.to(images.device))

    def __iter__(self) -> Iterator[Block]:
        return (self[number] for number in range(len(self)))


@runtime_checkable
class Executor(Protocol):
    """What carries out a pass. Others, as over machines, implement this method."""

    def block_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        """Yield the values of all reductions for each block, in the order of the blocks."""
        ...


def check_executor(executor: object) -> None:
    """Refuse what is neither an executor nor None."""
    if executor is not None and (isinstance(executor, type) or not isinstance(executor, Executor)):
        raise InputError("executor", executor, "an executor, such as Processes(2), or None")


class Here:
    """One block after the other, in this process."""

    def block_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        for block in blocks:
            yield _values(reductions, block)


class Shards:
    """A training set divided into shards, as hosts would hold it, all in this process.

    Their numbers of blocks differ by one at most. Blocks of a shard are merged first, then shards.

    Args:
        count: how many; there are no more than blocks.

    Raises:
        InputError: `count` is not a whole number of at least 1.
    """

    def __init__(self, count: int) -> None:
        self.count = whole("count", count, 1)

    def block_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        for numbers in np.array_split(np.arange(len(blocks)), min(self.count, len(blocks))):
            shard = (blocks[int(number)] for number in numbers)
            yield _merged(reductions, (_values(reductions, block) for block in shard))


class Processes:
    """Blocks in other processes, each with one thread; images are on a memory map.

    Processes begin with the first pass and serve all that follow, of any training set, until
    `close`, the end of a `with` block or the end of the program. A script that uses them starts
    with `if __name__ == "__main__":`, for they import it.

    Args:
        workers: how many.

    Raises:
        InputError: `workers` is not a whole number of at least 1.
    """

    def __init__(self, workers: int) -> None:
        self.workers = whole("workers", workers, 1)
        self._pool: ProcessPoolExecutor | None = None
        self._folder = Path()
        self._end: weakref.finalize[..., Any] | None = None
        self._kept: dict[int, tuple[weakref.ref[Tensor], Path]] = {}
        self._passes = count()

    def block_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        if blocks.data.pixels.device.type != "cpu":
            accepted = "a training set on the CPU, for processes"
            raise InputError("data", blocks.data.pixels.device, accepted)
        pool, folder = self._started(), self._folder
        how = blocks.block, blocks.dtype, blocks.device, blocks.members
        job = folder / f"{next(self._passes)}.pickle"
        try:
            given = pickle.dumps((list(reductions), self._mapped(blocks.data, folder), how))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            accepted = "engines and attentions that can be pickled, for processes"
            raise InputError("reductions", reductions, accepted, str(error)) from error
        job.write_bytes(given)
        pending: deque[Future[list[Any]]] = deque()
        try:
            for number in range(len(blocks)):
                pending.append(pool.submit(_of_block, str(job), number))
                if len(pending) > 2 * self.workers:  # what is computed already is in memory
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            self.close()  # the next pass begins with new ones
            raise
        finally:
            for each in pending:
                each.cancel()
            job.unlink(missing_ok=True)

    def _started(self) -> ProcessPoolExecutor:
        """Return the processes; they have a folder for what they are given."""
        if self._pool is None:
            self._folder = Path(tempfile.mkdtemp(prefix="scoremachines-"))
            self._pool = ProcessPoolExecutor(self.workers, get_context("spawn"), _begin)
            self._end = weakref.finalize(self, _end, self._pool, self._folder)
        return self._pool

    def _mapped(self, data: TrainingSet, folder: Path) -> Path:
        """Return the file of a training set's pixels, which lasts as long as they do."""
        known, path = self._kept.get(id(data.pixels), (None, None))
        if known is None or path is None or known() is not data.pixels:
            path = folder / f"{next(self._passes)}.npy"
            np.save(path, data.pixels.numpy())
            weakref.finalize(data.pixels, path.unlink, missing_ok=True)
            self._kept[id(data.pixels)] = weakref.ref(data.pixels), path
        return path

    def close(self) -> None:
        """End the processes and delete what they were given."""
        if self._end is not None:
            self._end()
        self._pool = self._end = None
        self._kept.clear()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
        InputError: there is no image to read, or what carries the pass out is no executor.
    """
    listed = list(reductions) if isinstance(reductions, Iterable) else [reductions]
    if not len(blocks):
        raise InputError("data", blocks.data, "at least one image")
    check_executor(executor)
    executor = Here() if executor is None else executor
    merged = _merged(listed, executor.block_values(listed, blocks))
    return merged if isinstance(reductions, Iterable) else merged[0]


def _values(reductions: Reductions, block: Block) -> list[Any]:
    return [reduction.of(block) for reduction in reductions]


def _merged(reductions: Reductions, values: Iterator[list[Any]]) -> list[Any]:
    merged = next(values)
    for more in values:
        triples = zip(reductions, merged, more, strict=True)
        merged = [each.merge(one, other) for each, one, other in triples]
    return merged


_LATEST: dict[str, tuple[list[Reduction[Any]], Pass]] = {}
"""What a worker process was given last, by its file."""


def _end(pool: ProcessPoolExecutor, folder: Path) -> None:
    pool.shutdown(cancel_futures=True)
    shutil.rmtree(folder, ignore_errors=True)


def _begin() -> None:
    end_with_parent()
    torch.set_num_threads(1)


def _of_block(job: str, number: int) -> list[Any]:
    if job not in _LATEST:
        reductions, pixels, how = pickle.loads(Path(job).read_bytes())
        data = TrainingSet(torch.from_numpy(np.load(pixels, mmap_mode="c")))
        _LATEST.clear()
        _LATEST[job] = reductions, Pass(data, *how)
    reductions, blocks = _LATEST[job]
    return _values(reductions, blocks[number])
