"""Keeping a machine in a folder, as `diffusers` keeps its models.

The folder holds `config.json`, the training set as `training_set.safetensors` and, where the
attention is a matrix, `attention.safetensors`. A training set larger than `EMBEDDED` bytes that
came from a file or folder is not copied: its location and the hash of its contents are stored, and
checked when it is opened again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors.torch import load_file, save_file

from scoremachines.attention import ATTENTIONS, Soft
from scoremachines.data.source import open_source
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.files import atomic_path

if TYPE_CHECKING:
    from scoremachines.machine import ScoreMachine

__all__ = ["EMBEDDED", "PretrainedMachine"]

EMBEDDED = 2**28
SET, MATRIX, CONFIG = "training_set.safetensors", "attention.safetensors", "config.json"
Machine = TypeVar("Machine", bound="PretrainedMachine")


class PretrainedMachine:
    """`save_pretrained` and `from_pretrained` of a machine."""

    def save_pretrained(
        self: ScoreMachine, save_directory: str | Path, *args: object, **kwargs: object
    ) -> None:
        """Write the machine into a folder.

        Args:
            save_directory: the folder; made if it is missing.
            *args: accepted for `diffusers`, which passes formats that do not apply here.
            **kwargs: likewise.

        Raises:
            InputError: the attention is a function, which no file can hold, or the folder cannot
                be written.
        """
        if self.attention.name not in {*ATTENTIONS, "soft"}:
            raise InputError(
                "attention", self.attention.name, "a name or a matrix, to be saved in a folder"
            )
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        settings = dict(self.config)
        settings["training_set"] = self._keep_training_set(folder)
        if isinstance(self.attention, Soft):
            with atomic_path(folder / MATRIX) as path:
                save_file({"matrix": self.attention.matrix.contiguous()}, path)
            settings["strength"] = self.attention.strength
        settings = {key: value for key, value in settings.items() if not key.startswith("_")}
        settings["_class_name"] = type(self).__name__
        with atomic_path(folder / CONFIG) as path:
            path.write_text(json.dumps(settings, indent=2) + "\n")

    def _keep_training_set(self: ScoreMachine, folder: Path) -> dict[str, str] | None:
        data = self.data
        if data.location is not None and data.pixels.nbytes > EMBEDDED:
            return {"location": str(data.location), "fingerprint": data.fingerprint()}
        data.save(folder / SET)
        return None

    @classmethod
    def from_pretrained(
        cls: type[Machine], pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> Machine:
        """Read a machine from a folder that `save_pretrained` wrote.

        Args:
            pretrained_model_name_or_path: the folder; nothing is looked up on a network.
            **kwargs: `subfolder`, and `torch_dtype` for the machine's dtype; others that
                `diffusers` passes do not apply here.

        Raises:
            InputError: no machine is in that folder, or its training set has changed since.
        """
        folder = Path(pretrained_model_name_or_path, kwargs.get("subfolder") or "")
        try:
            settings = json.loads((folder / CONFIG).read_text())
        except (OSError, json.JSONDecodeError) as error:
            accepted = "a folder written by save_pretrained"
            raise InputError("path", folder, accepted, str(error)) from None
        data = _training_set(folder, settings.pop("training_set"))
        attention = settings.pop("attention")
        if attention == "soft":
            attention = Soft(load_file(folder / MATRIX)["matrix"], settings.pop("strength"))
        fixed = {"sample_size", "in_channels", "out_channels"}
        known = {key: value for key, value in settings.items() if key not in fixed}
        known = {key: value for key, value in known.items() if not key.startswith("_")}
        machine = cls(data, attention=attention, **known)
        dtype = kwargs.get("torch_dtype") or kwargs.get("dtype")
        return machine.to(dtype) if isinstance(dtype, torch.dtype) else machine


def _training_set(folder: Path, reference: dict[str, str] | None) -> TrainingSet:
    if reference is None:
        return TrainingSet.load(folder / SET)
    data = open_source(reference["location"])
    if data.fingerprint() != reference["fingerprint"]:
        accepted = "the training set that the machine was saved with"
        raise InputError("location", reference["location"], accepted, "its contents have changed")
    return data
