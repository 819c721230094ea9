"""A pass as it is sent to other processes; what is as long as the training set is sent once."""

from __future__ import annotations

import io
import pickle
import weakref
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.reduction import Pass, Reductions, part_value
from scoremachines.errors import InputError

__all__ = ["Job", "Packer", "unpacked"]

Handle = TypeVar("Handle")
LONG = 1024
"""Whole numbers in a row from which on they are places or groups of the training images."""
LARGE = 2**20
"""Bytes from which on a tensor is kept for as long as it lives."""


@dataclass(frozen=True)
class Job:
    """What a worker needs to compute parts of a pass.

    Args:
        reductions: the statistics.
        blocks: how the training set is read, of which the pixels alone are known.
    """

    reductions: Reductions
    blocks: Pass

    @classmethod
    def of(cls, reductions: Reductions, blocks: Pass) -> Job:
        """Return the job of a pass.

        Args:
            reductions: the statistics.
            blocks: the pass.

        Returns:
            The job.

        Raises:
            InputError: the training set is on another device than the CPU.
        """
        pixels, bare = blocks.data.pixels, copy(blocks.data)
        if isinstance(pixels, Tensor) and pixels.device.type != "cpu":
            raise InputError("data", pixels.device, "a training set on the CPU, for an executor")
        bare.labels = bare.names = bare.judge = None
        bare.classes, bare.left_out = (), {}
        return cls(list(reductions), replace(blocks, data=bare, part=None))

    def value(self, part: tuple[int, int]) -> list[Any]:
        """Return the values of the reductions for a part of the images.

        Args:
            part: the first image among the members, and that after the last.

        Returns:
            A value for each reduction.
        """
        return part_value(self.reductions, replace(self.blocks, part=part))


class Packer(Generic[Handle]):
    """Turns jobs into bytes. What is large and serves many passes is kept apart, once.

    Those are pixels in memory, places or groups of images, which are rows of whole numbers, and
    tensors of a mebibyte or more, such as covariances.

    Args:
        keep: keeps an array for the receivers of jobs under a key, and returns a handle of it.
        drop: called with the handle once the tensor is gone.
    """

    def __init__(
        self, keep: Callable[[str, np.ndarray], Handle], drop: Callable[[Handle], object]
    ) -> None:
        self.handles: dict[str, Handle] = {}
        self._keep, self._drop = keep, drop
        self._known: dict[int, tuple[weakref.ref[Tensor], str]] = {}
        self._keys = count()

    def pack(self, job: Job) -> bytes:
        """Return a job as bytes, in which keys of `handles` stand for what is kept.

        Args:
            job: the job.

        Returns:
            The bytes.

        Raises:
            InputError: it holds what cannot be pickled.
        """
        packed = io.BytesIO()
        pickler = pickle.Pickler(packed, protocol=pickle.HIGHEST_PROTOCOL)
        pickler.persistent_id = lambda found: self._key(found, job)  # type: ignore[method-assign]
        try:
            pickler.dump(job)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            accepted = "engines and attentions that can be pickled, for an executor"
            raise InputError("reductions", job.reductions, accepted, str(error)) from error
        return packed.getvalue()

    def _key(self, found: object, job: Job) -> str | None:
        if not isinstance(found, Tensor) or found.device.type != "cpu":
            return None
        row = found.ndim == 1 and found.dtype == torch.int64 and len(found) >= LONG
        large = found.nbytes >= LARGE and found.dtype in (torch.float32, torch.float64)
        if not (row or large or found is job.blocks.data.pixels):
            return None
        known, key = self._known.get(id(found), (None, ""))
        if known is None or known() is not found:
            key = str(next(self._keys))
            self.handles[key] = self._keep(key, found.detach().contiguous().numpy())
            self._known[id(found)] = weakref.ref(found), key
            weakref.finalize(found, _forget, self.handles, key, self._drop)
        return key


def _forget(handles: dict[str, Handle], key: str, drop: Callable[[Handle], object]) -> None:
    if (handle := handles.pop(key, None)) is not None:
        drop(handle)


def unpacked(packed: bytes, find: Callable[[str], Tensor]) -> Job:
    """Return a job from its bytes.

    Args:
        packed: as `Packer.pack` made them.
        find: returns what was kept under a key.

    Returns:
        The job.
    """
    unpickler = pickle.Unpickler(io.BytesIO(packed))
    unpickler.persistent_load = find  # type: ignore[method-assign]
    job: Job = unpickler.load()
    return job
