"""The cases of `record_results`: small drawn questions, and the long runs that users see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import record_adapter as adapter

__all__ = ["Case", "all_cases", "allowed"]

Recording = dict[str, np.ndarray]
Case = tuple[str, Callable[[], Recording]]
LEVELS = (0.001, 0.05, 0.5, 0.95, 0.999)
SMALL = {"3": 3, "5": 5, "all": None, "k(t)": {0.0: 3, 0.5: 5}}
KEPT_SMALL = {"source_image": np.int16, "source_position": np.int16}

LOOSE = ("gradients", "wiener", "networks", "agreement", "quick")
"""Sections that rest on libraries whose order of summation is their own: BLAS, LAPACK, oneDNN."""


def allowed(key: str) -> float:
    """Return how far a case may be off: not by a bit where the order of all sums is fixed."""
    return 1e-5 if key.split("/")[0] in LOOSE else 0.0


def all_cases(scratch: Path) -> dict[str, Callable[[], Iterator[Case]]]:
    """Return the sections, each with what yields its cases."""
    return {
        "kg": _kg,
        "float32": lambda: _drawn(torch.float32),
        "float64": lambda: _drawn(torch.float64),
        "16x16": _larger,
        "special": _special,
        "digits": _digits,
        "gradients": _gradients,
        "wiener": _wiener,
        "samples": _samples,
        "networks": _networks,
        "agreement": lambda: iter([("digits", lambda: _rows(adapter.digits_rows(scratch / "a")))]),
        "demo": lambda: iter([("shown", lambda: _demo(scratch / "demo"))]),
        "quick": lambda: _quick(scratch / "quick"),
    }


class Drawn:
    """A drawn training set and question; no two axes are of equal length.

    Args:
        images: how many training images.
        shape: of each, channels first.
        dtype: of the question; training images are bytes for float32, and else float32.
    """

    def __init__(self, images: int, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
        draw = torch.Generator().manual_seed(images)
        pixels = torch.randint(256, (images, *shape), generator=draw, dtype=torch.uint8)
        labels = torch.arange(images) % 3
        wanted = pixels if dtype == torch.float32 else pixels.float() / 127.5 - 1
        self.data = adapter.training_set(wanted, labels)
        # Two samples at each level, near two different training images.
        self.levels = torch.tensor([level for level in LEVELS for _ in range(2)])
        clean = pixels[:2].double().repeat(len(LEVELS), 1, 1, 1) / 127.5 - 1
        noise = torch.randn(clean.shape, generator=draw, dtype=torch.float64)
        signal = self.levels.double()[:, None, None, None]
        self.noisy = (signal.sqrt() * clean + (1 - signal).sqrt() * noise).to(dtype)
        count = shape[1] * shape[2]
        self.matrix = torch.rand(count, count, generator=draw, dtype=torch.float64).pow(8)
        self.matrix /= self.matrix.sum(-1, keepdim=True)
        self.labels = torch.arange(len(self.levels)) % 3

    def asked(self, build: Callable[[], Any], labels: Tensor | None = None) -> Recording:
        """Return what a machine answers; nothing if it is refused."""
        try:
            told = adapter.posterior(build(), self.noisy, self.levels, labels, 3)
            # Without a list of sources engines go another way.
            told["mean_alone"] = adapter.denoised(build(), self.noisy, self.levels, labels)
        except adapter.Refused:
            return {}
        if torch.equal(told["mean"], told["mean_alone"]):
            told["mean_alone"] = torch.zeros(0, dtype=told["mean"].dtype)
        return _arrays(told)


def _arrays(told: dict[str, Any]) -> Recording:
    found = {}
    for name, each in told.items():
        array = each.detach().numpy() if isinstance(each, Tensor) else np.asarray(each)
        found[name] = array.astype(KEPT_SMALL.get(name, array.dtype))
    return found


def _kg() -> Iterator[Case]:
    for dtype in (torch.float32, torch.float64):
        drawn = Drawn(11, (3, 5, 7), dtype)
        for engine in adapter.ENGINES:
            for name in adapter.KG:
                for key, window in SMALL.items():
                    if (window is None) == (name in ("IS", "ES")):
                        build = partial(adapter.kg_machine, name, drawn.data, engine, window)
                        yield f"{engine}/{name}/{key}/{dtype}", partial(drawn.asked, build)


def _drawn(dtype: torch.dtype) -> Iterator[Case]:
    drawn = Drawn(11, (3, 5, 7), dtype)
    for engine in adapter.ENGINES:
        for attention in adapter.ATTENTIONS:
            for sources in adapter.SOURCES:
                for key, window in SMALL.items():
                    if dtype == torch.float64 and window == 5:
                        continue
                    yield (
                        f"{engine}/{attention}/{sources}/{key}",
                        _question(drawn, engine, sources, window, attention, drawn.matrix),
                    )


def _larger() -> Iterator[Case]:
    """Several tiles in both directions; a few attentions, for the cost grows with the side."""
    drawn = Drawn(13, (1, 16, 16), torch.float32)
    drawn.noisy, drawn.levels = drawn.noisy[3:6], drawn.levels[3:6]
    for engine in ("native", "torch", "adaptive", "adaptive-trees"):
        for attention in ("none", "identity", "tiled", "multiscale-class", "top1-agreed"):
            for sources in adapter.SOURCES:
                for key, window in {"7": 7, "k(t)": {0.0: 3, 0.5: 7, 1.0: 13}}.items():
                    yield (
                        f"{engine}/{attention}/{sources}/{key}",
                        _question(drawn, engine, sources, window, attention, drawn.matrix),
                    )


def _special() -> Iterator[Case]:
    """Classes, values far out, little memory, one sample: ways that the others do not go."""
    for engine in adapter.ENGINES:
        for attention in ("none", "top1", "tiled", "full-class", "matrix"):
            for sources in adapter.SOURCES:
                drawn = Drawn(11, (3, 5, 7), torch.float32)
                far = Drawn(11, (3, 5, 7), torch.float32)
                far.noisy = far.noisy * torch.tensor([40.0, 1.0]).repeat(5)[:, None, None, None]
                many = Drawn(501, (3, 5, 7), torch.float32)
                one = Drawn(11, (3, 5, 7), torch.float32)
                one.noisy, one.levels = one.noisy[5:6], one.levels[5:6]
                options = (engine, sources, 3, attention, drawn.matrix)
                key = f"{engine}/{attention}/{sources}"
                yield f"{key}/classes", _question(drawn, *options, labels=drawn.labels)
                yield f"{key}/far", _question(far, *options)
                if engine != "reference":  # which would take seconds for each
                    little = 2**24 if engine == "torch" else 5 * 2**20
                    yield f"{key}/memory", _question(many, *options, memory=little)
                yield f"{key}/one", _question(one, *options)


def _question(
    drawn: Drawn, *options: Any, labels: Tensor | None = None, **named: Any
) -> Callable[[], Recording]:
    return lambda: drawn.asked(lambda: adapter.build(drawn.data, *options, **named), labels)


def _digits() -> Iterator[Case]:
    """Enough images for the adaptive engine to leave some out."""
    drawn = Drawn(1500, (1, 8, 8), torch.float32)
    drawn.data = adapter.digits(1500)
    clean = drawn.data.images[:2].repeat(len(LEVELS), 1, 1, 1)
    signal = drawn.levels[:, None, None, None]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    drawn.noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
    for engine in adapter.ENGINES:
        for sources in adapter.SOURCES:
            for key, window in {"3": 3, "5": 5}.items():
                if engine != "reference":
                    question = _question(drawn, engine, sources, window)
                    yield f"{engine}/none/{sources}/{key}", question


def _gradients() -> Iterator[Case]:
    drawn = Drawn(11, (3, 5, 7), torch.float64)
    attentions = ("none", "identity", "top1", "tiled", "matrix", "matrix*spread")
    for engine in ("reference", "native", "torch", "auto", "adaptive"):
        for attention in (*attentions, "tiled-class", "tiled-agreed", "multiscale(3,5)"):
            for sources in adapter.SOURCES:
                choices = (engine, sources, SMALL["k(t)"], attention, drawn.matrix)
                build = partial(adapter.build, drawn.data, *choices)
                yield f"{engine}/{attention}/{sources}", partial(_gradient, drawn, build)
    yield "wiener/-/-", partial(_gradient, drawn, partial(adapter.wiener, drawn.data), False)


def _gradient(drawn: Drawn, build: Callable[[], Any], weight: bool = True) -> Recording:
    noisy = drawn.noisy.clone().requires_grad_()
    try:
        if weight:
            told = adapter.posterior(build(), noisy, drawn.levels, None, 0)
        else:
            told = {"mean": adapter.denoised(build(), noisy, drawn.levels)}
        pull = torch.linspace(-1, 1, noisy.numel(), dtype=noisy.dtype).view_as(noisy)
        (mean,) = torch.autograd.grad((told["mean"] * pull).sum(), noisy, retain_graph=True)
        found = {"mean": mean}
        if weight:
            shares = torch.linspace(0, 1, told["log_weight"].numel(), dtype=torch.float64)
            total = (told["log_weight"].flatten() * shares).sum()
            (found["log_weight"],) = torch.autograd.grad(total, noisy)
    except adapter.Refused:
        return {}
    return _arrays(found)


def _wiener() -> Iterator[Case]:
    for dtype in (torch.float32, torch.float64):
        for images in (11, 131):  # fewer and more images than values of an image
            drawn = Drawn(images, (3, 5, 7), dtype)
            for key, labels in {"all": None, "classes": drawn.labels}.items():
                asked = (adapter.wiener(drawn.data), drawn.noisy, drawn.levels, labels)
                yield f"{dtype}/{images}/{key}", partial(_mean, *asked)


def _mean(denoiser: Any, noisy: Tensor, levels: Tensor, labels: Tensor | None = None) -> Recording:
    return _arrays({"mean": adapter.denoised(denoiser, noisy, levels, labels)})


def _paint(denoiser: Any, scheduler: str, data: Any = None) -> Recording:
    return _arrays(adapter.painted(denoiser, 2, 5, scheduler, data))


def _samples() -> Iterator[Case]:
    drawn = Drawn(11, (3, 5, 7), torch.float32)
    for engine in ("reference", "native", "torch", "adaptive"):
        for attention in ("none", "top1", "tiled", "full-class", "tiled-agreed", "matrix"):
            for scheduler in ("kg", "DDIM", "DDPM"):
                choices = (engine, "inside", SMALL["k(t)"], attention, drawn.matrix)
                machine = adapter.build(drawn.data, *choices)
                yield f"{engine}/{attention}/{scheduler}", partial(_paint, machine, scheduler)
    crafted = adapter.shapes()
    for attention in ("none", "tiled"):
        yield f"shapes/{attention}", partial(_judged, crafted, attention)


def _judged(data: Any, attention: str) -> Recording:
    told = adapter.painted(adapter.build(data, "auto", "broken", 7, attention), 8, 8, "kg")
    return _arrays(told | {"judged": adapter.judged(data, told["images"])})


def _networks() -> Iterator[Case]:
    crafted, digits = adapter.shapes(), adapter.digits(300)
    for name, network in adapter.bundled_networks().items():
        data = digits if name.startswith("digits") else crafted
        noisy = data.images[:5] * 0.5 + 0.8 * torch.randn(
            (5, *data.images.shape[1:]), generator=torch.Generator().manual_seed(7)
        )
        yield f"denoise/{name}", partial(_mean, network, noisy, torch.tensor(LEVELS))
        yield f"samples/{name}", partial(_paint, network, "kg", data)


def numbers(value: Any) -> list[float]:
    """Return all numbers in plain values, in their order; NaN for nothing, no texts."""
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    if isinstance(value, list | tuple):
        return [number for each in value for number in numbers(each)]
    return [] if isinstance(value, str) else [np.nan if value is None else float(value)]


def _rows(rows: list[Any]) -> Recording:
    return {f"{i:03}": np.array(numbers(row)) for i, row in enumerate(rows)}


def _demo(folder: Path) -> Recording:
    printed, pictures = adapter.demo(folder)
    rates = [line.split(":", 1)[1] for line in printed.splitlines() if "chance" in line]
    told = {"rates": [float(each) for line in rates for each in re.findall(r"\d+\.?\d*", line)]}
    return _arrays(told | {path.name: np.array(Image.open(path)) for path in pictures})


def _quick(folder: Path) -> Iterator[Case]:
    yield (
        "findings",
        lambda: {
            f"{part}{name}": row
            for part, rows in adapter.consistency(folder).items()
            for name, row in _rows(rows).items()
        },
    )
