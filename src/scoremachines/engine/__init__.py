"""Engines: the same answer, computed in different ways (theory §2)."""

from __future__ import annotations

from collections.abc import Callable

from scoremachines.engine.adaptive import AdaptiveEngine as AdaptiveEngine
from scoremachines.engine.choice import AutoEngine as AutoEngine
from scoremachines.engine.fused import FusedEngine as FusedEngine
from scoremachines.engine.native import NativeEngine as NativeEngine
from scoremachines.engine.native import native_instructions as native_instructions
from scoremachines.engine.protocol import Differentiable as Differentiable
from scoremachines.engine.protocol import Engine as Engine
from scoremachines.engine.protocol import Held as Held
from scoremachines.engine.protocol import Plan as Plan
from scoremachines.engine.protocol import Pull as Pull
from scoremachines.engine.protocol import Query as Query
from scoremachines.engine.reference import ReferenceEngine as ReferenceEngine
from scoremachines.engine.tiled import TorchEngine as TorchEngine
from scoremachines.errors import InputError, whole

__all__ = [
    "ENGINES",
    "AdaptiveEngine",
    "AutoEngine",
    "Differentiable",
    "Engine",
    "FusedEngine",
    "Held",
    "NativeEngine",
    "Plan",
    "Pull",
    "Query",
    "ReferenceEngine",
    "TorchEngine",
    "make_engine",
    "native_instructions",
]

ENGINES: dict[str, Callable[[int], Engine]] = {
    "reference": ReferenceEngine,
    "native": NativeEngine,
    "adaptive": AdaptiveEngine,
    "torch": TorchEngine,
    "cuda": FusedEngine,
    "auto": AutoEngine,
}


def make_engine(name: str, memory: int = 2**30) -> Engine:
    """Return an engine by name.

    Args:
        name: a key of `ENGINES`; `"auto"` is the fastest one at hand for each device.
        memory: bytes that it may use above the training set.

    Returns:
        The engine.

    Raises:
        InputError: unknown name, an engine that cannot run here, or a budget that is not positive.
    """
    if name not in ENGINES:
        raise InputError("engine", name, ", ".join(ENGINES))
    return ENGINES[name](whole("memory", memory, 1))
