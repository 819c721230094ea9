"""Summaries of a training set, of a finished image, and of the machines to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scoremachines.data.reduction import Block, Pass, reduce
from scoremachines.data.training_set import TrainingSet
from scoremachines.explore.playground import attentions
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.theory.positions import SOURCES

__all__ = ["about_data", "about_image", "choices", "verdicts_of"]

TRAINING = 16
"""How many training images are shown at first."""
NEAREST = 3
"""How many nearest training images are named."""
BLOCK = 1024
"""Training images compared at a time."""
DIFFERS = 0.02
"""Painted again, a sample may differ from the stored one by as much (root mean square)."""


def about_data(data: TrainingSet) -> dict[str, Any]:
    """Return name, size and classes of a training set, and places of some of its images."""
    places = torch.linspace(0, len(data) - 1, min(TRAINING, len(data)), dtype=torch.float64)
    return {
        "name": data.name,
        "count": len(data),
        "classes": list(data.classes),
        "labelled": data.labels is not None,
        "some": places.round().long().tolist(),
    }


def choices(data: TrainingSet, reader: ScoreMachine, images: int) -> dict[str, Any]:
    """Return what a live question may choose from.

    Args:
        data: the training set.
        reader: the machine to start from.
        images: how many training images the answer uses.

    Returns:
        Windows, sources and attentions, and the reader's own.
    """
    return {
        "images": images,
        "windows": [str(k) for k in range(1, min(data.shape[1:]) + 1, 2)] + ["image"],
        "window": str(reader.window or "image"),
        "sources": list(SOURCES),
        "source": reader.sources,
        "attentions": attentions(data),
        "attention": reader.attention.name,
    }


def about_image(image: Tensor, known: Tensor | None, data: TrainingSet | None) -> dict[str, Any]:
    """Return verdict and nearest training image, and whether an image is the one that was stored.

    Args:
        image: `[C, H, W]` in [-1, 1].
        known: what the run stored in its place; None for nothing.
        data: the training set; None where it cannot be reached.

    Returns:
        `verdict`, `nearest` and `differs`, each None where there is none.
    """
    about: dict[str, Any] = {"nearest": None, "differs": None}
    about["verdict"] = verdicts_of(image[None], data)
    if data is not None:
        about["nearest"] = _nearest(image, data)
    if known is not None:
        apart = float((image - known).square().mean().sqrt())
        about["differs"] = round(apart, 4) if apart > DIFFERS else None
    return about


def _nearest(image: Tensor, data: TrainingSet) -> list[dict[str, Any]]:
    """Return the training images nearest to an image, nearest first, with their distances."""
    distance = reduce(Distances(image), Pass(data, BLOCK, torch.float32, "cpu"))
    order = distance.argsort(stable=True)[:NEAREST].tolist()
    return [{"index": i, "distance": round(float(distance[i]), 4)} for i in order]


@dataclass(frozen=True)
class Distances:
    """Root mean square distance of an image `[C, H, W]` to every training image, `[N]`.

    Args:
        image: the image.
    """

    image: Tensor

    def of(self, block: Block) -> Tensor:
        """Return those to a block."""
        return (block.images - self.image).square().mean((1, 2, 3)).sqrt()

    def merge(self, one: Tensor, other: Tensor) -> Tensor:
        """Return both, in order."""
        return torch.cat([one, other])


def verdicts_of(images: Tensor, data: TrainingSet | None) -> list[dict[str, Any]] | None:
    """Return the judgement on each image, `[n, C, H, W]`; None without a judge."""
    if data is None or data.judge is None:
        return None
    images = images.clamp(-1, 1)
    verdicts, rows = data.judge(images), []
    for number, image in enumerate(images):
        found = [each.value for each in data.judge.features(image)]
        word = "consistent" if verdicts.consistent[number] else "not consistent"
        rows.append(
            {
                "word": word if verdicts.valid[number] else "not valid",
                "copy": not bool(verdicts.novel[number]),
                "found": [None if value is None else data.classes[value] for value in found],
            }
        )
    return rows
