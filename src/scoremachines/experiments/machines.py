"""The machines that a network is compared with, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scoremachines.attention import Attention, build_attention
from scoremachines.calibration import Calibration, StrengthCalibration
from scoremachines.calibration.curves import known_sources
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import exists
from scoremachines.machine.by_name import make_denoiser
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.named import named_machine
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.theory.locality import Window
from scoremachines.theory.specs import AttentionSpec, GainSchedule, MachineSpec

__all__ = [
    "CALIBRATION",
    "STRENGTH",
    "make_machine",
    "make_machines",
    "network_attention",
    "network_strength",
    "network_window",
]

CALIBRATION = "calibration.json"
"""Where k(t) is kept, beside a checkpoint."""
STRENGTH = "strength.json"
"""Where λ(t) is kept, beside a checkpoint."""


def network_window(network: DenoiserModel, folder: str | Path | None = None) -> Window:
    """Return the window that a network's machine sees through, where the user does not choose it.

    Args:
        network: the network.
        folder: where its checkpoint and, perhaps, its calibration lie.

    Returns:
        k(t) as calibrated, or else the receptive field, as far as it fits into the images.

    Raises:
        InputError: it is not calibrated and its receptive field is unknown, or the calibration is
            damaged.
    """
    if folder is not None and exists("network", Path(folder) / CALIBRATION):
        return Calibration.load(Path(folder) / CALIBRATION).schedule
    field = getattr(network, "receptive_field", None)
    if field is None:
        reason = "it is not calibrated, and its receptive field is unknown"
        raise InputError("window", None, "pixels a side, or k(t)", reason)
    most = min(field, *network.shape[1:])
    return most if most % 2 else most - 1


def make_machines(
    machines: Sequence[str | MachineSpec | AttentionSpec],
    network: DenoiserModel,
    data: TrainingSet,
    window: Window,
    sources: str | None = None,
    strength: GainSchedule | None = None,
    **options: Any,
) -> dict[str, DenoiserModel]:
    """Return machines by name, on a network's schedule and device; see `make_machine`.

    Args:
        machines: the machines, or their names.
        network: the network.
        data: the training set of all.
        window: k or k(t); None for the whole image.
        sources: of the machines with an attention.
        strength: λ(t) of machines whose gain is calibrated.
        **options: `engine` and `memory`, as in `ScoreMachine`.

    Returns:
        The machines by name, in the order given.

    Raises:
        InputError: there is no such machine, or it does not fit the network.
    """
    specs = [MachineSpec.parse(machine) for machine in machines]
    return {
        str(spec): make_machine(spec, network, data, window, sources, strength, **options)
        for spec in specs
    }


def make_machine(
    machine: str | MachineSpec | AttentionSpec,
    network: DenoiserModel,
    data: TrainingSet,
    window: Window,
    sources: str | None = None,
    strength: GainSchedule | None = None,
    **options: Any,
) -> DenoiserModel:
    """Return the machine that a network is to be compared with, on its schedule and device.

    Args:
        machine: the machine, or its name.
        network: the network, for its schedule, its sources and its own attention maps.
        data: the training set of both.
        window: k or k(t); None for the whole image.
        sources: of a machine with an attention; by default what the network's padding stands for
            (theory §5).
        strength: λ(t), where the gain of the attention is `"calibrated"`.
        **options: `engine` and `memory`, as in `ScoreMachine`.

    Returns:
        The machine.

    Raises:
        InputError: there is no such machine, or it does not fit the network.
    """
    spec = MachineSpec.parse(machine)
    made: DenoiserModel
    if spec.name is not None and spec.is_denoiser:
        made = make_denoiser(spec.name, data, window, network.schedule)
    elif spec.name is not None:
        made = named_machine(spec, data, window, schedule=network.schedule, **options)
    else:
        attention = network_attention(spec.attention, network, strength)
        where = known_sources(network, data, sources)
        options |= {"schedule": network.schedule, "smooth": spec.smooth}
        options["response"] = spec.response
        made = ScoreMachine(data, window, where, attention, **options)
    return made.to(network.device)


def network_attention(
    attention: str | AttentionSpec, network: DenoiserModel, strength: GainSchedule | None = None
) -> Attention:
    """Return an attention, with a network's own maps where it needs them.

    Args:
        attention: its name or spec.
        network: the network.
        strength: λ(t), where the gain is `"calibrated"`.

    Returns:
        The attention.

    Raises:
        InputError: there is none of that name, the network shows no maps, or its gain was not
            calibrated.
    """
    maps = getattr(network, "attention", None)
    spec = AttentionSpec.parse(attention)
    return build_attention(spec, maps=maps if callable(maps) else None, calibrated=strength)


def network_strength(folder: str | Path) -> GainSchedule | None:
    """Return λ(t) as it was calibrated for a network.

    Args:
        folder: where its checkpoint lies.

    Returns:
        λ(t); None if it was not calibrated.

    Raises:
        InputError: the calibration is damaged.
    """
    path = Path(folder) / STRENGTH
    return StrengthCalibration.load(path) if exists("network", path) else None
