"""scoremachines: the analytic theory of creativity in diffusion models, in closed form.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from scoremachines._version import __version__ as __version__
from scoremachines.io.guard import guard_package

guard_package(__name__)

if TYPE_CHECKING:
    from scoremachines.calibration import calibrate as calibrate
    from scoremachines.data.bundled import digits as digits
    from scoremachines.data.bundled import photographs as photographs
    from scoremachines.data.formats.arrays import from_array as from_array
    from scoremachines.data.formats.datasets import from_dataset as from_dataset
    from scoremachines.data.formats.folder import from_folder as from_folder
    from scoremachines.data.formats.folder import from_picture as from_picture
    from scoremachines.data.formats.idx import from_idx as from_idx
    from scoremachines.data.formats.numpy_files import from_numpy as from_numpy
    from scoremachines.data.formats.safetensors import load_training_set as load_training_set
    from scoremachines.data.formats.safetensors import save_training_set as save_training_set
    from scoremachines.data.formats.shards import from_shards as from_shards
    from scoremachines.data.formats.tars import from_tar as from_tar
    from scoremachines.data.formats.zips import from_zip as from_zip
    from scoremachines.data.open import open_source as open_source
    from scoremachines.data.sharding.write import shard as shard
    from scoremachines.data.synthetic.shapes import shapes as shapes
    from scoremachines.data.synthetic.shapes_config import ShapesConfig as ShapesConfig
    from scoremachines.data.training_set import TrainingSet as TrainingSet
    from scoremachines.errors import InputError as InputError
    from scoremachines.experiments import Comparison as Comparison
    from scoremachines.experiments import compare as compare
    from scoremachines.machine.baselines import Wiener as Wiener
    from scoremachines.machine.named import bbels as bbels
    from scoremachines.machine.named import els as els
    from scoremachines.machine.named import equivariant as equivariant
    from scoremachines.machine.named import ideal as ideal
    from scoremachines.machine.named import local as local
    from scoremachines.machine.named import named_machine as named_machine
    from scoremachines.machine.score_machine import ScoreMachine as ScoreMachine
    from scoremachines.networks.adapter import adapt as adapt
    from scoremachines.networks.network import Network as Network
    from scoremachines.networks.settings import NetworkSettings as NetworkSettings
    from scoremachines.sampling.result import Result as Result
    from scoremachines.sampling.reverse_process import starting_noise as starting_noise
    from scoremachines.sampling.sample import sample as sample
    from scoremachines.theory.locality import WindowSchedule as WindowSchedule
    from scoremachines.theory.posterior import Posterior as Posterior
    from scoremachines.theory.proportion import Proportion as Proportion


_HOMES = {
    "Comparison": "experiments",
    "InputError": "errors",
    "Network": "networks.network",
    "NetworkSettings": "networks.settings",
    "Posterior": "theory.posterior",
    "Proportion": "theory.proportion",
    "Result": "sampling.result",
    "ScoreMachine": "machine.score_machine",
    "ShapesConfig": "data.synthetic.shapes_config",
    "TrainingSet": "data.training_set",
    "Wiener": "machine.baselines",
    "WindowSchedule": "theory.locality",
    "adapt": "networks.adapter",
    "bbels": "machine.named",
    "calibrate": "calibration",
    "compare": "experiments",
    "digits": "data.bundled",
    "els": "machine.named",
    "equivariant": "machine.named",
    "from_array": "data.formats.arrays",
    "from_dataset": "data.formats.datasets",
    "from_folder": "data.formats.folder",
    "from_idx": "data.formats.idx",
    "from_numpy": "data.formats.numpy_files",
    "from_picture": "data.formats.folder",
    "from_tar": "data.formats.tars",
    "from_shards": "data.formats.shards",
    "from_zip": "data.formats.zips",
    "ideal": "machine.named",
    "load_training_set": "data.formats.safetensors",
    "local": "machine.named",
    "named_machine": "machine.named",
    "open_source": "data.open",
    "photographs": "data.bundled",
    "sample": "sampling.sample",
    "save_training_set": "data.formats.safetensors",
    "shard": "data.sharding.write",
    "shapes": "data.synthetic.shapes",
    "starting_noise": "sampling.reverse_process",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
