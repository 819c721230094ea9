"""Parts of a run: finished batches of samples with their sources, each in a sealed file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from scoremachines.io.files import reading
from scoremachines.io.sealed import LEFT, Spec, read_tensors
from scoremachines.sampling.reverse_process import Step
from scoremachines.theory.bounds import Bounds
from scoremachines.theory.posterior import Posterior, Sources

__all__ = ["Part", "part_about", "part_name", "part_tensors", "read_part"]

Part = tuple[Tensor, Posterior | None, float]
"""Samples, their posterior if the run names sources, and the worst bound of an adaptive engine."""


def part_tensors(step: Step) -> dict[str, Tensor]:
    """Return the last step of a batch as tensors by name, to be read by `read_part`.

    Args:
        step: the step.

    Returns:
        Samples and, where sources were requested, the posterior.
    """
    tensors = {"images": step.after.float().clone()}
    posterior = step.posterior
    if posterior is not None and posterior.sources is not None and posterior.entropy is not None:
        tensors |= {
            "log_weight": posterior.log_weight.double(),
            "mean": posterior.mean.float(),
            "entropy": posterior.entropy.double(),
            "source_log_weight": posterior.sources.log_weight.double(),
            "source_image": posterior.sources.image,
            "source_position": posterior.sources.position,
        }
        if posterior.bounds is not None:
            tensors["log_rest"] = posterior.bounds.log_rest.double()
            tensors["chance"] = posterior.bounds.chance.double()
    return tensors


def part_name(batch: range) -> str:
    """Return the name of the file that holds the finished samples of these numbers.

    Args:
        batch: their numbers.

    Returns:
        The name, without a folder.
    """
    return f"{batch.start:06d}-{batch.stop:06d}.safetensors"


def part_about(run: str, batch: range) -> dict[str, str]:
    """Return what a part carries to show which samples of which run it holds.

    Args:
        run: key of the run.
        batch: numbers of the samples.

    Returns:
        Metadata of its file.
    """
    return {"run": run, "samples": f"{batch.start}-{batch.stop}"}


def _expected(batch: range, images: Sequence[int]) -> dict[str, Spec]:
    """Return what the tensors of a finished batch must be."""
    count, (number, channels, height, width) = len(batch), images
    whole, each, none = (count, channels, height, width), (count, None, height, width), -math.inf
    return {
        "images": Spec(whole),
        "bound": Spec((), low=0, high=math.inf),
        "log_weight": Spec((count, height, width), torch.float64, none, required=False),
        "mean": Spec(whole, required=False),
        "entropy": Spec((count, height, width), torch.float64, -1e-3, required=False),
        "source_log_weight": Spec(each, torch.float64, none, required=False),
        "source_image": Spec(each, torch.int64, -1, number - 1, required=False),
        "source_position": Spec(each, torch.int64, -1, height * width - 1, required=False),
        "log_rest": Spec((count, height, width), torch.float64, none, required=False),
        "chance": Spec((count, 2, height, width), torch.float64, 0, math.inf, required=False),
    }


def read_part(path: Path, batch: range, images: Sequence[int], run: str) -> Part:
    """Read a finished batch.

    Args:
        path: its file.
        batch: numbers of its samples.
        images: N, C, H and W of the training set.
        run: key of the run that it must belong to.

    Returns:
        Samples, float32 `[n, C, H, W]`, their posterior, if the run named sources, and the largest
        error that an adaptive engine may have made in any of its steps.

    Raises:
        InputError: the file is damaged, or belongs to another run.
    """
    part = read_tensors(path, _expected(batch, images), part_about(run, batch))
    with reading("output", path, LEFT):
        bound = float(part["bound"])
        if "mean" not in part:
            return part["images"], None, bound
        names = ("source_log_weight", "source_image", "source_position")
        bounded = "log_rest" in part and "chance" in part
        known = Posterior(
            part["log_weight"],
            part["mean"],
            part["entropy"],
            Sources(*(part[name] for name in names)),
            Bounds(part["log_rest"], part["chance"]) if bounded else None,
        )
        return part["images"], known, bound
