"""The network that a command is given: a folder, or a function of the user's own code."""

from __future__ import annotations

import importlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from scoremachines.data.open import open_data
from scoremachines.data.settings import DataSettings
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import exists, is_file, reading
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.networks.adapter import adapt, load_diffusers
from scoremachines.networks.training import load_network, load_run_data
from scoremachines.runs.record import SETTINGS

__all__ = ["log_facts", "network_data", "open_network"]

LOG = logging.getLogger(__name__)

FUNCTION = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
"""How a function is named: `package.module:function`."""


def open_network(name: str | Path) -> DenoiserModel:
    """Open a network: ours, a model or pipeline of `diffusers`, or what a function returns.

    Args:
        name: a folder of a training, or one that `save_pretrained` wrote; or
            `package.module:function`, called without arguments, which returns a
            `DenoiserModel` or a module that `adapt` takes.

    Returns:
        The network, in evaluation mode.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if re.fullmatch(FUNCTION, str(name)) and not exists("network", name):
        return _returned(str(name))
    folder = Path(name)
    if is_file("network", folder / SETTINGS):
        return load_network(folder)
    if is_file("network", folder / "model_index.json"):
        ours = _kind(folder / "unet") == "Network"
        return load_network(folder / "unet") if ours else load_diffusers(folder)
    return load_network(folder) if _kind(folder) in (None, "Network") else load_diffusers(folder)


def _kind(folder: Path) -> str | None:
    """Return the class of the model in a folder; None if there is none."""
    config = folder / "config.json"
    if not is_file("network", config):
        return None
    with reading("network", folder, "a folder that holds a network"):
        return str(json.loads(config.read_text(encoding="utf-8"))["_class_name"])


def _returned(name: str) -> DenoiserModel:
    """Return the network that a function of the user's own code makes."""
    module, _, attribute = name.partition(":")
    accepted = "package.module:function, which returns a torch.nn.Module when it is called"
    with reading("network", name, accepted), _importable(Path.cwd()):
        made: Any = getattr(importlib.import_module(module), attribute)
        if not isinstance(made, nn.Module):
            made = made()
        if not isinstance(made, nn.Module):
            given = f"it returns a {type(made).__name__}"
            raise InputError("network", name, accepted, given)
        network = made if isinstance(made, DenoiserModel) else adapt(made)
    return network.eval()


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules be imported from a folder, as `python -m` does."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def network_data(name: str | Path, settings: DataSettings) -> TrainingSet:
    """Open the images that a network was trained on.

    Args:
        name: the network, as `open_network` takes it.
        settings: which images to take instead; those of the training if they name no source.

    Returns:
        The training set.

    Raises:
        InputError: it cannot be opened, or nothing records which images they are.
    """
    if settings.source is not None:
        return open_data(settings)
    if not re.fullmatch(FUNCTION, str(name)) and is_file("network", Path(name) / SETTINGS):
        return load_run_data(name)
    reason = f"{name} has no record of what it was trained on"
    raise InputError("source", None, "images, such as --source pictures/ --size 32", reason)


def log_facts(network: DenoiserModel) -> None:
    """Log how a network is read."""
    LOG.info("; ".join(f"{name}: {text}" for name, text in network.facts().items()))
