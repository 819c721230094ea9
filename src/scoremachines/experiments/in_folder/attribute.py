"""The share of any image that a training set explains, in one folder."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from scoremachines.data.formats.folder import from_picture
from scoremachines.data.open import open_data
from scoremachines.data.settings import DataSettings
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import AutoEngine
from scoremachines.engines.auto import limit_threads
from scoremachines.errors import InputError
from scoremachines.experiments.attributed import Attributed
from scoremachines.experiments.opened import read_settings
from scoremachines.io.files import is_file
from scoremachines.io.folders import output_folder
from scoremachines.metrics.attribution import attribute
from scoremachines.metrics.copies import Kind
from scoremachines.metrics.memorisation import calibrate_memorisation, check_test, whole_match
from scoremachines.metrics.thresholds import MOST, held_out_used
from scoremachines.runs.estimate import announce
from scoremachines.runs.record import SETTINGS
from scoremachines.theory.locality import WindowSchedule, parse_window

__all__ = ["MARKER", "attribute_in_folder"]

LOG = logging.getLogger(__name__)
MARKER = "attribution.json"
FEW, MANY = 64, 512
"""Images that the time is estimated on."""


def attribute_in_folder(
    image: str,
    data: str,
    output: str,
    settings: DataSettings,
    kinds: list[Kind],
    *,
    held_out: str | None = None,
    windows: str | None = None,
    sources: str = "boundary",
    level: float = 0.01,
    shift: int = 0,
) -> Attributed:
    """Attribute one image, and write everything into a folder.

    Args:
        image: file of the image; brought to the size of the training images.
        data: the training set: a source as `generate` takes it, or the folder of a run.
        output: the folder.
        settings: how to read the training set and the held-out images.
        kinds: kinds of copies to look for.
        held_out: source of images that are not in the training set, to calibrate on; None to
            compare training images with each other.
        windows: such as `3,7,image`; by default some that fit.
        sources: aligned, valid, circular or boundary.
        level: rate of false positives to allow.
        shift: how many pixels a copy may be moved by and still be found.

    Returns:
        What was found.

    Raises:
        InputError: an image, a source or a setting cannot be used.
    """
    known = _open(data, settings if held_out is None else _fitting(settings, data))
    check_test(known, level, shift, kinds)
    shown = _read_image(Path(image), known, settings.crop)
    others = None if held_out is None else _held_out(_fitting(settings, held_out), known)
    chosen = None if windows is None else [_window(word) for word in windows.split(",")]
    with output_folder(output, marker=MARKER, resume=True) as folder:
        names = ", ".join(kind.name for kind in kinds)
        LOG.info("looking for copies in %d training images: %s", len(known), names)
        held = min(held_out_used(level, len(kinds)), len(known if others is None else others))
        _announce(shown, known, kinds, shift, held)
        threads = torch.get_num_threads()
        limit_threads(AutoEngine())
        curve = attribute(shown, known, chosen, sources, kinds=kinds)
        torch.set_num_threads(threads)  # comparing whole images is matrix products: shares well
        test = calibrate_memorisation(known, others, level=level, shift=shift, kinds=kinds)
        match = whole_match(shown[None], known, shift, kinds=kinds)
        done = Attributed(image, shown, known, sources, curve, test, match, held_out)
        done.write(folder, MARKER)
    return done


def _announce(image: Tensor, data: TrainingSet, kinds: list[Kind], shift: int, held: int) -> None:
    """Announce how long looking for copies takes, if it is long.

    n images among N training images take `aN + bnN + cn`: to copy training images, to compare
    them, and to compute shares. A few of both show what a, b and c are.
    """

    def seconds(count: int, among: int) -> float:
        start = time.perf_counter()
        some = data.subset(slice(0, among))
        whole_match(image.expand(count, *image.shape), some, shift, kinds=kinds)
        return time.perf_counter() - start

    if len(data) <= MANY:
        return
    seconds(1, FEW)  # warms up
    copying = seconds(1, MANY) / MANY
    few, many = seconds(FEW, FEW), seconds(FEW, MANY)
    comparing = max(0.0, (many - few) / (MANY - FEW) - copying) / FEW
    sharing = max(0.0, few / FEW - copying - FEW * comparing)
    # The held-out images, half as many noisy copies of every kind, and the image itself.
    total = 3 * copying * len(data) + 1.5 * held * (comparing * len(data) + sharing)
    announce(total, f"{len(data)} images, {held:.0f} held-out ones, {len(kinds)} kinds of copies")


def _open(data: str, settings: DataSettings) -> TrainingSet:
    if is_file("data", Path(data) / SETTINGS):
        return open_data(read_settings(Path(data)))
    return open_data(replace(settings, source=data))


def _fitting(settings: DataSettings, source: str) -> DataSettings:
    """Return the settings for one of two sources: settings of arrays go to arrays only."""
    if Path(source).suffix.lower() in (".npy", ".npz"):
        return replace(settings, source=source)
    nothing = dict.fromkeys(("limits", "layout", "images_key", "labels_key"))
    return replace(settings, source=source, **nothing)  # type: ignore[arg-type]


def _read_image(path: Path, data: TrainingSet, crop: str) -> Tensor:
    """Return an image as the training images are, `[C, H, W]` in [-1, 1]."""
    channels = data.shape[0]
    if channels not in (1, 3, 4):
        raise InputError("data", data, "images of 1, 3 or 4 channels")
    crop = "stretch" if crop == "stretch" else "centre"
    return from_picture(path, data.shape[1:], crop, channels).block(slice(0, 1))[0]


def _held_out(settings: DataSettings, data: TrainingSet) -> Tensor:
    """Return images of another source as the training images are, in random order."""
    channels, height, width = data.shape
    crop = settings.crop if settings.crop != "tiles" else "centre"
    size = f"{height}x{width}"
    settings = replace(settings, size=size, crop=crop, channels=channels, limit=None)
    found = open_data(replace(settings, labels_key=None))
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
    return found.block(order[:MOST])


def _window(word: str) -> int | None:
    window = parse_window(word)
    if not isinstance(window, WindowSchedule):
        return window
    raise InputError("windows", word, "odd numbers of pixels, or image, with commas between them")
