"""scoremachines: the analytic theory of creativity in diffusion models, in closed form.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from scoremachines.guard import guard_package

guard_package(__name__)

if TYPE_CHECKING:
    from scoremachines.baselines import Wiener as Wiener
    from scoremachines.calibration import calibrate as calibrate
    from scoremachines.data.arrays import from_array as from_array
    from scoremachines.data.bundled import digits as digits
    from scoremachines.data.bundled import photographs as photographs
    from scoremachines.data.datasets import from_dataset as from_dataset
    from scoremachines.data.folder import from_folder as from_folder
    from scoremachines.data.folder import from_picture as from_picture
    from scoremachines.data.folder import from_zip as from_zip
    from scoremachines.data.idx import from_idx as from_idx
    from scoremachines.data.numpy_files import from_numpy as from_numpy
    from scoremachines.data.shapes import shapes as shapes
    from scoremachines.data.shapes_config import ShapesConfig as ShapesConfig
    from scoremachines.data.source import open_source as open_source
    from scoremachines.data.stored import load_training_set as load_training_set
    from scoremachines.data.stored import save_training_set as save_training_set
    from scoremachines.data.training_set import TrainingSet as TrainingSet
    from scoremachines.errors import InputError as InputError
    from scoremachines.experiment import Comparison as Comparison
    from scoremachines.experiment import compare as compare
    from scoremachines.locality import WindowSchedule as WindowSchedule
    from scoremachines.machine import ScoreMachine as ScoreMachine
    from scoremachines.proportion import Proportion as Proportion
    from scoremachines.named import bbels as bbels
    from scoremachines.named import els as els
    from scoremachines.named import equivariant as equivariant
    from scoremachines.named import ideal as ideal
    from scoremachines.named import local as local
    from scoremachines.named import named_machine as named_machine
    from scoremachines.nets.adapter import adapt as adapt
    from scoremachines.nets.network import Network as Network
    from scoremachines.nets.settings import NetworkSettings as NetworkSettings
    from scoremachines.posterior import Posterior as Posterior
    from scoremachines.result import Result as Result
    from scoremachines.sampling import sample as sample
    from scoremachines.trajectory import starting_noise as starting_noise

__version__ = "0.1.0"

_HOMES = {
    "Comparison": "experiment",
    "InputError": "errors",
    "Network": "nets.network",
    "NetworkSettings": "nets.settings",
    "Posterior": "posterior",
    "Proportion": "proportion",
    "Result": "result",
    "ScoreMachine": "machine",
    "ShapesConfig": "data.shapes_config",
    "TrainingSet": "data.training_set",
    "Wiener": "baselines",
    "WindowSchedule": "locality",
    "adapt": "nets.adapter",
    "bbels": "named",
    "calibrate": "calibration",
    "compare": "experiment",
    "digits": "data.bundled",
    "els": "named",
    "equivariant": "named",
    "from_array": "data.arrays",
    "from_dataset": "data.datasets",
    "from_folder": "data.folder",
    "from_idx": "data.idx",
    "from_numpy": "data.numpy_files",
    "from_picture": "data.folder",
    "from_zip": "data.folder",
    "ideal": "named",
    "load_training_set": "data.stored",
    "local": "named",
    "named_machine": "named",
    "open_source": "data.source",
    "photographs": "data.bundled",
    "sample": "sampling",
    "save_training_set": "data.stored",
    "shapes": "data.shapes",
    "starting_noise": "trajectory",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
