"""A sample on the page: the image, its verdict, its nearest image, its sources."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from scoremachines.data.nearest import nearest_training_image
from scoremachines.data.synthetic.judge import Verdicts
from scoremachines.data.training_set import TrainingSet
from scoremachines.io.pictures import mosaic, source_colours, to_picture
from scoremachines.report.views import MachineView
from scoremachines.sampling.result import Result

__all__ = [
    "DETAILED",
    "THUMBNAILS",
    "TRAINING",
    "Nearest",
    "Provenance",
    "Sample",
    "Source",
    "some_samples",
    "some_training_images",
]

THUMBNAILS = 64
"""How many samples of a machine are shown."""
DETAILED = 16
"""How many of them are shown with their nearest training image and their sources."""
TRAINING = 16
"""How many training images are shown."""
SOURCES = 3
"""How many of a sample's source images are shown."""


@dataclass(frozen=True)
class Nearest:
    """The training image nearest to a sample.

    Args:
        name: its name, or its place in the training set.
        picture: the image.
        distance: root-mean-square difference of values in [-1, 1].
    """

    name: str
    picture: Image.Image
    distance: float


@dataclass(frozen=True)
class Source:
    """A training image that a sample was drawn from.

    Args:
        name: its name, or its place in the training set.
        picture: the image.
        share: fraction of the sample's pixels whose best source lies in it.
        colour: its colour in the map, as `#rrggbb`.
    """

    name: str
    picture: Image.Image
    share: float
    colour: str


@dataclass(frozen=True)
class Provenance:
    """Where a sample's pixels came from.

    Args:
        picture: the map.
        count: number of training images that are the best source of a pixel.
        largest: those of the largest share, largest first.
    """

    picture: Image.Image
    count: int
    largest: tuple[Source, ...]


@dataclass(frozen=True)
class Sample:
    """One sample of one machine.

    Args:
        number: its place among the samples.
        picture: the sample.
        label: name of the class it was to be of, or nothing.
        verdict: "consistent", "not consistent", "not valid", or nothing without a judge.
        copy: the judge calls it a near-copy of a training image.
        nearest: its nearest training image, if it is shown in detail.
        provenance: its sources, if they are known and it is shown in detail.
    """

    number: int
    picture: Image.Image
    label: str = ""
    verdict: str = ""
    copy: bool = False
    nearest: Nearest | None = None
    provenance: Provenance | None = None


def some_samples(machine: MachineView) -> list[Sample]:
    """Return a machine's first samples, at most `THUMBNAILS`, the first `DETAILED` in detail."""
    result, verdicts = machine.result, machine.verdicts
    nearest = _nearest(result.images[:DETAILED], result.data)
    samples = []
    for number, image in enumerate(result.images[:THUMBNAILS]):
        detailed = number < DETAILED
        samples.append(
            Sample(
                number,
                to_picture(image),
                _label(result, number),
                "" if verdicts is None else _verdict(verdicts, number),
                verdicts is not None and not bool(verdicts.novel[number]),
                nearest[number] if detailed else None,
                _provenance(result, number) if detailed else None,
            )
        )
    return samples


def some_training_images(data: TrainingSet) -> list[tuple[str, Image.Image]]:
    """Return names and pictures of at most `TRAINING` images, evenly spaced through the set."""
    places = torch.linspace(0, len(data) - 1, min(TRAINING, len(data)), dtype=torch.float64)
    index = places.round().long()
    pictures = [to_picture(image) for image in data.block(index)]
    return [(_name(data, i), picture) for i, picture in zip(index.tolist(), pictures, strict=True)]


def _nearest(images: Tensor, data: TrainingSet) -> list[Nearest]:
    index, distance = nearest_training_image(images, data)
    pictures = [to_picture(image) for image in data.block(index.cpu())]
    return [
        Nearest(_name(data, i), picture, far)
        for i, picture, far in zip(index.tolist(), pictures, distance.tolist(), strict=True)
    ]


def _provenance(result: Result, number: int) -> Provenance | None:
    if result.posterior is None or result.posterior.sources is None:
        return None
    posterior = result.posterior.at(slice(number, number + 1))
    assert posterior.sources is not None  # it has those of the whole
    images, positions = posterior.sources.image[0], posterior.sources.position[0]
    used, pixels = images[0][images[0] >= 0].cpu().unique(return_counts=True)
    order = pixels.argsort(descending=True, stable=True)[:SOURCES]
    largest = used[order]
    rows = zip(
        largest.tolist(),
        result.data.block(largest),
        (pixels[order] / images[0].numel()).tolist(),
        source_colours(largest),
        strict=True,
    )
    return Provenance(
        mosaic(images, positions, posterior.weights[0]),
        len(used),
        tuple(
            Source(_name(result.data, i), to_picture(image), share, f"#{colour.tobytes().hex()}")
            for i, image, share, colour in rows
        ),
    )


def _verdict(verdicts: Verdicts, number: int) -> str:
    if not verdicts.valid[number]:
        return "not valid"
    return "consistent" if verdicts.consistent[number] else "not consistent"


def _label(result: Result, number: int) -> str:
    if result.labels is None:
        return ""
    label = int(result.labels[number])
    return result.data.classes[label] if result.data.classes else str(label)


def _name(data: TrainingSet, index: int) -> str:
    return f"image {index}" if data.names is None else data.names[index]
