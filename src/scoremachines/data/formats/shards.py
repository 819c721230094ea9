"""Training sets in shards, as `scoremachines shard` writes them: of any size, opened at once."""

from __future__ import annotations

from pathlib import Path

from scoremachines.data.registry import Reader
from scoremachines.data.sharded.files import ShardFiles
from scoremachines.data.sharded.manifest import FOLDER, FORMAT, MANIFEST
from scoremachines.data.sharded.pixels import ShardedNames, ShardedPixels
from scoremachines.data.sharded.place import Place, is_address
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import is_file, reading

__all__ = ["SHARDS", "from_shards", "is_sharded"]


def from_shards(path: str | Path) -> TrainingSet:
    """Open a set in shards; images stay where they are until they are read.

    Every file is compared with the length that the manifest states whenever it is read, and with
    its checksum once. Files behind an address are copied into a cache when they are first read.

    Args:
        path: the folder, or an address of `fsspec`, such as `s3://bucket/photos.shards`. The cache
            is the folder that `$SCOREMACHINES_CACHE` names, by default `~/.cache/scoremachines`.

    Returns:
        The training set.

    Raises:
        InputError: there is no such set, it is not finished, or a file of it is damaged.
    """
    address = str(path).rstrip("/") if is_address(str(path)) else str(Path(path))
    place = Place(address)
    manifest = place.manifest()
    if not manifest.sealed:
        reason = "the set is not finished: `scoremachines shard --resume` goes on with it"
        raise InputError("source", address, FOLDER, reason)
    if not len(manifest):
        raise InputError("source", address, FOLDER, "there is no image in it")
    shards = ShardFiles(place, manifest)
    if place.is_local:
        for shard in manifest.shards[: manifest.sealed]:
            place.path(shard.pixels, "")
    labels = shards.labels() if manifest.labelled else None
    return TrainingSet(
        ShardedPixels(shards),
        labels,
        manifest.classes if labels is not None else (),
        name=manifest.name,
        location=Path(address) if place.is_local else address,
        names=ShardedNames(shards) if manifest.named else None,
        left_out=manifest.left_out,
    )


def is_sharded(path: Path) -> bool:
    """Return whether a folder holds the manifest of a set in shards, and not of something else."""
    if not is_file("source", path / MANIFEST):
        return False
    with reading("source", path, FOLDER), (path / MANIFEST).open("rb") as file:
        return FORMAT.encode() in file.read(64)


SHARDS = Reader(is_sharded, from_shards)
