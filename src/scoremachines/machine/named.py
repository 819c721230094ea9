"""KG's five machines by name (theory §3): rows of one table, not classes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scoremachines.data.training_set import TrainingSet
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.theory.locality import Window
from scoremachines.theory.specs.machine import MachineSpec, kg_machine

__all__ = ["bbels", "els", "equivariant", "ideal", "local", "named_machine"]


def ideal(data: TrainingSet, **options: Any) -> ScoreMachine:
    """IS, the ideal score: the exact posterior mean, which only replays training images."""
    return ScoreMachine(data, None, "same", **options)


def equivariant(data: TrainingSet, **options: Any) -> ScoreMachine:
    """ES: the ideal score of the training set and all its cyclic shifts."""
    return ScoreMachine(data, None, "wrapped", **options)


def local(
    data: TrainingSet, window: Window | Mapping[float, int] = 7, **options: Any
) -> ScoreMachine:
    """LS: every pixel sees a window, and draws from the same place of the training images."""
    return ScoreMachine(data, window, "same", **options)


def els(
    data: TrainingSet, window: Window | Mapping[float, int] = 7, **options: Any
) -> ScoreMachine:
    """ELS: every pixel sees a window, and draws from every place."""
    return ScoreMachine(data, window, "inside", **options)


def bbels(
    data: TrainingSet, window: Window | Mapping[float, int] = 7, **options: Any
) -> ScoreMachine:
    """Boundary-broken ELS: as ELS, but the border of the image can be felt through the window."""
    return ScoreMachine(data, window, "broken", **options)


def named_machine(
    name: str | MachineSpec,
    data: TrainingSet,
    window: Window | Mapping[float, int] = 7,
    **options: Any,
) -> ScoreMachine:
    """Return one of KG's machines by name.

    Args:
        name: a key of `KG_MACHINES`, or another name of the same, such as `"LS"`.
        data: the training set.
        window: k or k(t); not used by `"ideal"` and `"equivariant"`.
        **options: as in `ScoreMachine`, `attention` among them.

    Returns:
        The machine.

    Raises:
        InputError: unknown name.
    """
    spec = kg_machine(name)
    window = None if spec.sees_whole_image else window
    return ScoreMachine(data, window, spec.sources, **options)
