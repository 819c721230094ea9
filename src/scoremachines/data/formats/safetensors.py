"""A training set in one file: pixels and labels as tensors, the rest as JSON beside them."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scoremachines.data.images.room import check_room
from scoremachines.data.registry import Reader
from scoremachines.data.synthetic.judge import Judge
from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import reading
from scoremachines.io.sealed import load_tensors, write_tensors

__all__ = ["STORED", "load_training_set", "save_training_set"]

SUFFIX = ".safetensors"
KEY = "scoremachines.TrainingSet"


def save_training_set(data: TrainingSet, path: str | Path) -> None:
    """Write a training set to one file, all or nothing.

    A judge is kept if it is that of a crafted set.

    Args:
        data: the set.
        path: the file, whose name ends in `.safetensors`.

    Raises:
        InputError: if the file is named otherwise or cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError("path", path, f"a file name that ends in {SUFFIX}")
    check_room("data", data.name, data.pixels.nbytes)
    names = None if data.names is None else list(data.names)
    about = {"name": data.name, "classes": data.classes, "names": names}
    tensors = {"pixels": data.pixels[:].contiguous()}
    if data.labels is not None:
        tensors["labels"] = data.labels.contiguous()
    if data.judge is not None:
        about |= _shapes(data.judge)
    write_tensors(path, tensors, {KEY: json.dumps(about)})


def load_training_set(path: str | Path) -> TrainingSet:
    """Read a training set that was written by `save_training_set`.

    Args:
        path: the file.

    Returns:
        The same set, located at `path`.

    Raises:
        InputError: if the file is missing, damaged or holds something else.
    """
    path, accepted = Path(path), "a training set that was written by save_training_set"
    with reading("path", path, accepted):
        tensors, metadata = load_tensors(path, sealed=False)
        if not (KEY in metadata and "pixels" in tensors):
            raise InputError("path", path, accepted, "the file holds something else")
        about: dict[str, Any] = json.loads(metadata[KEY])
        shapes = about.pop("shapes", None)
        data = TrainingSet(tensors["pixels"], tensors.get("labels"), location=path, **about)
        if shapes is not None:
            data.judge = _judge(data, shapes)
        return data


STORED = Reader(lambda path: path.suffix.lower() == SUFFIX, load_training_set)


def _shapes(judge: Any) -> dict[str, Any]:
    """Return what a crafted set's judge is made of, or nothing for another judge."""
    config = getattr(judge, "config", None)
    if not isinstance(config, ShapesConfig):
        warnings.warn("this judge is not that of a crafted set and is not saved", stacklevel=4)
        return {}
    return {"shapes": asdict(config)}


def _judge(data: TrainingSet, shapes: dict[str, Any]) -> object:
    """Return the judge of a crafted set, made from its settings."""
    return Judge(data, ShapesConfig(**shapes))
