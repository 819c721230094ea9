"""Real images that come with a dependency, so that no network is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from scoremachines.data.formats.arrays import from_array
from scoremachines.data.formats.pictures import classes_of
from scoremachines.data.images.buffer import Stack
from scoremachines.data.images.resize import Framing
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import whole

__all__ = ["digits", "photographs"]


def digits() -> TrainingSet:
    """Return scikit-learn's 1,797 handwritten digits, 8×8 and grey, labelled 0 to 9.

    Returns:
        The training set, whose 17 grey values are exact in float32.
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    classes = [str(name) for name in source.target_names]
    return from_array(
        source.images.astype("float32"), source.target, classes, limits=(0, 16), name="digits"
    )


def photographs(size: int | Sequence[int] = 32, reduce: int = 1) -> TrainingSet:
    """Return tiles of scikit-learn's two photographs, of a temple and of a flower, 427×640.

    Args:
        size: side of the tiles, or their height and width, in pixels.
        reduce: factor by which the photographs are shrunk first, so that a tile shows more.

    Returns:
        The training set, labelled by photograph: 520 tiles of 32×32.

    Raises:
        InputError: if size or reduce is not as described, or no tile fits.
    """
    from sklearn.datasets import load_sample_images

    reduce = whole("reduce", reduce, 1, 640)
    framing, source, stack = Framing.of(size, "tiles"), load_sample_images(), Stack()
    for file, pixels in zip(source.filenames, source.images, strict=True):
        for name, tile in framing.frame(Image.fromarray(pixels).reduce(reduce), Path(file).name):
            stack.add(name, tile)
    classes, labels = classes_of([f"{name.split('.')[0]}/{name}" for name in stack.names])
    return TrainingSet(
        torch.from_numpy(stack.array),
        torch.tensor(labels),
        classes,
        name="photographs",
        names=stack.names,
    )
