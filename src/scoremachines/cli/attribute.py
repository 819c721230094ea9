"""`scoremachines attribute`: what a training set explains of an image that anybody made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from scoremachines.attribution import attribute
from scoremachines.cli.attributed import Attributed
from scoremachines.cli.runs import read_settings
from scoremachines.copies import copy_kinds
from scoremachines.data.decode import decode
from scoremachines.data.framing import Framing, widen
from scoremachines.data.settings import DataSettings
from scoremachines.data.source import open_data
from scoremachines.data.training_set import TrainingSet
from scoremachines.engine.choice import limit_threads
from scoremachines.errors import InputError
from scoremachines.files import is_file, reading
from scoremachines.folders import output_folder
from scoremachines.locality import WindowSchedule, parse_window
from scoremachines.memorisation import MOST, calibrate_memorisation, check_test, whole_match
from scoremachines.record import SETTINGS

__all__ = ["attribute_image"]

MARKER = "attribution.json"


def attribute_image(
    image: str,
    data: str,
    output: str,
    *,
    held_out: str | None = None,
    size: str | None = None,
    crop: str = "centre",
    channels: int | None = None,
    limit: int | None = None,
    limits: str | None = None,
    layout: str | None = None,
    images_key: str | None = None,
    labels_key: str | None = None,
    windows: str | None = None,
    sources: str = "broken",
    level: float = 0.01,
    shift: int = 0,
    flip: str | None = None,
    turn: bool = False,
    scale: str | None = None,
    stretch: str | None = None,
    recolour: bool = False,
    pairs: bool = False,
) -> Path:
    """Attribute one image, write everything into a folder and print what was found.

    Args:
        image: file of the image; brought to the size of the training images.
        data: the training set: a source as `generate` takes it, or the folder of a run.
        output: the folder.
        held_out: source of images that are not in the training set, to calibrate on; None to
            compare training images with each other.
        size: to bring the training images to, pixels.
        crop: how to reach the size.
        channels: 1, 3 or 4.
        limit: use so many training images.
        limits: values that mean black and white in a file of arrays, such as `0,1`.
        layout: NHW, NHWC or NCHW: where the channels stand in such a file.
        images_key: which array of a `.npz` holds the images.
        labels_key: which holds their labels.
        windows: such as `3,7,image`; by default some that fit.
        sources: same, inside, wrapped or broken.
        level: rate of false positives to allow.
        shift: how many pixels a copy may be moved by and still be found.
        flip: look for mirrored copies: horizontal, vertical or both.
        turn: look for copies turned by quarter turns.
        scale: look for shrunk and enlarged copies: a size, or smallest and largest with a colon
            between.
        stretch: look for copies with one side resized, likewise.
        recolour: look for copies of other contrast and brightness.
        pairs: look for pairs of these too.

    Returns:
        The file with the numbers.

    Raises:
        InputError: an image, a source or a setting cannot be used.
    """
    sizes = _sizes("scale", scale), _sizes("stretch", stretch)
    kinds = copy_kinds(flip, turn, *sizes, recolour, pairs)
    arrays = DataSettings(
        limits=limits, layout=layout, images_key=images_key, labels_key=labels_key
    )
    known = _open(data, replace(arrays, size=size, crop=crop, channels=channels, limit=limit))
    check_test(known, level, shift, kinds)
    shown = _read_image(Path(image), known, crop)
    others = None if held_out is None else _held_out(replace(arrays, source=held_out), known, crop)
    asked = None if windows is None else [_window(word) for word in windows.split(",")]
    with output_folder(output, marker=MARKER, resume=True) as folder:
        threads = torch.get_num_threads()
        limit_threads("auto")
        curve = attribute(shown, known, asked, sources, kinds=kinds)
        torch.set_num_threads(threads)  # comparing whole images is matrix products: shares well
        test = calibrate_memorisation(known, others, level=level, shift=shift, kinds=kinds)
        match = whole_match(shown[None], known, shift, kinds=kinds)
        done = Attributed(image, shown, known, sources, curve, test, match, held_out)
        done.write(folder, MARKER)
    done.print()
    if len(kinds) > 2 and not pairs:
        print("Each kind of copy was looked for by itself; --pairs looks for two at once too.")
    print(f"in {folder}: {MARKER}, attribution.parquet, attribution.png")
    return folder / MARKER


def _open(data: str, settings: DataSettings) -> TrainingSet:
    if is_file("data", Path(data) / SETTINGS):
        return open_data(read_settings(Path(data)))
    return open_data(replace(settings, source=data))


def _read_image(path: Path, data: TrainingSet, crop: str) -> Tensor:
    """Return an image as the training images are, `[C, H, W]` in [-1, 1]."""
    channels = data.shape[0]
    if channels not in (1, 3, 4):
        raise InputError("data", data, "images of 1, 3 or 4 channels")
    framing = Framing(data.shape[1:], "stretch" if crop == "stretch" else "centre", channels)
    with reading("image", path, "an image file"):
        with path.open("rb") as file:
            picture, _ = decode(file, str(path), framing.enough)
        _, pixels = next(iter(framing.frame(picture, path.name)))
    return torch.from_numpy(widen(pixels, channels).copy()).float() / 127.5 - 1


def _held_out(settings: DataSettings, data: TrainingSet, crop: str) -> Tensor:
    """Return images of another source as the training images are, in random order."""
    channels, height, width = data.shape
    crop = crop if crop != "tiles" else "centre"
    size = f"{height}x{width}"
    found = open_data(replace(settings, size=size, crop=crop, channels=channels))
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
    return found.block(order[:MOST])


def _window(word: str) -> int | None:
    window = parse_window(word)
    if not isinstance(window, WindowSchedule):
        return window
    raise InputError("windows", word, "odd numbers of pixels, or image, with commas between them")


def _sizes(argument: str, text: str | None) -> tuple[float, float] | None:
    """Return smallest and largest size from `0.75` or `0.5:1.5`."""
    if text is None:
        return None
    try:
        low, _, high = text.partition(":")
        return float(low), float(high or low)
    except ValueError:
        accepted = "a size such as 0.75, or smallest and largest such as 0.5:1.5"
        raise InputError(argument, text, accepted) from None
