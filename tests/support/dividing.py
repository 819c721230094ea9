"""Executors before every machine: the bits of one process that divides the images as they do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import scoremachines as sm
from scoremachines.data.reduction import Block, Divided
from scoremachines.machine.covariance import Total
from scoremachines.theory.comparing import check_close, check_same_sources
from support.machines import Named, machine_of, training_images

__all__ = ["OnceAt", "check_same_bits"]


def check_same_bits(case: Named, executors: Sequence[Any], divisions: Sequence[int] = ()) -> None:
    """Check that executors give the same bits as `Divided`, with sources and without.

    Args:
        case: the machine.
        executors: whose number of parts can be set.
        divisions: numbers of parts; by default those that the executors have.
    """
    data = sm.TrainingSet(training_images(), labels=torch.arange(8) % 2)
    noisy = torch.randn(2, *data.shape, generator=torch.Generator().manual_seed(5)).double()
    machine = machine_of(data, case)
    for executor in executors:
        for parts in divisions or [executor.parts]:
            for best, label in ((0, None), (3, None), (3, 1)):
                machine.executor = Divided(parts)
                here = machine.posterior(noisy, 0.5, label, best)
                executor.parts, machine.executor = parts, executor
                there = machine.posterior(noisy, 0.5, label, best)
                text = f"{case}, {type(executor).__name__}, {parts} parts, {best} sources"
                check_close(there.mean, here.mean, 0.0, text)
                check_close(there.log_weight, here.log_weight, 0.0, text)
                if best:
                    check_same_sources(there, here, text)


class OnceAt(Total):
    """A statistic that sends its process a signal, once, at the first image.

    Args:
        mark: a file that says that it was sent.
        sent: the signal.
    """

    def __init__(self, mark: Path, sent: int) -> None:
        self.mark, self.sent = mark, sent

    def of(self, block: Block) -> torch.Tensor:
        if int(block.index[0]) == 0 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), self.sent)
        return super().of(block)
