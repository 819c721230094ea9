"""Parts of a training set in processes of this machine, which share its pages."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.executors.answers import LATE, answers
from scoremachines.data.executors.job import Job, Packer, unpacked
from scoremachines.data.reduction import Pass, Reductions, merge_parts
from scoremachines.errors import InputError, whole
from scoremachines.io.orphans import end_with_parent

__all__ = ["Processes"]

TRIES = 3
"""How often a pass is begun where processes are killed."""


class Processes:
    """Parts in other processes, each with one thread; images are on a memory map.

    Processes begin with the first pass and serve all that follow, of any training set, until
    `close`, the end of a `with` block or the end of the program. A script that uses them starts
    with `if __name__ == "__main__":`, for they import it. Where one is killed, new ones begin and
    what is missing is computed by them; what is late is asked of another one, too. A worker is
    asked for the same part of a set each time, so that its pages alone are in its memory.

    Args:
        workers: how many.
        parts: into how many parts the images are divided, which decides how sums are rounded; by
            default one a worker.
        late: seconds after which a part may be asked for again.

    Raises:
        InputError: `workers` or `parts` is not a whole number of at least 1.
    """

    def __init__(self, workers: int, parts: int | None = None, late: float = LATE) -> None:
        self.workers = whole("workers", workers, 1)
        self.parts = self.workers if parts is None else whole("parts", parts, 1)
        self.late = late
        self._pools: list[ProcessPoolExecutor] = []  # one a worker
        self._folder = Path()
        self._packer: Packer[Path] | None = None
        self._end: weakref.finalize[..., Any] | None = None
        self._names, self._lock = count(), Lock()

    def part_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        parts = [each.bounds for each in blocks.parts(self.parts)]
        job = Job.of(reductions, blocks)
        for attempt in range(TRIES):
            with self._lock:  # of passes in several threads
                pools, packer = self._started()
                path = self._folder / f"{next(self._names)}.job"
                path.write_bytes(packer.pack(job))

            def ask(
                number: int, attempt: int, pools: Any = pools, path: Path = path
            ) -> Future[Any]:
                pool = pools[(number * self.workers // len(parts) + attempt) % self.workers]
                return pool.submit(_of_part, str(path), parts[number])

            try:
                values, overtaken = answers(len(parts), ask, self.late)
            except BrokenProcessPool as error:
                self.close()  # new ones take their place
                if attempt + 1 == TRIES:
                    reason = f"they were killed {TRIES} times, perhaps for want of memory"
                    accepted = "fewer workers, or more memory for them"
                    raise InputError("workers", self.workers, accepted, reason) from error
                continue
            except KeyboardInterrupt:
                self.close()
                raise
            finally:
                path.unlink(missing_ok=True)
            if overtaken:  # some hang: others take their place
                self.close()
            yield merge_parts(reductions, values)
            return

    def _started(self) -> tuple[list[ProcessPoolExecutor], Packer[Path]]:
        """Return the processes, which have a folder for what they are given, and what fills it."""
        if self._packer is None:
            self._folder = folder = Path(tempfile.mkdtemp(prefix="scoremachines-"))

            def keep(key: str, array: np.ndarray) -> Path:
                path = folder / f"{key}.npy"
                np.save(path, array)
                return path

            self._packer = Packer(keep, _unlink)
            spawn = get_context("spawn")
            self._pools = [ProcessPoolExecutor(1, spawn, _begin) for _ in range(self.workers)]
            self._end = weakref.finalize(self, _end, self._pools, self._folder)
        return self._pools, self._packer

    def close(self) -> None:
        """End the processes and delete what they were given."""
        if self._end is not None:
            self._end()
        self._end = self._packer = None

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def _end(pools: list[ProcessPoolExecutor], folder: Path) -> None:
    for pool in pools:
        workers = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for each in workers:  # one that hangs would be waited for
            each.kill()
            each.join()
    shutil.rmtree(folder, ignore_errors=True)


_LATEST: dict[str, Job] = {}
"""The job that a worker process was given last, by its file."""
_KEPT: dict[Path, Tensor] = {}
"""What is as long as a training set, by its file."""
MOST_KEPT = 8


def _begin() -> None:
    end_with_parent()
    torch.set_num_threads(1)


def _of_part(file: str, part: tuple[int, int]) -> list[Any]:
    if file not in _LATEST:
        path = Path(file)
        job = unpacked(path.read_bytes(), lambda key: _mapped(path.with_name(f"{key}.npy")))
        _LATEST.clear()
        _LATEST[file] = job
    return _LATEST[file].value(part)


def _mapped(path: Path) -> Tensor:
    if path not in _KEPT:
        while len(_KEPT) >= MOST_KEPT:
            del _KEPT[next(iter(_KEPT))]
        _KEPT[path] = torch.from_numpy(np.load(path, mmap_mode="c"))
    return _KEPT[path]
