"""Provenance as tables: the contributions of training images to a sample (theory §6.3).

A training image's *share* of a sample is the mean over pixels of the weight `ω_u(i,v)` of those of
its patches that are among the K best sources. Shares of a sample add up to at most 1: what lies
beyond the K best is nobody's. A run's share is the mean over its samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scoremachines.errors import InputError, whole
from scoremachines.io.files import atomic_path
from scoremachines.theory.posterior import Posterior

__all__ = [
    "best_source_pixels",
    "contribution_lines",
    "contribution_rows",
    "contribution_table",
    "pixel_tables",
    "rows_of",
    "shares",
    "write_pixels",
    "write_table",
]


def shares(posterior: Posterior, count: int) -> Tensor:
    """Return each training image's share of each sample.

    Args:
        posterior: with sources, of B samples.
        count: N, size of the training set.

    Returns:
        Shares in [0, 1], float64 `[B, N]` on the CPU.

    Raises:
        AttributeError: the posterior has no sources.
    """
    count, weights = whole("count", count, 1), posterior.weights.cpu().double()
    assert posterior.sources is not None  # `weights` refuses otherwise
    images = posterior.sources.image.cpu()
    found = torch.zeros(len(images), count, dtype=torch.float64)
    for row, image, weight in zip(found, images, weights, strict=True):
        known = image >= 0
        row.index_add_(0, image[known], weight[known])
    return found / (images.shape[-1] * images.shape[-2])


def best_source_pixels(posterior: Posterior, count: int) -> Tensor:
    """Return of how many pixels of each sample each training image is the best source.

    Args:
        posterior: with sources, of B samples.
        count: N, size of the training set.

    Returns:
        Numbers of pixels, int64 `[B, N]` on the CPU.
    """
    count = whole("count", count, 1)
    assert posterior.sources is not None
    best = posterior.sources.image[:, 0].cpu().flatten(1)
    return torch.stack([torch.bincount(row[row >= 0], minlength=count) for row in best])


def contribution_rows(
    posterior: Posterior, count: int, names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return the contributions of the training images, per sample and over the run.

    Args:
        posterior: with sources, of B samples.
        count: N, size of the training set.
        names: of the training images.

    Returns:
        One row for each sample and contributing training image, the largest share first:
        `sample`, `image`, `name`, `share`, `pixels`. Rows whose sample is None are over the run.
    """
    if names is not None and len(names) != count:
        raise InputError("names", names, f"{count} names, one for each training image")
    per_sample, pixels = shares(posterior, count), best_source_pixels(posterior, count)
    rows = rows_of(None, per_sample.mean(0), pixels.sum(0), names)
    for sample, columns in enumerate(zip(per_sample, pixels, strict=True)):
        rows += rows_of(sample, *columns, names)
    return rows


def rows_of(
    sample: int | None, share: Tensor, pixels: Tensor, names: Sequence[str] | None
) -> list[dict[str, Any]]:
    """Return the rows of one sample, the largest share first.

    Args:
        sample: its number; None for the whole run.
        share: of each training image, `[N]`.
        pixels: of how many it is the best source, `[N]`.
        names: of the training images.

    Returns:
        As `contribution_rows` does.
    """
    order = share.argsort(descending=True, stable=True)
    return [
        {
            "sample": sample,
            "image": image,
            "name": str(image) if names is None else names[image],
            "share": round(part, 9),
            "pixels": number,
        }
        for image, part, number in zip(
            order.tolist(), share[order].tolist(), pixels[order].tolist(), strict=True
        )
        if part > 0
    ]


def contribution_table(rows: Sequence[dict[str, Any]]) -> Any:
    """Return rows of `contribution_rows` as an Arrow table of fixed columns."""
    import pyarrow

    kinds = {"sample": pyarrow.int64(), "image": pyarrow.int64(), "name": pyarrow.string()}
    kinds |= {"share": pyarrow.float64(), "pixels": pyarrow.int64()}
    return pyarrow.Table.from_pylist(_encodable(rows), pyarrow.schema(kinds))


def contribution_lines(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return rows as JSON, one a line, commas between them; without the brackets around all."""
    lines = ",\n ".join(json.dumps(row, ensure_ascii=False) for row in rows)
    # Half surrogates, which file names may hold, cannot be encoded.
    return lines.encode("utf-8", "replace")


def _encodable(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            key: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
            for key, value in row.items()
        }
        for row in rows
    ]


def write_table(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows as Parquet or as JSON, by the file's ending, whole or not at all.

    Args:
        rows: all with the same keys, at least one.
        path: the file, whose name ends in `.parquet` or `.json`.

    Raises:
        InputError: it cannot be written.
    """
    with atomic_path(path) as partial:
        if Path(path).suffix == ".json":
            partial.write_bytes(b"[\n " + contribution_lines(rows) + b"\n]\n")
            return
        import pyarrow
        from pyarrow import parquet

        with partial.open("wb") as file:  # as a path, `a:b` would be an address to pyarrow
            parquet.write_table(pyarrow.Table.from_pylist(_encodable(rows)), file)


def write_pixels(posterior: Posterior, path: Path) -> None:
    """Write every source of every pixel as Parquet, a group of rows for each sample.

    Columns: `sample`, `row`, `column`, `rank` (0 is the best), `image`, `source_row`,
    `source_column`, `weight`, and the pixel's `entropy` in nats.

    Args:
        posterior: with sources and entropy, of B samples.
        path: the file.

    Raises:
        InputError: it cannot be written.
    """
    from pyarrow import parquet

    with atomic_path(path) as partial:
        tables = pixel_tables(posterior)
        first = next(tables)
        with (
            partial.open("wb") as file,
            parquet.ParquetWriter(file, first.schema) as writer,
        ):
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)


def pixel_tables(posterior: Posterior, first: int = 0) -> Iterator[Any]:
    """Yield one table of Arrow for each sample, with the columns of `write_pixels`.

    Args:
        posterior: with sources and entropy, of B samples.
        first: number of the first of them.

    Yields:
        Its sources, pixel by pixel.
    """
    import pyarrow

    assert posterior.sources is not None
    assert posterior.entropy is not None
    images, positions = posterior.sources.image.cpu(), posterior.sources.position.cpu()
    weights, entropies = posterior.weights.cpu(), posterior.entropy.cpu()
    _, ranks, height, width = images.shape
    rank, row, column = torch.meshgrid(
        torch.arange(ranks), torch.arange(height), torch.arange(width), indexing="ij"
    )
    for place, (image, position) in enumerate(zip(images, positions, strict=True)):
        known = image >= 0
        columns = {
            "sample": torch.full_like(image, first + place).int(),
            "row": row.short(),
            "column": column.short(),
            "rank": rank.short(),
            "image": image,
            "source_row": torch.div(position, width, rounding_mode="floor").short(),
            "source_column": (position % width).short(),
            "weight": weights[place].float(),
            "entropy": entropies[place].expand(ranks, -1, -1).float(),
        }
        yield pyarrow.table({name: each[known].numpy() for name, each in columns.items()})
