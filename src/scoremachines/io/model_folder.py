"""Models in folders: settings that are complete, weights that are complete and finite.

`diffusers` fills a setting or a weight that a folder lacks with its default, which is another
model. Everything that opens a model here checks the folder first, and never leaves this machine.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoremachines.errors import InputError
from scoremachines.io.files import is_folder, reading

if TYPE_CHECKING:
    from torch import nn

__all__ = ["CONFIG", "check_finite", "check_keys", "check_loading", "local_folder", "read_config"]

CONFIG = "config.json"


def local_folder(name: object, path: object, subfolder: object = None) -> Path:
    """Return a folder on this machine.

    Args:
        name: of the argument, for the error.
        path: the folder.
        subfolder: within it; None for the folder itself.

    Returns:
        The folder, which exists.

    Raises:
        InputError: there is no such folder; nothing is looked up on a network.
    """
    accepted = "a folder on this machine"
    with reading(str(name), path, accepted):
        folder = Path(path, subfolder or "")  # type: ignore[arg-type]
        if not is_folder(str(name), folder):
            raise InputError(str(name), path, accepted, "there is no such folder")
    return folder


def read_config(folder: Path, kind: str, argument: str = "path") -> dict[str, Any]:
    """Read the settings of a model.

    Args:
        folder: where it lies.
        kind: name of its class.
        argument: name of the argument that led to the folder, for the error.

    Returns:
        The settings, without the class and what else begins with an underscore.

    Raises:
        InputError: there are none, they are damaged, or they are those of another class.
    """
    accepted = f"a folder that {kind}.save_pretrained wrote"
    with reading(argument, folder, accepted):
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(settings, dict) or "_class_name" not in settings:
            raise InputError(argument, folder, accepted, f"{CONFIG} holds no settings of a model")
        if settings["_class_name"] != kind:
            reason = f"it holds a {settings['_class_name']}"
            raise InputError(argument, folder, accepted, reason)
    return {key: value for key, value in settings.items() if not key.startswith("_")}


def check_keys(
    folder: Path, settings: Collection[str], expected: Collection[str], argument: str = "path"
) -> None:
    """Refuse settings of which one is missing or unknown.

    Args:
        folder: where they lie, for the error.
        settings: the keys that were read.
        expected: the keys that must be there, and no others.
        argument: name of the argument that led to the folder, for the error.

    Raises:
        InputError: a key is missing or unknown.
    """
    missing, unknown = sorted({*expected} - {*settings}), sorted({*settings} - {*expected})
    if missing or unknown:
        word = f"lacks {', '.join(missing)}" if missing else f"holds unknown {', '.join(unknown)}"
        accepted = f"{CONFIG} with exactly {', '.join(sorted(expected))}"
        raise InputError(argument, folder, accepted, f"{CONFIG} {word}")


def check_loading(folder: Path, found: dict[str, Any], argument: str = "path") -> None:
    """Refuse weights of which one is missing, unknown or of another shape.

    Args:
        folder: where they lie, for the error.
        found: what `from_pretrained(..., output_loading_info=True)` of `diffusers` reports.
        argument: name of the argument that led to the folder, for the error.

    Raises:
        InputError: naming the first such weight.
    """
    for key, word in (
        ("missing_keys", "lacks"),
        ("unexpected_keys", "holds unknown"),
        ("mismatched_keys", "holds of another shape"),
    ):
        if found.get(key):
            reason = f"its weights file {word} {sorted(map(str, found[key]))[0]}"
            raise InputError(argument, folder, "a model with all of its weights", reason)


def check_finite(model: nn.Module, argument: str, value: object) -> None:
    """Refuse weights that are NaN or infinite.

    Args:
        model: the network.
        argument: name of the argument that led to it, for the error.
        value: its folder or name, for the error.

    Raises:
        InputError: naming the first such parameter or buffer.
    """
    import torch

    accepted = "a network whose weights are finite"
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            reason = f"parameter {name} holds NaN or infinite values"
            raise InputError(argument, value, accepted, reason)
    for name, buffer in model.named_buffers():  # a mask may be infinite
        if torch.isnan(buffer).any():
            raise InputError(argument, value, accepted, f"buffer {name} holds NaN")
