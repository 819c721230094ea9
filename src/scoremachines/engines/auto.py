"""The `auto` engine: the fastest one at hand for the device on which the images are."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from scoremachines.data.training_set import pixel_values
from scoremachines.engines.base import Differentiable, Engine, Held, Plan, Pull, Query
from scoremachines.engines.native.engine import (
    NativeEngine,
    native_instructions,
    warn_if_missing,
)
from scoremachines.engines.tiled.engine import TorchEngine
from scoremachines.engines.triton.engine import FusedEngine, obstacle
from scoremachines.theory.posterior import Posterior

__all__ = ["AutoEngine", "limit_threads"]


class AutoEngine:
    """Hands every question to an engine made for the query's device.

    A machine moves with `.to()` after its engine has been chosen, so the choice is made anew for
    every query: `cuda` on an NVIDIA GPU, `native` on a CPU, `torch` elsewhere and without them.

    Args:
        memory: bytes that the engine may use above the training set.
    """

    name = "auto"
    smooths = True

    def __init__(self, memory: int = 2**30) -> None:
        self.memory = memory
        self.engines: dict[str, Engine] = {}

    @property
    def threaded(self) -> bool:
        """Whether the CPU's engine shares its work among threads."""
        return bool(getattr(self.on(torch.device("cpu")), "threaded", False))

    @property
    def accepts_uint8(self) -> bool:
        """Whether images may come as they are stored: the CPU's engine reads them so."""
        return bool(getattr(self.on(torch.device("cpu")), "accepts_uint8", False))

    def on(self, device: torch.device) -> Engine:
        """Return the engine for a device.

        Args:
            device: where images are.

        Returns:
            The engine, the same one each time.
        """
        if device.type not in self.engines:
            self.engines[device.type] = _fastest(device.type, self.memory)
        return self.engines[device.type]

    def _for(self, query: Query) -> Engine:
        """Return the engine for a query: torch where sources have a width that others lack."""
        fastest = self.on(query.noisy.device)
        if query.smooth is None or getattr(fastest, "smooths", False):
            return fastest
        if "smooth" not in self.engines:
            self.engines["smooth"] = TorchEngine(self.memory)
        return self.engines["smooth"]

    def plan(
        self,
        query: Query,
        count: int,
        *,
        evidence: bool,
        dense: bool,
        best: int,
        held: Held | None = None,
    ) -> Plan:
        engine = self._for(query)
        return engine.plan(query, count, evidence=evidence, dense=dense, best=best, held=held)

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        engine = self._for(query)
        return engine.evidence(query, _readable(engine, query, images))

    def posterior(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        engine = self._for(query)
        return engine.posterior(query, _readable(engine, query, images), index, bias, best)

    def moments(self, query: Query, images: Tensor) -> tuple[Tensor, Tensor]:
        engine = self._with_gradient(query)
        return engine.moments(query, _readable(engine, query, images))

    def gradient(self, query: Query, images: Tensor, pull: Pull) -> Tensor:
        engine = self._with_gradient(query)
        return engine.gradient(query, _readable(engine, query, images), pull)

    def _with_gradient(self, query: Query) -> Differentiable:
        engine = self._for(query)
        assert isinstance(engine, Differentiable)  # as all engines of this package are
        return engine


def _fastest(device: str, memory: int) -> Engine:
    if device == "cpu" and native_instructions():
        return NativeEngine(memory)
    if device == "cpu":
        warn_if_missing()
    if device == "cuda":
        reason = obstacle()
        if reason is None:
            return FusedEngine(memory)
        warnings.warn(f"the torch engine is used, which is slower: {reason}", stacklevel=4)
    return TorchEngine(memory)


def _readable(engine: object, query: Query, images: Tensor) -> Tensor:
    """Return images as that engine reads them."""
    if getattr(engine, "accepts_uint8", False):
        return images
    return pixel_values(images, query.noisy.dtype)


def limit_threads(engine: Engine) -> None:
    """Keep torch to one thread of this process, unless the engine shares its work out.

    Tiles that fit the cache are too small to share: a second thread wins the torch engine a third
    at best, and where other work has the core, both wait for each other many times as long.

    Args:
        engine: what computes; one that shares its work among threads has a true attribute
            `threaded`.
    """
    if not getattr(engine, "threaded", False):
        torch.set_num_threads(1)
