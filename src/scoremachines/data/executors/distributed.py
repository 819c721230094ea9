"""Parts of a training set on the ranks of torch.distributed, one rank a device.

Rank 0 runs the program; the others serve it. A pass is broadcast, and its values come back along a
binomial tree, merged on the way: each rank receives at most log₂(ranks) of them.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from datetime import timedelta
from threading import Lock
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from scoremachines.data.executors.job import Job, Packer, unpacked
from scoremachines.data.reduction import Pass, Reductions
from scoremachines.errors import InputError, one_line

__all__ = ["Distributed"]

Sent = tuple[bytes, dict[str, np.ndarray], set[str]]
"""A job, what is as long as the training set and new, and the keys of all that is kept."""


class Distributed:
    """Parts by the ranks of a process group, as torchrun begins them.

    Every rank makes one; rank 0 uses it as an executor and closes it, the others call `serve`,
    which returns then. gloo carries messages between processors, nccl between GPUs.

    Args:
        timeout: seconds that rank 0 waits for the others.

    Raises:
        InputError: the process was not begun by torchrun, or the others do not answer.
    """

    def __init__(self, timeout: float = 1800.0) -> None:
        if not dist.is_initialized():
            if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
                accepted = "processes that torchrun has begun: torchrun --nproc-per-node 2 -m …"
                raise InputError("executor", "torch", accepted, "this is no such process")
            self._begin(timeout)
        self.rank, self.ranks = dist.get_rank(), dist.get_world_size()
        self.parts, self.device = self.ranks, _device()
        self._lock = Lock()
        self._kept: dict[str, Tensor] = {}
        self._new: dict[str, np.ndarray] = {}
        self._packer: Packer[str] = Packer(self._keep, _nothing)
        self._end = weakref.finalize(self, _end, self.rank, self.device)

    @staticmethod
    def _begin(timeout: float) -> None:
        """Join the process group."""
        backend = "gloo"
        if torch.cuda.is_available() and dist.is_nccl_available():
            backend = "nccl"
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        try:
            dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
        except (RuntimeError, ValueError) as error:
            accepted = "ranks that all begin and reach each other"
            raise InputError("executor", "torch", accepted, one_line(error)) from error

    def part_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        if self.rank:
            raise InputError("executor", f"rank {self.rank}", "rank 0; the others call serve()")
        job = Job.of(reductions, blocks)
        bounds = [each.bounds for each in blocks.parts(self.ranks)]
        with self._lock:  # messages of two passes must not mix
            found = self._found(job, bounds)
        if isinstance(found, Exception):
            raise found
        yield found

    def _found(self, job: Job, bounds: list[tuple[int, int]]) -> Any:
        """Return the values of a pass, or the error of a rank."""
        packed = self._packer.pack(job)
        sent: Sent = packed, self._new, set(self._packer.handles)
        try:
            dist.broadcast_object_list([(sent, bounds)], 0, device=self.device)
            self._new = {}
            return self._merged(_attempted(job, bounds, 0), job.reductions)
        except RuntimeError as error:
            accepted = "ranks that stay until rank 0 has ended"
            raise InputError("executor", "torch", accepted, one_line(error)) from error

    def serve(self) -> None:
        """Compute parts for rank 0 until it closes its executor."""
        torch.set_num_threads(1 if self.device is None else torch.get_num_threads())
        while True:
            message: list[Any] = [None]
            dist.broadcast_object_list(message, 0, device=self.device)
            if message[0] is None:
                break
            (packed, new, keys), bounds = message[0]
            self._kept |= {key: torch.from_numpy(array) for key, array in new.items()}
            self._kept = {key: kept for key, kept in self._kept.items() if key in keys}
            job = unpacked(packed, self._kept.__getitem__)
            self._merged(_attempted(job, bounds, self.rank), job.reductions)
        self._end.detach()
        dist.destroy_process_group()

    def _merged(self, mine: Any, reductions: Reductions) -> Any:
        """Send the values to the next rank of the tree, or receive and merge; None for no part."""
        step = 1
        while step < self.ranks:
            if self.rank % (2 * step) == step:
                dist.send_object_list([mine], self.rank - step, device=self.device)
                return None
            if self.rank + step < self.ranks:
                received: list[Any] = [None]
                dist.recv_object_list(received, self.rank + step, device=self.device)
                mine = _united(reductions, mine, received[0])
            step *= 2
        return mine

    def _keep(self, key: str, array: np.ndarray) -> str:
        self._new[key] = array
        return key

    def close(self) -> None:
        """Let the other ranks go; of rank 0."""
        self._end()

    def __enter__(self) -> Distributed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _device() -> torch.device | None:
    """Return where messages are put: on the GPU for nccl."""
    if dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return None


def _attempted(job: Job, bounds: list[tuple[int, int]], rank: int) -> Any:
    """Return the values of a rank's part, or the error in their place; None without a part."""
    if rank >= len(bounds):
        return None
    try:
        return job.value(bounds[rank])
    except Exception as error:
        return error


def _united(reductions: Reductions, one: Any, other: Any) -> Any:
    """Merge the values of two parts; either may be an error, or none."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, Exception) or isinstance(other, Exception):
        return one if isinstance(one, Exception) else other
    triples = zip(reductions, one, other, strict=True)
    return [each.merge(its_one, its_other) for each, its_one, its_other in triples]


def _nothing(_: object) -> None:
    """What a key stands for is let go with the next job."""


def _end(rank: int, device: torch.device | None) -> None:
    if not dist.is_initialized():
        return
    try:
        if rank == 0:
            dist.broadcast_object_list([None], 0, device=device)
        dist.destroy_process_group()
    except RuntimeError:  # the others have gone already
        pass
