"""Keeping a machine in a folder, as `diffusers` keeps its models.

The folder holds `config.json`, the training set as `training_set.safetensors` and, where the
attention is a matrix, `attention.safetensors`. A training set larger than `EMBEDDED` bytes that
came from a file or folder is not copied: its location and the hash of its contents are stored, and
checked when it is opened again; one that was resized or cut since is copied all the same.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file

from scoremachines.attention import TOLD, MultiScale, Soft, attention_names
from scoremachines.data.source import open_source
from scoremachines.data.training_set import TrainingSet
from scoremachines.engine import AdaptiveEngine
from scoremachines.errors import InputError
from scoremachines.files import atomic_path, reading, write_tensors

if TYPE_CHECKING:
    from scoremachines.machine import ScoreMachine

__all__ = ["EMBEDDED", "load_parts", "save_parts"]

EMBEDDED = 2**28
SET, MATRIX, CONFIG = "training_set.safetensors", "attention.safetensors", "config.json"
IMPLIED = ("sample_size", "in_channels", "out_channels")
"""Settings that `diffusers` reads and that follow from the training set."""


def save_parts(machine: ScoreMachine, folder: Path) -> None:
    """Write a machine into a folder, which is made if it is missing.

    Args:
        machine: the machine.
        folder: where to.

    Raises:
        InputError: the attention is a function, which no file can hold, or the folder cannot be
            written.
    """
    if machine.attention.name not in {*attention_names(), "soft"}:
        accepted = "a name or a matrix, to be saved in a folder"
        raise InputError("attention", machine.attention.name, accepted)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("path", folder, "a folder that can be written", str(error)) from None
    settings: dict[str, Any] = {"_class_name": type(machine).__name__}
    settings |= {key: value for key, value in machine.config.items() if not key.startswith("_")}
    settings["training_set"] = _keep_training_set(machine.data, folder)
    if isinstance(machine.attention, Soft):
        write_tensors(folder / MATRIX, {"matrix": machine.attention.matrix})
        settings["strength"] = machine.attention.strength
    attention = getattr(machine.attention, "attention", machine.attention)
    if isinstance(attention, MultiScale):
        settings["scales"] = attention.windows
    if isinstance(machine.engine, AdaptiveEngine):
        settings["tolerance"] = machine.engine.tolerance
    with atomic_path(folder / CONFIG) as path:
        path.write_text(json.dumps(settings, indent=2) + "\n")


def _keep_training_set(data: TrainingSet, folder: Path) -> dict[str, str] | None:
    if data.location is not None and data.pixels.nbytes > EMBEDDED:
        reference = {"location": str(data.location), "fingerprint": data.fingerprint()}
        with suppress(InputError):  # a set that was resized or cut is not what lies there
            _training_set(folder, reference)
            return reference
    data.save(folder / SET)
    return None


def load_parts(folder: Path) -> dict[str, Any]:
    """Return the arguments of the machine that `save_parts` wrote into a folder.

    Args:
        folder: where from.

    Returns:
        Arguments of `ScoreMachine`, by name.

    Raises:
        InputError: no machine is in that folder, or its training set has changed since.
    """
    with reading("path", folder, "a folder written by save_pretrained"):
        settings = json.loads((folder / CONFIG).read_text())
        reference = settings.pop("training_set")
        if settings["attention"] == "soft":
            matrix = load_file(folder / MATRIX)["matrix"]
            settings["attention"] = Soft(matrix, settings.pop("strength"))
        if "scales" in settings:
            scales = MultiScale(settings.pop("scales"))
            told = TOLD.get(settings["attention"].removeprefix(scales.name))
            settings["attention"] = scales if told is None else told(scales)
        if "tolerance" in settings:
            settings["engine"] = AdaptiveEngine(settings["memory"], settings.pop("tolerance"))
    known = {key: settings[key] for key in settings if key not in IMPLIED and key[0] != "_"}
    return {"data": _training_set(folder, reference), **known}


def _training_set(folder: Path, reference: dict[str, str] | None) -> TrainingSet:
    if reference is None:
        return TrainingSet.load(folder / SET)
    data = open_source(Path(reference["location"]))
    if data.fingerprint() != reference["fingerprint"]:
        accepted = "the training set that the machine was saved with"
        raise InputError("location", reference["location"], accepted, "its contents have changed")
    return data
