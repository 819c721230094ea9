"""Training of networks: from a training set to a folder that holds its network (theory §5).

Names are imported when they are first used, so that settings can be read without loading torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from scoremachines.networks.training.settings import TrainSettings as TrainSettings

if TYPE_CHECKING:
    from scoremachines.networks.training.folder import load_network as load_network
    from scoremachines.networks.training.folder import load_run_data as load_run_data
    from scoremachines.networks.training.folder import load_settings as load_settings
    from scoremachines.networks.training.loop import Progress as Progress
    from scoremachines.networks.training.loop import Training as Training
    from scoremachines.networks.training.run import new_network as new_network
    from scoremachines.networks.training.run import train as train
    from scoremachines.networks.training.run import train_in_folder as train_in_folder

_HOMES = {
    "Progress": "loop",
    "Training": "loop",
    "load_network": "folder",
    "load_run_data": "folder",
    "load_settings": "folder",
    "new_network": "run",
    "train": "run",
    "train_in_folder": "run",
}

__all__ = [*_HOMES, "TrainSettings"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
