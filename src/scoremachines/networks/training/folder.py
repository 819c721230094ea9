"""The folder of a training, written and opened again.

settings.yaml           what was requested; `--config` reads it
run.json                the same, and the images' fingerprint, to be compared on resuming
training_set.safetensors    the images, where the settings name no source
network/                the averaged weights, as `diffusers` keeps a model
checkpoint.safetensors  where the training stands
loss.csv, loss.png, tensorboard/    the loss curve
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from diffusers.utils import SAFETENSORS_WEIGHTS_NAME as WEIGHTS

from scoremachines.data.formats.safetensors import load_training_set
from scoremachines.data.open import open_data
from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import atomic_path, exists, is_file, partial_path, reading
from scoremachines.io.model_folder import CONFIG
from scoremachines.io.plots import axes_side_by_side, save_figure
from scoremachines.io.sealed import load_tensors, write_tensors
from scoremachines.io.settings_file import read_settings_file
from scoremachines.networks.network import Network
from scoremachines.networks.settings import NetworkSettings
from scoremachines.networks.training.settings import TrainSettings
from scoremachines.runs.record import SETTINGS, recorded

__all__ = [
    "CHECKPOINT",
    "IMAGES",
    "NETWORK",
    "RECORD",
    "load_network",
    "load_run_data",
    "load_settings",
    "network_seal",
    "save_curve",
    "save_network",
]

NETWORK, RECORD = "network", "run.json"
CHECKPOINT, IMAGES = "checkpoint.safetensors", "training_set.safetensors"


def load_network(path: str | Path) -> Network:
    """Open a network that was trained or saved.

    Args:
        path: folder of a training, or one written by `save_pretrained`.

    Returns:
        The network, in evaluation mode.

    Raises:
        InputError: there is none, or it is damaged.
    """
    accepted = "a folder of `scoremachines train` or of save_pretrained"
    with reading("network", path, accepted):
        trained = is_file("network", Path(path) / SETTINGS)
        folder = Path(path) / NETWORK if trained else Path(path)
        if not is_file("network", folder / CONFIG):
            reason = "it has no checkpoint yet" if trained else "there is no network in it"
            raise InputError("network", path, accepted, reason)
        _verify(folder, sealed=trained)
        return Network.opened(folder, "network").eval()


def load_settings(folder: str | Path) -> TrainSettings:
    """Read the settings of a training.

    Args:
        folder: of the training.

    Returns:
        The settings.

    Raises:
        InputError: there are none, or they are damaged.
    """
    with reading("folder", folder, "a folder of `scoremachines train`"):
        values = read_settings_file("folder", Path(folder) / SETTINGS)
        shapes, network = ShapesConfig(**values["shapes"]), NetworkSettings(**values["network"])
        return TrainSettings(**(values | {"shapes": shapes, "network": network}))


def load_run_data(folder: str | Path) -> TrainingSet:
    """Open the images that a network was trained on.

    Args:
        folder: of the training.

    Returns:
        The training set.

    Raises:
        InputError: it cannot be opened, or has changed since.
    """
    folder = Path(folder)
    settings = load_settings(folder)
    images = folder / IMAGES
    data = open_data(settings) if settings.source is not None else load_training_set(images)
    if data.fingerprint() != recorded(folder, RECORD).get("fingerprint"):
        accepted = "the images that the network was trained on"
        raise InputError("source", settings.source, accepted, "they have changed")
    return data


def save_network(network: Network, folder: Path) -> None:
    """Write a network into a training's folder, each of its files whole or not at all.

    Args:
        network: with averaged weights.
        folder: of the training.

    Raises:
        InputError: it cannot be written.
    """
    final = Path(folder) / NETWORK
    partial = partial_path(final)
    with reading("output", folder, "a place that can be written to and has room"):
        try:
            network.save_pretrained(partial)
            weights, _ = load_tensors(partial / WEIGHTS, sealed=False)
            write_tensors(partial / WEIGHTS, weights, network_seal(partial / CONFIG))
            final.mkdir(exist_ok=True)
            for path in sorted(partial.iterdir()):
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
                os.replace(path, final / path.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def network_seal(config: Path) -> dict[str, str]:
    """Return what a file of weights carries to be recognised by `load_network`.

    Args:
        config: `config.json` beside it, which is sealed with the weights.

    Returns:
        Metadata.
    """
    return {"format": "pt", "config": hashlib.sha256(config.read_bytes()).hexdigest()}


def _verify(folder: Path, *, sealed: bool) -> None:
    """Refuse weights or settings that are not as they were written."""
    weights = folder / WEIGHTS
    if not sealed and not exists(
        "network", weights
    ):  # of other software: `diffusers` finds what there is
        return
    _, about = load_tensors(weights, sealed=sealed)
    if about.get("config", "") not in ("", network_seal(folder / CONFIG)["config"]):
        raise ValueError(f"its {CONFIG} has been changed")


def save_curve(history: Sequence[tuple[int, float, float]], folder: Path, *, draw: bool) -> None:
    """Write the loss curve as a table and as a picture with a logarithmic axis.

    Args:
        history: step, loss and learning rate of every point.
        folder: of the training.
        draw: write the picture too.

    Raises:
        InputError: it cannot be written.
    """
    with atomic_path(folder / "loss.csv") as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("step", "loss", "learning_rate"))
        writer.writerows(history)
    if not draw or not history:
        return
    axes = axes_side_by_side(1, 5.0, 3.6)[0]
    axes.plot(
        [step for step, _, _ in history],
        [loss for _, loss, _ in history],
        linewidth=1,
        marker=".",
        markersize=2,
    )
    axes.set(xlabel="step", ylabel="mean square error, smoothed", yscale="log")
    save_figure(axes.figure, folder / "loss.png")  # type: ignore[arg-type]
