"""`scoremachines attribute`: what a training set explains of an image that anybody made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scoremachines.attribution import Explained, attribute
from scoremachines.cli.runs import read_settings
from scoremachines.data.decode import decode
from scoremachines.data.framing import Framing, widen
from scoremachines.data.settings import DataSettings
from scoremachines.data.source import open_data
from scoremachines.data.training_set import TrainingSet
from scoremachines.display import show_explained, show_image, show_nearest_map
from scoremachines.errors import InputError
from scoremachines.files import is_file, prepare_folder, reading
from scoremachines.locality import WindowSchedule, parse_window
from scoremachines.measures import Proportion
from scoremachines.memorisation import (
    MemorisationTest,
    WholeMatch,
    calibrate_memorisation,
    whole_match,
)
from scoremachines.plots import axes_side_by_side, figure_of, save_figure
from scoremachines.provenance import write_table
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
) -> Path:
    """Attribute one image, write everything into a folder and say what was found.

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

    Returns:
        The file with the numbers.

    Raises:
        InputError: an image, a source or a setting cannot be used.
    """
    torch.set_num_threads(1)  # as `paint`: tiles are too small to share
    arrays = DataSettings(
        limits=limits, layout=layout, images_key=images_key, labels_key=labels_key
    )
    known = _open(data, replace(arrays, size=size, crop=crop, channels=channels, limit=limit))
    shown = _read_image(Path(image), known, crop)
    others = None if held_out is None else _held_out(replace(arrays, source=held_out), known, crop)
    asked = None if windows is None else [_window(word) for word in windows.split(",")]
    folder = prepare_folder(output, marker=MARKER, resume=True)
    curve = attribute(shown, known, asked, sources)
    test = calibrate_memorisation(known, others, level=level, shift=shift)
    match = whole_match(shown[None], known, shift)
    about: dict[str, Any] = {
        **{"image": image, "data": known.name, "training_images": len(known)},
        **{"fingerprint": known.fingerprint(), "sources": sources},
        "windows": [_row(each, known) for each in curve],
        "memorisation": _verdict(match, test, known, held_out),
    }
    write_table([about], folder / MARKER)
    write_table(_pixel_rows(curve, known), folder / "attribution.parquet")
    _draw(shown, curve, known, match, test, folder / "attribution.png")
    _say(curve, known, match, test, held_out)
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
    return found.block(order)


def _window(word: str) -> int | None:
    window = parse_window(word)
    if not isinstance(window, WindowSchedule):
        return window
    raise InputError("windows", word, "odd numbers of pixels, or image, with commas between them")


def _name(data: TrainingSet, image: int) -> str:
    return f"image {image}" if data.names is None else data.names[image]


def _row(each: Explained, data: TrainingSet) -> dict[str, Any]:
    image, share = each.largest
    return {
        "window": each.window,
        "explained": round(each.share, 6),
        "largest_image": image,
        "largest_name": _name(data, image),
        "largest_share": round(share, 6),
        "mean_distance": round(float(each.distance.mean()), 6),
    }


def _proportion(proportion: Proportion) -> dict[str, Any]:
    low, high = proportion.interval()
    return {
        "successes": proportion.successes,
        "n": proportion.n,
        "rate": proportion.rate,
        "interval_95": [low, high],
    }


def _verdict(
    match: WholeMatch, test: MemorisationTest, data: TrainingSet, held_out: str | None
) -> dict[str, Any]:
    image = int(match.image[0])
    score = float(match.share[0])
    return {
        "memorised": bool(test.flags(match)[0]),
        "score": score if score > -torch.inf else None,
        "image": image,
        "name": _name(data, image),
        "move": match.move[0].tolist(),
        "threshold": test.threshold,
        "level": test.level,
        "calibrated_on": test.calibrated_on,
        "held_out": held_out or "training images, each compared with all others",
        "false_positives": _proportion(test.false_positives),
        "noisy_copies_found": _proportion(test.found),
        "shift": test.shift,
    }


def _pixel_rows(curve: list[Explained], data: TrainingSet) -> list[dict[str, Any]]:
    """Return the nearest patch of every pixel at every window."""
    width = data.shape[2]
    return [
        {
            "window": each.window,
            "row": place // width,
            "column": place % width,
            "image": image,
            "name": _name(data, image),
            "source_row": position // width,
            "source_column": position % width,
            "distance": distance,
        }
        for each in curve
        for place, (image, position, distance) in enumerate(
            zip(
                each.image.flatten().tolist(),
                each.position.flatten().tolist(),
                each.distance.flatten().tolist(),
                strict=True,
            )
        )
    ]


def _draw(
    image: Tensor,
    curve: list[Explained],
    data: TrainingSet,
    match: WholeMatch,
    test: MemorisationTest,
    path: Path,
) -> None:
    pieces = [each for each in curve if each.window is not None][:5]
    row = axes_side_by_side(3 + len(pieces), 3.4, 3.3, columns=4)
    show_image(image, row[0], "the image")
    place = int(match.image[0])
    nearest = data.block(slice(place, place + 1))[0]
    score = max(0.0, float(match.share[0]))
    show_image(nearest, row[1], f"{_name(data, place)[-24:]} explains {100 * score:.0f} %")
    show_explained(curve, test, row[2])
    for axes, each in zip(row[3:], pieces, strict=True):
        show_nearest_map(each, axes)
    save_figure(figure_of(row[0]), path)


def _say(
    curve: list[Explained],
    data: TrainingSet,
    match: WholeMatch,
    test: MemorisationTest,
    held_out: str | None,
) -> None:
    print(f"{'window':>7}  {'explained':>9}  most patches from")
    for each in curve:
        image, share = each.largest
        window = "image" if each.window is None else each.window
        where = f"{_name(data, image)} ({100 * share:.0f} % of the pixels)"
        print(f"{window:>7}  {100 * each.share:>7.1f} %  {where}")
    name = _name(data, int(match.image[0]))
    word = "MEMORISED" if test.flags(match)[0] else "not memorised"
    score = float(match.share[0])
    print(f"{word}: {name} alone explains {100 * max(0.0, score):.1f} % of the whole image")
    compared = held_out or "training images, each compared with all others"
    print(
        f"threshold {100 * test.threshold:.1f} %, from {test.calibrated_on} held-out images "
        f"({compared}); of {test.false_positives.n} others, wrongly called memorised: "
        f"{test.false_positives}; of noisy copies, found: {test.found}"
    )
    if test.threshold > 0.999:
        print("Held-out images are explained whole too, so copies cannot be told from them here.")
