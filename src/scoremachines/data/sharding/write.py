"""Writing a set in shards: shard by shard, each whole, so that it goes on where it was killed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from tqdm import tqdm

from scoremachines.data.formats.items import Items
from scoremachines.data.formats.shards import from_shards
from scoremachines.data.images.left_out import Remarks, warn_of
from scoremachines.data.images.resize import Framing, widen
from scoremachines.data.sharded.files import ShardFiles
from scoremachines.data.sharded.manifest import (
    MANIFEST,
    Manifest,
    Shard,
    StoredFile,
    checksum,
    stored_file,
)
from scoremachines.data.sharded.pixels import ShardedPixels
from scoremachines.data.sharded.place import Place
from scoremachines.data.sharding.ahead import read_ahead
from scoremachines.data.sharding.sources import items_of
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole
from scoremachines.io.advice import Advice
from scoremachines.io.files import atomic_path, is_file
from scoremachines.io.folders import output_folder

__all__ = ["SHARD_BYTES", "shard"]

SHARD_BYTES = 2**28
"""Bytes of pixels in a shard, by default."""
PATIENCE = 50
"""Times that a manifest took to be written, until it is written again."""
OPTIONS = {"limit", "limits", "layout", "images_key", "labels_key"}


def shard(
    source: Any,
    output: str | Path,
    *,
    size: int | Sequence[int] | None = None,
    crop: str = "centre",
    channels: int | None = None,
    shard_size: int = SHARD_BYTES,
    threads: int | None = None,
    append: bool = False,
    resume: bool = False,
    **options: Any,
) -> TrainingSet:
    """Write a training set in shards, in as much memory as one shard takes.

    Whatever `threads` is, and wherever it was interrupted, the files have the same bytes.

    Args:
        source: a folder, zip or tar file of images, a folder of tar files as WebDataset has them,
            a folder that `datasets.Dataset.save_to_disk` wrote, whatever else `open_source`
            opens, a `TrainingSet`, or a data set of torch or Hugging Face, also a stream.
        output: the folder.
        size: as in `from_folder`.
        crop: as in `from_folder`.
        channels: as in `from_folder`; by default as many as the first image has.
        shard_size: bytes of the pixels of a shard, at most; at least one image is in each.
        threads: how many read and resize; by default one a processor.
        append: add to the set that the folder holds.
        resume: go on with what was interrupted, or write damaged shards again.
        **options: limit, limits, layout, images_key and labels_key, as in `open_source`.

    Returns:
        The set.

    Raises:
        InputError: source or folder cannot be used, an image is damaged or of another shape, or
            what is resumed was begun with other settings.
    """
    framing = Framing.of(size, crop, channels)
    whole("shard_size", shard_size, 1)
    threads = whole("threads", os.cpu_count() or 1 if threads is None else threads, 1)
    if unknown := options.keys() - OPTIONS:
        raise InputError("options", sorted(unknown), ", ".join(sorted(OPTIONS)))
    options = {name: value for name, value in options.items() if value is not None}
    output = Path(output)
    with output_folder(output, marker=MANIFEST, resume=append or resume) as folder:
        with items_of(source, framing, options) as items:
            settings = {"framing": [framing.size, crop, channels], "shard_size": shard_size}
            settings |= {"options": options, "items": items.identity}
            writing = _Writing(folder, items, json.loads(json.dumps(settings)))
            writing.begin(append=append, resume=resume)
            warn_of(items.left_out, output, stacklevel=3)
            writing.write(threads)
        return from_shards(folder)


class _Writing:
    """A set in shards that is being written or extended.

    Args:
        folder: that of the set.
        items: what is written.
        settings: by which it is recognised when it goes on.
    """

    def __init__(self, folder: Path, items: Items, settings: Mapping[str, Any]) -> None:
        self.folder, self.items, self.settings = folder, items, settings
        self.manifest: Manifest | None = None
        self.labels: list[int] = []
        self.names: list[str] = []
        self.count, self.buffer = 0, np.empty(0)
        self.numbers: list[int] = []
        self.due = 0.0  # when the manifest is to be written next

    def begin(self, *, append: bool, resume: bool) -> None:
        """Find out what is there, and refuse what does not go together."""
        if not is_file("output", self.folder / MANIFEST):
            return
        known = Place(str(self.folder)).manifest()
        made = known.making if known.making is not None else dict(known.made)
        if resume and not append and made != self.settings:
            changed = [name for name in self.settings if made.get(name) != self.settings[name]]
            reason = f"it was begun with other settings: {', '.join(changed)}"
            raise InputError("output", self.folder, "the settings that it was begun with", reason)
        if append and not (resume and made == self.settings):
            if known.making is not None:
                accepted = "a set that is finished, or to resume with the settings it has"
                raise InputError("output", self.folder, accepted, "it is being written")
            self.manifest = replace(known, making=self.settings)
            return
        first = known.sealed if known.making is not None else known.before
        for part in known.shards[:first]:
            if not self._is_whole(part):
                accepted = "a set whose former shards are whole"
                reason = f"{part.pixels.name} is damaged, and came from an earlier source"
                raise InputError("output", self.folder, accepted, reason)
        kept = first
        while kept < len(known.shards) and self._is_whole(known.shards[kept]):
            kept += 1
        self.manifest = replace(
            known, shards=known.shards[:kept], sealed=first, making=self.settings
        )

    def _is_whole(self, part: Shard) -> bool:
        def same(file: StoredFile) -> bool:
            path = self.folder / file.name
            present = is_file("output", path) and path.stat().st_size == file.bytes
            return present and checksum(path) == file.crc32

        return all(map(same, part.files))

    def write(self, threads: int) -> None:
        """Write the shards that are missing, then seal the set."""
        manifest = self.manifest
        fresh = manifest is None or len(manifest.shards) == manifest.sealed
        item, skip = (0, 0) if fresh or manifest is None else manifest.shards[-1].after
        remarks = Remarks()
        title = f"writing {self.folder.name}"
        with tqdm(total=self.items.count, desc=title, unit="image", initial=item) as progress:
            for number, frames in enumerate(read_ahead(self.items, item, threads), item):
                remarks.add(frames.name, frames.remarks)
                for place, (name, image) in enumerate(frames.images):
                    if number == item and place < skip:
                        continue
                    self._add(name, image, frames.label)
                    if self.count == len(self.buffer):
                        self._save((number, place + 1))
                progress.update()
        if self.count:
            self._save((number + 1, 0))
        remarks.warn(stacklevel=5)
        self._seal()

    def _add(self, name: str, image: np.ndarray, label: int | None) -> None:
        if self.manifest is None:
            self._start(image, label)
        manifest = self.manifest
        assert manifest is not None
        if not len(self.buffer):
            one = int(np.prod(manifest.shape)) * np.dtype(manifest.dtype).itemsize
            room = max(1, self.settings["shard_size"] // one)
            self.buffer = np.empty((room, *manifest.shape), manifest.dtype)
            self.numbers = self._classes(manifest)
        self.buffer[self.count] = self._fitting(name, image, manifest)
        self.count += 1
        self.names.append(name)
        if (label is not None) != self._labelled:
            accepted = "a label for every image, or for none"
            raise InputError("labels", label, accepted, f"{name!r} differs from those before it")
        if label is not None:
            self.labels.append(self.numbers[label] if self.numbers else label)

    def _start(self, image: np.ndarray, label: int | None) -> None:
        self.manifest = Manifest(
            self.items.name,
            tuple(image.shape),
            str(image.dtype),
            self.items.classes if label is not None else (),
            left_out=self.items.left_out,
            making=self.settings,
            labelled=label is not None,
            named=self.items.named,
        )
        self.manifest.write(self.folder)

    @property
    def _labelled(self) -> bool:
        assert self.manifest is not None
        return self.manifest.labelled

    def _classes(self, manifest: Manifest) -> list[int]:
        """Return the number that each class of the items has in the set, which may gain some."""
        classes = list(manifest.classes)
        classes += [name for name in self.items.classes if name not in classes]
        if self.items.classes and not manifest.classes and manifest.shards:
            accepted = "images without names of classes, like those of the set"
            raise InputError("labels", self.items.classes, accepted)
        if self._labelled:
            self.manifest = replace(manifest, classes=tuple(classes))
        return [classes.index(name) for name in self.items.classes]

    def _fitting(self, name: str, image: np.ndarray, manifest: Manifest) -> np.ndarray:
        """Return an image of the set's shape and kind, or refuse it."""
        if image.dtype == np.uint8 and image.shape[1:] == manifest.shape[1:]:
            image = widen(image, manifest.shape[0])
        if image.shape != manifest.shape or str(image.dtype) != manifest.dtype:
            found = f"{name!r} is {image.dtype} {list(image.shape)}"
            wanted = f"those before it {manifest.dtype} {list(manifest.shape)}"
            if image.shape[1:] != manifest.shape[1:]:
                advice = Advice("a size for all, such as {}", ("size", 32))
                raise InputError("size", None, advice, f"{found}, {wanted}")
            advice = Advice("channels for all, such as {}", ("channels", max(3, image.shape[0])))
            raise InputError("channels", manifest.shape[0], advice, f"{found}, {wanted}")
        return image

    def _save(self, after: tuple[int, int]) -> None:
        """Write the images so far as a shard."""
        manifest = self.manifest
        assert manifest is not None
        stem = f"shard-{len(manifest.shards):05d}"
        pixels = self._stored(f"{stem}.npy", self.buffer[: self.count])
        labels = names = None
        if manifest.labelled:
            labels = self._stored(f"{stem}.labels.npy", np.array(self.labels, np.int64))
        if manifest.named:
            path = self.folder / f"{stem}.names.json"
            with atomic_path(path) as partial:
                partial.write_text(json.dumps(self.names), encoding="utf-8")
            names = stored_file(path)
        added = Shard(self.count, pixels, labels, names, after)
        self.manifest = replace(manifest, shards=(*manifest.shards, added))
        begun = monotonic()
        if begun >= self.due:  # it may be long; shards that it lacks would be written again
            self.manifest.write(self.folder)
            self.due = monotonic() + PATIENCE * (monotonic() - begun)
        self.count, self.labels, self.names = 0, [], []

    def _stored(self, name: str, array: np.ndarray) -> StoredFile:
        path = self.folder / name
        with atomic_path(path) as partial:
            np.save(partial, array)
        return stored_file(path)

    def _seal(self) -> None:
        """Make all shards the set, with its fingerprint."""
        manifest = self.manifest
        if manifest is None:
            raise InputError("source", self.items.name, "a source with at least one image")
        whole_set = replace(
            manifest,
            sealed=len(manifest.shards),
            before=manifest.sealed,
            making=None,
            made=self.settings,
            fingerprint=None,
        )
        files = ShardFiles(Place(str(self.folder)), whole_set)
        labels = None
        if manifest.labelled:
            labels = files.labels()
        data = TrainingSet(ShardedPixels(files), labels, whole_set.classes)
        replace(whole_set, fingerprint=data.fingerprint()).write(self.folder)
