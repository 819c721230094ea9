"""Bytes that one query sends to a worker and gets back, whatever the training set's length."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from scoremachines.data.executors.job import Job, Packer
from scoremachines.data.reduction import Divided, Pass, Reductions, merge_parts, part_value

__all__ = ["Counted"]


class Counted(Divided):
    """Two parts in this process, which are measured as they would be sent.

    `rounds` holds the bytes of each pass: the job, and the values of one part.
    """

    def __init__(self) -> None:
        super().__init__(2)
        self.packer: Packer[int] = Packer(lambda _, array: array.nbytes, lambda _: None)
        self.rounds: list[tuple[int, int]] = []

    def part_values(self, reductions: Reductions, blocks: Pass) -> Iterator[list[Any]]:
        job = self.packer.pack(Job.of(reductions, blocks))
        parts = [part_value(reductions, part) for part in blocks.parts(2)]
        self.rounds.append((len(job), len(pickle.dumps(parts[0]))))
        yield merge_parts(reductions, parts)
