"""Samples and their provenance as files, written batch by batch (theory §6.3).

A run of many samples need not be in memory as a whole: what is kept of it are its first samples,
for the grid, and the contribution of each training image over the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from scoremachines.data.nearest import nearest_training_image
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import atomic_path
from scoremachines.io.pictures import grid, to_picture
from scoremachines.sampling.provenance import (
    best_source_pixels,
    contribution_lines,
    contribution_table,
    pixel_tables,
    rows_of,
    shares,
)
from scoremachines.theory.posterior import Posterior

__all__ = ["GRID", "Samples", "sample_contributions", "save_picture", "save_samples"]

GRID = 64
"""How many samples the grid shows, from the first."""
MOST = 8
"""How many training images `provenance.json` names for each sample."""
KINDS = {torch.int64: "I64", torch.float32: "F32"}
"""What a `.safetensors` file calls the types of numbers."""

Samples = tuple[Tensor, Posterior | None]
"""Some of a run's samples `[n, C, H, W]`, and their posterior, if the run named sources."""


def save_samples(
    parts: Callable[[], Iterable[Samples]],
    data: TrainingSet,
    folder: Path,
    bound: float = 0.0,
) -> None:
    """Write PNGs, a grid and the provenance into a folder, each file whole or not at all.

    Args:
        parts: yields the samples in their order, some at a time, the same each time it is called.
        data: the training set.
        folder: made if it is missing.
        bound: largest error that the engine may have made in x̂0; 0 for none.

    Raises:
        InputError: it cannot be written.
    """
    try:
        (folder / "samples").mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError("output", folder, "a folder to write to", str(error)) from None
    contributions, first = _Contributions(data), []
    for images, posterior in parts():
        for number, image in enumerate(images, contributions.samples):
            save_picture(to_picture(image), folder / "samples" / f"{number:04d}.png")
        first.append(images[: max(0, GRID - contributions.samples)].clone())
        contributions.add(images, posterior)
    save_picture(grid(torch.cat(first)), folder / "grid.png")
    if contributions.like is not None:
        _save_provenance(parts, data, folder, contributions)
    if bound > 0:
        with atomic_path(folder / "bound.json") as path:
            path.write_text(json.dumps({"worst_error_of_x0": bound}) + "\n")


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")


def sample_contributions(
    images: Tensor, posterior: Posterior | None, data: TrainingSet, most: int, first: int = 0
) -> list[dict[str, object]]:
    """Return each sample's nearest training image and its largest contributions.

    Args:
        images: the samples.
        posterior: theirs; None where no sources are known.
        data: the training set.
        most: how many training images to name for each sample.
        first: number of the first sample.

    Returns:
        One entry a sample.
    """

    def name(index: int) -> str | int:
        return index if data.names is None else data.names[index]

    index, distance = nearest_training_image(images, data)
    rows: list[dict[str, object]] = []
    for place in range(len(images)):
        row: dict[str, object] = {
            "sample": first + place,
            "nearest": name(int(index[place])),
            "distance": round(float(distance[place]), 6),
        }
        if posterior is not None and posterior.sources is not None:
            contributions = shares(posterior.at(slice(place, place + 1)), len(data))[0]
            best = contributions.topk(min(most, len(data)))
            row["sources"] = [
                {"image": name(i), "share": round(value, 6)}
                for value, i in zip(*(part.tolist() for part in best), strict=True)
                if value > 0
            ]
        rows.append(row)
    return rows


class _Contributions:
    """The contributions of the training images to all samples so far."""

    def __init__(self, data: TrainingSet) -> None:
        self.samples = 0
        self.share = torch.zeros(len(data), dtype=torch.float64)
        self.pixels = torch.zeros(len(data), dtype=torch.int64)
        self.like: Posterior | None = None

    def add(self, images: Tensor, posterior: Posterior | None) -> None:
        self.samples += len(images)
        if posterior is None or posterior.sources is None:
            return
        for _, each in _one_by_one([(images, posterior)]):
            self.share += shares(each, len(self.share))[0]
            self.pixels += best_source_pixels(each, len(self.pixels))[0]
            self.like = each


def _save_provenance(
    parts: Callable[[], Iterable[Samples]],
    data: TrainingSet,
    folder: Path,
    total: _Contributions,
) -> None:
    """Write the provenance: every table is open, and takes one sample at a time."""
    from pyarrow import parquet

    like, names, count = total.like, data.names, len(data)
    assert like is not None
    with ExitStack() as files:

        def path(name: str) -> Path:
            return files.enter_context(atomic_path(folder / name))

        def opened(name: str) -> Any:
            return files.enter_context(path(name).open("wb"))

        def table(name: str, first: Any) -> Any:
            return files.enter_context(parquet.ParquetWriter(opened(name), first.schema))

        whole = rows_of(None, total.share / total.samples, total.pixels, names)
        pixels = table("provenance.parquet", next(pixel_tables(like)))
        rows = table("contributions.parquet", contribution_table(whole))
        rows.write_table(contribution_table(whole))
        lines, summary = opened("contributions.json"), opened("provenance.json")
        lines.write(b"[\n " + contribution_lines(whole))
        tensors = _TensorFile(opened("provenance.safetensors"), _tensors(like), total.samples)
        for number, (image, posterior) in enumerate(_one_by_one(parts())):
            for each in pixel_tables(posterior, number):
                pixels.write_table(each)
            tensors.write(number, _tensors(posterior))
            share, most = shares(posterior, count)[0], best_source_pixels(posterior, count)[0]
            mine = rows_of(number, share, most, names)
            if mine:
                rows.write_table(contribution_table(mine))
                lines.write(b",\n " + contribution_lines(mine))
            text = json.dumps(sample_contributions(image, posterior, data, MOST, number), indent=1)
            summary.write((b"," if number else b"[") + text[1:-2].encode())
        lines.write(b"\n]\n")
        summary.write(b"\n]\n")


def _one_by_one(parts: Iterable[Samples]) -> Iterator[tuple[Tensor, Posterior]]:
    """Yield every sample by itself, with its posterior."""
    for images, posterior in parts:
        assert posterior is not None
        for place in range(len(images)):
            some = slice(place, place + 1)
            yield images[some], posterior.at(some)


def _tensors(posterior: Posterior) -> dict[str, Tensor]:
    """Return what `provenance.safetensors` holds of some samples."""
    assert posterior.sources is not None
    assert posterior.entropy is not None
    tensors = {
        "image": posterior.sources.image,
        "position": posterior.sources.position,
        "weight": posterior.weights.float(),
        "entropy": posterior.entropy.float(),
    }
    if posterior.bounds is not None:
        tensors["error_bound"] = posterior.error_bound.float()
    return tensors


class _TensorFile:
    """A `.safetensors` file of known shapes, whose rows are written some at a time.

    The library writes tensors as a whole only. The format: the header's length in 8 bytes, the
    header as JSON, then the numbers of one tensor after the other.
    """

    def __init__(self, file: Any, like: dict[str, Tensor], count: int) -> None:
        self.file, self.starts = file, {}
        header, end = {}, 0
        for name, each in like.items():
            self.starts[name], start = end, end
            end += count * each[0].numel() * each.element_size()
            shape, offsets = [count, *each.shape[1:]], [start, end]
            header[name] = {"dtype": KINDS[each.dtype], "shape": shape, "data_offsets": offsets}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self.begin = 8 + len(text)
        file.write(len(text).to_bytes(8, "little") + text)

    def write(self, first: int, rows: dict[str, Tensor]) -> None:
        """Write rows of every tensor, from one on."""
        for name, part in rows.items():
            values = part.cpu().contiguous().numpy()
            self.file.seek(self.begin + self.starts[name] + first * values[0].nbytes)
            self.file.write(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
