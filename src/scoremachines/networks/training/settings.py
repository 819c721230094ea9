"""Settings of a training, in plain Python, so that `--help` is instant.

Each field of the dataclass is an option of the command line and a key of `settings.yaml`; the text
below it is the option's help.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scoremachines.data.settings import DataSettings
from scoremachines.errors import MOST, InputError, real, whole
from scoremachines.networks.settings import NetworkSettings

__all__ = ["FREE", "PRECISIONS", "TrainSettings"]

PRECISIONS = ("auto", "no", "bf16")
TIMES = ("even", "middle")
DEVICES = ("auto", "cpu", "cuda")
FREE = ("device", "threads", "save_every")
"""Settings that may differ when a training is continued."""
WHOLE = {"steps": 1, "batch": 1, "warmup": 0, "seed": 0, "threads": 1}
WHOLE |= {"save_every": 1, "log_every": 1}
"""Settings that are whole numbers, and the least that each may be."""


@dataclass(frozen=True)
class TrainSettings(DataSettings):
    """Everything that decides which network a training ends with.

    Raises:
        InputError: if a setting is out of range.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    """what the network is made of"""
    schedule: str = "cosine"
    """how noise grows with time: cosine or linear"""
    steps: int = 10000
    """steps of the optimiser"""
    batch: int = 64
    """images in a step"""
    learning_rate: float = 2e-3
    """largest learning rate; falls along a cosine to 0 at the last step"""
    warmup: int = 300
    """steps in which the learning rate rises to its largest value"""
    weight_decay: float = 0.0
    """weight decay of AdamW"""
    betas: tuple[float, float] = (0.9, 0.99)
    """decay of AdamW's two moments"""
    times: str = "middle"
    """noise levels in a batch: even in t, or more from the middle, where shapes are decided"""
    ema: float = 0.999
    """decay of the moving average of the weights, which makes the network"""
    precision: str = "auto"
    """no, bf16, or auto: bf16 where the device is quick at it"""
    seed: int = 0
    """seed of the first weights and of every step"""
    device: str = "auto"
    """auto, cpu or cuda"""
    threads: int = 1
    """threads of the CPU; another number changes the last digits of the weights"""
    save_every: int = 500
    """steps between two checkpoints"""
    log_every: int = 10
    """steps between two points of the loss curve"""

    def __post_init__(self) -> None:
        for name, least in WHOLE.items():
            most = MOST if name == "steps" else None
            object.__setattr__(self, name, whole(name, getattr(self, name), least, most))
        choices = {"precision": PRECISIONS, "device": DEVICES, "times": TIMES}
        for name, accepted in choices.items():
            if getattr(self, name) not in accepted:
                raise InputError(name, getattr(self, name), ", ".join(accepted))
        if not _within(self.learning_rate, 0, math.inf) or self.learning_rate == 0:
            raise InputError("learning_rate", self.learning_rate, "a positive number")
        if not _within(self.weight_decay, 0, math.inf):
            raise InputError("weight_decay", self.weight_decay, "a number of at least 0")
        if not _within(self.ema, 0, 1):
            raise InputError("ema", self.ema, "a number from 0 to below 1")
        pair = isinstance(self.betas, tuple | list) and len(self.betas) == 2
        if not pair or not all(_within(beta, 0, 1) for beta in self.betas):
            raise InputError("betas", self.betas, "two numbers from 0 to below 1")
        object.__setattr__(self, "betas", tuple(self.betas))


def _within(value: object, low: float, high: float) -> bool:
    """Return whether a value is a number in [low, high)."""
    try:
        return low <= real("value", value) < high
    except InputError:
        return False
