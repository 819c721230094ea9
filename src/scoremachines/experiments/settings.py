"""Settings of the experiment, in plain Python, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass, field

from scoremachines.data.settings import DataSettings
from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.errors import InputError, whole

__all__ = ["CRAFTED", "PRESETS", "ConsistencySettings", "Preset"]

CRAFTED = DataSettings(source="shapes", shapes=ShapesConfig(size=12, n=500, feature_size=3))
"""The crafted set: 500 images of 12×12 pixels, three 3×3 squares of one of three colours."""


@dataclass(frozen=True)
class Preset:
    """How large an experiment is.

    Attributes:
        n: samples of each network and machine.
        sweep_n: samples of each point of a sweep.
        steps: of sampling machines.
        network_steps: of sampling networks, which takes no time.
        training_steps: of each network; None for the networks that the package brings along.
        all_machines: also those that the story does not need, and the sweeps.
    """

    n: int
    sweep_n: int
    steps: int
    network_steps: int
    training_steps: int | None
    all_machines: bool


PRESETS = {
    "quick": Preset(
        n=100, sweep_n=16, steps=8, network_steps=50, training_steps=None, all_machines=False
    ),
    "paper": Preset(
        n=500, sweep_n=100, steps=20, network_steps=150, training_steps=20_000, all_machines=True
    ),
}


@dataclass(frozen=True)
class ConsistencySettings(DataSettings):
    """Everything that decides what the experiment finds.

    Raises:
        InputError: if a setting is out of range.
    """

    source: str | None = CRAFTED.source
    """the training set: shapes, the crafted set, which has a judge"""
    shapes: ShapesConfig = field(default=CRAFTED.shapes)
    """the crafted set"""
    preset: str = "quick"
    """quick: with the networks that the package brings along; paper: everything trained"""
    n: int | None = None
    """samples of each network and machine; by default 100, or 500 with the preset paper"""
    training_steps: int | None = None
    """train networks for so many steps instead of using the preset's"""
    training_seeds: int = 3
    """trainings of each network"""
    steps: int | None = None
    """steps of machines from noise to image; by default 8, or 20 with the preset paper"""
    network_steps: int | None = None
    """steps of networks; by default 50, or 150 with the preset paper, as Kamb & Ganguli took"""
    seed: int = 0
    """seed of the starting noise"""
    sweeps: bool | None = None
    """also vary patch size, steps, scheduler, training images and features; by default with the
    preset paper only"""
    real: bool = True
    """also compare networks and machines on handwritten digits"""
    workers: int = 2
    """processes; changes no result"""
    device: str = "auto"
    """auto, cpu or cuda"""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise InputError("preset", self.preset, ", ".join(PRESETS))
        for name in ("n", "training_steps", "training_seeds", "steps", "network_steps", "workers"):
            value = getattr(self, name)
            if value is None and name not in ("training_seeds", "workers"):
                continue
            object.__setattr__(self, name, whole(name, value, 1))
        object.__setattr__(self, "seed", whole("seed", self.seed))
        if self.source != "shapes":
            raise InputError("source", self.source, "shapes, which has a judge")

    @property
    def varies(self) -> bool:
        """Whether there are sweeps."""
        return self.scale.all_machines if self.sweeps is None else self.sweeps

    @property
    def data(self) -> DataSettings:
        """The crafted set alone."""
        return DataSettings(
            **{name: getattr(self, name) for name in DataSettings.__dataclass_fields__}
        )

    @property
    def scale(self) -> Preset:
        """The preset, with what was set otherwise."""
        preset = PRESETS[self.preset]
        return Preset(
            n=self.n or preset.n,
            sweep_n=min(self.n or preset.sweep_n, preset.sweep_n),
            steps=self.steps or preset.steps,
            network_steps=self.network_steps or preset.network_steps,
            training_steps=self.training_steps or preset.training_steps,
            all_machines=preset.all_machines,
        )
