"""`scoremachines train`: one network, one training set, one folder."""

from __future__ import annotations

from pathlib import Path

from scoremachines.data.open import open_data
from scoremachines.io.files import folder_path
from scoremachines.networks.training.run import train_in_folder
from scoremachines.networks.training.settings import TrainSettings

__all__ = ["train"]


def train(settings: TrainSettings, output: str, *, resume: bool = False) -> Path:
    """Train a network, write everything into a folder, and print the path of the network.

    Args:
        settings: of the training.
        output: the folder.
        resume: go on with the training that the folder holds.

    Returns:
        The folder.

    Raises:
        InputError: a setting, the training set or the folder cannot be used.
    """
    folder = folder_path("output", output)
    network = train_in_folder(open_data(settings), settings, folder, resume=resume)
    weights = sum(each.numel() for each in network.parameters())
    print(f"{weights} weights, {settings.steps} steps; loss: {folder / 'loss.png'}")
    print(f"network: {folder / 'network'}")
    return folder
