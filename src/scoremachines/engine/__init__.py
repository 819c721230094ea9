"""Engines: the same answer, computed in different ways (theory §2)."""

from __future__ import annotations

from collections.abc import Callable

from scoremachines.engine.adaptive import AdaptiveEngine as AdaptiveEngine
from scoremachines.engine.native import NativeEngine as NativeEngine
from scoremachines.engine.native import native_instructions
from scoremachines.engine.protocol import Engine as Engine
from scoremachines.engine.protocol import Plan as Plan
from scoremachines.engine.protocol import Query as Query
from scoremachines.engine.reference import ReferenceEngine as ReferenceEngine
from scoremachines.engine.tiled import TorchEngine as TorchEngine
from scoremachines.errors import InputError

__all__ = [
    "ENGINES",
    "AdaptiveEngine",
    "Engine",
    "NativeEngine",
    "Plan",
    "Query",
    "ReferenceEngine",
    "TorchEngine",
    "make_engine",
]

ENGINES: dict[str, Callable[[int], Engine]] = {
    "reference": ReferenceEngine,
    "native": NativeEngine,
    "adaptive": AdaptiveEngine,
    "torch": TorchEngine,
}


def make_engine(name: str, memory: int = 2**30) -> Engine:
    """Return an engine by name.

    Args:
        name: a key of `ENGINES`, or `"auto"` for the fastest one at hand.
        memory: bytes that it may use above the training set.

    Returns:
        The engine.

    Raises:
        InputError: unknown name, or a budget that is not positive.
    """
    if name not in {"auto", *ENGINES}:
        raise InputError("engine", name, f"auto, {', '.join(ENGINES)}")
    if memory <= 0:
        raise InputError("memory", memory, "a positive number of bytes")
    if name == "auto":
        name = "native" if native_instructions() else "torch"
    return ENGINES[name](memory)
