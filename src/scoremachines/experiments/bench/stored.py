"""A large set in shards: how soon it is open, and how fast one pass reads it from the disk.

    python -m scoremachines.experiments.bench.stored '{"folder": "made-up.shards", "window": 3, …}'

runs in a process of its own, so that its memory is its own, and prints one line of JSON. The
system's copy of the files is let go before each reading, where that is possible (Linux).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scoremachines.data.formats.shards import from_shards
from scoremachines.data.reduction import Here
from scoremachines.data.sharding.write import SHARD_BYTES, shard
from scoremachines.data.training_set import TrainingSet
from scoremachines.experiments.bench.children import child_lines
from scoremachines.experiments.bench.memory import peak, reset_peak
from scoremachines.experiments.bench.messages import Counted
from scoremachines.io.files import is_folder
from scoremachines.io.orphans import end_with_stdin
from scoremachines.machine.score_machine import ScoreMachine

__all__ = ["FOLDER", "MadeUp", "measured", "stored_set"]

FOLDER = "made-up.shards"
SHAPE = (64, 64, 3)
PIECE = 2**24
"""Bytes that are read at a time."""
LEVEL = 0.5
"""ᾱ of the noisy image."""
FEW = 64
"""Images whose patches from all places are taken, to know what each costs."""


class MadeUp:
    """A data set of noise, which can be read in any order.

    Args:
        count: how many images.
        seed: of all; each image has a generator of its own.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> np.ndarray:
        """Return an image, bytes `[64, 64, 3]`."""
        draw = np.random.Generator(np.random.Philox(key=(self.seed, number)))
        return np.frombuffer(draw.bytes(int(np.prod(SHAPE))), np.uint8).reshape(SHAPE)


def stored_set(folder: Path, count: int, seed: int) -> tuple[TrainingSet, float]:
    """Return a set of made-up images in shards, written unless it is there.

    Args:
        folder: where to write it; what an earlier run wrote of it is kept.
        count: how many images of 64×64×3.
        seed: of the images.

    Returns:
        The set, and how long it took to write it, seconds.

    Raises:
        InputError: the folder holds another set.
    """
    begun = time.perf_counter()
    resume = is_folder("output", folder)
    size = min(SHARD_BYTES, max(1, count // 4) * int(np.prod(SHAPE)))
    data = shard(MadeUp(count, seed), folder, shard_size=size, resume=resume)
    return data, time.perf_counter() - begun


def measured(folder: Path, window: int, threads: int, memory: int, seed: int) -> dict[str, Any]:
    """Return what a process of its own measures of a set in shards.

    Args:
        folder: of the set.
        window: k of the machines, pixels.
        threads: of the engine.
        memory: bytes that the engine may use above the training set.
        seed: of the noise.

    Returns:
        Images, bytes, and seconds: of opening, of reading the files alone, of one posterior mean
        of LS from the disk and again from the system's copy; the peak of memory above what the
        process had before it opened the set; seconds of ELS on a few images, and bytes sent.

    Raises:
        FailedError: the process failed.
    """
    request = {"folder": str(folder), "window": window, "threads": threads}
    return next(child_lines("stored", request | {"memory": memory, "seed": seed}))


def main(words: list[str]) -> None:
    """Carry out the task that the command line holds."""
    end_with_stdin()
    task = json.loads(words[0])
    torch.set_num_threads(task["threads"])
    folder, window, memory = Path(task["folder"]), task["window"], task["memory"]
    tiny = TrainingSet(torch.zeros(2, SHAPE[2], *SHAPE[:2], dtype=torch.uint8))
    draw = torch.Generator().manual_seed(task["seed"])
    noisy = torch.randn((1, *tiny.shape), generator=draw)

    def seconds(data: TrainingSet, sources: str) -> float:
        machine = ScoreMachine(data, window, sources, memory=memory, executor=Here())
        begun = time.perf_counter()
        machine.denoise(noisy, LEVEL)
        return time.perf_counter() - begun

    seconds(tiny, "aligned")  # libraries load
    files = sorted(folder.glob("shard-*.npy"))
    cold = _let_go(files)
    reading = _read(files)
    _let_go(files)
    before = reset_peak()
    begun = time.perf_counter()
    data = from_shards(folder)
    opened = time.perf_counter() - begun
    streamed = seconds(data, "aligned")
    above = peak() - before
    again = seconds(data, "aligned")
    few = TrainingSet(data.block(slice(0, FEW), None))
    every_place = seconds(few, "valid")
    counted = Counted()
    ScoreMachine(few, window, "aligned", executor=counted).denoise(noisy, LEVEL)
    found: dict[str, Any] = {
        "count": len(data),
        "shape": list(data.shape),
        "window": window,
        "bytes": data.pixels.nbytes,
        "cold": cold,
        "opened": opened,
        "reading": reading,
        "streamed": streamed,
        "again": again,
        "peak": above,
        "els_count": len(few),
        "els": every_place,
        "sent": counted.rounds,
        "threads": task["threads"],
    }
    print(json.dumps(found), flush=True)


def _let_go(files: list[Path]) -> bool:
    """Let the system forget its copy of files; return whether it can."""
    advise = getattr(os, "posix_fadvise", None)
    if advise is None:
        return False
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            advise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _read(files: list[Path]) -> float:
    """Read files from beginning to end, and do nothing else; return seconds."""
    room, begun = bytearray(PIECE), time.perf_counter()
    for file in files:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(room):
                pass
    return time.perf_counter() - begun


if __name__ == "__main__":
    main(sys.argv[1:])
