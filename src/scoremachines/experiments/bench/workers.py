"""What each worker of an executor is and needs, asked as any statistic of a training set is."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from scoremachines.data.reduction import Block, Executor, Pass, reduce
from scoremachines.data.training_set import TrainingSet
from scoremachines.experiments.bench.memory import peak, reset_peak

__all__ = ["Nothing", "memory_of", "pin"]

WAIT = 0.2
"""Seconds that a worker takes, so that each gets a part."""


class Nothing:
    """Zero (`Reduction`): what a pass costs that computes nothing."""

    def of(self, block: Block) -> int:
        return 0

    def merge(self, one: int, other: int) -> int:
        return 0


@dataclass(frozen=True)
class Memory:
    """Bytes of memory of each process, by its number (`Reduction`).

    Args:
        anew: let the peak begin anew, and give what is in use; otherwise give the peak.
    """

    anew: bool

    def of(self, block: Block) -> dict[int, int]:
        time.sleep(WAIT)
        return {os.getpid(): reset_peak() if self.anew else peak()}

    def merge(self, one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
        return one | other


def memory_of(
    executor: Executor, workers: int, data: TrainingSet, *, anew: bool
) -> dict[int, int]:
    """Return the memory of each worker.

    Args:
        executor: whose workers.
        workers: how many there are.
        data: a training set of at least `workers` images.
        anew: let the peaks begin anew, and return what is in use; otherwise return the peaks.

    Returns:
        Bytes, by the number of the process.
    """
    few = TrainingSet(data.block(slice(0, workers), None))
    found: dict[int, int] = reduce(Memory(anew), Pass(few, workers, None), executor)
    return found


def pin(processes: list[int], cores: list[int]) -> bool:
    """Give each process one core, in turn, so that those of a core take turns.

    Args:
        processes: their numbers.
        cores: which there are.

    Returns:
        Whether the system can do so.
    """
    choose = getattr(os, "sched_setaffinity", None)  # not on every system
    if choose is None:
        return False
    for place, process in enumerate(sorted(processes)):
        choose(process, {cores[place % len(cores)]})
    return True
