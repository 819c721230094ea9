"""A training set in one file: pixels and labels as tensors, the rest as JSON beside them."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.files import reading
from scoremachines.sealed import load_tensors, write_tensors

__all__ = ["load", "save"]

SUFFIX = ".safetensors"
KEY = "scoremachines.TrainingSet"


def save(data: TrainingSet, path: Path) -> None:
    """Write a set; see `TrainingSet.save`.

    Args:
        data: the set.
        path: the file.

    Raises:
        InputError: if the file is not named as a `.safetensors` or cannot be written.
    """
    if path.suffix != SUFFIX:
        raise InputError("path", path, f"a file name that ends in {SUFFIX}")
    about = {"name": data.name, "classes": data.classes, "names": data.names}
    tensors = {"pixels": data.pixels.contiguous()}
    if data.labels is not None:
        tensors["labels"] = data.labels.contiguous()
    if data.judge is not None:
        about |= _shapes(data.judge)
    write_tensors(path, tensors, {KEY: json.dumps(about)})


def load(path: Path) -> TrainingSet:
    """Read a set; see `TrainingSet.load`.

    Args:
        path: the file.

    Returns:
        The set.

    Raises:
        InputError: if the file is missing, damaged or holds something else.
    """
    accepted = "a training set that was written by TrainingSet.save"
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


def _shapes(judge: Any) -> dict[str, Any]:
    """Return what a crafted set's judge is made of, or nothing for another judge."""
    from scoremachines.data.shapes_config import ShapesConfig

    config = getattr(judge, "config", None)
    if not isinstance(config, ShapesConfig):
        warnings.warn("this judge is not that of a crafted set and is not saved", stacklevel=4)
        return {}
    return {"shapes": asdict(config)}


def _judge(data: TrainingSet, shapes: dict[str, Any]) -> object:
    """Return the judge of a crafted set, made from its settings."""
    from scoremachines.data.judge import Judge
    from scoremachines.data.shapes_config import ShapesConfig

    return Judge(data, ShapesConfig(**shapes))
