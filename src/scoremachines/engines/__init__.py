"""Engines: the posterior of theory §2 by different algorithms and on different devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scoremachines.engines.auto import AutoEngine as AutoEngine
from scoremachines.engines.base import Differentiable as Differentiable
from scoremachines.engines.base import Engine as Engine
from scoremachines.engines.base import Held as Held
from scoremachines.engines.base import Plan as Plan
from scoremachines.engines.base import Pull as Pull
from scoremachines.engines.base import Query as Query
from scoremachines.engines.certified.engine import AdaptiveEngine as AdaptiveEngine
from scoremachines.engines.native.engine import NativeEngine as NativeEngine
from scoremachines.engines.native.engine import native_instructions as native_instructions
from scoremachines.engines.reference import ReferenceEngine as ReferenceEngine
from scoremachines.engines.tiled.engine import TorchEngine as TorchEngine
from scoremachines.engines.triton.engine import FusedEngine as FusedEngine
from scoremachines.errors import whole
from scoremachines.io.plugins import ENGINES as GROUP
from scoremachines.io.plugins import names, plugin
from scoremachines.theory.specs.engine import ENGINES as OPTIONS
from scoremachines.theory.specs.engine import EngineSpec

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
    "as_engine",
    "engine_spec",
    "make_engine",
    "native_instructions",
]

ENGINES: dict[str, Callable[..., Engine]] = {
    "reference": ReferenceEngine,
    "native": NativeEngine,
    "adaptive": AdaptiveEngine,
    "torch": TorchEngine,
    "cuda": FusedEngine,
    "auto": AutoEngine,
}


def make_engine(engine: str | EngineSpec, memory: int = 2**30) -> Engine:
    """Return an engine by its name or spec.

    Args:
        engine: such as `"native"` or `"adaptive:tolerance=0.001"`; `"auto"` is the fastest one at
            hand for each device.
        memory: bytes that it may use above the training set.

    Returns:
        The engine.

    Raises:
        InputError: unknown name, an engine that cannot run here, or a budget that is not positive.
    """
    spec = EngineSpec.parse(engine)
    options: dict[str, Any] = dict(spec.options)
    kind = ENGINES[spec.name] if spec.name in ENGINES else plugin(GROUP, spec.name)
    return kind(whole("memory", memory, 1), **options)


def as_engine(engine: str | EngineSpec | Engine, memory: int) -> Engine:
    """Return an engine as it is, or the one that a name or spec means; see `make_engine`."""
    return make_engine(engine, memory) if isinstance(engine, str | EngineSpec) else engine


def engine_spec(engine: Engine) -> EngineSpec | None:
    """Return the spec that describes an engine, options that are not the default among it.

    Args:
        engine: the engine.

    Returns:
        The spec; None for an engine of another package.
    """
    if engine.name in names(GROUP) and type(engine) is plugin(GROUP, engine.name):
        return EngineSpec(engine.name)
    if type(engine) is not ENGINES.get(engine.name):
        return None
    usual = ENGINES[engine.name](1)
    found = {name: getattr(engine, name) for name in OPTIONS[engine.name]}
    changed = {name: value for name, value in found.items() if value != getattr(usual, name)}
    return EngineSpec(engine.name, **changed)
