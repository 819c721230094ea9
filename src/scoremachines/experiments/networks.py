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

from scoremachines.data.training_set import TrainingSet
from scoremachines.experiments.roles import Role
from scoremachines.io.files import exists
from scoremachines.io.sealed import read_json, write_json
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.metrics.agreement import pearson_r, summarise
from scoremachines.networks import Network
from scoremachines.networks.training.loop import Progress
from scoremachines.networks.training.run import train_in_folder
from scoremachines.networks.training.settings import TrainSettings
from scoremachines.sampling.sample import sample
from scoremachines.theory.specs import AttentionSpec

__all__ = [
    "CIRCULAR",
    "CNN",
    "CNN_LONG",
    "CURVE",
    "LONGER",
    "REPEATED",
    "ROLES",
    "ROUND",
    "SOFT",
    "SOFT_LONG",
    "TRAININGS",
    "WITH_WINDOWS",
    "Watch",
    "read_curve",
    "train_role",
]

CNN, SOFT, CIRCULAR = Role(), Role("soft"), Role(circular=True)
ROLES = (CNN, Role("identity"), Role("top1"), SOFT, Role("multiscale"), CIRCULAR)
"""The networks: zero padding and each final layer, and the CNN with circular padding."""
ROUND = tuple(Role(head, circular=True) for head in ("identity", "soft", "multiscale"))
"""Attention with circular padding: in the repository for `compare`, not in the experiment."""
LONGER = 2.5
"""How many times longer some are trained: until agreement stops rising."""
CNN_LONG, SOFT_LONG = replace(CNN, longer=True), replace(SOFT, longer=True)
REPEATED = tuple(role for role in ROLES if not role.circular)
"""Those that are trained from several seeds; of the others, one training is looked at."""
WITH_WINDOWS = (CNN_LONG, CIRCULAR)
"""Those whose k(t) is found: the machines of all with zero padding see through the first's."""
TRAININGS = (*ROLES, CNN_LONG, SOFT_LONG)
"""All networks that the experiment trains and samples."""
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
    machines: Mapping[str, AttentionSpec] = field(
        default_factory=lambda: {
            "ELS": AttentionSpec(),
            "tiled, of classes": AttentionSpec("tiled", "group"),
        }
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
