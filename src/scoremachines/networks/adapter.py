"""Let other people's networks stand where a `Network` or a machine can (theory §5).

`adapt(my_module, shape=(3, 16, 16))` takes a module, `load_diffusers("my_ddpm/")` a folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffusers import UNet2DModel
from torch import nn

from scoremachines.errors import InputError
from scoremachines.io.files import is_folder, reading
from scoremachines.io.model_folder import check_finite, check_loading, local_folder
from scoremachines.machine.schedulers import read_scheduler
from scoremachines.networks.adapted import AdaptedNetwork
from scoremachines.networks.calls import original

__all__ = ["AdaptedNetwork", "adapt", "load_diffusers"]

STEPWISE = "a network that takes a timestep, or `call`"


def adapt(
    module: nn.Module, *, shape: tuple[int, int, int] | None = None, **options: Any
) -> AdaptedNetwork:
    """Let a network made elsewhere stand where a `Network` or a machine can.

    Args:
        module: any module that is called as `module(φ, timestep)`, such as a `diffusers`
            `UNet2DModel`; any other through the option `call`.
        shape: C, H and W of its images; a `UNet2DModel` has it in its config.
        **options: as `AdaptedNetwork` takes them.

    Returns:
        The network, with `denoise`, `score`, `epsilon` and `attention`.

    Raises:
        InputError: an argument is out of range, or a `UNet2DModel` takes no timestep (fourier
            time embedding).
    """
    if isinstance(original(module), UNet2DModel):
        config: Any = module.config
        embedding = config.time_embedding_type
        if embedding == "fourier" and "call" not in options:
            raise InputError("module", "a UNet2DModel with fourier time embedding", STEPWISE)
        size = config.sample_size
        if shape is None and size is not None:
            shape = (config.in_channels, *(size if isinstance(size, list | tuple) else [size] * 2))
        known = {"classes": config.num_class_embeds or 0}
        options = {**known, "whole_steps": embedding == "learned", **options}
    if shape is None:
        raise InputError("shape", None, "channels, height and width of the images")
    return AdaptedNetwork(module, shape, **options)


def load_diffusers(folder: str | Path, **options: Any) -> AdaptedNetwork:
    """Read a `UNet2DModel` from a folder on this machine; nothing is looked up on a network.

    Args:
        folder: holds the model, or a pipeline with `unet/` and `scheduler/`, whose scheduler then
            gives `alphas_cumprod`, `prediction_type` and the limits of x̂0.
        **options: as `adapt` takes them, in place of what the folder has.

    Returns:
        The network.

    Raises:
        InputError: no such model is in that folder.
    """
    folder = local_folder("folder", folder)
    whole = is_folder("folder", folder / "unet")
    place = folder / "unet" if whole else folder
    accepted = "a folder that holds a UNet2DModel with safetensors weights, or its pipeline"
    with reading("folder", folder, accepted):
        kind = json.loads((place / "config.json").read_text(encoding="utf-8"))["_class_name"]
        if kind != "UNet2DModel":
            raise InputError("folder", folder, accepted, f"it holds a {kind}")
        module, found = UNet2DModel.from_pretrained(
            place, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        check_loading(place, found, "folder")
        check_finite(module, "folder", place)
        if is_folder("folder", folder / "scheduler"):
            options = {"scheduler": read_scheduler(folder / "scheduler", "folder"), **options}
    return adapt(module, **options)
