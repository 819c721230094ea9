"""The trainings of an experiment: of its own, or brought along (theory §5).

Each network has a folder, `ROLE-SEED`, where an interrupted training goes on. Points of the sweeps
over the training set have networks of their own, `IMAGES-100-ROLE-0`.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from scoremachines.calibration import Calibration, calibrate
from scoremachines.data.open import open_data
from scoremachines.data.settings import DataSettings
from scoremachines.errors import InputError
from scoremachines.experiments.machines import CALIBRATION
from scoremachines.experiments.networks import (
    LONGER,
    REPEATED,
    TRAININGS,
    WITH_WINDOWS,
    Watch,
    train_role,
)
from scoremachines.experiments.plan import ANEW, Anew, Trained, changed_sets
from scoremachines.experiments.roles import Role
from scoremachines.experiments.settings import ConsistencySettings
from scoremachines.io.files import exists
from scoremachines.io.sealed import kept
from scoremachines.networks import NetworkSettings
from scoremachines.networks.settings import PADDINGS
from scoremachines.networks.training.settings import TrainSettings

__all__ = ["SHIPPED", "network_folder", "network_settings", "networks", "trained_anew"]

SHIPPED = files("scoremachines.experiments") / "checkpoints"
"""Small networks that the package brings along; `networks` made them."""


def network_settings(
    shape: NetworkSettings, seed: int, steps: int, data: DataSettings, device: str = "auto"
) -> TrainSettings:
    """Return how one of the experiment's networks is trained.

    Args:
        shape: of the network.
        seed: of the training.
        steps: of the training.
        data: the training set.
        device: auto, cpu or cuda.

    Returns:
        The settings.
    """
    source = {name: getattr(data, name) for name in DataSettings.__dataclass_fields__}
    return TrainSettings(
        **source,
        network=shape,
        steps=steps,
        learning_rate=5e-3,
        precision="bf16",
        seed=seed,
        device=device,
        save_every=1000,
        log_every=50,
    )


def networks(settings: ConsistencySettings, folder: Path) -> dict[tuple[Role, int], Path]:
    """Return the folders of the crafted set's networks, training those that are missing.

    Args:
        settings: of the experiment.
        folder: where they are trained; those that the package brings along lie elsewhere.

    Returns:
        Folders by role and training seed.

    Raises:
        InputError: the settings do not fit the networks that the package brings along.
    """
    if settings.scale.training_steps is None and settings.data != ConsistencySettings().data:
        accepted = "the set as it is, or --training_steps to train networks on another"
        raise InputError("shapes", settings.data.shapes, accepted)
    return {
        (role, seed): network_folder(role, seed, settings.data, settings, folder)
        for role in TRAININGS
        for seed in range(settings.training_seeds if role in REPEATED else 1)
    }


def network_folder(
    role: Role,
    seed: int,
    data_settings: DataSettings,
    settings: ConsistencySettings,
    folder: Path,
    prefix: str = "",
) -> Path:
    """Return the folder of one network, trained and calibrated or brought along."""
    steps = settings.scale.training_steps
    if steps is None:
        path = Path(str(SHIPPED)) / f"{prefix}{role.folder}-{seed}"
        if not exists("output", path / "config.json"):
            accepted = "at most 3, or --training_steps to train your own"
            raise InputError("training_seeds", settings.training_seeds, accepted)
        return path
    steps = round(steps * LONGER) if role.longer else steps
    shape, data = role.network, open_data(data_settings)
    path = folder / f"{prefix}{role.folder}-{seed}"
    wanted = network_settings(shape, seed, steps, data_settings, settings.device)
    watch = None
    if role.longer and data.judge is not None:
        every, n = max(1, steps // 10), min(24, settings.scale.n)
        watch = Watch(data, PADDINGS[shape.padding], every, n, settings.scale.steps)
    network = train_role(data, wanted, path, watch)
    own = data_settings.source != "shapes" or role in WITH_WINDOWS
    known = path / CALIBRATION
    if own and kept(known, lambda: Calibration.load(known)) is None:
        calibration = calibrate(
            network, data, steps=settings.scale.steps, seeds=min(8, settings.scale.n), seed=1
        )
        calibration.save(known)
    return path


def trained_anew(settings: ConsistencySettings, trained: Trained, folder: Path) -> Anew:
    """Return networks for every point of the sweeps over the training set.

    Args:
        settings: of the experiment.
        trained: its networks; a point that has the experiment's own set takes them from here.
        folder: where the others are trained.

    Returns:
        Folders by sweep, value and role; none where networks are brought along.
    """
    if settings.scale.training_steps is None:
        return {}
    found = {}
    for sweep, sets in changed_sets(settings).items():
        for value, data in sets.items():
            prefix = f"{sweep.split()[-1]}-{value}-"
            for role in ANEW:
                path = trained[role, 0]
                if data != settings.data:
                    path = network_folder(role, 0, data, settings, folder, prefix)
                found[sweep, value, role] = path
    return found
