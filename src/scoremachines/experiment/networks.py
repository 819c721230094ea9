"""The networks of the paper's experiment: which there are, and how they are trained (theory §5).

Each is trained in a folder of its own, `ROLE-SEED`, where an interrupted training goes on. On the
way the networks of the first seed are set beside machines from the same noise, so that the curve
of agreement against training steps shows when it stops rising.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from scoremachines.agreement import pearson_r, summarise
from scoremachines.data.training_set import TrainingSet
from scoremachines.files import exists
from scoremachines.machine import ScoreMachine
from scoremachines.nets import Network, NetworkSettings
from scoremachines.sampling import sample
from scoremachines.sealed import read_json, write_json
from scoremachines.training.loop import Progress
from scoremachines.training.run import train_in_folder
from scoremachines.training.settings import TrainSettings

__all__ = [
    "CALIBRATED",
    "CURVE",
    "LONG",
    "LONGER",
    "REPEATED",
    "ROLES",
    "ROUND",
    "TRAININGS",
    "Watch",
    "shape_of",
    "train_role",
]

ROLES: dict[str, NetworkSettings] = {
    "cnn": NetworkSettings(),
    "identity": NetworkSettings(attention="identity"),
    "top1": NetworkSettings(attention="top1"),
    "soft": NetworkSettings(attention="soft"),
    "multiscale": NetworkSettings(attention="multiscale"),
    "circular": NetworkSettings(padding="circular"),
}
"""The networks by name: zero padding and each final layer, and the CNN with circular padding."""
ROUND: dict[str, NetworkSettings] = {
    f"{role}-circular": replace(ROLES[role], padding="circular")
    for role in ("identity", "soft", "multiscale")
}
"""Attention with circular padding: brought along for `compare`, not sampled by the experiment."""
LONG = "-long"
LONGER = 2.5
"""Networks whose name ends so are trained so many times longer: until agreement stops rising."""
REPEATED = ("cnn", "identity", "top1", "soft", "multiscale")
"""Those that are trained from several seeds; of the others, one training is looked at."""
CALIBRATED = ("cnn-long", "circular")
"""Those whose k(t) is found: the machines of all with zero padding see through the first's."""
TRAININGS = (*ROLES, "cnn-long", "soft-long")
"""The names of all networks."""
CURVE = "agreement.json"
"""Where the curve of agreement against training steps is kept, beside the checkpoint."""
WATCH_SEED = 2**20
"""Seed of the noise that networks are watched from: not one that samples are judged from."""


@dataclass
class Watch:
    """Sets a network in training beside machines, from the same noise, every few steps.

    Args:
        data: the training set.
        sources: of the machines.
        every: steps between two points.
        n: number of samples.
        steps: of sampling.
    """

    data: TrainingSet
    sources: str
    every: int = 1000
    n: int = 24
    steps: int = 20
    machines: Mapping[str, str] = field(
        default_factory=lambda: {"ELS": "none", "tiled, of classes": "tiled-class"}
    )
    _images: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __call__(self, progress: Progress, folder: Path, last: int) -> None:
        """Add a point to the folder's curve, if it is time for one."""
        if progress.step % self.every and progress.step != last:
            return
        network = progress.average()
        images = self._sampled(network)
        point: dict[str, float] = {"step": progress.step, "loss": progress.loss}
        for name in self.machines:
            point[name] = summarise(pearson_r(images, self._machine(name, network))).median
        points = [each for each in read_curve(folder) if each["step"] < progress.step]
        write_json(folder / CURVE, {"points": [*points, point]})

    def _machine(self, name: str, network: Network) -> Tensor:
        if name not in self._images:
            window = min(network.receptive_field, *network.shape[1:])
            attention = self.machines[name]
            machine = ScoreMachine(self.data, window, self.sources, attention)
            self._images[name] = self._sampled(machine)
        return self._images[name]

    def _sampled(self, model: Network | ScoreMachine) -> Tensor:
        return sample(model, self.n, self.steps, WATCH_SEED, best=0, data=self.data).images


def shape_of(name: str) -> NetworkSettings:
    """Return the shape of a network by its name, one of `TRAININGS` or `ROUND`."""
    return ROUND.get(name) or ROLES[name.removesuffix(LONG)]


def read_curve(folder: str | Path) -> list[dict[str, float]]:
    """Return the points of a folder's curve of agreement: step, loss and r by machine.

    Args:
        folder: of the training.

    Returns:
        The points, by rising step; none if the training was not watched.

    Raises:
        InputError: the file is damaged.
    """
    path = Path(folder) / CURVE
    if not exists("folder", path):
        return []
    accepted = "a folder with a curve of agreement as it was left"
    return list(read_json(path, argument="folder", accepted=accepted)["points"])


def train_role(
    data: TrainingSet, settings: TrainSettings, folder: Path, watch: Watch | None = None
) -> Network:
    """Train one of the networks, or carry out what is left to do of it.

    Args:
        data: the training set.
        settings: of the training.
        folder: of the training.
        watch: records the curve of agreement; None for none.

    Returns:
        The network.

    Raises:
        InputError: settings, images or folder cannot be used.
    """

    def on_step(progress: Progress) -> None:
        if watch is not None:
            watch(progress, folder, settings.steps)

    read_curve(folder)  # refuses a damaged one before any work
    return train_in_folder(data, settings, folder, resume=True, on_step=on_step)
