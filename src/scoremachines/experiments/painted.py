"""A run on a page: its first samples, and the verdicts on all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from scoremachines.data.synthetic.judge import Verdicts
from scoremachines.data.training_set import TrainingSet
from scoremachines.report.samples import DETAILED, THUMBNAILS
from scoremachines.sampling.result import Result
from scoremachines.sampling.saving import Samples
from scoremachines.theory.posterior import Posterior

__all__ = ["Painted"]


@dataclass(frozen=True)
class Painted:
    """What a page shows of a finished run.

    Args:
        shown: its first samples, and the posterior of those that are shown in detail.
        count: number of all samples.
        verdicts: on all of them, where the training set has a judge.
    """

    shown: Result
    count: int
    verdicts: Verdicts | None

    @classmethod
    def of(
        cls, parts: Iterable[Samples], data: TrainingSet, labels: Tensor | None, bound: float
    ) -> Painted:
        """Return it, given a run's samples, some at a time."""
        count, images, posteriors, verdicts = 0, [], [], []
        for some, posterior in parts:
            images.append(some[: max(0, THUMBNAILS - count)].clone())
            if posterior is not None and count < DETAILED:
                posteriors.append(posterior.at(slice(0, DETAILED - count)))
            if data.judge is not None:
                verdicts.append(data.judge(some))
            count += len(some)
        posterior = Posterior.cat(posteriors) if posteriors else None
        shown = Result(torch.cat(images), data, posterior, labels, bound)
        return cls(shown, count, Verdicts.cat(verdicts) if verdicts else None)
