"""Keeping a machine in a folder, as `diffusers` keeps its models.

The folder holds `config.json`, the training set as `training_set.safetensors` and, where the
attention has a matrix or groups of its own, `attention.safetensors`. A training set in shards, or
one larger than `EMBEDDED` bytes that came from a file or folder, is not copied: its location and
the hash of its contents are stored, and checked when it is opened again; one that was resized or
cut since is copied all the same.

What is written can be read: a machine that no folder can hold is refused before anything is
written, and a folder that lacks a setting, or holds one that is unknown, is refused when read.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scoremachines.attention import Attention, ByGroup, Soft, build_attention, spec_of
from scoremachines.data.formats.safetensors import load_training_set, save_training_set
from scoremachines.data.open import open_source
from scoremachines.data.sharded.pixels import ShardedPixels
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import ENGINES, Engine, engine_spec
from scoremachines.errors import InputError
from scoremachines.io.files import atomic_path, exists, reading
from scoremachines.io.model_folder import CONFIG, check_keys, read_config
from scoremachines.io.sealed import load_tensors, write_tensors
from scoremachines.theory.schedule import NoiseSchedule, noise_schedule
from scoremachines.theory.specs import AttentionSpec

if TYPE_CHECKING:
    from scoremachines.machine.denoiser import DenoiserModel

__all__ = ["CHOICES", "EMBEDDED", "Parts", "load_parts", "machine_parts", "save_parts"]

EMBEDDED = 2**28
SET, MATRIX = "training_set.safetensors", "attention.safetensors"
IMPLIED = ("sample_size", "in_channels", "out_channels")
"""Settings that `diffusers` reads and that follow from the training set."""
ALWAYS = (*IMPLIED, "schedule", "prediction_type", "alphas_cumprod", "training_set", "dtype")
CHOICES = ("window", "sources", "attention", "smooth", "response", "engine", "memory")
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
}

Parts = tuple[dict[str, Any], dict[str, Tensor]]
"""Settings, and tensors by name, besides those of every model that has a training set."""


def save_parts(model: DenoiserModel, data: TrainingSet, folder: Path, parts: Parts) -> None:
    """Write a model with a training set into a folder, which is made if it is missing.

    Args:
        model: a machine or a baseline.
        data: its training set.
        folder: where to.
        parts: what its class keeps besides.

    Raises:
        InputError: its schedule or dtype cannot be kept, or the folder cannot be written.
    """
    _check_schedule(model.schedule)
    dtype = str(model.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise InputError("dtype", model.dtype, f"{', '.join(DTYPES)}, to be saved in a folder")
    with reading("path", folder, "a folder that can be written"):
        folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"_class_name": type(model).__name__}
    settings |= {key: value for key, value in model.config.items() if not key.startswith("_")}
    settings |= parts[0] | {"schedule": model.schedule.setting, "dtype": dtype}
    settings["training_set"] = _keep_training_set(data, folder)
    if parts[1]:
        write_tensors(folder / MATRIX, parts[1])
    else:
        (folder / MATRIX).unlink(missing_ok=True)  # of a machine that was saved there before
    with atomic_path(folder / CONFIG) as path:
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def machine_parts(attention: Attention, engine: Engine) -> Parts:
    """Return what a machine keeps besides: the tensors of its attention.

    Args:
        attention: of the machine.
        engine: of the machine.

    Returns:
        Settings and tensors.

    Raises:
        InputError: the attention or the engine is none that a name or a matrix brings back.
    """
    if engine_spec(engine) is None:
        accepted = f"{', '.join(ENGINES)}, to be saved in a folder"
        raise InputError("engine", engine.name, accepted)
    spec, tensors = spec_of(attention), _tensors(attention)
    if spec is None or spec.needs_network or not _brings_back(spec, tensors, attention):
        accepted = "a name or a matrix, to be saved in a folder"
        raise InputError("attention", attention.name, accepted)
    return {}, tensors


def _built(spec: AttentionSpec, tensors: dict[str, Tensor]) -> Attention:
    return build_attention(spec, matrix=tensors.get("matrix"), groups=tensors.get("groups"))


def _brings_back(spec: AttentionSpec, tensors: dict[str, Tensor], attention: Attention) -> bool:
    """Return whether a spec and tensors make the same attention again, layer by layer."""
    again: object = _built(spec, tensors)
    kept: object = attention
    while type(again) is type(kept) and hasattr(kept, "attention"):
        again, kept = getattr(again, "attention", None), kept.attention
    return type(again) is type(kept)


def _tensors(attention: Attention | None) -> dict[str, Tensor]:
    """Return the matrix and the groups that an attention holds, however deep."""
    found: dict[str, Tensor] = {}
    while attention is not None:
        if isinstance(attention, Soft):
            found["matrix"] = attention.matrix
        if isinstance(attention, ByGroup) and attention.groups is not None:
            found["groups"] = attention.groups
        attention = getattr(attention, "attention", None)
    return found


def _check_schedule(schedule: NoiseSchedule) -> None:
    """Refuse a schedule that its setting does not bring back."""
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)
    accepted = "cosine, linear or a table, to be saved in a folder"
    with reading("schedule", schedule.name, accepted):
        again = noise_schedule(schedule.setting)
        if not torch.equal(again.alpha_bar(grid), schedule.alpha_bar(grid)):
            raise InputError("schedule", schedule.name, accepted)


def _keep_training_set(data: TrainingSet, folder: Path) -> dict[str, str] | None:
    large = isinstance(data.pixels, ShardedPixels) or data.pixels.nbytes > EMBEDDED
    if data.location is not None and large:
        reference = {"location": str(data.location), "fingerprint": data.fingerprint()}
        with suppress(InputError):  # a set that was resized or cut is not what lies there
            _training_set(folder, reference)
            return reference
    save_training_set(data, folder / SET)
    return None


def load_parts(
    folder: Path, kind: str, choices: tuple[str, ...] = ()
) -> tuple[dict[str, Any], torch.dtype]:
    """Return what `save_parts` wrote into a folder.

    Args:
        folder: where from.
        kind: name of the class.
        choices: its settings besides those of every model with a training set: `CHOICES` for a
            machine.

    Returns:
        Arguments of the class, by name, the training set among them; and the dtype.

    Raises:
        InputError: no such model is in that folder, a setting is missing or unknown, or its
            training set has changed since.
    """
    settings = read_config(folder, kind)
    with reading("path", folder, "a folder written by save_pretrained"):
        check_keys(folder, settings, {*ALWAYS, *choices})
        if settings["dtype"] not in DTYPES:
            raise InputError("dtype", settings["dtype"], ", ".join(DTYPES))
        dtype = DTYPES[settings.pop("dtype")]
        data = _training_set(folder, settings.pop("training_set"))
        implied = [[*data.shape[1:]], data.shape[0], data.shape[0]]
        if [settings.pop(name) for name in IMPLIED] != implied:
            reason = f"{CONFIG} is for images of another shape than its training set"
            raise InputError("path", folder, "a folder as save_pretrained wrote it", reason)
        if "attention" in choices:
            settings["attention"] = _attention(settings, folder)
    return {"data": data, **settings}, dtype


def _attention(settings: dict[str, Any], folder: Path) -> Attention:
    spec, tensors = AttentionSpec.parse(settings["attention"]), dict[str, Tensor]()
    if spec.map == "matrix" or exists("path", folder / MATRIX):
        tensors = load_tensors(folder / MATRIX, sealed=False)[0]
    if not set(tensors) <= {"matrix", "groups"} or (spec.map == "matrix") != ("matrix" in tensors):
        raise InputError("path", folder / MATRIX, "the tensors of the machine's attention")
    return _built(spec, tensors)


def _training_set(folder: Path, reference: dict[str, str] | None) -> TrainingSet:
    if reference is None:
        return load_training_set(folder / SET)
    if set(reference) != {"location", "fingerprint"}:
        raise InputError("training_set", reference, "null, or location and fingerprint")
    data = open_source(reference["location"])
    if data.fingerprint() != reference["fingerprint"]:
        accepted = "the training set that the machine was saved with"
        raise InputError("location", reference["location"], accepted, "its contents have changed")
    return data
